"""How far two computations of the same numbers may be apart: the only place for it.

A faithful implementation differs from the reference by rounding alone: u, the unit
round-off of what it computes in, at every step. How much of that arrives at a place
depends on the model, so it is measured: `gains` runs the reference again with all
weights and the output of every stage moved by random relative amounts of size e, and
the gain of a place is what arrives there, over e. The same is
done to what each layer gets on the way back. The budget of the place is

    SAFETY * u * max(gain, FLOOR)

A stage rounds more often than once; `OPERATIONS` and `SAFETY` account for that. They
were set from healthy models: `docs/parity.md` has the largest share that was measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

VERSION = 1  # of this table; it stands in every report


@dataclass(frozen=True)
class Mode:
    """What a model computes in.

    Attributes:
        dtype: The number type.
        matmul: How exact products of float32 matrices are: "highest", "tf32", or the
            device's "default".
        unit: The unit round-off: half of the distance of 1 to the next number.
    """

    dtype: str
    matmul: str
    unit: float


MODES: Mapping[str, Mode] = {
    "float64": Mode("float64", "highest", 2.0**-53),
    "float32": Mode("float32", "highest", 2.0**-24),
    # The factors are rounded to 10 bits of fraction, or on a TPU to 7.
    "tf32": Mode("float32", "tf32", 2.0**-11),
    "tpu-default": Mode("float32", "default", 2.0**-8),
    "float16": Mode("float16", "highest", 2.0**-11),
    "bfloat16": Mode("bfloat16", "highest", 2.0**-8),
    # The step between whole numbers, 1/127 of the largest number of a row, and not half
    # of it: both factors are rounded, and the largest number is far from the others.
    "int8": Mode("int8", "highest", 2.0**-7),
}

# Rounded steps of a block, whose errors add like the root of their number: four
# projections, two products with the softmax between them, two feed-forward products
# with the activation, two norms, two additions.
OPERATIONS = 12
FLOOR = sqrt(OPERATIONS)
SAFETY = 8
BACKWARD = 2  # a gradient is rounded about as often again, on its way back
SHAKEN = 2.0**-20  # e; far below 1, so that what follows is proportional to it
SEEDS = 4  # of the random amounts; the largest gain counts

# Structure is judged in float64. Any modelling difference that a test plants shows up
# above 1e-7, and round-off stays below 1e-13, so that the place of this line between
# the two does not matter. It is higher only where a model amplifies rounding as much.
STRUCTURE = 1e-12

# Two float32 implementations of one model against each other, on the small models of
# the golden files (outputs of order 1): each is within 2.7e-6 of the exact value.
GOLDEN = 5e-6
# Gradients relative to the largest entry of a parameter's gradient, in float32. The
# floor stands in for that entry where a gradient is zero in theory (that of a key's
# bias shifts all scores of a row alike) and holds nothing but rounding: up to 3.1e-8 in
# the golden files, so that 1e-5 of the floor is three times as much.
GOLDEN_GRADIENT = 1e-5
GRADIENT_FLOOR = 1e-2


def budget(mode: str, gain: float, scale: float = 1.0, back: bool = False) -> float:
    """The largest relative Frobenius error that passes.

    Args:
        mode: A key of `MODES`.
        gain: That of the place, from `gains`.
        scale: What the user multiplies all budgets with.
        back: Whether it is a gradient.
    """
    derived = SAFETY * MODES[mode].unit * max(gain, FLOOR) * (BACKWARD if back else 1)
    return scale * (max(STRUCTURE, derived) if mode == "float64" else derived)
