"""Keras' `.keras` files: zip files of a configuration, metadata and HDF5 weights.

`read` gives the arrays, and `contents` the configuration and metadata as well. These
are data: what they name is never imported and never run.
"""

import contextlib
import errno
import json
import shutil
import tempfile
import weakref
import zipfile
import zlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, first_bytes, not_a, refusing
from albert_core.lazy import Array, Lazy
from conversion.formats import hdf5
from conversion.formats.hdf5_process import Window
from conversion.formats.hdf5_table import MOST_TIMES, Texts
from conversion.formats.stored_zip import MOST_MEMBERS, members

WEIGHTS = "model.weights.h5"
CONFIG = "config.json"
METADATA = "metadata.json"
LARGEST_JSON = 2**24
BLOCK = 2**20
DAMAGE = zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError


@dataclass(frozen=True)
class Contents:
    """What an archive holds.

    Attributes:
        arrays: The arrays by their paths.
        texts: The attributes with texts, as in `hdf5.Contents`.
        config: The configuration; empty if there is none.
        metadata: The metadata; empty if there is none.
    """

    arrays: Mapping[str, Lazy]
    texts: Texts
    config: dict[str, Any]
    metadata: dict[str, Any]


class Folder:
    """A private folder that goes away with the last array in it."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="albert-zoo-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


@dataclass(frozen=True)
class Unpacked:
    """An array in a file that was unpacked.

    Attributes:
        lazy: The array.
        folder: Where the file is.
    """

    lazy: Lazy
    folder: Folder

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        return self.lazy.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type."""
        return self.lazy.dtype

    def read(self) -> Array:
        """Read the array."""
        return self.lazy.read()


def read(path: Path) -> dict[str, Lazy]:
    """Read the weights of an archive.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    return dict(contents(path).arrays)


def contents(path: Path) -> Contents:
    """Read the weights, the configuration and the metadata of an archive.

    All of the weights are read once, for their checksum.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    start, state = first_bytes(path)
    if not start.startswith(b"PK"):
        raise not_a("Keras archive", path, start)
    with _opened(path) as archive:
        known, packed = _checked(path, archive)
        config, metadata = (_json(path, archive, name) for name in (CONFIG, METADATA))
        if WEIGHTS not in known:
            raise FormatError(
                "NOT_A_CHECKPOINT",
                path,
                f"it has no member {WEIGHTS}; it has {shown(sorted(known)[:5])}",
                "Save the model again with Keras, its weights as HDF5.",
            )
        if not packed:
            begin = b""
            for block in _blocks(archive, WEIGHTS):
                begin = begin or block[:64]
            # What the directory says is what stands before the member.
            member = members(path)[0][WEIGHTS]
            window = Window(path, member.start, member.size, state)
            found = hdf5.inside(window, begin)
            return Contents(found.arrays, found.texts, config, metadata)
        folder = Folder()
        unpacked = folder.path / WEIGHTS
        with unpacked.open("xb") as file:
            for block in _blocks(archive, WEIGHTS):
                file.write(block)
    with _named(path, unpacked):
        found = hdf5.contents(unpacked)
    arrays = {name: Unpacked(lazy, folder) for name, lazy in found.arrays.items()}
    return Contents(arrays, found.texts, config, metadata)


@contextlib.contextmanager
def _opened(path: Path) -> Generator[zipfile.ZipFile]:
    """The archive; whatever is wrong with it becomes a `FormatError`."""
    try:
        with refusing(path), zipfile.ZipFile(path) as archive:
            yield archive
    except (*DAMAGE, OSError) as problem:
        # A place before the first byte is an error of the system.
        if isinstance(problem, OSError) and problem.errno != errno.EINVAL:
            raise
        text = str(problem)[:300]
        code = "CHECKSUM" if "CRC" in text else "BAD_HEADER"
        what = f"it is damaged: {text if text.isprintable() else shown(text)}"
        raise FormatError(code, path, what, f"{AGAIN}.") from problem


@contextlib.contextmanager
def _named(path: Path, unpacked: Path) -> Generator[None]:
    """Name the archive in errors, not the file that was unpacked for a moment."""
    try:
        yield
    except FormatError as problem:
        text = str(problem).partition(f"{unpacked}: ")[2]
        what, _, remedy = text.rpartition(". ")
        raise FormatError(
            problem.code, path, f"in its {WEIGHTS}, {what}", remedy
        ) from problem


def _checked(path: Path, archive: zipfile.ZipFile) -> tuple[set[str], bool]:
    """The names of the members, if none is odd, and whether any is packed."""
    entries = archive.infolist()
    if len(entries) > MOST_MEMBERS:
        what = f"it has {len(entries)} members, more than any model"
        raise FormatError("TOO_LARGE", path, what, f"{AGAIN}.")
    if not any(one.compress_type for one in entries):
        return set(members(path)[0]), False
    known: set[str] = set()
    for one in entries:
        name, given = one.filename, one.orig_filename
        parts = name.removesuffix("/").split("/")
        if not {"", ".", ".."}.isdisjoint(parts) or set(given) & {"\\", "\0"}:
            what = f"its member {shown(given)} has a name that is no plain path"
            raise FormatError("UNSAFE", path, what, f"{AGAIN}, from someone you trust.")
        if name in known:
            what = f"it has the member {shown(name)} twice"
            raise FormatError("DUPLICATE", path, what, f"{AGAIN}.")
        known.add(name)
        if one.flag_bits & 1 or one.compress_type not in (0, zipfile.ZIP_DEFLATED):
            how = "is encrypted" if one.flag_bits & 1 else "is packed in a rare way"
            what = f"its member {shown(name)} {how}"
            raise FormatError("UNSUPPORTED", path, what, "Save it again with Keras.")
        if one.file_size > MOST_TIMES * one.compress_size:
            raise FormatError(
                "TOO_LARGE",
                path,
                f"its member {shown(name)} unpacks from {one.compress_size} bytes to "
                f"{one.file_size}",
                f"{AGAIN}, from someone you trust.",
            )
    return known, True


def _json(path: Path, archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    """A member that is a JSON object, or nothing if there is none."""
    if name not in archive.namelist():
        return {}
    if archive.getinfo(name).file_size > LARGEST_JSON:
        what = f"its {name} has {archive.getinfo(name).file_size} bytes"
        raise FormatError("TOO_LARGE", path, what, f"{AGAIN}.")
    found: Any = json.loads(b"".join(_blocks(archive, name)))
    if not isinstance(found, dict):
        raise ValueError(f"its {name} is no JSON object, but {shown(found)}")
    return cast(dict[str, Any], found)


def _blocks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """A member piece by piece; its end is an error if its checksum is another."""
    with archive.open(name) as file:
        while block := file.read(BLOCK):
            yield block


def write(
    path: Path,
    weights: Path | Mapping[str, Lazy | Array],
    config: Mapping[str, Any],
    metadata: Mapping[str, Any],
    texts: Mapping[str, Mapping[str, str | Sequence[str]]] | None = None,
) -> None:
    """Write an archive, its members unpacked and without the time.

    Args:
        path: The file, which must not be there.
        weights: An HDF5 file, or arrays that become one beside `path` for a while;
            each is read once and then let go.
        config: The configuration as Keras serialises a model.
        metadata: Such as {"keras_version": "3.15.1"}.
        texts: Attributes of the weights, as `hdf5.write` takes them.

    Raises:
        FormatError: An array has a number type or a name that HDF5 does not have.
    """
    if not isinstance(weights, Path):
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=path.name) as folder:
            inner = Path(folder) / WEIGHTS
            hdf5.write(inner, weights, texts, bfloat16=True)
            write(path, inner, config, metadata)
        return
    with path.open("xb") as file, zipfile.ZipFile(file, "w") as archive:
        for name, value in ((METADATA, metadata), (CONFIG, config)):
            with _member(archive, name, 0) as out:
                out.write(json.dumps(value).encode())
        with (
            weights.open("rb") as data,
            _member(archive, WEIGHTS, weights.stat().st_size) as out,
        ):
            shutil.copyfileobj(data, out, BLOCK)


def _member(archive: zipfile.ZipFile, name: str, size: int) -> IO[bytes]:
    member = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    member.create_system, member.external_attr = 3, 0o600 << 16
    return archive.open(member, "w", force_zip64=size >= 2**31 - 1)
