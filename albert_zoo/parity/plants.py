"""Mistakes planted in the frameworks themselves, for the self-test."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from albert_core import checkpoint
from albert_core.schema import base_name
from albert_zoo.parity import probes
from albert_zoo.parity.case import Case
from albert_zoo.parity.catalogue import CAUSES
from albert_zoo.parity.causes import Scenario
from albert_zoo.parity.diagnosis import block_of, healthy
from albert_zoo.parity.sample import LONGEST

FIRST = "layer.0.inner.0"
MODULES = {"torch": "torch", "tf": "tensorflow", "flax": "jax.numpy"}

# Of an operation of a backend and its framework's own module: what takes its place.
Wrap = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Plant:
    """A mistake in a framework.

    Attributes:
        name: For people.
        cause: What a diagnosis should name first, "" for what has no name.
        at: The calls that may be the first to be wrong.
        scenario: What is saved and loaded, None if the mistake is in the code.
        place: The module of the backend and the operation in it.
        wrap: What takes its place.
        spoil: What is done to the probe.
    """

    name: str
    cause: str
    at: tuple[str, ...]
    scenario: Scenario | None = None
    place: tuple[str, str] = ("", "")
    wrap: Wrap = lambda old, own: old
    spoil: Callable[[str, Any], None] = lambda framework, probe: None


def in_checkpoints(case: Case) -> Iterator[Plant]:
    """Every mistake of the catalogue that weights or a configuration can hold."""
    sound = healthy(case)
    for cause in CAUSES:
        at = f"{FIRST}.{cause.at}" if cause.in_block else cause.at
        prefix = block_of(case, at)
        made = cause.change(sound, prefix)
        if made is None or made.kind is not sound.kind:
            continue
        if made.batches is not sound.batches:
            continue
        name = f"{cause.name} (in the checkpoint)"
        yield Plant(name, cause.name, (at,), made)


def _stopped(own: Any) -> Any:
    """What lets no gradient through."""
    if own.__name__ == "torch":
        return lambda x: x.detach()
    return own.stop_gradient if hasattr(own, "stop_gradient") else _jax_stop


def _jax_stop(x: Any) -> Any:
    import jax

    return jax.lax.stop_gradient(x)


def _leave_dropout_on(framework: str, probe: Any) -> None:
    if framework == "torch":
        probe.model.train()
    elif framework == "tf":
        run = probe._run
        probe._run = lambda inputs, **more: run(inputs, training=True, **more)
    else:
        probe.model = _Dropping(probe.model)


class _Dropping:
    """A Flax model whose calls train, each with another key."""

    def __init__(self, model: Any) -> None:
        self.model, self.calls = model, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.model, name)

    def __call__(self, **inputs: Any) -> Any:
        import jax

        self.calls += 1
        key = jax.random.key(self.calls)
        return self.model(**inputs, train=True, dropout_rng=key)


def _let_padding_learn(framework: str, probe: Any) -> None:
    if framework == "flax":
        graph = import_module("albert_flax.modules").Embedding
        probe.stack.enter_context(patch.object(graph, "__call__", _look_up))
        return
    table = probe.model.base_model.embeddings.word_embeddings
    setattr(table, "padding_idx" if framework == "torch" else "padding", None)


def _look_up(self: Any, ids: Any) -> Any:
    return self.embedding[...][ids]


def _attend(change: Callable[..., Any]) -> Wrap:
    return lambda old, own: lambda query, *rest: old(change(query), *rest)


_MASKED = (f"{FIRST}.attention",)
_BIAS = ("layers", "mask_to_bias")
_DROPPED = ("embeddings", "projection")

IN_CODE: tuple[Plant, ...] = (
    Plant(
        "mask ignored",
        "mask ignored",
        _MASKED,
        place=_BIAS,
        wrap=lambda old, own: lambda mask, x: old(own.ones_like(mask), x),
    ),
    Plant(
        "mask inverted",
        "mask inverted",
        _MASKED,
        place=_BIAS,
        wrap=lambda old, own: lambda mask, x: old(1 - mask, x),
    ),
    Plant(
        "mask off by one",
        "mask off by one",
        _MASKED,
        place=_BIAS,
        wrap=lambda old, own: lambda mask, x: old(own.roll(mask, 1, -1), x),
    ),
    Plant(
        "positions from 1",
        "positions begin at 1",
        ("embeddings", "projection"),
        place=("layers", "positions_for"),
        wrap=lambda old, own: lambda x: (old(x) + 1) % LONGEST,
    ),
    Plant(
        "tanh forgotten",
        "pooler without tanh",
        ("pooler",),
        place=("layers", "tanh"),
        wrap=lambda old, own: lambda x: x,
    ),
    Plant(
        "scores scaled twice",
        "scores scaled twice",
        _MASKED,
        place=("layers", "attend"),
        wrap=_attend(lambda query: query / float(query.shape[-1]) ** 0.5),
    ),
    Plant(
        "scores not scaled",
        "scores not scaled",
        _MASKED,
        place=("layers", "attend"),
        wrap=_attend(lambda query: query * float(query.shape[-1]) ** 0.5),
    ),
    Plant(
        "context off by a billionth",
        "",
        _MASKED,
        place=("layers", "merge_heads"),
        wrap=lambda old, own: lambda x: old(x) * (1 + 1e-9),
    ),
    Plant(
        "no gradient through attention",
        "gradient stopped",
        ("gradients",),
        place=("layers", "merge_heads"),
        wrap=lambda old, own: lambda x: old(_stopped(own)(x)),
    ),
    Plant(
        "loss doubled",
        "loss doubled",
        ("loss",),
        place=("heads", "cross_entropy"),
        wrap=lambda old, own: lambda *rest: 2 * old(*rest),
    ),
    Plant(
        "ignored labels count",
        "labels of -100 count",
        ("loss",),
        place=("heads", "cross_entropy"),
        wrap=lambda old, own: lambda x, y, *rest: old(x, (y + abs(y)) // 2, *rest),
    ),
    Plant(
        "padding learns",
        "row of padding learns",
        ("gradients",),
        spoil=_let_padding_learn,
    ),
    Plant("dropout left on", "dropout left on", _DROPPED, spoil=_leave_dropout_on),
)


@contextmanager
def planted(case: Case, plant: Plant, framework: str, folder: Path) -> Iterator[Any]:
    """A framework's model, in float64, with a mistake.

    Args:
        case: What is compared.
        plant: The mistake.
        framework: A key of `backends.BACKENDS`.
        folder: Where a changed checkpoint can be saved.
    """
    path = case.directory
    if plant.scenario is not None:
        path = folder / "planted"
        theirs = {base_name(name): name for name in case.weights}
        made = {theirs[k]: np.array(x) for k, x in plant.scenario.weights.items()}
        checkpoint.save(path, plant.scenario.config, made)
    with ExitStack() as stack:
        module, name = plant.place
        if name:
            owner = import_module(f"albert_{framework}.{module}")
            own = import_module(MODULES[framework])
            other = plant.wrap(getattr(owner, name), own)
            stack.enter_context(patch.object(owner, name, other))
        options: dict[str, Any] = {**case.options, **DROPS}
        probe: Any = probes.load(framework, path, case.head, **options)
        probe.stack = stack
        plant.spoil(framework, probe)
        yield probe


# Rates that a sound model does not use, and one with dropout left on does.
DROPS = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
