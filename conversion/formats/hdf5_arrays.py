"""Arrays in HDF5 files that are more than numbers at a place."""

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN
from albert_core.lazy import Array
from albert_core.safetensors_file import Stored
from conversion.formats.hdf5_process import Window, child

DTYPES = {
    np.dtype(f"{order}{kind}").str: np.dtype(f"{order}{kind}")
    for order in "<>"
    for kind in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")
} | {"bfloat16": np.dtype(ml_dtypes.bfloat16)}


@dataclass(frozen=True)
class Swapped:
    """An array in the byte order that this computer does not have."""

    stored: Stored

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type, as it is read."""
        return self.stored.dtype.newbyteorder("=")

    def read(self) -> Array:
        """Read the array."""
        return self.stored.read().byteswap(inplace=True).view(self.dtype)


@dataclass(frozen=True)
class Packed:
    """An array in pieces, packed or in the header, that HDF5 itself must read.

    Attributes:
        window: The file.
        name: The path of the array.
        stored: Its number type as it is in the file.
        shape: Its shape.
    """

    window: Window
    name: str
    stored: np.dtype[Any]
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type, as it is read."""
        return self.stored.newbyteorder("=")

    def read(self) -> Array:
        """Read the array, in a process of its own.

        Raises:
            FormatError: The file is damaged, or no longer what it was.
        """
        path = self.window.path
        array = np.empty(self.shape, self.stored)
        room = array.reshape(-1).view(np.uint8).data
        size = array.nbytes
        with child(self.window, str(size), self.name, size=size) as output:
            done = 0
            while done < size and (some := output.readinto(room[done:])):
                done += some
            rest = output.read(1)
        found = path.stat()
        if (found.st_size, found.st_mtime_ns) != self.window.state:
            what = "it has changed since it was opened"
            raise FormatError("CHANGED", path, what, "Open it again.")
        if done != size or rest:
            text = bytes(room[: min(done, 300)])
            what = f"it is damaged: {shown(self.name)} cannot be unpacked: "
            raise FormatError("BAD_HEADER", path, what + shown(text), f"{AGAIN}.")
        if self.stored.isnative:
            return array
        return array.byteswap(inplace=True).view(self.dtype)
