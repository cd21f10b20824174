"""How weights move: the optimizers, their schedule, and both in NumPy as the reference.

Sources: google-research/albert optimization.py and lamb_optimizer.py; You et al. 2020
(LAMB); Loshchilov and Hutter 2019 (AdamW).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.errors import InputError, shown
from albert_core.numerics import F64
from albert_core.schema import Parameter


@dataclass(frozen=True)
class Optimizer:
    """The arithmetic of a step.

    Attributes:
        beta_1: Decay of the first moment, the mean of the gradients.
        beta_2: Decay of the second one, the mean of their squares.
        epsilon: Added to the root of the second moment, outside of it.
        weight_decay: The share of a weight that is added to its change.
        clip_norm: The global norm that gradients are shortened to; None for any.
        bias_correction: Whether moments are divided by what they lack in early steps.
        layer_adaptation: Whether the change of a parameter is given the norm of the
            parameter itself, as LAMB does.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.01
    clip_norm: float | None = 1.0
    bias_correction: bool = False
    layer_adaptation: bool = False


# Google's have no correction of the bias. "adamw" is PyTorch's and optax's.
OPTIMIZERS: Mapping[str, Optimizer] = {
    "lamb": Optimizer(layer_adaptation=True),
    "google-adamw": Optimizer(),
    "adamw": Optimizer(epsilon=1e-8, bias_correction=True),
}


def optimizer_named(name: str) -> Optimizer:
    """An optimizer by its name.

    Raises:
        InputError: There is none of that name.
    """
    if name not in OPTIMIZERS:
        known = ", ".join(OPTIMIZERS)
        raise InputError(f"There is no optimizer {shown(name)}. Give one of {known}.")
    return OPTIMIZERS[name]


@dataclass(frozen=True)
class Schedule:
    """The learning rate of each step: up in a line, then down by a power.

    As in the original the way down is counted from step 0 too, so that the rate falls a
    little at the end of the warm-up, and the very first step has a rate of 0.

    Attributes:
        learning_rate: What the warm-up goes up to.
        total_steps: Where the rate is 0.
        warmup_steps: How long it goes up.
        power: Of the way down; 1 is a line.

    Examples:
        >>> pretraining = Schedule(0.00176, 125_000, 3_125)
        >>> [round(pretraining(step), 10) for step in (1, 62_500, 125_000)]
        [5.632e-07, 0.00088, 0.0]
    """

    learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    power: float = 1.0

    def __call__(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        if step < self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        left = 1 - min(step, self.total_steps) / self.total_steps
        return self.learning_rate * left**self.power

    def validate(self) -> None:
        """Refuse numbers that are no schedule.

        Raises:
            InputError: As said.
        """
        if (
            not np.isfinite(self.learning_rate)
            or self.learning_rate <= 0
            or self.total_steps < 1
            or not 0 <= self.warmup_steps <= self.total_steps
            or not 0 <= self.power < np.inf
        ):
            raise InputError(
                f"The learning rate must be over 0, the steps 1 or more, the warm-up "
                f"no longer than these and the power 0 or more; they are "
                f"{self.learning_rate}, {self.total_steps}, {self.warmup_steps} and "
                f"{self.power}. Change them."
            )


def is_adapted(parameter: Parameter) -> bool:
    """Whether a parameter decays, and LAMB adapts it: kernels and tables, no others.

    Google leaves out what is named LayerNorm, layer_norm or bias; names differ between
    frameworks, so that the role decides here.
    """
    return parameter.leaf != "bias" and parameter.kind != "norm"


def norm(arrays: Iterable[F64]) -> float:
    """The norm of all numbers of several arrays."""
    return float(np.sqrt(sum(np.square(array).sum() for array in arrays)))


@dataclass(frozen=True)
class Moves:
    """What the arithmetic of a step needs of a framework.

    Attributes:
        root: The square root of every number.
        norm: The norm of an array, as a number of the framework.
        where: The second argument where the first is true, else the third.
    """

    root: Callable[[Any], Any]
    norm: Callable[[Any], Any]
    where: Callable[[Any, Any, Any], Any]


NUMPY = Moves(np.sqrt, lambda x: norm([x]), np.where)


def update(
    moves: Moves,
    optimizer: Optimizer,
    adapted: bool,
    weight: Any,
    gradient: Any,
    first: Any,
    second: Any,
    rate: Any,
    corrections: tuple[Any, Any],
) -> tuple[Any, Any, Any]:
    """Move a parameter by one step, in any framework: all of it are operators.

    Args:
        moves: What is not.
        optimizer: The arithmetic.
        adapted: Whether the parameter decays, and LAMB adapts it.
        weight: The parameter.
        gradient: Its gradient, clipped.
        first: Its first moment.
        second: Its second moment.
        rate: The learning rate.
        corrections: What the moments are divided by, of `corrections`.

    Returns:
        The new weight, first and second moment.
    """
    first = optimizer.beta_1 * first + (1 - optimizer.beta_1) * gradient
    second = optimizer.beta_2 * second + (1 - optimizer.beta_2) * gradient * gradient
    mean, square = first / corrections[0], second / corrections[1]
    change = mean / (moves.root(square) + optimizer.epsilon)
    if adapted:
        change = change + optimizer.weight_decay * weight
        if optimizer.layer_adaptation:
            size, wanted = moves.norm(change), moves.norm(weight)
            both = (size > 0) & (wanted > 0)
            ratio = wanted / moves.where(both, size, size + 1)
            change = change * moves.where(both, ratio, ratio * 0 + 1)
    return weight - rate * change, first, second


def corrections(optimizer: Optimizer, count: int) -> tuple[float, float]:
    """What moments are divided by in an update, counted from 1."""
    if not optimizer.bias_correction:
        return 1.0, 1.0
    return 1 - optimizer.beta_1**count, 1 - optimizer.beta_2**count


def moment_names(name: str) -> tuple[str, str]:
    """Where a checkpoint keeps both moments of a parameter; Google's suffixes."""
    return f"{name}.adam_m", f"{name}.adam_v"
