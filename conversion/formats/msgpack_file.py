# pyright: reportMissingTypeStubs=false
"""Flax's msgpack files, such as Hugging Face's `flax_model.msgpack`, without Flax.

`read` gives the arrays, with the keys of nested maps joined by dots, and `others` what
else there is, such as the number of steps of a training.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, check_dtypes, check_names, check_shape
from albert_core.lazy import Array, Lazy, Stored, chunks, nbytes, take
from conversion.formats.msgpack_tree import (
    ARRAY,
    DEEPEST,
    DTYPES,
    LONGEST_KEY,
    LONGEST_KEYS,
    Node,
    Tree,
    read_tree,
)

LARGEST_CHUNK = 2**30  # bytes; Flax cuts what is larger
MARKER = "__msgpack_chunked_array__"


@dataclass(frozen=True)
class Chunked:
    """An array that Flax has cut, because msgpack cannot hold it in one piece."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[Stored, ...]

    def read(self) -> Array:
        """Read all chunks into one array."""
        whole = np.empty(math.prod(self.shape), self.dtype)
        start = 0
        for chunk in self.chunks:
            stop = start + chunk.shape[0]
            whole[start:stop] = chunk.read()
            start = stop
        return whole.reshape(self.shape)


def read(path: Path) -> dict[str, Lazy]:
    """Read the arrays that a file holds.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    return _open(path)[0]


def others(path: Path) -> dict[str, str]:
    """The names of values that are no arrays, and what they are.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    return _open(path)[1]


def _open(path: Path) -> tuple[dict[str, Lazy], dict[str, str]]:
    arrays: dict[str, Lazy] = {}
    rest: dict[str, str] = {}
    room = LONGEST_KEYS
    tree = read_tree(path)
    if MARKER in tree:
        what = "it holds an array without a name"
        raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
    waiting = _items("", tree)
    while waiting:
        name, node = waiting.pop()
        if name in arrays or name in rest:
            what = f"it has {shown(name)} twice"
            raise FormatError("DUPLICATE", path, what, f"{AGAIN}.")
        match node:
            case Stored():
                arrays[name] = node
            case dict() if MARKER in node:
                arrays[name] = _joined(path, name, node)
            case dict() if node:
                room -= len(node) * len(name)
                if room < 0:
                    what = f"its names have over {LONGEST_KEYS} letters"
                    remedy = "Save only the parameters."
                    raise FormatError("TOO_LARGE", path, what, remedy)
                waiting += _items(f"{name}.", node)
            case _:
                rest[name] = str(node)
    return arrays, rest


def _items(before: str, tree: Tree) -> list[tuple[str, Node]]:
    """The entries of a map, the first one last."""
    return [(f"{before}{key}", node) for key, node in reversed(tree.items())]


def _joined(path: Path, name: str, node: Tree) -> Chunked:
    """The array that chunks are, if they are all there."""
    sizes, chunks = _row(node.get("shape")), _row(node.get("chunks"))
    first = chunks[0] if chunks else None
    if node.keys() != {MARKER, "shape", "chunks"} or node[MARKER] is not True:
        what = f"has the entries {shown(list(node))}"
    elif sizes is None:
        what = f"has the shape {shown(node['shape'])}"
    elif not chunks or not isinstance(first, Stored):
        what = "lacks a chunk"
    else:
        arrays = [chunk for chunk in chunks if isinstance(chunk, Stored)]
        shape = check_shape(path, name, sizes)
        kinds = {chunk.dtype.name for chunk in arrays}
        count = sum(math.prod(chunk.shape) for chunk in arrays)
        if len(arrays) < len(chunks) or {len(chunk.shape) for chunk in arrays} != {1}:
            what = "has a chunk that is no array of one dimension"
        elif len(kinds) > 1:
            what = f"has chunks of the types {', '.join(sorted(kinds))}"
        elif count != math.prod(shape):
            what = f"of shape {list(shape)} has {count} numbers"
        else:
            return Chunked(shape, first.dtype, tuple(arrays))
    what = f"{shown(name)}, an array in chunks, {what}"
    raise FormatError("BAD_SHAPE", path, what, f"{AGAIN}.")


def _row(node: Node | None) -> list[Node] | None:
    """The values of a map whose keys are "0", "1", and so on."""
    if not isinstance(node, dict) or node.keys() != set(map(str, range(len(node)))):
        return None
    return [node[str(place)] for place in range(len(node))]


def write(path: Path, arrays: Mapping[str, Lazy | Array]) -> None:
    """Write arrays as nested maps, sorted by key, byte by byte as Flax does.

    Args:
        path: The file, which must not be there.
        arrays: Names, whose dots part the keys, and arrays; each is read once.

    Raises:
        FormatError: An array has a number type that is not written, or a name that
            cannot be one.
    """
    check_dtypes(arrays, path, DTYPES)
    check_names(arrays, path)
    tree = _tree(path, arrays)
    with path.open("xb") as file:
        _Writer(file, arrays).table(tree)


Names = dict[str, "Names | str"]


def _tree(path: Path, names: Mapping[str, object]) -> Names:
    """The nested maps that names mean; the leaves are the names again."""
    tree: Names = {}
    wrong: list[str] = []
    for name in names:
        *keys, last = name.split(".")
        node = tree
        for key in keys:
            inner = node.setdefault(key, {})
            if isinstance(inner, str):
                wrong.append(f"{shown(inner)} and {shown(name)}")
                break
            node = inner
        else:
            if last in node:
                wrong.append(f"{shown(name)} and longer ones that begin so")
            node[last] = name
        if len(keys) > DEEPEST - 3 or MARKER in name or len(name) * 4 > LONGEST_KEY:
            wrong.append(shown(name))
    if wrong:
        what = f"a tree cannot have arrays of these names: {', '.join(wrong)}"
        raise FormatError("UNSUPPORTED", path, what, "Give them other names.")
    return tree


class _Writer:
    """Writes maps and arrays one behind the other."""

    def __init__(self, file: IO[bytes], arrays: Mapping[str, Lazy | Array]) -> None:
        import msgpack

        self.file, self.arrays = file, arrays
        self.packer = cast(Any, msgpack).Packer()

    def put(self, *values: object) -> None:
        for value in values:
            self.file.write(self.packer.pack(value))

    def open_map(self, count: int) -> None:
        self.file.write(self.packer.pack_map_header(count))

    def table(self, tree: Names) -> None:
        self.open_map(len(tree))
        for key, node in sorted(tree.items(), key=lambda item: item[0]):
            self.put(key)
            if isinstance(node, str):
                self.array(self.arrays[node])
            else:
                self.table(node)

    def array(self, lazy: Lazy | Array) -> None:
        """Write an array, in chunks if it is too large for one piece."""
        if nbytes(lazy) <= LARGEST_CHUNK:
            return self.piece(lazy)
        array = take(lazy)
        step = max(1, LARGEST_CHUNK // array.itemsize)
        flat = array.reshape(-1)
        starts = range(0, flat.size, step)
        self.open_map(3)
        self.put(MARKER, True)
        self.put("shape", {str(axis): size for axis, size in enumerate(array.shape)})
        self.put("chunks")
        self.open_map(len(starts))
        for place, start in enumerate(starts):
            self.put(str(place))
            self.piece(flat[start : start + step])
        return None

    def piece(self, array: Lazy | Array) -> None:
        large = nbytes(array)
        head = self.packer.pack_array_header(3)
        head += self.packer.pack(array.shape) + self.packer.pack(array.dtype.name)
        head += _sized(0xC4, large)
        size = len(head) + large
        self.file.write(_extension(size) + bytes([ARRAY]) + head)
        for chunk in chunks(array):
            self.file.write(chunk)


def _extension(size: int) -> bytes:
    """The code and the size that an extension begins with."""
    if size in (1, 2, 4, 8, 16):
        return bytes([0xD4 + size.bit_length() - 1])
    return _sized(0xC7, size)


def _sized(code: int, size: int) -> bytes:
    """A code that has variants for sizes of one, two and four bytes."""
    wide = 0 if size < 2**8 else 1 if size < 2**16 else 2
    return bytes([code + wide]) + size.to_bytes(1 << wide, "big")
