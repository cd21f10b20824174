"""Where two checkpoints differ, array by array."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.lazy import Array
from albert_core.schema import base_name
from conversion.checkpoint import OpenCheckpoint

SAME, DIFFERENT = "same", "different"
ONLY_FIRST, ONLY_SECOND = "only in the first", "only in the second"
SHAPE, DTYPE = "shape", "dtype"


@dataclass(frozen=True)
class Row:
    """How one array compares.

    Attributes:
        name: Its canonical name in a model without a head.
        verdict: One of the words above; "dtype" where the numbers are the same.
        first: dtype and shape in the first checkpoint, "" where it is not there.
        second: The same of the second.
        norms: The Euclidean norms of both, None where they are not comparable.
        largest: The largest absolute difference; NaN and infinity count as different
            from all but themselves.
        worst: Where it is.
        changed: How many numbers differ.
    """

    name: str
    verdict: str
    first: str = ""
    second: str = ""
    norms: tuple[float, float] | None = None
    largest: float | None = None
    worst: tuple[int, ...] | None = None
    changed: int | None = None


def compare(
    one: OpenCheckpoint,
    other: OpenCheckpoint,
    step: Callable[[str], None] = lambda name: None,
) -> list[Row]:
    """Compare two checkpoints of any formats, an array of each at a time.

    Args:
        one: The first.
        other: The second.
        step: Called with every name.
    """
    firsts = {base_name(name): name for name in one}
    seconds = {base_name(name): name for name in other}
    rows: list[Row] = []
    for name in dict.fromkeys([*firsts, *seconds]):
        step(name)
        if name not in seconds:
            rows.append(Row(name, ONLY_FIRST, first=_kind(one, firsts[name])))
        elif name not in firsts:
            rows.append(Row(name, ONLY_SECOND, second=_kind(other, seconds[name])))
        else:
            rows.append(_row(name, one, firsts[name], other, seconds[name]))
    return rows


def _kind(checkpoint: OpenCheckpoint, name: str) -> str:
    shape = "x".join(map(str, checkpoint.shape(name)))
    return f"{checkpoint.dtype(name)} {shape}"


def _row(
    name: str, one: OpenCheckpoint, first: str, other: OpenCheckpoint, second: str
) -> Row:
    kinds = _kind(one, first), _kind(other, second)
    if one.shape(first) != other.shape(second):
        return Row(name, SHAPE, *kinds)
    a, b = one[first], other[second]
    if a.dtype == b.dtype and a.tobytes() == b.tobytes():
        return Row(name, SAME, *kinds)
    left, right = a.astype(np.float64), b.astype(np.float64)
    norms = float(np.linalg.norm(left)), float(np.linalg.norm(right))
    gaps = _gaps(left, right)
    worst = tuple(int(i) for i in np.unravel_index(int(gaps.argmax()), gaps.shape))
    largest, changed = float(gaps[worst]), int(_changed(a, b, gaps))
    verdict = DIFFERENT if changed else DTYPE
    return Row(name, verdict, *kinds, norms, largest, worst, changed)


def _gaps(left: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[Any]:
    """Absolute differences; infinite where one side is no number and the other is."""
    with np.errstate(invalid="ignore"):
        gaps = np.abs(left - right)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    return np.where(equal, 0.0, np.where(np.isnan(gaps), np.inf, gaps))


def _changed(a: Array, b: Array, gaps: NDArray[Any]) -> int:
    """How many numbers differ, by their bits where the number types are the same."""
    if a.dtype != b.dtype:
        return int((gaps > 0).sum())
    bits = f"u{a.dtype.itemsize}"
    return int((a.view(bits) != b.view(bits)).sum())
