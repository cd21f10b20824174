"""What is compared: a checkpoint, its inputs, and what the reference makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core import checkpoint as canonical
from albert_core import gradients, loading, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError
from albert_core.gradients_encoder import Backward
from albert_core.reference import Reference, Stage
from albert_zoo.backends import Arrays, flatten
from albert_zoo.parity import gains
from albert_zoo.parity.budgets import SEEDS
from albert_zoo.parity.inputs import Inputs
from conversion.pretrained import open_pretrained

LEARNT = "rows"  # the batch whose gradients are compared


@dataclass(frozen=True)
class Answer:
    """What a model makes of all batches.

    Attributes:
        outputs: By batch and name.
        stages: Every call, by batch and path.
        loss: Of the batch that is learnt from, None for a head without one.
        gradients: By canonical name.
    """

    outputs: dict[str, Arrays]
    stages: dict[str, dict[str, Stage]]
    loss: float | None
    gradients: dict[str, NDArray[Any]]


@dataclass
class Case:
    """What is compared.

    Attributes:
        directory: Where the checkpoint is.
        config: Its configuration.
        head: A key of `schema.HEADS`.
        weights: By canonical name.
        batches: The inputs, by name.
        pools: Whether the model pools.
    """

    directory: Path
    config: AlbertConfig
    head: str
    weights: Mapping[str, NDArray[Any]]
    batches: Mapping[str, Inputs]
    pools: bool

    @property
    def options(self) -> dict[str, Any]:
        """What a backend's `from_pretrained` needs besides."""
        plain = self.head == schema.BASE and not self.pools
        return {"add_pooling_layer": False} if plain else {}

    @property
    def learns(self) -> bool:
        """Whether there is a loss."""
        return self.head in gradients.HEADS

    def model(self) -> Reference:
        """The reference model."""
        return Reference(self.config, self.weights, self.head, self.pools)

    @cached_property
    def answer(self) -> Answer:
        """The reference's."""
        return self._answer(self.model())

    @cached_property
    def gains(self) -> dict[str, float]:
        """How much of a rounding error arrives at every place, by level and name."""
        model = self.model()
        moved = (
            _places(self._answer(gains.Shaken(model, seed))) for seed in range(SEEDS)
        )
        return gains.of(moved, self.places)

    @cached_property
    def places(self) -> dict[str, NDArray[Any]]:
        """All numbers of the reference, by level and name."""
        return _places(self.answer)

    def _answer(self, model: Reference) -> Answer:
        outputs: dict[str, Arrays] = {}
        stages: dict[str, dict[str, Stage]] = {}
        for name, inputs in self.batches.items():
            outputs[name] = flatten(model(**inputs), np.asarray)
            stages[name] = {stage.path: stage for stage in model.stages}
        if not self.learns:
            return Answer(outputs, stages, None, {})
        kind = gains.ShakenBackward if isinstance(model, gains.Shaken) else Backward
        learnt = gradients.gradients(model, kind, **self.batches[LEARNT])
        return Answer(outputs, stages, learnt.loss, learnt.parameters)


def _places(answer: Answer) -> dict[str, NDArray[Any]]:
    """All numbers of an answer, those of all batches together, by level and name."""
    parts: dict[str, list[NDArray[Any]]] = {}
    for outputs in answer.outputs.values():
        for name, array in outputs.items():
            parts.setdefault(f"free {name}", []).append(np.ravel(array))
    for stages in answer.stages.values():
        for path, stage in stages.items():
            parts.setdefault(f"forced {path}", []).append(np.ravel(stage.output))
    places = {name: np.concatenate(arrays) for name, arrays in parts.items()}
    if answer.loss is not None:
        places["loss loss"] = np.array([answer.loss])
    return places | {f"gradients {k}": g for k, g in answer.gradients.items()}


def open_case(
    path: str | Path,
    batches: Any,
) -> Case:
    """Open a checkpoint that is to be compared.

    Args:
        path: A checkpoint of any format, or a hub name.
        batches: Makes the inputs, of configuration and head.

    Raises:
        CheckpointError: It cannot be used, or lacks weights of its head.
        ConfigError: Its configuration cannot be used.
    """
    config, stored = open_pretrained(path, None, {})
    head = schema.guess_head(list(stored), config.architectures)
    names = {schema.base_name(name) for name in stored}
    pools = schema.HEADS[head].pools
    if head == schema.BASE and "pooler.weight" not in names:
        pools = False
    weights = _weights(config, stored, head, pools)
    return Case(stored.directory, config, head, weights, batches(config, head), pools)


def _weights(
    config: AlbertConfig, stored: canonical.Checkpoint, head: str, pools: bool
) -> dict[str, NDArray[Any]]:
    wanted = {p.name: p.shape for p in schema.parameters(config, head, pools)}
    found = loading.match(wanted, stored, f"Albert{head}")
    if found.missing:
        raise CheckpointError(
            f"{stored.directory} lacks weights of Albert{head}, so there is nothing to "
            f"compare: {', '.join(found.missing)}. Train the head first."
        )
    return {name: stored[source] for name, source in found.sources.items()}
