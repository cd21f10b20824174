"""An array that stays in its file until it is asked for."""

import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import FormatError

Array = NDArray[Any]

CHUNK = 2**20  # bytes that are read at a time; whole numbers of every type


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


def raw(array: Array) -> memoryview:
    """The bytes of an array, little-endian and in C order, copied only if need be."""
    little = array.dtype.newbyteorder("<")
    return np.ascontiguousarray(array, little).reshape(-1).view(np.uint8).data


def chunks(array: "Lazy | Array") -> Iterator[memoryview]:
    """The bytes of an array, little-endian and in C order, some at a time.

    A lazy array that has a method `chunks` is asked for them, and need not be in memory
    whole. No number is in two chunks.
    """
    own: Callable[[], Iterator[memoryview]] | None = getattr(array, "chunks", None)
    if own is None:
        yield raw(take(array))
    else:
        yield from own()


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
        streams: Whether `chunks` needs no memory for all of it.
    """

    streams = True

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
            raise self._changed()
        return numbers.view(self.dtype).reshape(self.shape)

    def chunks(self) -> Iterator[memoryview]:
        """See `chunks`.

        Raises:
            FormatError: The file is no longer what it was.
        """
        if self.dtype.newbyteorder("<") != self.dtype:
            yield raw(self.read())
            return
        left = self.size
        try:
            with self.path.open("rb") as file:
                same = _state(file) == self.state
                file.seek(self.start)
                while same and left and (data := file.read(min(left, CHUNK))):
                    left -= len(data)
                    yield memoryview(data)
        except OSError as problem:
            raise unreadable(self.path, problem) from problem
        if not same or left:
            raise self._changed()

    def _changed(self) -> FormatError:
        what = "it has changed since it was opened"
        return FormatError("CHANGED", self.path, what, "Open it again.")


def unreadable(path: Path, problem: OSError) -> FormatError:
    """The error of a file that the system does not give."""
    what = f"it cannot be read: {problem.strerror}"
    return FormatError("UNREADABLE", path, what, "Look at its name and permissions.")


def _state(file: IO[bytes]) -> tuple[int, int]:
    """Size and time of the last change; the number of a file is not kept everywhere."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns
