"""Keras' weights in several files: `X.weights.json` and `X_00000.weights.h5`, ...

`read` gives the arrays of all files together, by their paths.
"""

import json
from pathlib import Path
from typing import Any, cast

from albert_core.errors import FormatError, listed, shown
from albert_core.file_checks import AGAIN, first_bytes, not_a, refusing
from albert_core.lazy import Lazy
from albert_core.sharding import LONGEST_NAME, check_links
from conversion.formats import hdf5

LARGEST_INDEX = 2**26
MOST_FILES = 10_000


def read(path: Path) -> dict[str, Lazy]:
    """Read what all files of an index hold.

    Raises:
        FormatError: The index, or a file that it names, is damaged, hostile or missing.
    """
    places = _places(path)
    files = sorted({name for names in places.values() for name in names})
    missing = [name for name in files if not path.with_name(name).exists()]
    if missing:
        raise FormatError(
            "TRUNCATED",
            path,
            f"beside it there is no {listed(missing)}",
            "Get all files of the checkpoint.",
        )
    check_links(path, map(path.with_name, files))
    found: dict[str, Lazy] = {}
    groups: dict[str, set[str]] = {}
    for name in files:
        for array, lazy in hdf5.read(path.with_name(name)).items():
            if array in found:
                what = f"two of its files have {shown(array)}"
                raise FormatError("DUPLICATE", path, what, f"{AGAIN}.")
            found[array] = lazy
            groups.setdefault(array.rpartition("/")[0], set()).add(name)
    # Keras names more files than it needs, and groups that have no arrays.
    for group, where in groups.items():
        other = sorted(where - places.get(group, set()))
        if other:
            what = f"{shown(other[0])} has {shown(group)}, but it does not say so"
            raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
    return found


def _places(path: Path) -> dict[str, set[str]]:
    """The files of each group, all of them beside the index."""
    start, state = first_bytes(path)
    if not start.lstrip().startswith(b"{"):
        raise not_a("index of Keras weights", path, start)
    if state[0] > LARGEST_INDEX:
        what = f"it has {state[0]} bytes, more than that of any model"
        raise FormatError("TOO_LARGE", path, what, f"{AGAIN}.")
    with refusing(path):
        index: Any = json.loads(path.read_bytes())
        match index:
            case {"weight_map": table} if isinstance(table, dict):
                entries = cast(dict[str, Any], table)
            case _:
                raise ValueError('it has no table "weight_map"')
        found: dict[str, set[str]] = {}
        for group, value in entries.items():
            names = cast(list[object], value if isinstance(value, list) else [value])
            found[group.removeprefix("/")] = {_plain(path, one) for one in names}
        if len({name for names in found.values() for name in names}) > MOST_FILES:
            what = f"it names more than {MOST_FILES} files"
            raise FormatError("TOO_LARGE", path, what, f"{AGAIN}.")
        return found


def _plain(path: Path, name: object) -> str:
    """A name of a file beside the index."""
    if not isinstance(name, str):
        raise ValueError(f"it names the file {shown(name)}")
    too_long = len(name.encode(errors="replace")) > LONGEST_NAME
    if too_long or not name.endswith(".h5") or set(name) & set("/\\:\0"):
        raise FormatError(
            "UNSAFE",
            path,
            f"it names the file {shown(name)}, which is no HDF5 file beside it",
            f"{AGAIN}, from someone you trust.",
        )
    return name
