"""What the index of a TensorFlow checkpoint says of one tensor, as bytes and back.

Source: tensorflow/core/protobuf/tensor_bundle.proto, and tensor_shape, tensor_slice and
types.proto beside it.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np

from albert_core import wire

DTYPES: Mapping[int, np.dtype[Any]] = {
    1: np.dtype("<f4"),
    2: np.dtype("<f8"),
    3: np.dtype("<i4"),
    4: np.dtype("u1"),
    5: np.dtype("<i2"),
    6: np.dtype("i1"),
    9: np.dtype("<i8"),
    10: np.dtype("?"),
    14: np.dtype(ml_dtypes.bfloat16),
    17: np.dtype("<u2"),
    19: np.dtype("<f2"),
    22: np.dtype("<u4"),
    23: np.dtype("<u8"),
}
CODES = {dtype.name: code for code, dtype in DTYPES.items()}
OTHERS = {  # types that TensorFlow has besides, for messages
    7: "string",
    8: "complex64",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    15: "qint16",
    16: "quint16",
    18: "complex128",
    20: "resource",
    21: "variant",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    29: "int4",
    30: "uint4",
}

Slice = tuple[tuple[int, int | None], ...]


@dataclass(frozen=True)
class Entry:
    """One tensor.

    Attributes:
        code: The number of its type.
        shape: Its shape, as claimed.
        shard: The data file that it is in.
        offset: Where it begins there.
        size: Its bytes there.
        crc: The masked checksum of them.
        slices: If it was saved in slices, start and length of each along each
            dimension, a length of None for all; then it has no bytes itself.
    """

    code: int
    shape: tuple[int, ...] = ()
    shard: int = 0
    offset: int = 0
    size: int = 0
    crc: int = 0
    slices: tuple[Slice, ...] = ()

    @property
    def kind(self) -> str:
        """The name of its type."""
        if self.code in DTYPES:
            return DTYPES[self.code].name
        return OTHERS.get(self.code, f"type {self.code}")


def header(data: bytes) -> tuple[int, int, int]:
    """The number of data files, 1 if numbers are big-endian, and the oldest version."""
    shards = big = oldest = 0
    for field, value in wire.read(data):
        match field, value:
            case 1, int():
                shards = value
            case 2, int():
                big = value
            case 3, bytes():
                oldest = next((_int(v) for f, v in wire.read(value) if f == 2), 0)
            case _:
                pass
    return shards, big, oldest


def to_header() -> bytes:
    """The header of a checkpoint with one data file, of the version that there is."""
    return wire.write(1, 1) + wire.write(3, wire.write(1, 1))


def entry(data: bytes) -> Entry:
    """Read what the index says of a tensor."""
    numbers = dict.fromkeys(range(1, 6), 0)
    shape: tuple[int, ...] = ()
    slices: list[Slice] = []
    crc = 0
    for field, value in wire.read(data):
        match field, value:
            case 2, bytes():
                shape = _shape(value)
            case 7, bytes():
                slices.append(_slice(value))
            case 6, bytes():
                (crc,) = struct.unpack("<I", value)
            case ((1 | 3 | 4 | 5), int()):
                numbers[field] = _signed(value)
            case _:
                pass
    return Entry(
        numbers[1], shape, numbers[3], numbers[4], numbers[5], crc, tuple(slices)
    )


def to_bytes(entry: Entry) -> bytes:
    """Write it as the index has it; what is 0 is left out."""
    dimensions = (wire.write(1, size) if size else b"" for size in entry.shape)
    shape = b"".join(wire.write(2, one) for one in dimensions)
    data = wire.write(1, entry.code) + wire.write(2, shape)
    for field, number in (3, entry.shard), (4, entry.offset), (5, entry.size):
        data += wire.write(field, number) if number else b""
    return data + bytes([6 << 3 | wire.FLOAT]) + struct.pack("<I", entry.crc)


def slice_key(name: str, part: Slice) -> bytes:
    """The key of one slice in the index.

    It is in the order-preserving code of tensorflow/core/lib/strings/ordered_code.cc: a
    zero, the name, the number of dimensions, then start and length along each.
    """
    escaped = name.encode().replace(b"\0", b"\0\xff")  # there is no 255 in UTF-8
    count = bytes([1, len(part)]) if part else b"\0"
    places = (
        number
        for start, length in part
        for number in (start, -1 if length is None else length)
    )
    return b"\0" + escaped + b"\0\1" + count + b"".join(map(_ordered, places))


def _ordered(number: int) -> bytes:
    """A number as one to ten bytes; as many high bits as bytes are turned."""
    size = 1
    while not -(2 ** (7 * size - 1)) <= number < 2 ** (7 * size - 1):
        size += 1
    turned = (2**size - 1) << 7 * size
    return (number % 2 ** (8 * size) ^ turned).to_bytes(size)


def _shape(data: bytes) -> tuple[int, ...]:
    sizes: list[int] = []
    for field, value in wire.read(data):
        match field, value:
            case 2, bytes():
                size = next((_int(v) for f, v in wire.read(value) if f == 1), 0)
                sizes.append(_signed(size))
            case 3, int() if value:
                raise ValueError("a tensor has no number of dimensions")
            case _:
                pass
    return tuple(sizes)


def _slice(data: bytes) -> Slice:
    extents: list[tuple[int, int | None]] = []
    for field, value in wire.read(data):
        if field == 1 and isinstance(value, bytes):
            numbers = {f: _signed(_int(v)) for f, v in wire.read(value)}
            extents.append((numbers.get(1, 0), numbers.get(2)))
    return tuple(extents)


def _int(value: int | bytes) -> int:
    if isinstance(value, bytes):
        raise ValueError("a number is stored as bytes")
    return value


def _signed(value: int) -> int:
    return value if value < 2**63 else value - 2**64
