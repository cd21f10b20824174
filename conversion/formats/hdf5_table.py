"""Check the table that `hdf5_child.py` prints, as if a hostile file had written it."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from albert_core.errors import FormatError, MissingPackageError, shown
from albert_core.file_checks import AGAIN, check_shape, refusing
from albert_core.lazy import Lazy
from albert_core.safetensors_file import Stored
from conversion.formats.hdf5_arrays import DTYPES, Packed, Swapped
from conversion.formats.hdf5_process import Window, child

Texts = Mapping[str, Mapping[str, str | list[str]]]

LARGEST_TABLE = 2**26
MOST_TIMES = 100  # as many bytes in memory as in the file
SLACK = 2**20  # bytes that are no danger: zeros pack as tightly as one likes
LAYOUTS = "contiguous", "chunked", "compact"
TRUST = f"{AGAIN}, from someone you trust."
SAVE = "Load it with h5py and save its arrays again."

# Why the child refuses a file: the code, what is shown, and what to do.
REFUSALS = {
    "external link": ("UNSAFE", "{name} is a link to another file", TRUST),
    "soft link": ("UNSAFE", "{name} is a soft link, not an array", TRUST),
    "link": ("UNSAFE", "{name} is a link of the unknown kind {more}", TRUST),
    "loop": ("UNSAFE", "the group {name} is the group {more} once more", TRUST),
    "name": ("UNSAFE", "{name} is no plain path", TRUST),
    "external": ("UNSAFE", "the numbers of {name} are in another file", TRUST),
    "virtual": ("UNSAFE", "{name} is a virtual dataset, of other ones", TRUST),
    "depth": ("TOO_LARGE", "{name} is over {more} groups deep", TRUST),
    "long": ("TOO_LARGE", "{name} is a path of {more} characters", TRUST),
    "count": ("TOO_LARGE", "it has more than {more} groups and arrays", TRUST),
    "chunk": ("TOO_LARGE", "{name} is stored in pieces of {more} bytes", SAVE),
    "filter": ("UNSUPPORTED", "{name} is packed by the filter {more}", SAVE),
    "kind": ("UNSUPPORTED", "{name} is neither a group nor an array", SAVE),
    "type": ("BAD_DTYPE", "{name} holds {more}, no usual numbers", SAVE),
    "empty": ("BAD_SHAPE", "{name} has no shape", SAVE),
    "text": ("BAD_HEADER", "the attribute {name} is no list of texts", f"{AGAIN}."),
}


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        arrays: The arrays by their paths.
        texts: The attributes with texts by the paths of their groups or arrays; that
            of the outermost group is empty.
    """

    arrays: Mapping[str, Lazy]
    texts: Texts


def contents(window: Window) -> Contents:
    """What a file holds, as the child sees it.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    with child(window) as output:
        text = output.read(LARGEST_TABLE + 1)
        if len(text) > LARGEST_TABLE:
            raise _too_large(window.path, f"its names need over {LARGEST_TABLE} bytes")
    return parse(window, text)


def parse(window: Window, text: bytes) -> Contents:
    """The table that the child has printed.

    Raises:
        FormatError: The child refused the file, or its table cannot be true.
    """
    with refusing(window.path):
        answer: Any = json.loads(text)
        match answer:
            case {"arrays": [*arrays], "texts": texts} if isinstance(texts, dict):
                found = _arrays(window, arrays)
                return Contents(found, _texts(cast(dict[str, Any], texts)))
            case {"refused": [str(name), str(why), str(more)]} if why in REFUSALS:
                code, what, remedy = REFUSALS[why]
                more = more if more.isascii() and more.isprintable() else shown(more)
                what = what.format(name=shown(name), more=more[:100])
                raise FormatError(code, window.path, what, remedy)
            case {"missing": str(problem)}:
                raise MissingPackageError(
                    f"h5py cannot be loaded: {problem[:300]}. "
                    f"Install it: pip install h5py."
                )
            case {"damaged": str(problem)} if "truncated file" in problem:
                numbers = re.findall(r"eof = (\d+).*stored_eof = (\d+)", problem)
                has, wants = numbers[0] if numbers else (window.size, "more")
                what = f"it has {has} bytes, its header speaks of {wants}"
                raise FormatError("TRUNCATED", window.path, what, f"{AGAIN}.")
            case {"damaged": str(problem)}:
                raise ValueError(problem)
            case _:
                raise ValueError(f"it was described by {shown(answer)}")


def _arrays(window: Window, table: list[object]) -> dict[str, Lazy]:
    found: dict[str, Lazy] = {}
    places: dict[tuple[int, int], str] = {}
    total = 0
    for row in table:
        match cast(Any, row):
            case [
                str(name),
                lengths,
                str(code),
                str(layout),
                int() | None as start,
                int(stored),
            ] if code in DTYPES and layout in LAYOUTS and isinstance(lengths, list):
                shape = check_shape(window.path, name, cast(list[object], lengths))
            case _:
                raise ValueError(f"an array is described by {shown(row)}")
        if name in found:
            what = f"it has {shown(name)} twice"
            raise FormatError("DUPLICATE", window.path, what, f"{AGAIN}.")
        dtype = DTYPES[code]
        size = math.prod(shape) * dtype.itemsize
        total += size
        if layout != "contiguous":
            _check_packed(window, name, size, stored)
            found[name] = Packed(window, name, dtype, shape)
            continue
        start = _check_place(window, name, size, start, stored)
        if size:
            places[start, start + size] = name
        one = Stored(window.path, dtype, shape, window.start + start, window.state)
        found[name] = one if dtype.isnative else Swapped(one)
    _check_apart(places)
    if total > MOST_TIMES * window.size + SLACK:
        what = f"its arrays have {total} bytes, but the file has {window.size}"
        raise _too_large(window.path, what)
    return found


def _check_packed(window: Window, name: str, size: int, stored: int) -> None:
    """Refuse an array that is far larger than what is stored of it."""
    if size > MOST_TIMES * stored + SLACK or not 0 <= stored <= window.size:
        what = f"{shown(name)} has {size} bytes, but {stored} in the file"
        raise _too_large(window.path, what)


def _check_place(
    window: Window, name: str, size: int, start: int | None, stored: int
) -> int:
    """Where an array begins in the part, if it lies there."""
    if not size:
        return 0
    if start is None:
        what = f"{shown(name)} has {size} bytes, but none in the file"
        raise _too_large(window.path, what)
    if stored != size:
        what = f"{shown(name)} needs {size} bytes, but has {stored}"
        raise FormatError("BAD_SHAPE", window.path, what, f"{AGAIN}.")
    if start < 0 or start + size > window.size:
        what = (
            f"{shown(name)} is at bytes {start} to {start + size}, the file has "
            f"{window.size}"
        )
        raise FormatError("TRUNCATED", window.path, what, f"{AGAIN}.")
    return start


def _check_apart(places: Mapping[tuple[int, int], str]) -> None:
    """Refuse arrays that share only a part of their bytes."""
    last = 0
    for (start, stop), name in sorted(places.items()):
        if start < last:
            raise ValueError(f"{shown(name)} begins inside another array")
        last = stop


def _texts(table: dict[str, Any]) -> Texts:
    """The texts, the lists that Keras cut into pieces whole again."""
    found: dict[str, dict[str, str | list[str]]] = {}
    for owner, texts in table.items():
        own = found[owner] = dict[str, str | list[str]]()
        pieces: dict[str, dict[int, list[str]]] = {}
        for name, text in texts.items():
            part = re.fullmatch(r"(layer_names|weight_names)(\d*)", name)
            if not (isinstance(text, str) or (part and isinstance(text, list))):
                continue
            if part and part[2]:
                pieces.setdefault(part[1], {})[int(part[2])] = cast(list[str], text)
            else:
                own[name] = cast(str | list[str], text)
        for name, parts in pieces.items():
            if sorted(parts) != list(range(len(parts))):
                where = shown(f"{owner}@{name}")
                raise ValueError(f"{where} has the pieces {shown(sorted(parts))}")
            whole = [text for number in sorted(parts) for text in parts[number]]
            own.setdefault(name, whole)
    return found


def _too_large(path: Path, what: str) -> FormatError:
    return FormatError("TOO_LARGE", path, what, TRUST)
