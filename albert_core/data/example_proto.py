"""tf.train.Example, the message of named lists of numbers that TFRecord files hold.

Example { features: 1 }, Features { feature: 1, a map }, an entry of a map { key: 1,
value: 2 }, Feature { bytes_list: 1 or float_list: 2 or int64_list: 3 }, a list
{ value: 1 }. Integers are varints of their two's complement, without zigzag, so that a
negative one has ten bytes.

Source: tensorflow/core/example/example.proto and feature.proto
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError, shown
from albert_core.wire import read, write

Features = dict[str, NDArray[Any]]

FLOATS, INTS = 2, 3  # what a feature holds, by the number of the field
_BYTES = 1
_LONGEST = 10  # bytes of a varint
_MASK = 2**64 - 1


def read_example(data: bytes, path: str | Path, number: int = 0) -> Features:
    """The features of an example, each [values]: int64 or float32.

    A feature without a list, which TensorFlow takes for missing, is left out.

    Args:
        data: The record.
        path: The file that it is of, for messages.
        number: Which record of the file it is, from 0, for messages.

    Raises:
        InputError: It is no example, or has a feature twice or one of bytes.
    """
    where = f"{path}, record {number}"
    found: Features = {}
    try:
        for name, feature in _entries(data):
            if name in found:
                raise InputError(
                    f"{where} holds the feature {shown(name)} twice. Write the file "
                    f"again with one of them."
                )
            lists = _joined(feature, {_BYTES, FLOATS, INTS})
            if _BYTES in lists:
                raise InputError(
                    f"{where} holds bytes as the feature {shown(name)}; numbers are "
                    f"expected. Write the file again without it."
                )
            if len(lists) > 1:
                raise ValueError(f"{shown(name)} has lists of two kinds")
            for kind, values in lists.items():
                found[name] = _ints(values) if kind == INTS else _floats(values)
    except InputError:
        raise
    except ValueError as problem:
        raise InputError(
            f"{where} is no tf.train.Example: {problem}. Give a file of examples."
        ) from problem
    return found


def example(features: Mapping[str, NDArray[Any]]) -> bytes:
    """An example of some features, in the order given.

    Args:
        features: Each [values]: integers, kept as int64, or floats, kept as float32.

    Raises:
        InputError: A feature has another shape or type, or is too large for that.
    """
    entries = [
        write(1, write(1, name) + write(2, _feature(name, np.asarray(values))))
        for name, values in features.items()
    ]
    return write(1, b"".join(entries))


def from_varints(data: bytes) -> NDArray[np.int64]:
    """The [values] of varints that follow each other.

    Raises:
        ValueError: One has no end, or over ten bytes.
    """
    array = np.frombuffer(data, np.uint8)
    ends = np.flatnonzero(array < 128)
    if len(ends) == len(array):
        return array.astype(np.int64)
    if not len(ends) or ends[-1] != len(array) - 1:
        raise ValueError(f"no end of a number in a list of {len(data)} bytes")
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    longest = int(sizes.max())
    if longest > _LONGEST:
        raise ValueError(f"a number of {longest} bytes in a list")
    values = np.zeros(len(ends), np.uint64)
    for place in range(longest):
        # Where a number has ended before, 0 is added.
        byte = array[np.minimum(starts + place, ends)] & 127
        bits = np.where(place < sizes, byte, 0).astype(np.uint64)
        values |= bits << np.uint64(7 * place)
    return values.view(np.int64)


def to_varints(values: NDArray[np.int64]) -> bytes:
    """Varints, one after the other, of [values]."""
    rest = np.ascontiguousarray(values).view(np.uint64)
    largest = int(rest.max(initial=0))
    if largest < 128:
        return rest.astype(np.uint8).tobytes()
    places = np.arange(-(-largest.bit_length() // 7), dtype=np.uint64)
    left = rest[:, None] >> 7 * places  # [values, bytes]
    more = left >= 128
    encoded = (left & 127).astype(np.uint8) | more.astype(np.uint8) << 7
    # A number ends where nothing is left, though 0 has a byte as well.
    used = (left > 0) | (places == 0)
    return encoded[used].tobytes()


def _entries(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The name of each feature and its message."""
    for number, entry in read(_joined(data, {1}).get(1, b"")):
        if number == 1:
            parts = dict(read(_message(entry)))
            yield _message(parts.get(1, b"")).decode(), _message(parts.get(2, b""))


def _joined(data: bytes, numbers: set[int]) -> dict[int, bytes]:
    """The messages that are fields of a message; a repeated one continues the first.

    Other fields are skipped, as protobuf does.
    """
    found: dict[int, list[bytes]] = {}
    for number, value in read(data):
        if number in numbers:
            found.setdefault(number, []).append(_message(value))
    return {number: b"".join(parts) for number, parts in found.items()}


def _message(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ValueError(f"the number {value} where a message is expected")
    return value


def _ints(data: bytes) -> NDArray[np.int64]:
    parts = [np.empty(0, np.int64)]
    for number, value in read(data):
        if number == 1:
            # Packed into one field, or a field for each.
            parts.append(
                from_varints(value)
                if isinstance(value, bytes)
                else np.array([value & _MASK], np.uint64).view(np.int64)
            )
    return np.concatenate(parts)


def _floats(data: bytes) -> NDArray[np.float32]:
    # Four bytes each, whether packed into one field or not.
    values = b"".join(_message(value) for number, value in read(data) if number == 1)
    if len(values) % 4:
        raise ValueError(f"a list of floats of {len(values)} bytes")
    return np.frombuffer(values, "<f4").astype(np.float32)


def _feature(name: str, values: NDArray[Any]) -> bytes:
    if values.ndim != 1:
        raise InputError(
            f"The feature {shown(name)} has the shape {values.shape}; one dimension "
            f"is expected. Flatten it."
        )
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            floats = values.astype("<f4")
        fits = np.isfinite(values) == np.isfinite(floats)
        _check_fits(name, values, fits, "float32")
        return _list(FLOATS, floats.tobytes())
    if values.dtype.kind not in "iub":
        raise InputError(
            f"The feature {shown(name)} has the type {values.dtype}; integers or "
            f"floats are expected. Convert it."
        )
    ints = values.astype(np.int64)
    # Beyond int64 an unsigned number turns negative.
    _check_fits(name, values, (ints >= 0) | (values.dtype.kind != "u"), "int64")
    return _list(INTS, to_varints(ints))


def _list(kind: int, packed: bytes) -> bytes:
    return write(kind, write(1, packed) if packed else b"")


def _check_fits(
    name: str, values: NDArray[Any], fits: NDArray[np.bool_], dtype: str
) -> None:
    if not fits.all():
        raise InputError(
            f"The feature {shown(name)} holds {values[~fits][0]}, too large for "
            f"{dtype}. Give smaller values."
        )
