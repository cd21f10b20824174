# pyright: reportMissingTypeStubs=false
"""Folders of Orbax: what JAX's programs save their parameters in.

Reading needs the package tensorstore, writing orbax-checkpoint; both come with Flax. No
array of a tree is read before it is asked for, and nothing in the folder is executed.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, cast

import numpy as np

from albert_core.errors import FormatError, MissingPackageError, shown
from albert_core.file_checks import (
    AGAIN,
    check_dtypes,
    check_shape,
    first_bytes,
    parse_json,
)
from albert_core.lazy import Array, Lazy, take, unreadable
from albert_core.safetensors_file import DTYPES
from albert_core.sharding import check_links
from conversion.formats.hdf5_table import MOST_TIMES, SLACK

METADATA, MARK = "_METADATA", "_CHECKPOINT_METADATA"
UNFINISHED = ".orbax-checkpoint-tmp"
MANIFEST = "manifest.ocdbt"
LARGEST = 16 * 2**20  # bytes of the metadata
MOST = 10_000  # arrays


@dataclass(frozen=True)
class Kept:
    """An array in a folder of Orbax.

    Attributes:
        path: The folder.
        store: What tensorstore gives for it.
    """

    path: Path
    store: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return tuple(self.store.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type."""
        return np.dtype(self.store.dtype.numpy_dtype)

    def read(self) -> Array:
        """The array, in memory of its own."""
        try:
            return np.asarray(self.store.read().result())
        except (ValueError, OSError) as problem:
            raise _damaged(self.path, problem) from problem


def is_one(folder: Path) -> bool:
    """Whether a folder is one of Orbax, finished or not."""
    return (folder / METADATA).is_file() or UNFINISHED in folder.name


def read(path: Path) -> dict[str, Lazy]:
    """Read what a folder holds: the keys of its tree, joined by dots.

    Raises:
        FormatError: It is not complete, or damaged.
        MissingPackageError: tensorstore is not installed.
    """
    names = _specs(path)
    stored = _stored(path)
    ts = _package("tensorstore")
    found: dict[str, Lazy] = {}
    total = 0
    for name, spec in names.items():
        try:
            store = ts.open(spec, open=True, read=True).result()
        except (ValueError, OSError) as problem:
            raise _damaged(path, problem) from problem
        found[name] = Kept(path, store)
        shape = check_shape(path, name, store.shape)
        # A part is unpacked whole, and can be larger than the array.
        part = check_shape(path, name, store.chunk_layout.read_chunk.shape)
        total += max(math.prod(shape), math.prod(part)) * found[name].dtype.itemsize
    if total > MOST_TIMES * stored + SLACK:
        what = f"its arrays have {total} bytes, but its files {stored}"
        raise FormatError("TOO_LARGE", path, what, f"{AGAIN}.")
    return found


def write(path: Path, arrays: Mapping[str, Lazy | Array]) -> None:
    """Write a folder, which must not be there, as `StandardCheckpointer` does.

    Raises:
        MissingPackageError: orbax-checkpoint is not installed.
    """
    check_dtypes(arrays, path, {dtype.name for dtype in DTYPES.values()})
    orbax = _package("orbax.checkpoint")
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *keys, leaf = name.split(".")
        place = tree
        for key in keys:
            place = place.setdefault(key, {})
        place[leaf] = take(array)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(path.resolve(), tree)


def _package(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as problem:
        raise MissingPackageError(
            f"Folders of Orbax need the package {name}, which is not installed: "
            f"pip install 'albert-zoo[flax]'"
        ) from problem


def _stored(path: Path) -> int:
    """The bytes of all files, which must be files, and none of them elsewhere."""
    inner = [one for one in path.rglob("*") if one.is_symlink() or not one.is_dir()]
    check_links(path / METADATA, inner)
    try:
        return sum(first_bytes(one, may_be_empty=True)[1][0] for one in inner)
    except OSError as problem:
        raise unreadable(path, problem) from problem


def _specs(path: Path) -> dict[str, dict[str, Any]]:
    """The name of every array, and where tensorstore finds it."""
    file = path / METADATA
    if UNFINISHED in path.name or not file.is_file() or not _is_committed(path):
        what = "Orbax has begun it and not finished"
        raise FormatError("INCOMPLETE", path, what, "Save the checkpoint again.")
    if file.stat().st_size > LARGEST:
        what = f"it has {file.stat().st_size} bytes, at most {LARGEST} are expected"
        raise FormatError("TOO_LARGE", file, what, f"{AGAIN}.")
    values = parse_json(file.read_bytes(), file, "BAD_HEADER")
    table = cast(dict[str, Any], values if isinstance(values, dict) else {})
    tree = table.get("tree_metadata")
    if not isinstance(tree, dict) or len(cast(dict[str, Any], tree)) > MOST:
        what = f"it describes no tree of at most {MOST} arrays"
        raise FormatError("BAD_HEADER", file, what, f"{AGAIN}.")
    packed = table.get("use_ocdbt", True)
    if packed and not (path / MANIFEST).is_file():
        what = f"it has no {MANIFEST}"
        raise FormatError("INCOMPLETE", path, what, "Save the checkpoint again.")
    driver = "zarr3" if table.get("use_zarr3") else "zarr"
    # A part of zeros that is not there may have been left out by an old Orbax only.
    filled = not table.get("store_array_data_equal_to_fill_value")
    common = {"driver": driver, "fill_missing_data_reads": filled}
    found: dict[str, dict[str, Any]] = {}
    for entry in cast(dict[str, Any], tree).values():
        keys, kind = _described(entry)
        if not keys or not all(map(_is_plain, keys)):
            what = f"it describes an array by {shown(json.dumps(entry))}"
            raise FormatError("BAD_HEADER", file, what, f"{AGAIN}.")
        if kind in ("jax.Array", "np.ndarray"):
            name = ".".join(keys)
            inside = {"driver": "ocdbt", "base": path.resolve().as_uri()}
            beside = {"driver": "file", "path": f"{path.resolve() / name}/"}
            place = {**inside, "path": f"{name}/"} if packed else beside
            found[name] = {**common, "kvstore": place}
    return found


def _described(entry: object) -> tuple[list[str], str]:
    """The keys that lead to an array, and what it is; no keys if that is not said."""
    try:
        values = cast(Any, entry)
        keys = [str(one["key"]) for one in values["key_metadata"]]
        return keys, str(values["value_metadata"]["value_type"])
    except (KeyError, TypeError):
        return [], ""


def _is_plain(key: str) -> bool:
    """Whether a key can be a part of a name, and lead nowhere else."""
    return bool(key.strip(".")) and set("/\\\0").isdisjoint(key)


def _is_committed(path: Path) -> bool:
    """Whether Orbax has noted the end of its work, where it notes that."""
    mark = path / MARK
    if not mark.is_file() or mark.stat().st_size > LARGEST:
        return True
    values = parse_json(mark.read_bytes(), mark, "BAD_HEADER")
    return not isinstance(values, dict) or bool(
        cast(dict[str, Any], values).get("commit_timestamp_nsecs", True)
    )


def _damaged(path: Path, problem: Exception) -> FormatError:
    text = str(problem).replace(f"{path.resolve()}/", "")
    what = f"tensorstore cannot read it: {shown(text)}"
    return FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
