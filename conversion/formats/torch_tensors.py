"""Tensors of a PyTorch file, and the way to their bytes."""

import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.lib.stride_tricks import as_strided

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, check_shape
from albert_core.lazy import Array, raw
from albert_core.safetensors_file import Stored
from conversion.formats.restricted_pickle import Global
from conversion.formats.torch_names import DTYPES, Storage, Tensor

PIECE = 2**22  # bytes of which a checksum is made at a time


class Region:
    """Where the bytes of a storage are.

    Args:
        path: The file.
        start: Where they begin.
        size: How many there are.
        state: What the file was.
        crc: Their checksum, if the file has one.
    """

    def __init__(
        self,
        path: Path,
        start: int,
        size: int,
        state: tuple[int, int],
        crc: int | None = None,
    ) -> None:
        self.path, self.start, self.size = path, start, size
        self.state, self.crc = state, crc

    def stored(self, dtype: np.dtype[Any], shape: tuple[int, ...], at: int) -> Stored:
        """An array in it."""
        return Stored(self.path, dtype, shape, self.start + at, self.state)

    def check(self) -> None:
        """Compare the checksum, the first time.

        Raises:
            FormatError: It is another one.
        """
        found = 0
        for at in range(0, self.size if self.crc is not None else 0, PIECE):
            piece = (min(PIECE, self.size - at),)
            part = self.stored(np.dtype("u1"), piece, at).read()
            found = zlib.crc32(part.data, found)
        self.compare(found)

    def compare(self, found: int) -> None:
        """Compare the checksum of all bytes with what it should be."""
        if self.crc is not None and found != self.crc:
            raise FormatError(
                "CHECKSUM",
                self.path,
                f"the {self.size} bytes at byte {self.start} have the checksum "
                f"{found:08x}, it should be {self.crc:08x}",
                f"{AGAIN}; or, if it was saved without checksums, save it with them.",
            )
        self.crc = None


@dataclass(frozen=True)
class View:
    """A tensor in a file.

    Attributes:
        region: The bytes that it is in.
        dtype: Its number type.
        shape: Its shape.
        strides: Numbers from one to the next along each dimension.
        offset: Numbers before its first one.
    """

    region: Region
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int

    @property
    def place(self) -> tuple[object, ...]:
        """What is the same for two tensors that are one."""
        return id(self.region), self.dtype.name, self.shape, self.strides, self.offset

    @property
    def span(self) -> int:
        """Numbers from the first to the last."""
        if 0 in self.shape:
            return 0
        steps = zip(self.shape, self.strides, strict=True)
        return 1 + sum((size - 1) * stride for size, stride in steps)

    def read(self) -> Array:
        """Read the tensor, and check the storage that it is in.

        Raises:
            FormatError: The storage has another checksum.
        """
        width = self.dtype.itemsize
        start = self.offset * width
        if self._in_order():
            array = self.region.stored(self.dtype, self.shape, start).read()
            if array.nbytes == self.region.size:
                self.region.compare(zlib.crc32(raw(array)))
            else:
                self.region.check()
            return array
        self.region.check()
        line = self.region.stored(self.dtype, (self.span,), start).read()
        strides = [stride * width for stride in self.strides]
        return as_strided(line, self.shape, strides).copy()

    @property
    def streams(self) -> bool:
        """Whether `chunks` needs no memory for all of it: it is all of a storage."""
        whole = math.prod(self.shape) * self.dtype.itemsize == self.region.size
        return whole and self._in_order()

    def chunks(self) -> Iterator[memoryview]:
        """See `albert_core.lazy.chunks`; the checksum is compared at the end.

        Raises:
            FormatError: The storage has another checksum.
        """
        stored = self.region.stored(self.dtype, self.shape, 0)
        if not self.streams or stored.dtype.newbyteorder("<") != stored.dtype:
            yield raw(self.read())
            return
        found = 0
        for chunk in stored.chunks():
            found = zlib.crc32(chunk, found)
            yield chunk
        self.region.compare(found)

    def _in_order(self) -> bool:
        """Whether the numbers follow each other as those of a plain array."""
        expected = 1
        for size, stride in zip(self.shape[::-1], self.strides[::-1], strict=True):
            if size > 1 and stride != expected:
                return False
            expected *= size
        return True


def view(path: Path, name: str, tensor: Tensor, regions: Mapping[str, Region]) -> View:
    """The way to a tensor, if it lies in its storage.

    Raises:
        FormatError: It does not, or is larger than what is stored.
        ValueError: It is no tensor at all.
    """
    storage, offset = tensor.storage, tensor.offset
    if not isinstance(storage, Storage) or type(offset) is not int:
        raise ValueError(f"{shown(name)} is made from other things than a tensor")
    named = tensor.kind.name if isinstance(tensor.kind, Global) else storage.kind
    if named not in DTYPES:
        raise FormatError(
            "BAD_DTYPE",
            path,
            f"{shown(name)} is of the type {named}, not one of {', '.join(DTYPES)}",
            "Convert it with torch first.",
        )
    dtype, region = DTYPES[named], regions[storage.key]
    sizes = check_shape(path, name, _numbers(tensor.shape))
    steps = _numbers(tensor.strides)
    fits = all(0 <= number < 2**63 for number in (*steps, offset))
    found = View(region, dtype, sizes, steps, offset)
    if not fits or len(sizes) != len(steps):
        raise FormatError(
            "BAD_SHAPE",
            path,
            f"{shown(name)} has the shape {shown(sizes)}, the strides {shown(steps)} "
            f"and the offset {shown(offset)}",
            f"{AGAIN}.",
        )
    end, room = (offset + found.span) * dtype.itemsize, region.size
    if end > room:
        raise FormatError(
            "BAD_SHAPE",
            path,
            f"{shown(name)} ends at byte {end} of its storage, which has {room}",
            f"{AGAIN}.",
        )
    size = math.prod(sizes) * dtype.itemsize
    if size > room:
        raise FormatError(
            "TOO_LARGE",
            path,
            f"{shown(name)} of shape {list(sizes)} has {size} bytes, expanded from "
            f"{room} that are stored",
            "Save it with .contiguous(), or without what is expanded.",
        )
    # A step that is never made can be of any size, too large for NumPy even.
    made = tuple(
        step if size > 1 and found.span else 0
        for size, step in zip(sizes, steps, strict=True)
    )
    return View(region, dtype, sizes, made, offset)


def _numbers(value: object) -> tuple[int, ...]:
    """A shape or strides; anything else could be too deep even to print."""
    numbers = cast(tuple[object, ...], value) if isinstance(value, tuple) else (None,)
    if any(type(number) is not int for number in numbers):
        raise ValueError("a tensor has a shape or strides that are not whole numbers")
    return cast(tuple[int, ...], numbers)
