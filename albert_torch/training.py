"""Steps of training in PyTorch; its twins are in albert_tf and albert_flax."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from albert_core import schema
from albert_core.int8 import no_gradients
from albert_core.optimization import (
    Moves,
    Optimizer,
    corrections,
    is_adapted,
    moment_names,
    update,
)
from albert_core.training import Part, added, is_pretraining, may_leave_padding_out
from albert_torch.int8 import is_int8
from albert_torch.modules import table_of
from albert_torch.ops import is_open, length_of
from albert_torch.packing import without_padding
from albert_torch.pretrained import to_array, to_tensor
from albert_torch.scoring import count_right, is_at, mix, summed_cross_entropy

Figures = dict[str, Tensor]
Arrays = Mapping[str, NDArray[Any]]

MOVES = Moves(torch.sqrt, torch.linalg.vector_norm, torch.where)


def pretraining_loss(model: Any, inputs: Any, weights: Any) -> tuple[Tensor, Figures]:
    """Both losses of pretraining, as Google has them.

    Only masked positions are scored, and nothing is dropped before the sentence order.

    Args:
        model: An `AlbertForPreTraining`.
        inputs: `input_ids`, `attention_mask`, `token_type_ids` [batch, seq];
            `masked_lm_positions`, `masked_lm_labels` [batch, predictions];
            `sentence_order_label` [batch].
        weights: See `albert_core.training.Part`.
    """
    outputs = model.albert(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        token_type_ids=inputs["token_type_ids"],
        return_dict=True,
    )
    hidden_states = outputs.last_hidden_state
    length = length_of(inputs["input_ids"])
    places = is_at(inputs["masked_lm_positions"], length)
    table = table_of(model.get_output_embeddings())
    prediction_logits = model.predictions(mix(hidden_states, places), table)
    sop_logits = model.sop_classifier.classifier(outputs.pooler_output)
    tokens, orders = inputs["masked_lm_labels"], inputs["sentence_order_label"]
    masked = summed_cross_entropy(prediction_logits, tokens) * weights["masked"]
    order = summed_cross_entropy(sop_logits, orders) * weights["order"]
    return masked + order, {
        "loss": masked + order,
        "masked_lm_loss": masked,
        "masked_lm_accuracy": count_right(prediction_logits, tokens)
        * weights["masked"],
        "sentence_order_loss": order,
        "sentence_order_accuracy": count_right(sop_logits, orders) * weights["order"],
    }


def task_loss(model: Any, inputs: Any, weights: Any) -> tuple[Tensor, Figures]:
    """The loss of a head.

    Args:
        model: A model with a head.
        inputs: The arguments of its call.
        weights: See `albert_core.training.Part`.
    """
    loss = model(**inputs, return_dict=True).loss * weights["loss"]
    return loss, {"loss": loss}


class Training:
    """A model that learns, step by step.

    Under torchrun every process holds the model, and learns from its share of a batch;
    gradients are added up by `DistributedDataParallel`.

    Args:
        model: Any with a head, on its device. It is trained in place.
        optimizer: How its weights move.
        mixed: Whether to compute in bfloat16 what allows it; weights and moments stay
            as they are.

    Attributes:
        count: How many steps were taken.

    Raises:
        InputError: The model is in int8.
    """

    def __init__(self, model: Any, optimizer: Optimizer, mixed: bool = False) -> None:
        if is_int8(model):
            raise no_gradients("")
        self.model = model
        self.optimizer = optimizer
        self.mixed = mixed
        self.count = 0
        self.weights: dict[str, Tensor] = model.canonical_tensors()
        pools = model.base_model.pooler is not None
        rows = schema.parameters(model.config, model.head, pools)
        self.adapted = {row.name: is_adapted(row) for row in rows}
        self.first = {n: torch.zeros_like(w) for n, w in self.weights.items()}
        self.second = {n: torch.zeros_like(w) for n, w in self.weights.items()}
        self.processes = distributed.get_world_size() if _is_parallel() else 1
        self.learner: nn.Module = _Learner(model)
        if _is_parallel():
            self.learner = DistributedDataParallel(self.learner)

    def step(self, parts: Sequence[Part], rate: float, seed: int) -> dict[str, float]:
        """Learn from a batch; where loss or gradients are no numbers, nothing moves.

        Args:
            parts: Of the batch; one after another, so that only one needs memory.
            rate: The learning rate.
            seed: Of what is dropped.

        Returns:
            The loss and other figures of the batch, and the norm of its gradients
            before they were clipped.
        """
        torch.manual_seed(seed)
        self.model.train()
        self.model.zero_grad(set_to_none=True)
        found: list[Mapping[str, Any]] = []
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            with nullcontext() if last else self._unsynchronised():
                with self._precision():
                    loss, figures = self.learner(self._inputs(part), part.weights)
                # The engine divides by the number of processes.
                (loss * self.processes).backward()
            found.append({name: x.detach() for name, x in figures.items()})
        gradients = {
            name: torch.zeros_like(w) if w.grad is None else w.grad
            for name, w in self.weights.items()
        }
        size = torch.stack([MOVES.norm(g) for g in gradients.values()]).norm()
        figures = self._together(added(found)) | {"gradient_norm": float(size)}
        if torch.isfinite(size) and figures["loss"] - figures["loss"] == 0:
            self._move(gradients, size, rate)
        return figures

    @torch.no_grad()
    def _move(self, gradients: dict[str, Tensor], size: Tensor, rate: float) -> None:
        self.count += 1
        limit, corrected = (
            self.optimizer.clip_norm,
            corrections(self.optimizer, self.count),
        )
        scale = 1.0 if limit is None else limit / torch.clamp(size, min=limit)
        for name, weight in self.weights.items():
            moved, self.first[name], self.second[name] = update(
                MOVES,
                self.optimizer,
                self.adapted[name],
                weight,
                gradients[name] * scale,
                self.first[name],
                self.second[name],
                rate,
                corrected,
            )
            weight.copy_(moved)

    @torch.no_grad()
    def evaluate(self, part: Part) -> dict[str, float]:
        """The figures of a part, without dropout, and without learning."""
        self.model.eval()
        with self._precision():
            _, figures = _Learner(self.model)(self._inputs(part), part.weights)
        return {name: float(x) for name, x in figures.items()}

    @torch.no_grad()
    def predict(self, inputs: Arrays, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Some outputs of the model, without dropout."""
        self.model.eval()
        with self._precision():
            found = self.model(**self._inputs(Part(inputs, {})), return_dict=True)
        return {name: found[name].double().cpu().numpy() for name in wanted}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights, in canonical names and layout."""
        return {name: to_array(weight) for name, weight in self.weights.items()}

    def moments(self) -> dict[str, NDArray[Any]]:
        """What the optimizer knows of each weight, in canonical names and layout."""
        return {
            moment: to_array(array)
            for name in self.weights
            for moment, array in zip(
                moment_names(name), (self.first[name], self.second[name]), strict=True
            )
        }

    @torch.no_grad()
    def restore(self, arrays: Arrays, moments: Arrays, count: int) -> None:
        """Go on from weights, moments and a number of steps."""
        self.count = count
        for name, weight in self.weights.items():
            first, second = moment_names(name)
            weight.copy_(to_tensor(arrays[name]))
            self.first[name].copy_(to_tensor(moments[first]))
            self.second[name].copy_(to_tensor(moments[second]))

    def _inputs(self, part: Part) -> dict[str, Any]:
        device, dtype = self.model.device, self.model.dtype
        found: dict[str, Any] = {
            name: torch.from_numpy(array).to(
                device, torch.long if array.dtype.kind in "iu" else dtype
            )
            for name, array in part.inputs.items()
        }
        if is_open(self.model) and may_leave_padding_out(part.inputs, self.model.head):
            found["attention_mask"] = without_padding(found["attention_mask"])
        return found

    def _precision(self) -> Any:
        return torch.autocast(
            self.model.device.type, torch.bfloat16, enabled=self.mixed
        )

    def _unsynchronised(self) -> Any:
        if isinstance(self.learner, DistributedDataParallel):
            return self.learner.no_sync()
        return nullcontext()

    def _together(self, figures: dict[str, float]) -> dict[str, float]:
        """The figures of all processes, added up."""
        if self.processes == 1:
            return figures
        sums = torch.tensor(
            list(figures.values()), dtype=torch.float64, device=self.model.device
        )
        distributed.all_reduce(sums)
        return dict(zip(figures, sums.tolist(), strict=True))


class _Learner(nn.Module):
    """A model and its loss, as one module whose gradients an engine can add up."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: Any, weights: Any) -> tuple[Tensor, Figures]:
        loss: Callable[..., Any] = (
            pretraining_loss if is_pretraining(inputs) else task_loss
        )
        return loss(self.model, inputs, weights)


def _is_parallel() -> bool:
    return distributed.is_available() and distributed.is_initialized()
