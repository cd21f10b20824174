"""From one number type to another, with account of what is lost."""

from dataclasses import dataclass

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from albert_core.lazy import Array

# The largest number of each type: all bits of the fraction, and the largest exponent.
LARGEST = {
    "float32": (2 - 2**-23) * 2.0**127,
    "bfloat16": (2 - 2**-7) * 2.0**127,
    "float16": (2 - 2**-10) * 2.0**15,
}
DTYPES = tuple(LARGEST)


@dataclass
class Loss:
    """What a change of number type has cost.

    Attributes:
        overflowed: Numbers that were finite and are beyond the type's largest.
        underflowed: Numbers that were not zero and are.
        nonfinite: Numbers that were NaN or infinite, and still are.
        relative_error: The largest relative error of any other number.
    """

    overflowed: int = 0
    underflowed: int = 0
    nonfinite: int = 0
    relative_error: float = 0.0

    def add(self, other: "Loss") -> None:
        """Take another array's into account."""
        self.overflowed += other.overflowed
        self.underflowed += other.underflowed
        self.nonfinite += other.nonfinite
        self.relative_error = max(self.relative_error, other.relative_error)


def cast(array: Array, dtype: str, saturate: bool = False) -> tuple[Array, Loss]:
    """Change the number type of an array of floating-point numbers.

    Args:
        array: The numbers; NaN and infinity stay what they are.
        dtype: A name, such as "bfloat16".
        saturate: Whether a number beyond the type's largest becomes the largest, and
            not infinity.

    Returns:
        The array, and what is lost.
    """
    target = np.dtype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype)
    odd = nonfinite(array)
    if array.dtype == target:
        return array, Loss(nonfinite=odd)
    with np.errstate(all="ignore"):
        result = array.astype(target)
        if target.itemsize >= array.dtype.itemsize and dtype == "float32":
            return result, Loss(nonfinite=odd)
        wide = _wide(array)
        back = _wide(result)
        lost = np.isfinite(wide) & ~np.isfinite(back)
        gone = (wide != 0) & (back == 0)
        usual = np.isfinite(wide) & ~lost & ~gone & (wide != 0)
        errors = np.abs(back - wide, where=usual, out=np.zeros_like(wide))
        np.divide(errors, np.abs(wide), where=usual, out=errors)
    overflowed = int(lost.sum())
    if overflowed and saturate:
        most = LARGEST[dtype]
        result[lost] = np.where(wide[lost] < 0, -most, most).astype(target)
    worst = float(errors.max(initial=0.0))
    return result, Loss(overflowed, int(gone.sum()), odd, worst)


def nonfinite(array: Array) -> int:
    """How many numbers are NaN or infinite."""
    with np.errstate(all="ignore"):
        # A sum is finite only if all are, and is the faster way to see it.
        if array.dtype.itemsize > 2 and np.isfinite(array.sum()):
            return 0
    return array.size - int(np.isfinite(array).sum())


def _wide(array: Array) -> NDArray[np.floating]:
    """Numbers of a type in which the others' differences are exact enough."""
    return array.astype(np.float64 if array.dtype.itemsize > 4 else np.float32)
