"""TensorFlow's checkpoints: `PREFIX.index` and `PREFIX.data-00000-of-00001`.

`read` gives the arrays and `unsupported` what else there is: texts, such as the graph
of objects that Keras saves, and types that safetensors does not have. Both take
whatever `find_prefix` does. The variables of a SavedModel, and so of TF-Hub, are the
same format.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO

from albert_core.crc32c import Checksum, masked
from albert_core.errors import FormatError, shown
from albert_core.file_checks import (
    AGAIN,
    check_dtypes,
    check_names,
    check_shape,
    first_bytes,
    refusing,
)
from albert_core.lazy import Array, Lazy, chunks
from albert_core.safetensors_file import Stored
from albert_core.sharding import check_links
from conversion.formats import level_table
from conversion.formats.bundle_arrays import Checked, assembled, slice_keys
from conversion.formats.bundle_entry import (
    CODES,
    DTYPES,
    Entry,
    entry,
    header,
    to_bytes,
    to_header,
)
from conversion.formats.bundle_path import find_prefix

__all__ = ["find_prefix", "read", "unsupported", "write"]


def read(path: Path) -> dict[str, Lazy]:
    """Read what a checkpoint holds.

    Raises:
        FormatError: There is none, or it is damaged.
    """
    prefix = find_prefix(path)
    shards, entries = _index(prefix)
    index = _beside(prefix, "index")
    with refusing(index):
        parts = {key for one in entries.items() for key in slice_keys(*one)}
        orphans = [name for name in entries if name[:1] == "\0" and name not in parts]
        if orphans:
            raise ValueError(f"{shown(orphans[0])} is a slice of no tensor")
        places = _Places(prefix, shards)
        for name, one in entries.items():
            if one.code in DTYPES and not one.slices:
                places.add(name, one)
        stored = places.stored()
        return {
            name: assembled(index, name, one, stored) if one.slices else stored[name]
            for name, one in entries.items()
            if one.code in DTYPES and name not in parts
        }


def unsupported(path: Path) -> dict[str, str]:
    """The entries that `read` leaves out, and the name of the type of each."""
    _, entries = _index(find_prefix(path))
    return {
        name: one.kind
        for name, one in entries.items()
        if one.code not in DTYPES and name[:1] != "\0"
    }


def _index(prefix: Path) -> tuple[int, dict[str, Entry]]:
    """The number of data files, and the entries."""
    path = _beside(prefix, "index")
    table = level_table.read(path)
    with refusing(path):
        if b"" not in table:
            raise ValueError("it has no header")
        shards, big, oldest = header(table.pop(b""))
        if big or oldest > 1:
            what = "numbers in big-endian order" if big else f"version {oldest}"
            raise FormatError(
                "UNSUPPORTED",
                path,
                f"it has {what}",
                "Write the checkpoint again with a current TensorFlow on a usual "
                "computer.",
            )
        if not 0 < shards < 100_000:
            raise ValueError(f"it speaks of {shards} data files")
        # Keys of slices are no text; latin-1 keeps them apart from names as they are.
        return shards, {
            key.decode("latin-1" if key[:1] == b"\0" else "utf-8"): entry(value)
            for key, value in table.items()
        }


class _Places:
    """The places in the data files that the index speaks of."""

    def __init__(self, prefix: Path, shards: int) -> None:
        self.prefix, self.shards = prefix, shards
        self.entries: dict[int, list[tuple[int, int, str, Entry]]] = {}

    def add(self, name: str, one: Entry) -> None:
        """Add a tensor that is whole, or a slice."""
        index = _beside(self.prefix, "index")
        shape = check_shape(index, name, one.shape)
        needed = math.prod(shape) * DTYPES[one.code].itemsize
        if one.size != needed:
            raise FormatError(
                "BAD_SHAPE",
                index,
                f"{shown(name)} of shape {list(shape)} and type {one.kind} needs "
                f"{needed} bytes, but has {one.size}",
                f"{AGAIN}.",
            )
        if not 0 <= one.shard < self.shards:
            raise ValueError(f"{shown(name)} is in file {one.shard} of {self.shards}")
        if one.offset < 0:
            raise ValueError(f"{shown(name)} begins at byte {one.offset}")
        places = self.entries.setdefault(one.shard, [])
        places.append((one.offset, one.offset + one.size, name, one))

    def stored(self) -> dict[str, Checked]:
        """All of them, if they lie in the files and not on each other."""
        paths = {
            shard: _beside(self.prefix, f"data-{shard:05}-of-{self.shards:05}")
            for shard in sorted(self.entries)
        }
        missing = [path.name for path in paths.values() if not path.exists()]
        if missing:
            raise FormatError(
                "TRUNCATED",
                _beside(self.prefix, "index"),
                f"beside it there is no {', '.join(missing[:20])}",
                "Get all files of the checkpoint.",
            )
        check_links(_beside(self.prefix, "index"), paths.values())
        found: dict[str, Checked] = {}
        for shard, path in paths.items():
            places = sorted(self.entries[shard], key=lambda place: place[:3])
            end = max(stop for _, stop, _, _ in places)
            state = first_bytes(path, may_be_empty=not end)[1]
            if end > state[0]:
                what = f"it has {state[0]} bytes, its index speaks of {end}"
                raise FormatError("TRUNCATED", path, what, f"{AGAIN}.")
            last = 0
            for start, stop, name, one in places:
                if start < last and start < stop:
                    raise ValueError(f"{shown(name)} begins inside another tensor")
                last = max(last, stop)
                stored = Stored(path, DTYPES[one.code], one.shape, start, state)
                found[name] = Checked(name, stored, one.crc)
        return found


def write(path: Path, arrays: Mapping[str, Lazy | Array]) -> None:
    """Write a checkpoint in two files, sorted by name.

    Args:
        path: The prefix of the files.
        arrays: Names and arrays; each is read once and then let go.

    Raises:
        FormatError: An array has a number type that TensorFlow does not have, or a name
            that a checkpoint cannot have.
    """
    check_dtypes(arrays, path, CODES)
    check_names(arrays, path)
    wrong = [name for name in arrays if name[0] == "\0"]
    if wrong:
        raise FormatError(
            "UNSUPPORTED",
            path,
            f"an array cannot have the name {shown(wrong[0])}",
            "Give it another name.",
        )
    names = sorted(arrays, key=str.encode)
    with _beside(path, "data-00000-of-00001").open("xb") as data:
        entries = list(_written(data, ((name, arrays[name]) for name in names)))
    with _beside(path, "index").open("xb") as index:
        level_table.write(index, [(b"", to_header()), *entries])


def _written(
    data: IO[bytes], arrays: Iterable[tuple[str, Lazy | Array]]
) -> Iterator[tuple[bytes, bytes]]:
    """Write arrays one behind the other, and give their entries in the index."""
    for name, array in arrays:
        start, crc = data.tell(), Checksum()
        for chunk in chunks(array):
            data.write(chunk)
            crc.add(chunk)
        size, code = data.tell() - start, CODES[array.dtype.name]
        one = Entry(code, array.shape, 0, start, size, masked(crc.end()))
        yield name.encode(), to_bytes(one)


def _beside(prefix: Path, ending: str) -> Path:
    return prefix.with_name(f"{prefix.name}.{ending}")
