"""How much of a rounding error arrives where: measured by shaking the reference."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.gradients_encoder import Backward
from albert_core.numerics import F64
from albert_core.reference import Reference
from albert_zoo.parity.budgets import SHAKEN

# Of the largest gradient: what a smaller one counts as. Behind a norm of two numbers
# nothing learns, for one, and what there is of gradients is rounding.
LEAST = 1e-3

Named = Mapping[str, NDArray[Any]]


class Shaken(Reference):
    """A reference whose weights and stages are all a little off.

    Args:
        model: The reference as it is.
        seed: Of the random amounts.
    """

    def __init__(self, model: Reference, seed: int) -> None:
        self._stream = np.random.default_rng(seed)
        weights = {name: self.moved(array) for name, array in model.weights.items()}
        super().__init__(model.config, weights, model.head, model.pools)

    def record(self, path: str, module: str, inputs: tuple[Any, ...], out: F64) -> F64:
        """Move what a call gave, and pass it on."""
        return super().record(path, module, inputs, self.moved(out))

    def moved(self, array: F64) -> F64:
        """An array with every number off by a random relative amount."""
        return array * (1 + SHAKEN * self._stream.standard_normal(array.shape))


class ShakenBackward(Backward):
    """The backward of a shaken reference, where what reaches a layer is off as well."""

    model: Shaken

    def dense(self, grad: F64, x: F64, layer: str) -> F64:
        """See `Backward`."""
        return super().dense(self.model.moved(grad), x, layer)

    def norm(self, grad: F64, x: F64, layer: str) -> F64:
        """See `Backward`; what it subtracts may leave nothing but rounding."""
        grad = self.model.moved(grad)
        width = np.sqrt(x.var(-1, keepdims=True) + self.model.config.layer_norm_eps)
        terms = grad * self.model.weights[f"{layer}.weight"] / width
        return super().norm(grad, x, layer) + self.model.moved(terms) - terms


def of(moved: Iterable[Named], still: Named) -> dict[str, float]:
    """The gains at some places.

    Args:
        moved: What several shaken runs have there, by name.
        still: What the reference has there.

    Returns:
        Name -> Frobenius distance of the run that is the farthest off, relative to
        `size_of` the place, over the size of the amounts.
    """
    away = dict.fromkeys(still, 0.0)
    for run in moved:
        for name, expected in still.items():
            with np.errstate(invalid="ignore"):
                found = float(np.linalg.norm(run[name] - expected)) / SHAKEN
            if found > away[name]:  # a NaN, as of a loss without labels, is not
                away[name] = found
    gained: dict[str, float] = {}
    for name, expected in still.items():
        twin = owner(name, still)
        ratio = np.sqrt(expected.size / still[twin].size)
        most = max(away[name], ratio * away[twin])
        gained[name] = float(most / (size_of(name, still) or 1.0))
    return gained


def size_of(name: str, still: Named) -> float:
    """What an error at a place is relative to: its norm, or that of what it is left of.

    The gradients of queries and keys are small differences of what reaches the values,
    and that of a bias, which may be zero in theory, is a sum of what the weights beside
    it get. Their rounding is that of the larger numbers.
    """
    own, twin = still[name], still[owner(name, still)]
    sizes = [np.linalg.norm(own), np.linalg.norm(twin) * np.sqrt(own.size / twin.size)]
    if name.startswith("gradients "):
        means = [
            _mean(x) for other, x in still.items() if other.startswith("gradients ")
        ]
        sizes.append(LEAST * max(means) * np.sqrt(own.size))
    return float(max(sizes))


def _mean(array: NDArray[Any]) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(np.square(array))))


def owner(name: str, still: Named) -> str:
    """The gradient whose rounding another one has, or that one itself."""
    if not name.startswith("gradients "):
        return name
    block, found, _ = name.partition(".attention.")
    for part in ("query", "key", "distance_embedding"):
        if found and f".attention.{part}." in name:
            return f"{block}.attention.value.weight"
    twin = name.removesuffix(".bias") + ".weight"
    return twin if name.endswith(".bias") and twin in still else name
