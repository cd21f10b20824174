"""Steps of training in JAX; its twins are in albert_torch and albert_tf."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from numpy.typing import NDArray

from albert_core.int8 import no_gradients
from albert_core.optimization import (
    Moves,
    Optimizer,
    corrections,
    is_adapted,
    moment_names,
    update,
)
from albert_core.packing import pack_if_worth
from albert_core.spelling import FLAX
from albert_core.training import (
    Part,
    added,
    is_pretraining,
    may_leave_padding_out,
    rows_each,
)
from albert_flax import params as trees
from albert_flax.int8 import is_int8
from albert_flax.modules import dropout_keys, table_of
from albert_flax.ops import is_open, length_of
from albert_flax.scoring import count_right, is_at, mix, summed_cross_entropy

Figures = dict[str, Array]
Arrays = Mapping[str, NDArray[Any]]

MOVES = Moves(jnp.sqrt, lambda x: jnp.linalg.norm(x.ravel()), jnp.where)


def pretraining_loss(model: Any, inputs: Any, weights: Any) -> tuple[Array, Figures]:
    """Both losses of pretraining, as Google has them.

    Only masked positions are scored, and nothing is dropped before the sentence order.

    Args:
        model: The module of a `FlaxAlbertForPreTraining`.
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


def task_loss(model: Any, inputs: Any, weights: Any) -> tuple[Array, Figures]:
    """The loss of a head.

    Args:
        model: The module of a model with a head.
        inputs: The arguments of its call.
        weights: See `albert_core.training.Part`.
    """
    loss = model(**inputs, return_dict=True).loss * weights["loss"]
    return loss, {"loss": loss}


class Training:
    """A model that learns, step by step.

    On several devices each holds the model, and learns from its share of a batch;
    gradients are added up by the compiler, which is told how the rows are spread.

    Args:
        model: Any with a head. It is trained in place.
        optimizer: How its weights move.
        mixed: Whether to compute in bfloat16; weights and moments stay as they are.
        devices: To spread batches over; the one of the weights if not given.

    Attributes:
        count: How many steps were taken.

    Raises:
        InputError: The model is in int8.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        mixed: bool = False,
        devices: Sequence[Any] | None = None,
    ) -> None:
        if is_int8(model):
            raise no_gradients("")
        self.model = model
        self.optimizer = optimizer
        self.count = 0
        self.dtype = jnp.dtype(jnp.bfloat16) if mixed else model.dtype
        self.kept = jnp.dtype(jnp.float32) if mixed else model.dtype
        self.rows = {row.name: row for row in model._program.schema}
        self.adapted = {name: is_adapted(row) for name, row in self.rows.items()}
        self.everywhere, self.by_row = _shardings(devices)
        self.weights = self._placed(model.canonical_arrays())
        (one, *others) = jax.tree.leaves(self.weights)[0].devices()
        alone = not others and one.platform == "cpu"
        self.packs = alone and is_open(model.module)
        self.first = jax.tree.map(jnp.zeros_like, self.weights)
        self.second = jax.tree.map(jnp.zeros_like, self.weights)
        self._gradients = jax.jit(jax.grad(self._loss, has_aux=True))
        self._evaluate = jax.jit(self._loss)
        self._predict = jax.jit(self._outputs)
        self._move = jax.jit(self._moved, donate_argnums=(0, 1, 2))

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
        found: list[Mapping[str, Any]] = []
        gradients: Any = None
        for index, part in enumerate(parts):
            key = self._key(seed, index)
            one, figures = self._gradients(
                self.weights, self._inputs(part), dict(part.weights), key
            )
            gradients = (
                one if gradients is None else jax.tree.map(jnp.add, gradients, one)
            )
            found.append(figures)
        figures = added(found)
        moved = self._move(
            self.weights,
            self.first,
            self.second,
            gradients,
            figures["loss"],
            rate,
            corrections(self.optimizer, self.count + 1),
        )
        self.weights, self.first, self.second, size = moved
        figures["gradient_norm"] = float(size)
        self.count += int(np.isfinite(figures["gradient_norm"] + figures["loss"]))
        self._give_back()
        return figures

    def _moved(
        self,
        weights: Any,
        firsts: Any,
        seconds: Any,
        gradients: Any,
        loss: Array,
        rate: Array,
        corrected: tuple[Array, Array],
    ) -> Any:
        sizes = [MOVES.norm(gradients[name]) for name in self.rows]
        size = jnp.linalg.norm(jnp.stack(sizes))
        limit = self.optimizer.clip_norm
        scale = 1.0 if limit is None else limit / jnp.maximum(size, limit)
        good = jnp.isfinite(size) & jnp.isfinite(loss)
        moved: tuple[Any, Any, Any] = ({}, {}, {})
        for name, weight in weights.items():
            old = weight, firsts[name], seconds[name]
            new = update(
                MOVES,
                self.optimizer,
                self.adapted[name],
                weight,
                gradients[name] * scale,
                firsts[name],
                seconds[name],
                jnp.asarray(rate, weight.dtype),
                corrected,
            )
            for to, before, after in zip(moved, old, new, strict=True):
                to[name] = jnp.where(good, after, before)
        return *moved, size

    def evaluate(self, part: Part) -> dict[str, float]:
        """The figures of a part, without dropout, and without learning."""
        _, figures = self._evaluate(
            self.weights, self._inputs(part), dict(part.weights), None
        )
        return {name: float(x) for name, x in figures.items()}

    def _loss(
        self, weights: Any, inputs: Any, shares: Any, key: Array | None
    ) -> tuple[Array, Figures]:
        loss: Callable[..., Any] = (
            pretraining_loss if is_pretraining(inputs) else task_loss
        )
        with dropout_keys(key):
            return loss(self._module(weights), inputs, shares)

    def _module(self, weights: Any) -> Any:
        tree = trees.nest(
            {
                trees.path_of(row): weights[name].astype(self.dtype)
                for name, row in self.rows.items()
            }
        )
        return self.model._program.module(tree)

    def predict(self, inputs: Arrays, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Some outputs of the model, without dropout."""
        found = self._predict(self.weights, self._inputs(Part(inputs, {})))
        return {name: np.asarray(found[name], np.float64) for name in wanted}

    def _outputs(self, weights: Any, inputs: Any) -> Any:
        return dict(self._module(weights)(**inputs, return_dict=True))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights, in canonical names and layout."""
        return self._canonical(self.weights)

    def moments(self) -> dict[str, NDArray[Any]]:
        """What the optimizer knows of each weight, in canonical names and layout."""
        both = self._canonical(self.first), self._canonical(self.second)
        return {
            moment: arrays[name]
            for name in self.rows
            for moment, arrays in zip(moment_names(name), both, strict=True)
        }

    def restore(self, arrays: Arrays, moments: Arrays, count: int) -> None:
        """Go on from weights, moments and a number of steps."""
        self.count = count
        names = {name: moment_names(name) for name in self.rows}
        self.weights = self._placed({name: arrays[name] for name in self.rows})
        self.first = self._placed({n: moments[m] for n, (m, _) in names.items()})
        self.second = self._placed({n: moments[m] for n, (_, m) in names.items()})
        self._give_back()

    def _canonical(self, found: Any) -> dict[str, NDArray[Any]]:
        return {n: FLAX.turn(row, np.asarray(found[n])) for n, row in self.rows.items()}

    def _placed(self, arrays: Arrays) -> dict[str, Array]:
        return {
            name: jax.device_put(
                FLAX.turn(row, np.asarray(arrays[name], self.kept)), self.everywhere
            )
            for name, row in self.rows.items()
        }

    def _give_back(self) -> None:
        rows = self.rows.items()
        leaves = {trees.path_of(row): self.weights[name] for name, row in rows}
        self.model._params = trees.nest(leaves)

    def _inputs(self, part: Part) -> dict[str, Any]:
        rows_each(part.inputs, 1 if self.by_row is None else self.by_row.mesh.size)
        found: dict[str, Any] = {
            name: array if array.dtype.kind in "iu" else array.astype(self.dtype)
            for name, array in part.inputs.items()
        }
        # Packed rows are of all texts, and so of one device; a TPU compiles for long.
        if self.packs and may_leave_padding_out(found, self.model.head):
            found["attention_mask"] = pack_if_worth(found["attention_mask"])
        return jax.device_put(found, self.by_row)

    def _key(self, seed: int, index: int) -> Array | None:
        drops = self.model._program.drops
        return jax.random.fold_in(jax.random.key(seed), index) if drops else None


def _shardings(devices: Sequence[Any] | None) -> tuple[Any, Any]:
    """Where weights are, and where rows of a batch are; None to let JAX choose."""
    if devices is None or len(devices) == 1:
        place = None if devices is None else devices[0]
        return place, None
    mesh = Mesh(np.asarray(devices), ("rows",), axis_types=(AxisType.Auto,))
    sharded = partial(NamedSharding, mesh)
    return sharded(PartitionSpec()), sharded(PartitionSpec("rows"))
