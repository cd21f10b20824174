"""Arrays in another layout, or another number type, than they are stored in."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.lazy import CHUNK, Array, Lazy, chunks, raw

TILE = 128  # numbers a side: both sides of a transpose stay in the cache


@dataclass(frozen=True)
class Turned:
    """An array that is stored as its transpose.

    Attributes:
        stored: The array in its file.
    """

    stored: Lazy

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape in canonical layout."""
        return self.stored.shape[::-1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type."""
        return self.stored.dtype

    def read(self) -> Array:
        """The array in canonical layout."""
        return transposed(self.stored.read())

    def chunks(self) -> Iterator[memoryview]:
        """See `albert_core.lazy.chunks`: only the stored array is held whole."""
        return bands(self.stored.read())


@dataclass(frozen=True)
class Joined:
    """An array that is stored with one of its axes cut in two.

    Attributes:
        stored: The array in its file.
        axis: The first of the two.
    """

    stored: Lazy
    axis: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape with the axis whole."""
        shape, end = self.stored.shape, self.axis + 2
        return (*shape[: self.axis], math.prod(shape[self.axis : end]), *shape[end:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type."""
        return self.stored.dtype

    def read(self) -> Array:
        """The array with the axis whole."""
        return self.stored.read().reshape(self.shape)

    def chunks(self) -> Iterator[memoryview]:
        """See `albert_core.lazy.chunks`."""
        return chunks(self.stored)


@dataclass(frozen=True)
class Identity:
    """What is not stored: a projection that changes nothing, or its bias of zeros.

    Attributes:
        shape: Of two sizes, or of one for the bias.
        dtype: The number type.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self) -> Array:
        """The array."""
        if len(self.shape) == 1:
            return np.zeros(self.shape, self.dtype)
        return np.eye(*self.shape, dtype=self.dtype)


def transposed(array: Array) -> Array:
    """A copy of an array's transpose, made tile by tile."""
    if array.ndim != 2:
        return array
    rows, columns = array.shape
    result = np.empty((columns, rows), array.dtype)
    for i in range(0, rows, TILE):
        for j in range(0, columns, TILE):
            # A copy, since the rows of a large array push each other out of the cache.
            part = array[i : i + TILE, j : j + TILE].copy()
            result[j : j + TILE, i : i + TILE] = part.T
    return result


def pieces(array: Array) -> Iterator[memoryview]:
    """The bytes of an array, some at a time."""
    data = raw(array)
    for start in range(0, data.nbytes, CHUNK):
        yield data[start : start + CHUNK]


def bands(array: Array) -> Iterator[memoryview]:
    """The bytes of an array's transpose, some rows of it at a time."""
    if array.ndim != 2:
        yield raw(array)
        return
    rows, columns = array.shape
    step = max(1, CHUNK // max(1, rows * array.itemsize * TILE)) * TILE
    for start in range(0, columns, step):
        yield raw(transposed(array[:, start : start + step]))


def same(one: Lazy, other: Lazy) -> bool:
    """Whether two arrays are the same, bit by bit: a NaN is equal to itself."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    return one.read().tobytes() == other.read().tobytes()


def is_identity(array: Array) -> bool:
    """Whether a projection, or its bias, changes nothing."""
    nothing = np.eye(len(array)) if array.ndim == 2 else np.zeros(len(array))
    return array.shape == nothing.shape and bool((array == nothing).all())
