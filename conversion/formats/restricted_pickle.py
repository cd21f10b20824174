"""A machine for pickles that can only build numbers, texts and containers.

A pickle is a program, and Python's own machine lets it import and call anything. This
one knows the instructions that `torch.save` writes; the functions that a pickle may
call are those it is given, our own ones, and any other name ends the reading. There are
limits on everything that a short pickle could make long.
"""

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, refusing

LARGEST = 2**24  # bytes of a pickle; what it says of an array takes some hundred
MOST_STEPS = 2**18  # for some ten thousand tensors
MOST_MARKS = 256  # containers that are begun within each other
LONGEST_TEXT = 2**20
LONGEST_LINE = 256  # of the name of a function

Function = Callable[..., object]


@dataclass(frozen=True)
class Global:
    """The name of a function or class; it is never imported."""

    name: str


class OrderedTable(dict[object, object]):
    """A dict that may be given attributes, which are forgotten."""


_CONSTANTS = {b"N": None, b"\x88": True, b"\x89": False}
_EMPTY: Mapping[bytes, Function] = {b")": tuple, b"]": list, b"}": dict}
_NUMBERS = {b"K": "<B", b"M": "<H", b"J": "<i", b"G": ">d"}
_TEXTS = {b"X": "<I", b"\x8c": "<B", b"U": "<B", b"T": "<I"}
_PUTS = {b"q": "<B", b"r": "<I"}
_GETS = {b"h": "<B", b"j": "<I"}
_TUPLES = {b"\x85": 1, b"\x86": 2, b"\x87": 3}


def load(
    path: Path,
    data: bytes,
    at: int,
    functions: Mapping[str, Function | None],
    persistent: Function,
) -> tuple[object, int]:
    """Run one pickle.

    Args:
        path: The file that it is from, for messages.
        data: Bytes with the pickle in them.
        at: Where it begins.
        functions: What it may name. What stands for None may not be called.
        persistent: What it means by a number of something that is stored elsewhere.

    Returns:
        The value, and where the pickle ends.

    Raises:
        FormatError: It names something else, or is damaged or too large.
    """
    with refusing(path):
        machine = _Machine(path, data, at, functions, persistent)
        return machine.run(), machine.at


class _Machine:
    def __init__(
        self,
        path: Path,
        data: bytes,
        at: int,
        functions: Mapping[str, Function | None],
        persistent: Function,
    ) -> None:
        self.path, self.data, self.at = path, data, at
        self.functions, self.persistent = functions, persistent
        self.stack: list[object] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def run(self) -> object:
        """Run until the end, and give the one value that is left."""
        for _ in range(MOST_STEPS):
            code = self.take(1)
            if code == b".":
                if len(self.stack) != 1 or self.marks:
                    raise ValueError(f"a pickle ends with {len(self.stack)} values")
                return self.stack[0]
            if not self.push(code):
                step = _STEPS.get(code)
                if step is None:
                    raise FormatError(
                        "UNSAFE",
                        self.path,
                        f"its pickle has the instruction {code!r} at byte "
                        f"{self.at - 1}, which torch.save does not write",
                        f"{AGAIN}, from someone you trust.",
                    )
                step(self)
        raise self.too_large(f"{MOST_STEPS} instructions")

    def push(self, code: bytes) -> bool:
        """Do what pushes one value and is only a table look-up."""
        if code in _CONSTANTS:
            value = _CONSTANTS[code]
        elif code in _EMPTY:
            value = _EMPTY[code]()
        elif code in _NUMBERS:
            value = self.number(_NUMBERS[code])
        elif code in _TEXTS:
            value = self.text(int(self.number(_TEXTS[code])))
        elif code in _GETS:
            value = self.memo[int(self.number(_GETS[code]))]
        elif code in _TUPLES:
            value = tuple(self.pop(_TUPLES[code]))
        elif code in _PUTS:
            self.memo[int(self.number(_PUTS[code]))] = self.top()
            return True
        else:
            return False
        self.stack.append(value)
        return True

    def take(self, size: int) -> bytes:
        """The next bytes of the pickle."""
        end = self.at + size
        if end > len(self.data):
            if len(self.data) >= LARGEST:
                raise self.too_large(f"over {LARGEST} bytes")
            raise FormatError(
                "TRUNCATED",
                self.path,
                f"its pickle needs {end} bytes, and there are {len(self.data)}",
                f"{AGAIN}.",
            )
        self.at = end
        return self.data[end - size : end]

    def number(self, form: str) -> float:
        """A number of a fixed size."""
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def text(self, size: int) -> str:
        """A text of so many bytes."""
        if size > LONGEST_TEXT:
            raise self.too_large(f"a text of {size} bytes")
        return self.take(size).decode()

    def top(self) -> object:
        """The last value since the last mark."""
        return self.pop(1, keep=True)[0]

    def pop(self, count: int, *, keep: bool = False) -> list[object]:
        """The last values since the last mark."""
        begin = len(self.stack) - count
        if begin < (self.marks[-1] if self.marks else 0):
            raise ValueError(f"byte {self.at} of a pickle takes values that are not")
        values = self.stack[begin:]
        if not keep:
            del self.stack[begin:]
        return values

    def marked(self) -> list[object]:
        """All values since the last mark, and the mark goes."""
        values = self.pop(len(self.stack) - self.marks[-1])
        self.marks.pop()
        return values

    def too_large(self, what: str) -> FormatError:
        """The error of a pickle with more than any checkpoint has."""
        return FormatError(
            "TOO_LARGE",
            self.path,
            f"its pickle has {what}, more than that of any model",
            "Save only the model's state_dict.",
        )

    def mark(self) -> None:
        if len(self.marks) == MOST_MARKS:
            raise self.too_large(f"{MOST_MARKS} containers within each other")
        self.marks.append(len(self.stack))

    def tuple_(self) -> None:
        self.stack.append(tuple(self.marked()))

    def long(self) -> None:
        self.stack.append(
            int.from_bytes(self.take(self.take(1)[0]), "little", signed=True)
        )

    def memoize(self) -> None:
        self.memo[len(self.memo)] = self.top()

    def protocol(self) -> None:
        if self.take(1)[0] > 5:
            raise ValueError("a pickle has an unknown protocol")

    def frame(self) -> None:
        self.take(8)

    def append(self) -> None:
        self.extend(self.pop(1))

    def appends(self) -> None:
        self.extend(self.marked())

    def extend(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, list):
            raise ValueError(f"a pickle appends to a {type(target).__name__}")
        cast(list[object], target).extend(values)

    def setitem(self) -> None:
        self.update(self.pop(2))

    def setitems(self) -> None:
        self.update(self.marked())

    def update(self, values: list[object]) -> None:
        target = self.top()
        if not isinstance(target, dict):
            raise ValueError(f"a pickle sets items of a {type(target).__name__}")
        table = cast(dict[object, object], target)
        for key, value in zip(values[::2], values[1::2], strict=True):
            put(self.path, table, key, value)

    def global_(self) -> None:
        self.name(self.line(), self.line())

    def stack_global(self) -> None:
        self.name(*self.pop(2))

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + LONGEST_LINE)
        if end < 0:
            raise ValueError(f"a pickle has a name without an end at byte {self.at}")
        line = self.take(end + 1 - self.at)
        return line[:-1].decode()

    def name(self, module: object, name: object) -> None:
        full = f"{module}.{name}" if isinstance(module, str) else ""
        if full not in self.functions or not isinstance(name, str):
            raise FormatError(
                "UNSAFE",
                self.path,
                f"its pickle names {shown(full)}, which is no part of weights and "
                f"could run any code; nothing has been run",
                "If you trust the file, load it where it was made and save only the "
                "model's state_dict.",
            )
        self.stack.append(Global(full))

    def reduce(self) -> None:
        named, arguments = self.pop(2)
        function = self.functions[named.name] if isinstance(named, Global) else None
        if function is None or not isinstance(arguments, tuple):
            what = named.name if isinstance(named, Global) else type(named).__name__
            raise ValueError(f"a pickle calls {shown(what)}")
        self.stack.append(function(*cast(tuple[object, ...], arguments)))

    def build(self) -> None:
        self.pop(1)
        # A state_dict has versions of its modules as an attribute.
        if not isinstance(self.top(), OrderedTable):
            raise ValueError(f"a pickle changes a {type(self.top()).__name__}")

    def persist(self) -> None:
        self.stack.append(self.persistent(*self.pop(1)))


def put(path: Path, table: dict[object, object], key: object, value: object) -> None:
    """Set an item; a key that stands twice would lose an array."""
    # Other keys could be so deep that asking for their hash ends the process, and
    # large numbers can all have the same hash.
    if not isinstance(key, str) and (type(key) is not int or abs(key) >= 2**31):
        raise ValueError(f"a dict of a pickle has the key {kind(key)}")
    if key in table:
        raise FormatError(
            "DUPLICATE",
            path,
            f"its pickle has the key {shown(key)} twice in a dict",
            f"{AGAIN}.",
        )
    table[key] = value


def kind(value: object) -> str:
    """A value as a message shows it; a container could take for ever to print."""
    if value is None or isinstance(value, bool | int | float | str):
        return shown(value)
    return value.name if isinstance(value, Global) else type(value).__name__


_STEPS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"(": _Machine.mark,
    b"t": _Machine.tuple_,
    b"\x8a": _Machine.long,
    b"\x94": _Machine.memoize,
    b"\x80": _Machine.protocol,
    b"\x95": _Machine.frame,
    b"a": _Machine.append,
    b"e": _Machine.appends,
    b"s": _Machine.setitem,
    b"u": _Machine.setitems,
    b"c": _Machine.global_,
    b"\x93": _Machine.stack_global,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"Q": _Machine.persist,
}
