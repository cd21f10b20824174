"""PyTorch's files, such as `pytorch_model.bin`, without PyTorch and its pickles.

Since version 1.6 a file is a zip file; before, it was pickles and then numbers. `read`
gives the tensors and `contents` what else there is: the keys that hold tensors, names
of one and the same tensor, and values that are none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, first_bytes, not_a, refusing
from albert_core.lazy import Lazy
from conversion.formats.restricted_pickle import kind
from conversion.formats.torch_archive import read_zip
from conversion.formats.torch_names import Tensor
from conversion.formats.torch_stream import read_stream
from conversion.formats.torch_tensors import Region, View, view
from conversion.formats.torch_writer import write

__all__ = ["Contents", "contents", "read", "write"]

Table = dict[object, object]

DEEPEST = 16  # dicts within each other
MOST_VALUES = 100_000
LONGEST_NAMES = 2**24  # characters of all names together
COST = 64  # for how many characters a value counts


@dataclass(frozen=True)
class Contents:
    """What a file holds.

    Attributes:
        keys: The keys of the outermost dict that hold tensors, and how many each.
        aliases: Names of tensors that stand a second time, and their first names.
        others: Names of values that are no tensors, and what they are.
    """

    keys: Mapping[str, int]
    aliases: Mapping[str, str]
    others: Mapping[str, str]


def read(path: Path, under: str | None = None) -> dict[str, Lazy]:
    """Read the tensors that a file holds.

    Args:
        path: The file.
        under: The key of the outermost dict whose tensors are wanted; it is no part of
            their names then. Without it, all are read, and the keys of dicts within
            each other are joined by dots.

    Raises:
        FormatError: The file is damaged or hostile, or has no such key.
    """
    tensors, _, _ = _open(path, under)
    return dict(tensors)


def contents(path: Path) -> Contents:
    """Say what a file holds besides the names of its tensors.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    tensors, others, keys = _open(path, None)
    first: dict[tuple[object, ...], str] = {}
    aliases: dict[str, str] = {}
    for name, tensor in tensors.items():
        other = first.setdefault(tensor.place, name)
        if other != name and tensor.span:
            aliases[name] = other
    return Contents(keys, aliases, others)


def _open(
    path: Path, under: str | None
) -> tuple[dict[str, View], dict[str, str], dict[str, int]]:
    """The tensors, the other values, and the outermost keys with their tensors."""
    start, _ = first_bytes(path)
    if start.startswith(b"PK"):
        value, regions = read_zip(path)
    elif start.startswith(b"\x80"):
        value, regions = read_stream(path)
    else:
        with path.open("rb") as file:
            if file.read(512)[257:262] == b"ustar":
                raise FormatError(
                    "UNSUPPORTED",
                    path,
                    "it is a tar file, as PyTorch wrote before version 0.1.10",
                    "Load it with torch and save it again.",
                )
        raise not_a("file of PyTorch", path, start)
    with refusing(path):
        if not isinstance(value, dict):
            raise ValueError(f"it holds a {type(value).__name__}, no dict of tensors")
        table = cast(Table, value)
        if under is not None:
            table = _choose(path, table, under)
        return _tensors(path, table, regions)


def _choose(path: Path, table: Table, under: str) -> Table:
    chosen = table.get(under)
    if isinstance(chosen, dict):
        return cast(Table, chosen)
    keys = [str(key) for key, value in table.items() if isinstance(value, dict)]
    raise FormatError(
        "NOT_A_CHECKPOINT",
        path,
        f"it has no dict of tensors under {shown(under)}",
        f"Choose one of {shown(keys)}." if keys else "Read it without a key.",
    )


def _tensors(
    path: Path, table: Table, regions: Mapping[str, Region]
) -> tuple[dict[str, View], dict[str, str], dict[str, int]]:
    tensors: dict[str, View] = {}
    others: dict[str, str] = {}
    keys: dict[str, int] = {}
    room = LONGEST_NAMES
    # A dict can hold itself, or another one so often that there is no end to it.
    waiting = [("", "", key, value, 1) for key, value in reversed(table.items())]
    while waiting:
        before, outermost, key, value, depth = waiting.pop()
        name = f"{before}{key}"
        outermost = outermost if before else name
        room -= len(name)
        if depth > DEEPEST or room < 0 or len(tensors) + len(others) > MOST_VALUES:
            raise FormatError(
                "TOO_LARGE",
                path,
                f"it has over {MOST_VALUES} values, {LONGEST_NAMES} characters of "
                f"names or {DEEPEST} dicts within each other",
                "Save only the model's state_dict.",
            )
        if name in tensors or name in others:
            raise FormatError(
                "DUPLICATE", path, f"it has {shown(name)} twice", f"{AGAIN}."
            )
        if isinstance(value, Tensor):
            tensors[name] = view(path, name, value, regions)
            keys[outermost] = keys.get(outermost, 0) + 1
        elif isinstance(value, dict) and value:
            inner = cast(Table, value)
            room -= COST * len(inner)
            prefix = f"{name}."
            waiting.extend(
                (prefix, outermost, inner_key, one, depth + 1)
                for inner_key, one in reversed(inner.items())
            )
        else:
            others[name] = kind(cast(object, value))
    return tensors, others, keys
