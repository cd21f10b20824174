"""One safetensors file: a header of names, shapes and places, then the arrays.

The format is https://github.com/huggingface/safetensors. Its library maps files into
memory, where what was read counts until the system takes it back, resolves a name that
stands twice silently, and writes files that only their owner can read; so this reads
and writes by itself, one array at a time.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, Self, cast

import ml_dtypes
import numpy as np

from albert_core.errors import FormatError, shown
from albert_core.file_checks import (
    AGAIN,
    LARGEST_JSON,
    check_dtypes,
    check_names,
    check_shape,
    first_bytes,
    not_a,
    parse_json,
)
from albert_core.lazy import (
    Array,
    Described,
    Lazy,
    Stored,
    chunks,
    nbytes,
    unreadable,
)

logger = logging.getLogger("albert_zoo")

LARGEST_HEADER = LARGEST_JSON  # bytes; the format allows 100 MB, ours have 10 kB
METADATA = "__metadata__"
DTYPES: Mapping[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": np.dtype(ml_dtypes.bfloat16),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"),
    "U32": np.dtype("<u4"),
    "U16": np.dtype("<u2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
CODES = {dtype.name: code for code, dtype in DTYPES.items()}


def read_header(path: Path, allow_trailing: bool = False) -> dict[str, Stored]:
    """Read what a file holds, and check all that the format asks for.

    Args:
        path: The file.
        allow_trailing: Leave bytes behind the last array alone, with a warning, as some
            programs put their own there.

    Raises:
        FormatError: It is no such file, or damaged.
    """
    entries, begin, state = _entries(path)
    entries.pop(METADATA, None)
    return _places(entries, path, begin, state, allow_trailing)


def metadata(path: Path) -> dict[str, str]:
    """The texts that a file holds beside its arrays, such as "format" and "pt".

    Raises:
        FormatError: It is no such file, or damaged.
    """
    return _entries(path)[0].get(METADATA, {})


def _entries(path: Path) -> tuple[dict[str, Any], int, tuple[int, int]]:
    """The header, where the arrays begin, and the state of the file."""
    try:
        start, state = first_bytes(path)
        length = _header_length(path, state[0], start)
        with path.open("rb") as file:
            file.seek(8)
            text = file.read(length)
    except OSError as problem:
        raise unreadable(path, problem) from problem
    # It begins with a brace, so it is an object or no JSON.
    entries = cast(dict[str, Any], parse_json(text, path, "BAD_HEADER", 8))
    texts: object = entries.get(METADATA, {})
    if not _is_texts(texts):
        what = f"its metadata is no table of texts: {shown(texts)}"
        raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
    return entries, 8 + length, state


def _is_texts(table: object) -> bool:
    texts = cast(dict[str, object], table).values() if isinstance(table, dict) else [0]
    return all(isinstance(text, str) for text in texts)


def _header_length(path: Path, size: int, start: bytes) -> int:
    """The bytes of the header, as the first eight bytes have it."""
    length = int.from_bytes(start[:8], "little")
    brace = start[8:9] == b"{"
    if size < 10:
        what = f"it has {size} bytes, and the shortest safetensors file has 10"
        raise FormatError("TOO_SHORT", path, what, f"{AGAIN}.")
    if length > min(LARGEST_HEADER, size - 8) and not brace:
        raise not_a("safetensors file", path, start)
    if length > LARGEST_HEADER:
        raise FormatError(
            "HEADER_TOO_LARGE",
            path,
            f"it announces a header of {length} bytes, and at most {LARGEST_HEADER} "
            f"are expected",
            f"{AGAIN}.",
        )
    if length > size - 8:
        what = f"its header needs {8 + length} bytes, the file has {size}"
        raise FormatError("TRUNCATED", path, what, f"{AGAIN}.")
    if not brace:
        what = f"its header begins with {start[8:9]!r} at byte 8, not with b'{{'"
        raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
    return length


def _places(
    entries: Mapping[str, Any],
    path: Path,
    begin: int,
    state: tuple[int, int],
    allow_trailing: bool,
) -> dict[str, Stored]:
    """Where each array is; they follow each other without a gap up to the end."""
    check_names(entries, path, may_be_empty=True)
    found: dict[str, Stored] = {}
    ends: list[tuple[int, int, str]] = []
    for name, entry in entries.items():
        dtype, shape, start, stop = _described(path, name, entry)
        found[name] = Stored(path, dtype, shape, begin + start, state)
        if found[name].size != stop - start:
            raise FormatError(
                "BAD_SHAPE",
                path,
                f"{shown(name)} of shape {list(shape)} and type {CODES[dtype.name]} "
                f"needs {found[name].size} bytes, but has {shown(stop - start)}",
                f"{AGAIN}.",
            )
        ends.append((start, stop, name))
    end = 0
    for start, stop, name in sorted(ends):
        if start != end:
            what = f"{shown(name)} begins at byte {shown(start)}, not at {end}"
            raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
        end = stop
    if begin + end > state[0]:
        what = f"its header describes {begin + end} bytes, the file has {state[0]}"
        raise FormatError("TRUNCATED", path, what, f"{AGAIN}.")
    if trailing := state[0] - begin - end:
        what = f"{trailing} bytes stand behind its last array"
        if not allow_trailing:
            remedy = f"{AGAIN}, or leave them out with --allow-trailing."
            raise FormatError("TRAILING", path, what, remedy)
        logger.warning("%s: %s, and are left out", path, what)
    return found


def _described(
    path: Path, name: str, entry: Any
) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    """The type, shape and place that a header has for an array."""
    match entry:
        case {"dtype": str(code), "shape": [*sizes], "data_offsets": [start, stop]}:
            shape, places = cast(list[object], sizes), (start, stop)
        case _:
            raise _misdescribed(path, name, entry)
    if not all(type(n) is int and abs(n) < 2**63 for n in places) or places[0] < 0:
        raise _misdescribed(path, name, entry)
    if code not in DTYPES:
        raise FormatError(
            "BAD_DTYPE",
            path,
            f"{shown(name)} holds {shown(code)}, not one of {', '.join(DTYPES)}",
            "Convert it with what wrote it.",
        )
    return DTYPES[code], check_shape(path, name, shape), places[0], places[1]


def _misdescribed(path: Path, name: str, entry: object) -> FormatError:
    what = f"{shown(name)} is described by {shown(entry)}"
    return FormatError("BAD_HEADER", path, what, f"{AGAIN}.")


class _Kind(NamedTuple):
    """What is kept of an array until it is written."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, array: Described) -> Self:
        return cls(array.dtype, array.shape)


def write(
    path: Path,
    arrays: Mapping[str, Lazy | Array],
    names: Iterable[str] | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write some arrays into a new file, one at a time.

    Args:
        path: The file, which must not be there.
        arrays: Names and arrays. A lazy array is read once. Other values are asked for
            twice, so that a mapping that makes them need not hold them.
        names: Those to write; all of them if not given.
        metadata: Texts to put beside them; {"format": "pt"} if not given.

    Raises:
        FormatError: An array is of a number type that the format does not have, or a
            name is none.
    """
    kinds = {
        name: _Kind.of(arrays[name]) for name in (arrays if names is None else names)
    }
    check_dtypes(kinds, path, CODES)
    check_names(kinds, path, may_be_empty=True)
    if METADATA in kinds:
        what = f"an array cannot have the name {METADATA!r}"
        raise FormatError("UNSUPPORTED", path, what, "Give it another name.")
    header: dict[str, Any] = {
        METADATA: {"format": "pt"} if metadata is None else dict(metadata)
    }
    # Wide types first, so that every array is aligned; then by name, as the library.
    order = sorted(kinds, key=lambda name: (-kinds[name].dtype.itemsize, name))
    end = 0
    for name in order:
        kind = kinds[name]
        start, end = end, end + nbytes(kind)
        places = {"shape": list(kind.shape), "data_offsets": [start, end]}
        header[name] = {"dtype": CODES[kind.dtype.name], **places}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            _put(file, path, name, arrays[name], kinds[name])


def _put(
    file: IO[bytes], path: Path, name: str, array: Lazy | Array, kind: _Kind
) -> None:
    """Write an array, which must be what the header says of it."""
    left = nbytes(kind)
    if _Kind.of(array) == kind:
        for chunk in chunks(array):
            left -= file.write(chunk)
    if left:
        what = f"{shown(name)} has changed while it was being written"
        raise FormatError("CHANGED", path, what, "Write it again.")
