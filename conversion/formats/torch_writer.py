"""Write PyTorch's zip files, as `torch.load(..., weights_only=True)` reads them."""

import math
import struct
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from albert_core.file_checks import check_dtypes, check_names
from albert_core.lazy import Array, Lazy, chunks, nbytes
from conversion.formats.torch_names import DTYPES

ALIGNMENT = 64
_KINDS = {dtype.name: kind for kind, dtype in DTYPES.items() if "Untyped" not in kind}


def write(path: Path, arrays: Mapping[str, Lazy | Array]) -> None:
    """Write a dict of tensors, in the order of the names as given.

    Args:
        path: The file, which must not be there.
        arrays: Names and arrays; each is read once and then let go.

    Raises:
        FormatError: An array has a number type that PyTorch does not have.
    """
    check_dtypes(arrays, path, _KINDS)
    check_names(arrays, path)
    with path.open("xb") as file, zipfile.ZipFile(file, "w") as archive:
        _put_bytes(file, archive, "data.pkl", _pickled(arrays))
        _put_bytes(file, archive, "byteorder", b"little")
        for key, array in enumerate(arrays.values()):
            _put(file, archive, f"data/{key}", chunks(array), nbytes(array))
        _put_bytes(file, archive, "version", b"3\n")


def _put_bytes(
    file: IO[bytes], archive: zipfile.ZipFile, name: str, data: bytes
) -> None:
    _put(file, archive, name, [memoryview(data)], len(data))


def _put(
    file: IO[bytes],
    archive: zipfile.ZipFile,
    name: str,
    parts: Iterable[memoryview],
    size: int,
) -> None:
    """Add a member that begins at a multiple of 64 bytes."""
    member = zipfile.ZipInfo(f"archive/{name}", (1980, 1, 1, 0, 0, 0))
    member.create_system = 3
    large = size >= 2**31 - 1
    before = file.tell() + 30 + len(member.filename) + 4 + (20 if large else 0)
    # As torch fills up: an extra field that says nothing.
    fill = -before % ALIGNMENT
    member.extra = b"FB" + struct.pack("<H", fill) + b"Z" * fill
    with archive.open(member, "w", force_zip64=large) as out:
        for part in parts:
            out.write(part)


def _pickled(arrays: Mapping[str, Lazy | Array]) -> bytes:
    """The pickle of a dict of tensors, each in a storage of its own."""
    data = b"\x80\2}("
    items = bytearray(data)
    for key, (name, array) in enumerate(arrays.items()):
        items += _text(name) + _tensor(str(key), array.dtype, array.shape)
    return bytes(items + b"u.")


def _tensor(key: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> bytes:
    """A call of the function that makes a tensor from a storage."""
    kind, count = _KINDS[dtype.name], math.prod(shape)
    # Types that are newer than the names of storages: bytes, and the type beside them.
    new = not kind.endswith("Storage")
    storage = "torch.storage.UntypedStorage" if new else kind
    count *= dtype.itemsize if new else 1
    strides = [math.prod(shape[at + 1 :]) for at in range(len(shape))]
    return b"".join(
        [
            _global(f"torch._utils._rebuild_tensor_v{3 if new else 2}"),
            b"((" + _text("storage") + _global(storage) + _text(key) + _text("cpu"),
            _number(count) + b"tQ",
            _number(0),
            _tuple(shape) + _tuple(strides),
            b"\x89" + _global("collections.OrderedDict") + b")R",
            _global(kind) if new else b"",
            b"tR",
        ]
    )


def _text(text: str) -> bytes:
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def _number(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)


def _tuple(numbers: list[int] | tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(_number, numbers)) + b"t"


def _global(name: str) -> bytes:
    module, _, last = name.rpartition(".")
    return f"c{module}\n{last}\n".encode()
