"""Mistakes in porting a model, and how each is made in the reference.

`catalogue` lists them. A diagnosis makes one after the other and looks which gives the
candidate's numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from albert_core.config import AlbertConfig
from albert_core.reference import Reference
from albert_zoo.parity.inputs import Inputs

Array = NDArray[Any]

# Calls, or what the paths of calls in a block end with.
ATTENTION, FEED_FORWARD = "attention", "feed_forward"


@dataclass(frozen=True)
class Scenario:
    """A model and its inputs, with or without a mistake.

    Attributes:
        config: The configuration.
        weights: By name in a model without a head.
        batches: The inputs.
        kind: What computes.
    """

    config: AlbertConfig
    weights: Mapping[str, Array]
    batches: Mapping[str, Inputs]
    kind: type[Reference] = Reference


# Makes a mistake in the block of a prefix, "" for what is in no block. None where it
# would change nothing, or cannot be.
Change = Callable[[Scenario, str], Scenario | None]


@dataclass(frozen=True)
class Cause:
    """A mistake.

    Attributes:
        name: For people.
        change: What makes it.
        at: The call, or what its path ends with, that is the first to be wrong.
    """

    name: str
    change: Change
    at: str

    @property
    def in_block(self) -> bool:
        """Whether it is made in one block, or in all of them."""
        return self.at in (ATTENTION, FEED_FORWARD)


def edit(part: str, change: Callable[[Array, AlbertConfig], Array]) -> Change:
    """A mistake in all arrays whose names have a part."""

    def make(at: Scenario, prefix: str) -> Scenario | None:
        names = [n for n in at.weights if n.startswith(prefix) and part in n]
        made = {name: change(at.weights[name], at.config) for name in names}
        shapes = {made[name].shape == at.weights[name].shape for name in names}
        if shapes != {True}:
            return None
        return replace(at, weights={**at.weights, **made})

    return make


def swap(one: str, other: str) -> Change:
    """A mistake of two layers that are taken for each other."""

    def make(at: Scenario, prefix: str) -> Scenario | None:
        made = dict(at.weights)
        for name in [n for n in made if n.startswith(prefix) and f"{one}." in n]:
            twin = name.replace(one, other)
            if made[name].shape != made[twin].shape:
                return None
            made[name], made[twin] = made[twin], made[name]
        return replace(at, weights=made)

    return make


def blocks(one: str, other: str, copy: bool = False) -> Change:
    """A mistake of whole groups or blocks: exchanged, or one in place of another."""

    def make(at: Scenario, prefix: str) -> Scenario | None:
        made = dict(at.weights)
        names = [n for n in made if one in n and n.replace(one, other) in made]
        for name in names:
            twin = name.replace(one, other)
            made[name], made[twin] = made[name if copy else twin], made[name]
        return replace(at, weights=made) if names else None

    return make


def config(**changes: Any) -> Change:
    """A mistake in the configuration."""

    def make(at: Scenario, prefix: str) -> Scenario | None:
        values = {**at.config.to_dict(), **changes}
        made = AlbertConfig.from_dict(values)
        same = all(getattr(at.config, k) == getattr(made, k) for k in changes)
        return None if same else replace(at, config=made)

    return make


def inputs(name: str, change: Callable[[Array], Array]) -> Change:
    """A mistake in what goes into the model."""

    def make(at: Scenario, prefix: str) -> Scenario | None:
        made = {
            batch: {**given, name: change(given[name])} if name in given else given
            for batch, given in at.batches.items()
        }
        return replace(at, batches=made)

    return make


def kind(made: type[Reference]) -> Change:
    """A mistake in a formula."""
    return lambda at, prefix: replace(at, kind=made)
