"""An array that stays in its file until it is asked for."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import FormatError

Array = NDArray[Any]


class Described(Protocol):
    """What a header says of an array; an ndarray is one, too."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type."""
        ...


class Lazy(Described, Protocol):
    """What a reader gives for an array: what a header says of it, and the way to it.

    `Stored` is one.
    """

    def read(self) -> Array:
        """The array, in memory of its own."""
        ...


def take(array: "Lazy | Array") -> Array:
    """The array itself, whether it is in a file or not."""
    if isinstance(array, np.ndarray | np.generic):  # a number of NumPy is a scalar
        return np.asarray(array)
    return array.read()


def nbytes(array: Described) -> int:
    """Bytes of the array, without reading it."""
    return math.prod(array.shape) * array.dtype.itemsize


@dataclass(frozen=True)
class Stored:
    """An array in a file.

    Attributes:
        path: The file.
        dtype: The number type of the array.
        shape: The shape of the array.
        start: Where it begins in the file, in bytes.
        state: What the file was when the header was read.
    """

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    state: tuple[int, int]

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return math.prod(self.shape) * self.dtype.itemsize

    def read(self) -> Array:
        """Read the array, by a plain read, into memory of its own.

        Raises:
            FormatError: The file is no longer what it was.
        """
        try:
            with self.path.open("rb") as file:
                same = _state(file) == self.state
                numbers = np.fromfile(file, np.uint8, self.size, offset=self.start)
        except OSError as problem:
            raise unreadable(self.path, problem) from problem
        if not same or len(numbers) != self.size:
            raise FormatError(
                "CHANGED",
                self.path,
                "it has changed since it was opened",
                "Open it again.",
            )
        return numbers.view(self.dtype).reshape(self.shape)


def unreadable(path: Path, problem: OSError) -> FormatError:
    """The error of a file that the system does not give."""
    what = f"it cannot be read: {problem.strerror}"
    return FormatError("UNREADABLE", path, what, "Look at its name and permissions.")


def _state(file: IO[bytes]) -> tuple[int, int]:
    """Size and time of the last change; the number of a file is not kept everywhere."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
