"""Write HDF5 files as Keras lays them out: plain numbers, names in attributes."""

import errno
import importlib
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from albert_core.errors import FormatError, shown
from albert_core.file_checks import check_dtypes, check_names
from albert_core.lazy import Array, Lazy, chunks, nbytes, raw, take
from conversion.formats.hdf5_arrays import DTYPES

LARGEST_ATTRIBUTE = 64512  # bytes; from there on Keras cuts lists of names
TYPES = {dtype.name: dtype for code, dtype in DTYPES.items() if code[0] != ">"}


def write(
    path: Path,
    arrays: Mapping[str, Lazy | Array],
    texts: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
    *,
    bfloat16: bool = False,
    links: Mapping[str, str] | None = None,
) -> None:
    """Write arrays, each whole and unpacked, in the order of the names as given.

    Args:
        path: The file, which must not be there.
        arrays: Paths in the file and arrays; each is read once and then let go.
        texts: Attributes by the group that they are of, as `attributes` gives them;
            groups that are not there are made.
        bfloat16: Write bfloat16 as Keras 3 does and reads it. HDF5 has no such type,
            and TensorFlow's older Keras cannot read what it writes itself.
        links: Further paths -> the paths of the arrays that they lead to.

    Raises:
        FormatError: An array has a number type that the format does not have, or a name
            that it cannot have.
        OSError: The disk is full, or cannot be written.
    """
    kinds = TYPES if bfloat16 else TYPES.keys() - {"bfloat16"}
    check_dtypes(arrays, path, kinds)
    check_names(arrays, path)
    _check_paths(path, arrays, texts or {})
    h5py: Any = importlib.import_module("h5py")  # light until it is needed
    with _in_plain_words(path), h5py.File(path, "x") as file:
        for group, own in (texts or {}).items():
            owner = file.require_group(group) if group else file
            for name, text in own.items():
                _note(owner.attrs, name, text)
        starts = {name: _room(h5py, file, name, arrays[name]) for name in arrays}
        for name, owner in (links or {}).items():
            file[name] = file[owner]
    # The library would have every array in memory whole.
    with path.open("r+b") as file:
        for name, start in starts.items():
            if start is None:
                continue
            file.seek(start)
            for chunk in chunks(arrays[name]):
                file.write(chunk)


@contextmanager
def _in_plain_words(path: Path) -> Generator[None]:
    """Say what the system says, and not what the library was about to do."""
    try:
        yield
    except (OSError, RuntimeError) as problem:  # the latter at its end
        code = getattr(problem, "errno", None) or errno.EIO
        raise OSError(code, os.strerror(code), str(path)) from problem


def _room(h5py: Any, file: Any, name: str, array: Lazy | Array) -> int | None:
    """Make room for an array, little-endian and unpacked; gives where that is."""
    dtype = TYPES[array.dtype.name]
    special = dtype.name == "bfloat16"
    created = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    created.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    created.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    created.set_obj_track_times(False)
    kind = "V2" if special else dtype
    data = file.create_dataset(name, array.shape, kind, dcpl=created)
    if special:
        data.attrs["dtype"] = dtype.name
    start: int | None = data.id.get_offset()
    if start is None and nbytes(array):  # one number, which is kept elsewhere
        data.write_direct(np.frombuffer(raw(take(array)), data.dtype).reshape(()))
    return start


def _note(attributes: Any, name: str, text: str | Sequence[str]) -> None:
    """Add a text, or a list of them in as many pieces as Keras makes of it."""
    if isinstance(text, str):
        attributes[name] = text.encode()
        return
    given = [one.encode() for one in text]
    whole = np.asarray(given)
    count = 1
    pieces = [whole]
    while any(piece.nbytes > LARGEST_ATTRIBUTE for piece in pieces):
        count += 1
        pieces = np.array_split(whole, count)
    if count == 1:
        attributes[name] = given
    else:
        for number, piece in enumerate(pieces):
            attributes[f"{name}{number}"] = piece


def _check_paths(
    path: Path,
    arrays: Mapping[str, object],
    texts: Mapping[str, Mapping[str, str | Sequence[str]]],
) -> None:
    """Refuse names that HDF5 would read as other ones, or as a group and an array."""
    groups = {name for name in texts if name}
    for name in {*arrays, *groups}:
        parts = name.split("/")
        groups |= {"/".join(parts[:end]) for end in range(1, len(parts))}
    wrong = [
        shown(name)
        for name in [*arrays, *groups]
        if not {"", "."}.isdisjoint(name.split("/"))
        or "\0" in name
        or (name in arrays and name in groups)
    ]
    long = [
        shown(one)
        for own in texts.values()
        for text in own.values()
        for one in ([text] if isinstance(text, str) else text)
        if len(one.encode(errors="replace")) > LARGEST_ATTRIBUTE
    ]
    if wrong or long:
        raise FormatError(
            "UNSUPPORTED",
            path,
            f"it cannot have the name {', '.join((wrong or long)[:20])}",
            "Give it another name.",
        )
