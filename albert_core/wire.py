"""As much of the wire format of protocol buffers as the files that are read need.

Source: protobuf.dev/programming-guides/encoding. The package protobuf would do the
same, but its versions clash with TensorFlow's.
"""

import struct
from collections.abc import Iterator

VARINT, DOUBLE, BYTES, FLOAT = 0, 1, 2, 5


def read(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield the fields of a message: number and value.

    Numbers come as integers, strings and messages as bytes, a float as its four bytes.

    Raises:
        ValueError: The message is damaged.
    """
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == VARINT:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (DOUBLE, FLOAT):
            size = 8 if kind == DOUBLE else 4
        else:
            raise ValueError(f"wire type {kind} at byte {at}")
        if at + size > len(data):
            raise ValueError(f"{at + size - len(data)} bytes are missing at the end")
        yield key >> 3, data[at : at + size]
        at += size


def write(number: int, value: int | float | str | bytes) -> bytes:
    """One field: an integer as a varint, a float as four bytes, else size and bytes."""
    if isinstance(value, int):
        return _to_varint(number << 3 | VARINT) + _to_varint(value)
    if isinstance(value, float):
        return _to_varint(number << 3 | FLOAT) + struct.pack("<f", value)
    data = value.encode() if isinstance(value, str) else value
    return _to_varint(number << 3 | BYTES) + _to_varint(len(data)) + data


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError(f"no end of a number at byte {at}")


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
