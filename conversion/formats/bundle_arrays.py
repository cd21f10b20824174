"""The arrays of a TensorFlow checkpoint: whole ones, and those saved in slices."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from albert_core.crc32c import crc32c, masked
from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, check_shape
from albert_core.lazy import Array
from albert_core.safetensors_file import Stored
from conversion.formats.bundle_entry import DTYPES, Entry, slice_key

MOST_SLICES = 1024  # of one tensor


@dataclass(frozen=True)
class Checked:
    """An array in a data file, and the checksum that the index has of it."""

    name: str
    stored: Stored
    crc: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type."""
        return self.stored.dtype

    def read(self) -> Array:
        """Read the array.

        Raises:
            FormatError: Its bytes do not have the checksum.
        """
        array = self.stored.read()
        found = masked(crc32c(array))
        if found != self.crc:
            raise FormatError(
                "CHECKSUM",
                self.stored.path,
                f"{shown(self.name)} has the checksum {found:08x}, its index says "
                f"{self.crc:08x}",
                f"{AGAIN}.",
            )
        return array


@dataclass(frozen=True)
class Assembled:
    """An array that was saved in slices, as partitioned variables are."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    parts: tuple[tuple[tuple[slice, ...], Checked], ...]

    def read(self) -> Array:
        """Read all slices into one array."""
        whole = np.empty(self.shape, self.dtype)
        for place, part in self.parts:
            whole[place] = part.read()
        return whole


def slice_keys(name: str, one: Entry) -> Iterator[str]:
    """The keys that the slices of a tensor have in the index."""
    return (slice_key(name, part).decode("latin-1") for part in one.slices)


def assembled(
    index: Path, name: str, one: Entry, stored: Mapping[str, Checked]
) -> Assembled:
    """A tensor in slices, if they cover it, each part once.

    Args:
        index: The file that speaks of it.
        name: Its name.
        one: What the file says.
        stored: The slices, by their keys.

    Raises:
        FormatError: The tensor cannot have that shape.
        ValueError: The slices do not fit it.
    """
    shape = check_shape(index, name, one.shape)
    if len(one.slices) > MOST_SLICES:
        raise ValueError(f"{shown(name)} has {len(one.slices)} slices")
    parts: list[tuple[tuple[slice, ...], Checked]] = []
    for part, key in zip(one.slices, slice_keys(name, one), strict=True):
        if key not in stored:
            raise ValueError(f"{shown(name)} lacks its slice {shown(part)}")
        if len(part) != len(shape):
            raise ValueError(
                f"{shown(name)} of shape {shape} has a slice {shown(part)}"
            )
        place = tuple(
            slice(start, start + (size - start if length is None else length))
            for (start, length), size in zip(part, shape, strict=True)
        )
        found = stored[key]
        sizes = tuple(along.stop - along.start for along in place)
        if found.shape != sizes or found.dtype != DTYPES[one.code]:
            raise ValueError(
                f"{shown(name)} has a slice {shown(part)} of shape {found.shape} "
                f"and type {found.dtype}"
            )
        parts.append((place, found))
    starts = np.array([[along.start for along in place] for place, _ in parts])
    stops = np.array([[along.stop for along in place] for place, _ in parts])
    inside = np.all(starts >= 0) and np.all(stops <= np.array(shape))
    meet = np.all((starts < stops[:, None]) & (starts[:, None] < stops), axis=-1)
    count = sum(math.prod(part.shape) for _, part in parts)
    if not inside or np.triu(meet, 1).any() or count != math.prod(shape):
        raise ValueError(
            f"the slices of {shown(name)} do not cover its shape {shape} once"
        )
    return Assembled(shape, DTYPES[one.code], tuple(parts))
