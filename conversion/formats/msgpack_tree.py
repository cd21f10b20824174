"""The tree in a msgpack file, with its arrays left where they are.

The format is https://github.com/msgpack/msgpack/blob/master/spec.md, and how arrays are
put into it that of flax/serialization.py. The package msgpack would read a whole file
into memory, arrays included.
"""

import struct
from pathlib import Path
from typing import IO

from albert_core.errors import FormatError, shown
from albert_core.file_checks import (
    AGAIN,
    MOST_DIMENSIONS,
    check_shape,
    first_bytes,
    not_a,
    refusing,
)
from albert_core.lazy import Stored
from albert_core.safetensors_file import DTYPES as CODED

DTYPES = {dtype.name: dtype for dtype in CODED.values()}
ARRAY, COMPLEX, SCALAR = 1, 2, 3  # extensions of Flax
DEEPEST = 64  # maps within each other
MOST_VALUES = 100_000
LONGEST_KEY = 2**16  # bytes
LONGEST_KEYS = 2**24  # bytes of all keys together

# A map, where a list is one from "0" on; an array; a number; or words for what else.
Node = dict[str, "Node"] | Stored | int | str
Tree = dict[str, Node]


def read_tree(path: Path) -> Tree:
    """Read what a file holds.

    Raises:
        FormatError: It is no map of arrays as Flax writes them, or damaged.
    """
    start, state = first_bytes(path)
    if not (0x80 <= start[0] < 0x90 or start[0] in (0xDE, 0xDF)):
        raise not_a("msgpack file of Flax", path, start)
    with refusing(path), path.open("rb") as file:
        reader = _Reader(path, file, state)
        tree = reader.value(0)
        if reader.at < state[0]:
            what = f"{state[0] - reader.at} bytes stand behind its map"
            raise FormatError("TRAILING", path, what, f"{AGAIN}.")
    assert isinstance(tree, dict)  # as its first byte says
    return tree


class _Reader:
    """Reads value by value, and passes over the bytes of arrays and texts."""

    def __init__(self, path: Path, file: IO[bytes], state: tuple[int, int]) -> None:
        self.path, self.file, self.state = path, file, state
        self.at = 0
        self.keys: list[str] = []
        self.values_left, self.bytes_left = MOST_VALUES, LONGEST_KEYS

    def error(self, code: str, what: str) -> FormatError:
        """An error of the value whose keys are known."""
        where = f"{shown('.'.join(self.keys))} " if self.keys else "it "
        return FormatError(code, self.path, where + what, f"{AGAIN}.")

    def need(self, count: int, least: int = 1) -> None:
        """Refuse a count of things that the rest of the file cannot hold."""
        left = self.state[0] - self.at
        if count * least > left:
            what = f"needs {count * least} bytes at byte {self.at}, and {left} follow"
            raise self.error("TRUNCATED", what)

    def take(self, count: int) -> bytes:
        self.need(count)
        self.at += count
        return self.file.read(count)

    def skip(self, count: int) -> None:
        self.need(count)
        self.at += count
        self.file.seek(self.at)

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "big", signed=signed)

    def value(self, depth: int) -> Node:
        """The value that begins here."""
        self.values_left -= 1
        if self.values_left < 0 or depth > DEEPEST:
            raise self.too_large()
        code = self.number(1)
        integer = self.integer(code)
        if integer is not None:
            return integer
        size = self.text_size(code)
        if size is not None:
            self.skip(size)
            return f"a text of {size} bytes"
        match code:
            case 0xC0:
                return "None"
            case 0xC2 | 0xC3:
                return code == 0xC3
            case 0xC7 | 0xC8 | 0xC9:
                return self.extension(self.number(1 << code - 0xC7))
            case 0xCA:
                return str(struct.unpack(">f", self.take(4))[0])
            case 0xCB:
                return str(struct.unpack(">d", self.take(8))[0])
            case _ if 0xD4 <= code <= 0xD8:
                return self.extension(1 << code - 0xD4)
            case 0xDE | 0xDF:
                return self.table(self.number(2 << code - 0xDE), depth)
            case _ if code < 0x90:
                return self.table(code & 15, depth)
            case _:
                return self.row(self.row_size(code), depth)

    def too_large(self) -> FormatError:
        return FormatError(
            "TOO_LARGE",
            self.path,
            f"it has over {MOST_VALUES} values, {LONGEST_KEYS} bytes of keys, "
            f"{LONGEST_KEY} bytes in one key, or {DEEPEST} maps within each other",
            "Save only the parameters.",
        )

    def integer(self, code: int) -> int | None:
        """The integer that a code begins, if it does."""
        if code < 0x80 or code >= 0xE0:
            return code if code < 0x80 else code - 256
        if 0xCC <= code <= 0xCF:
            return self.number(1 << code - 0xCC)
        if 0xD0 <= code <= 0xD3:
            return self.number(1 << code - 0xD0, signed=True)
        return None

    def text_size(self, code: int) -> int | None:
        """The bytes of the text, or of the bytes, that a code begins, if it does."""
        if 0xA0 <= code < 0xC0:
            return code & 31
        if 0xC4 <= code <= 0xC6:
            return self.number(1 << code - 0xC4)
        if 0xD9 <= code <= 0xDB:
            return self.number(1 << code - 0xD9)
        return None

    def row_size(self, code: int) -> int:
        """The number of values in the list that a code begins."""
        if 0x90 <= code < 0xA0:
            return code & 15
        if code in (0xDC, 0xDD):
            return self.number(2 << code - 0xDC)
        raise self.error("BAD_HEADER", f"has the byte {code:#x} at byte {self.at - 1}")

    def table(self, count: int, depth: int) -> Tree:
        self.need(count, 2)
        found: Tree = {}
        for _ in range(count):
            key = self.key()
            self.keys.append(key)
            if key in found:
                raise self.error("DUPLICATE", "is there twice")
            found[key] = self.value(depth + 1)
            self.keys.pop()
        return found

    def key(self) -> str:
        start, code = self.at, self.number(1)
        integer = self.integer(code)
        if integer is not None:
            return str(integer)
        size = None if 0xC4 <= code <= 0xC6 else self.text_size(code)
        if size is None:
            raise self.error("BAD_HEADER", f"has a key that is no text at byte {start}")
        self.bytes_left -= size
        if size > LONGEST_KEY or self.bytes_left < 0:
            raise self.too_large()
        try:
            return self.take(size).decode()
        except UnicodeDecodeError as problem:
            what = f"has a key that is no UTF-8 at byte {start}"
            raise self.error("BAD_HEADER", what) from problem

    def row(self, count: int, depth: int) -> Tree:
        self.need(count)
        found: Tree = {}
        for place in range(count):
            self.keys.append(str(place))
            found[str(place)] = self.value(depth + 1)
            self.keys.pop()
        return found

    def extension(self, size: int) -> Node:
        kind = self.number(1, signed=True)
        self.need(size)
        end = self.at + size
        if kind == COMPLEX:
            self.skip(size)
            return "a complex number"
        if kind not in (ARRAY, SCALAR):
            title = "a time stamp" if kind == -1 else f"an extension of type {kind}"
            raise self.error("UNSUPPORTED", f"is {title}, which Flax does not write")
        array = self.array()
        if self.at != end:
            what = f"ends at byte {self.at}, not at {end} as it says first"
            raise self.error("BAD_HEADER", what)
        if kind == SCALAR and array.shape:
            raise self.error("BAD_SHAPE", f"is a number of shape {list(array.shape)}")
        return array

    def array(self) -> Stored:
        parts = self.row_size(self.number(1))
        if parts != 3:
            raise self.error("BAD_HEADER", f"is an array of {parts} parts, not 3")
        axes = self.row_size(self.number(1))
        if axes > MOST_DIMENSIONS:
            raise self.error("BAD_SHAPE", f"has {axes} dimensions")
        sizes = [self.integer(self.number(1)) for _ in range(axes)]
        shape = check_shape(self.path, ".".join(self.keys), sizes)
        size = self.text_size(self.number(1))
        name = self.take(min(size or 0, 64)).decode(errors="replace")
        if name not in DTYPES:
            what = f"holds {shown(name)}, not one of {', '.join(DTYPES)}"
            raise self.error("BAD_DTYPE", what)
        size = self.text_size(self.number(1))
        array = Stored(self.path, DTYPES[name], shape, self.at, self.state)
        if size is None or size != array.size:
            raise self.error(
                "BAD_SHAPE",
                f"of shape {list(shape)} and type {name} needs {array.size} bytes, but "
                f"has {size or 0}",
            )
        self.skip(size)
        return array
