"""The checksum CRC-32C (Castagnoli), which neither Python nor NumPy has, with NumPy.

A CRC is the remainder of the data, read as a polynomial over GF(2), by a polynomial P.
P divides x^5685 + x^1362 + x^426 + 1, and so, since squaring keeps sums here, also the
same with all exponents times 8 or 64. Hence a byte may be deleted if it is added (xor)
to those 4323, 5259 and 5685 places on, and 4323 bytes can be treated at once; or the
same with eight bytes for each. The last 5685 bytes go through the usual table, but for
64 places at once. That is some gigabytes a second, so no package is needed for it.
"""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

_POLYNOMIAL = 0x82F63B78  # P without x^32, the lowest bit first
_STEPS = 4323, 5259, 5685
_UNITS = 8, 1
_CHUNK = 2**20  # bytes that are folded at a time
_ONES = 0xFFFFFFFF  # what a sum begins with
_LINE = 64  # bytes of the rest that are looked up at a time


def _table() -> list[int]:
    table: list[int] = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (_POLYNOMIAL if value & 1 else 0)
        table.append(value)
    return table


_TABLE = _table()


def _places() -> NDArray[np.uint32]:
    """What each byte adds to the sum of a line, by its place in the line."""
    table = np.array(_TABLE, np.uint32)
    rows: list[NDArray[Any]] = [table]
    while len(rows) < _LINE:
        # The same with one byte more, a zero, behind it.
        rows.append(table[rows[-1] & 255] ^ rows[-1] >> 8)
    return np.stack(rows[::-1]).astype(np.uint32)


_PLACES = _places()
_FIRST: list[list[int]] = _PLACES[:4].tolist()


class Checksum:
    """The checksum of bytes that come in pieces."""

    def __init__(self) -> None:
        # All bytes so far, or fewer that have the same checksum.
        self._rest = np.empty(0, np.uint8)
        self._start = _ONES

    def add(self, data: bytes | memoryview | NDArray[Any]) -> None:
        """Take further bytes, or the contiguous array that they are."""
        array = cast(
            NDArray[np.uint8],
            data.reshape(-1).view(np.uint8)
            if isinstance(data, np.ndarray)
            else np.frombuffer(data, np.uint8),
        )
        for start in range(0, len(array), _CHUNK):
            self._rest = np.concatenate([self._rest, array[start : start + _CHUNK]])
            self._fold(_UNITS[0])

    def end(self) -> int:
        """The checksum of all of them."""
        self._fold(_UNITS[1])
        crc = self._start
        stop = len(self._rest) // _LINE * _LINE
        lines = self._rest[:stop].reshape(-1, _LINE)
        sums = np.bitwise_xor.reduce(_PLACES[np.arange(_LINE), lines], axis=1)
        # The sum so far is the same as four bytes added to the first of the next line.
        a, b, c, d = _FIRST
        for line in sums.tolist():
            crc = (
                line
                ^ a[crc & 255]
                ^ b[crc >> 8 & 255]
                ^ c[crc >> 16 & 255]
                ^ d[crc >> 24]
            )
        for byte in self._rest[stop:].tobytes():
            crc = _TABLE[(crc ^ byte) & 255] ^ crc >> 8
        return crc ^ _ONES

    def _fold(self, unit: int) -> None:
        if len(self._rest) > 2 * unit * _STEPS[-1]:
            # What the sum begins with is the same as another beginning of the data.
            self._rest[:4] ^= np.frombuffer(self._start.to_bytes(4, "little"), np.uint8)
            self._start = 0
            self._rest = _folded(self._rest, unit)


def crc32c(data: bytes | memoryview | NDArray[Any]) -> int:
    """The checksum of some bytes."""
    found = Checksum()
    found.add(data)
    return found.end()


def _folded(chunk: NDArray[np.uint8], unit: int) -> NDArray[np.uint8]:
    """What remains at the end when all else has been added to it."""
    near, _, far = steps = [step * unit for step in _STEPS]
    stop = max(len(chunk) - far, 0)
    for start in range(0, stop, near):
        slab = chunk[start : min(start + near, stop)]
        for step in steps:
            chunk[start + step : start + step + len(slab)] ^= slab
    return chunk[stop:]


def masked(crc: int) -> int:
    """The checksum as LevelDB and TensorFlow store it, beside the data it is of."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
