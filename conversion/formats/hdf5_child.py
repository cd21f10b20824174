"""Look into an HDF5 file, or read one array of it, in a process that may crash.

`hdf5_process.py` runs this file as a script, alone: what libhdf5 makes of a hostile
file must not happen where the user's data is. It needs h5py and the standard library.

Arguments: where modules are, the file, the first byte and the number of bytes that
are HDF5, and, to read an array, its bytes and its name. Without them it prints a table
of the arrays as JSON, or why there is none.
"""

import contextlib
import importlib
import io
import json
import os
import re
import sys
from typing import Any, cast

ROOM = 2**29  # bytes of addresses: Python, NumPy and h5py take a quarter of it
DEEPEST = 64
MOST = 10_000  # groups and arrays
SECONDS = 5  # of work; damaged names can send the library round in circles
LONGEST = 4096  # characters of the path of an array
LARGEST_TEXT = 2**24
LARGEST_CHUNK = 2**28
FILTERS = {1, 2, 3, 32000}  # deflate, shuffle, fletcher32, lzf
TEXTS = re.compile(r"(layer_names|weight_names)\d*|backend|keras_version|name|dtype")

h5py: Any = None


class RefusedError(Exception):
    """A thing in the file that no reader of weights should follow or read.

    Args:
        name: Its path.
        why: A word that `hdf5_table.py` knows.
        more: What it is, exactly.
    """


class Window(io.RawIOBase):
    """A part of a file as a file; libhdf5 never hears the name of the whole."""

    def __init__(self, path: bytes, start: int, size: int) -> None:
        self.file = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self.start, self.size, self.at = start, size, 0

    def readinto(self, buffer: Any) -> int:
        """Read as much as there is of what is asked for."""
        view = memoryview(buffer).cast("B")
        os.lseek(self.file, self.start + self.at, os.SEEK_SET)
        data = os.read(self.file, min(len(view), max(self.size - self.at, 0)))
        view[: len(data)] = data
        self.at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go to a place."""
        self.at = offset + (0, self.at, self.size)[whence]
        return self.at

    def tell(self) -> int:
        """The place."""
        return self.at

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True


def limit(more: int = 0) -> None:
    """Let the system stop a reader that takes too much, or writes a file."""
    # Some systems have no limits, or not these.
    with contextlib.suppress(ImportError, AttributeError, ValueError, OSError):
        resource: Any = importlib.import_module("resource")
        for kind, most in {
            "CORE": 0,
            "FSIZE": 0,
            "NOFILE": 32,
            "CPU": SECONDS + more // 2**24,
            "AS": ROOM + more,
        }.items():
            # One second more, or the system tells nobody why it killed it.
            both = most, most + (kind == "CPU")
            resource.setrlimit(getattr(resource, f"RLIMIT_{kind}"), both)


def walk(root: Any) -> dict[str, Any]:
    """All arrays, and the texts that Keras keeps beside them."""
    arrays: list[Any] = []
    texts: dict[str, Any] = {}
    seen: dict[Any, str] = {}
    waiting: list[tuple[str, Any, int]] = [("", root, 0)]
    while waiting:
        path, one, depth = waiting.pop()
        if depth > DEEPEST:
            raise RefusedError(path, "depth", f"{DEEPEST}")
        found = read_texts(path, one)
        if found:
            texts[path] = found
        if isinstance(one, h5py.h5d.DatasetID):
            arrays.append([path, *describe(path, one, found.get("dtype"))])
            continue
        address = h5py.h5o.get_info(one).addr
        if address in seen:
            raise RefusedError(path, "loop", seen[address])
        seen[address] = path
        if len(arrays) + len(waiting) + one.get_num_objs() + len(seen) > MOST:
            raise RefusedError(path, "count", f"{MOST}")
        inner = [follow(path, one, name) for name in one]
        waiting += [(name, item, depth + 1) for name, item in reversed(inner)]
    return {"arrays": arrays, "texts": texts}


def follow(path: str, group: Any, link: bytes) -> tuple[str, Any]:
    """What a link of a group leads to, if that is in this file, and its path."""
    name = link.decode()
    path = f"{path}/{name}" if path else name
    if len(path) > LONGEST:
        raise RefusedError(path, "long", f"{len(path)}")
    if not name or name == "." or "/" in name:
        raise RefusedError(path, "name", "")
    kind = group.links.get_info(link).type
    if kind != h5py.h5l.TYPE_HARD:
        soft, external = h5py.h5l.TYPE_SOFT, h5py.h5l.TYPE_EXTERNAL
        why = {soft: "soft link", external: "external link"}.get(kind, "link")
        raise RefusedError(path, why, f"{kind}")
    found = h5py.h5o.open(group, link)
    if not isinstance(found, h5py.h5g.GroupID | h5py.h5d.DatasetID):
        raise RefusedError(path, "kind", "")
    return path, found


def describe(path: str, data: Any, said: Any) -> list[Any]:
    """Shape, number type, layout, place, and bytes of an array in the file."""
    plan = data.get_create_plist()
    layouts = {
        h5py.h5d.COMPACT: "compact",
        h5py.h5d.CONTIGUOUS: "contiguous",
        h5py.h5d.CHUNKED: "chunked",
    }
    layout = layouts.get(plan.get_layout())
    if layout is None:
        raise RefusedError(path, "virtual", "")
    if plan.get_external_count():
        raise RefusedError(path, "external", "")
    for index in range(plan.get_nfilters()):
        code, _, _, name = plan.get_filter(index)
        if code not in FILTERS:
            raise RefusedError(path, "filter", f"{code} {name!r}")
    space = data.get_space()
    if space.get_simple_extent_type() == h5py.h5s.NULL:
        raise RefusedError(path, "empty", "")
    dtype = number_type(path, data.get_type(), said)
    if layout == "chunked":
        size = data.get_type().get_size()
        for length in plan.get_chunk():
            size *= length
        if size > LARGEST_CHUNK:
            raise RefusedError(path, "chunk", f"{size}")
    place = data.get_offset() if layout == "contiguous" else None
    shape = list(space.get_simple_extent_dims())
    return [shape, dtype, layout, place, data.get_storage_size()]


def number_type(path: str, kind: Any, said: Any) -> str:
    """NumPy's name of a type, if both have the very same bits."""
    names = {
        h5py.h5t.STRING: "texts",
        h5py.h5t.BITFIELD: "bit fields",
        h5py.h5t.OPAQUE: f"opaque values of {kind.get_size()} bytes",
        h5py.h5t.COMPOUND: "compound values",
        h5py.h5t.REFERENCE: "references",
        h5py.h5t.ENUM: "an enumeration",
        h5py.h5t.VLEN: "lists of any length",
        h5py.h5t.ARRAY: "arrays",
        h5py.h5t.INTEGER: "integers of an unusual form",
        h5py.h5t.FLOAT: "floats of an unusual form",
    }
    family = kind.get_class()
    # Keras marks what HDF5 has no type for.
    if (family, kind.get_size(), said) == (h5py.h5t.OPAQUE, 2, "bfloat16"):
        return "bfloat16"
    if family in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM):
        with contextlib.suppress(TypeError, ValueError):
            dtype = kind.dtype
            plain = family != h5py.h5t.ENUM or dtype.kind == "b"
            if plain and kind.equal(h5py.h5t.py_create(dtype, logical=True)):
                return dtype.str
    raise RefusedError(path, "type", names.get(family, "values of an unknown type"))


def read_texts(path: str, owner: Any) -> dict[str, Any]:
    """The attributes that are known by name; no other is read."""
    found: dict[str, Any] = {}
    for index in range(h5py.h5a.get_num_attrs(owner)):
        one = h5py.h5a.open(owner, index=index)
        name = one.name.decode()
        if not TEXTS.fullmatch(name):
            continue
        kind, shape = one.get_type(), one.shape
        # Keras writes a list without names as one without numbers.
        if shape == (0,):
            found[name] = []
            continue
        size = kind.get_size() * (shape[0] if shape else 1)
        fits = len(shape) < 2 and size <= LARGEST_TEXT
        if kind.get_class() != h5py.h5t.STRING or not fits:
            raise RefusedError(f"{path}@{name}", "text", "")
        cls = h5py.Dataset if isinstance(owner, h5py.h5d.DatasetID) else h5py.Group
        found[name] = plain(cls(owner).attrs[name])
    return found


def plain(value: Any) -> Any:
    """A text, or a list of them, of either kind."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [plain(one) for one in cast(list[Any], value)]
    return value.decode() if isinstance(value, bytes) else str(value)


def read_array(root: Any, name: str, size: int) -> Any:
    """An array, if it still has this size."""
    one, path = root, ""
    for part in name.split("/"):
        path, one = follow(path, one, part.encode())
    said = read_texts(path, one).get("dtype")
    numpy: Any = importlib.import_module("numpy")
    shape, dtype, *_ = describe(path, one, said)
    kind = one.get_type()
    array = numpy.empty(shape, "V2" if dtype == "bfloat16" else dtype)
    if array.nbytes != size:
        raise ValueError("it has changed")
    one.read(h5py.h5s.ALL, h5py.h5s.ALL, array, kind)
    return array


def main(modules: str, path: str, start: str, end: str, *wanted: str) -> None:
    """Print the table, or write the numbers of an array."""
    global h5py
    sys.path += modules.split(os.pathsep)
    try:
        h5py = importlib.import_module("h5py")
    except ImportError as problem:
        print(json.dumps({"missing": str(problem)}))
        return
    limit(3 * int(wanted[0]) if wanted else 0)
    try:
        window = Window(os.fsencode(path), int(start), int(end))
        root = h5py.h5g.open(h5py.File(window, "r").id, b"/")
        if wanted:
            array = read_array(root, wanted[1], int(wanted[0]))
            sys.stdout.buffer.write(array.reshape(-1).view("u1").data)
        else:
            print(json.dumps(walk(root)))
    except RefusedError as problem:
        print(json.dumps({"refused": problem.args}))
    # Damaged bytes make h5py raise whatever there is.
    except Exception as problem:
        print(json.dumps({"damaged": f"{type(problem).__name__}: {problem}"}))


if __name__ == "__main__":
    main(*sys.argv[1:])
    sys.stdout.flush()
    # Closing a damaged file would be one more chance to crash.
    os._exit(0)
