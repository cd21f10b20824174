"""One safetensors file: a header of names, shapes and places, then the arrays.

The format is https://github.com/huggingface/safetensors. Its library maps files into
memory, where what was read counts until the system takes it back, resolves a name that
stands twice silently, and writes files that only their owner can read; so this reads
and writes by itself, one array at a time.
"""

import json
import math
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from albert_core.errors import CheckpointError, shown

Array = NDArray[Any]

LARGEST_HEADER = 100 * 2**20  # bytes; the format's own limit
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
            CheckpointError: The file is no longer what it was.
        """
        try:
            with self.path.open("rb") as file:
                same = _state(file) == self.state
                numbers = np.fromfile(file, np.uint8, self.size, offset=self.start)
        except OSError as problem:
            raise CheckpointError(
                f"{self.path} cannot be read: {problem.strerror}."
            ) from problem
        if not same or len(numbers) != self.size:
            raise CheckpointError(
                f"{self.path} has changed since it was opened. Open it again."
            )
        return numbers.view(self.dtype).reshape(self.shape)


def _state(file: IO[bytes]) -> tuple[int, int]:
    """Size and time of the last change; the number of a file is not kept everywhere."""
    found = os.fstat(file.fileno())
    return found.st_size, found.st_mtime_ns


def read_header(path: Path) -> dict[str, Stored]:
    """Read what a file holds, and check all that the format asks for.

    Raises:
        CheckpointError: It is no such file, or damaged.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path} is not a regular file. Get the file again.")
        with path.open("rb") as file:
            state, start = _state(file), file.read(64)
            size = state[0]
            length = int.from_bytes(start[:8], "little")
            if size < 8 or start[8:9] != b"{":
                raise CheckpointError(_not_safetensors(path, size, start))
            if length > min(LARGEST_HEADER, size - 8):
                raise CheckpointError(
                    f"{path} announces a header of {length} bytes, but the file has "
                    f"{size}, and a header at most {LARGEST_HEADER}. It is cut short "
                    f"or damaged; get the file again."
                )
            file.seek(8)
            text = file.read(length)
        entries = json.loads(text.decode("utf-8"), object_pairs_hook=_once)
        return _places(entries, path, 8 + length, state)
    except OSError as problem:
        raise CheckpointError(
            f"{path} cannot be read: {problem.strerror}."
        ) from problem
    except CheckpointError:
        raise
    except (ValueError, RecursionError) as problem:
        raise CheckpointError(
            f"{path} has a damaged header: {problem}. Get the file again."
        ) from problem


def _not_safetensors(path: Path, size: int, start: bytes) -> str:
    if size == 0:
        return f"{path} is empty. Get the file again."
    if start.startswith(b"version https://git-lfs"):
        return f"{path} is a Git LFS pointer to the weights: run 'git lfs pull'."
    return (
        f"{path} is not a safetensors file: it has {size} bytes and starts with "
        f"{start[:24]!r}. Get the file again."
    )


def _once(items: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of a header; a name that stands twice would lose an array."""
    result = dict(items)
    if len(result) != len(items):
        names = [name for name, _ in items]
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"{', '.join(map(shown, twice))} stands there twice")
    return result


def _places(
    entries: dict[str, Any], path: Path, begin: int, state: tuple[int, int]
) -> dict[str, Stored]:
    """Where each array is; they follow each other without a gap up to the end."""
    metadata = entries.pop("__metadata__", {})
    texts = cast(dict[str, Any], metadata if isinstance(metadata, dict) else {"": None})
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError("its metadata is no table of texts")
    found: dict[str, Stored] = {}
    ends: dict[str, tuple[int, int]] = {}
    for name, entry in entries.items():
        match entry:
            case {"dtype": str(code), "shape": [*shape], "data_offsets": [start, stop]}:
                pass
            case _:
                raise ValueError(f"{shown(name)} is described by {shown(entry)}")
        if code not in DTYPES:
            raise ValueError(
                f"{shown(name)} holds {shown(code)}, not one of {', '.join(DTYPES)}"
            )
        if not all(type(n) is int and n >= 0 for n in [*shape, start, stop]):
            raise ValueError(f"{shown(name)} is described by {shown(entry)}")
        found[name] = Stored(path, DTYPES[code], tuple(shape), begin + start, state)
        if found[name].size != stop - start:
            raise ValueError(
                f"{shown(name)} of shape {shape} and type {code} needs "
                f"{found[name].size} bytes, but has {stop - start}"
            )
        ends[name] = start, stop
    end = 0
    for name, (start, stop) in sorted(ends.items(), key=lambda item: item[1]):
        if start != end:
            raise ValueError(f"{shown(name)} begins at byte {start}, not at {end}")
        end = stop
    if begin + end != state[0]:
        raise CheckpointError(
            f"{path} has {state[0]} bytes, but its header describes {begin + end}. "
            f"It is cut short or damaged; get the file again."
        )
    return found


def write(path: Path, arrays: Mapping[str, Array], names: Iterable[str]) -> None:
    """Write some arrays into a new file; each is asked for twice, and then let go.

    Args:
        path: The file, which must not be there.
        arrays: Names and arrays.
        names: Those to write.

    Raises:
        CheckpointError: An array is of a number type that the format does not have.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    kinds = {name: (arrays[name].dtype, arrays[name].shape) for name in names}
    wrong = [
        f"{name} {kind}" for name, (kind, _) in kinds.items() if kind.name not in CODES
    ]
    if wrong:
        raise CheckpointError(
            f"These arrays cannot be saved for their number type: {', '.join(wrong)}. "
            f"Convert them to one of {', '.join(CODES)}."
        )
    # Wide types first, so that every array is aligned; then by name, as the library.
    order = sorted(kinds, key=lambda name: (-kinds[name][0].itemsize, name))
    end = 0
    for name in order:
        dtype, shape = kinds[name]
        start, end = end, end + math.prod(shape) * dtype.itemsize
        places = {"shape": list(shape), "data_offsets": [start, end]}
        header[name] = {"dtype": CODES[dtype.name], **places}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with path.open("xb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in order:
            dtype = DTYPES[CODES[kinds[name][0].name]]
            file.write(_raw(np.asarray(arrays[name], dtype, order="C")))


def _raw(array: Array) -> memoryview:
    return array.reshape(-1).view(np.uint8).data
