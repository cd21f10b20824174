"""TFRecord files without TensorFlow.

A file is one record after the other: the length in eight bytes and its checksum in
four, then the data and their checksum in four, all with the lowest byte first.

Source: tensorflow/core/lib/io/record_writer.h
"""

import gzip
import io
import secrets
import struct
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from albert_core.crc32c import crc32c, masked
from albert_core.errors import InputError
from albert_core.files import sync

LARGEST = 64 * 2**20  # bytes of a record; a pretraining example has some thousands
AGAIN = "Get the file again"

_LENGTH = struct.Struct("<Q")
_CHECKSUM = struct.Struct("<I")
_HEADER = _LENGTH.size + _CHECKSUM.size
_GZIP = b"\x1f\x8b"


def read_records(path: str | Path) -> Iterator[bytes]:
    """Yield the records of a file, which gzip may have compressed.

    Only one of them is in memory.

    Raises:
        InputError: The file cannot be read or is damaged. The message counts records
            and bytes from 0, the bytes in what has been decompressed.
    """
    path = Path(path)
    number = at = 0
    with _opened(path) as file:
        while header := _read(file, _HEADER, path, number):
            where = f"{path}, record {number} at byte {at}"
            # What fails at once is rather of another kind than damaged.
            remedy = AGAIN if number else "Give a file of TFRecords"
            _check_size(header, _HEADER, where, remedy)
            length, stored = header[: _LENGTH.size], header[_LENGTH.size :]
            (size,) = _LENGTH.unpack(length)
            _check(length, stored, f"{where}: its length, {size},", remedy)
            if size > LARGEST:
                raise InputError(
                    f"{where} has {size} bytes; at most {LARGEST} are expected. Give "
                    f"a file of smaller records."
                )
            rest = _read(file, size + _CHECKSUM.size, path, number)
            _check_size(
                rest, size + _CHECKSUM.size, f"{where}, behind its length", AGAIN
            )
            data = rest[:size]
            _check(data, rest[size:], f"{where}: its data, {size} bytes,", AGAIN)
            yield data
            number += 1
            at += _HEADER + len(rest)


def write_records(path: str | Path, records: Iterable[bytes]) -> None:
    """Write a file beside its target, then put it in place in one step.

    Killed, out of space, or where the records end in an error, the old file stays.

    Raises:
        InputError: A record is too large to be read again.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("wb") as file:
            for number, record in enumerate(records):
                if len(record) > LARGEST:
                    raise InputError(
                        f"{path}: record {number} has {len(record)} bytes; at most "
                        f"{LARGEST} can be read. Write smaller records."
                    )
                length = _LENGTH.pack(len(record))
                file.write(length + _sum(length) + record + _sum(record))
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    """The file, decompressed where that is needed."""
    try:
        # Opening a pipe would wait for ever.
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is not a regular file. Give a file of TFRecords.")
        file = path.open("rb")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror}. Check its name and who may "
            f"read it."
        ) from problem
    with file:
        start = file.peek(_HEADER)[:_HEADER]
        # A record may have a length that looks like gzip, but then its checksum fits.
        length, stored = start[: _LENGTH.size], start[_LENGTH.size :]
        if start.startswith(_GZIP) and _sum(length) != stored:
            # Records are read in small pieces, for which gzip alone is slow.
            packed = cast(io.RawIOBase, gzip.GzipFile(fileobj=file))
            with io.BufferedReader(packed) as unpacked:
                yield unpacked
        else:
            yield file


def _read(file: BinaryIO, size: int, path: Path, number: int) -> bytes:
    """So many bytes, or fewer at the end of the file."""
    try:
        return file.read(size)
    except (OSError, EOFError, zlib.error) as problem:
        raise InputError(
            f"{path}, record {number} cannot be read: {problem}. {AGAIN}."
        ) from problem


def _check_size(data: bytes, size: int, where: str, remedy: str) -> None:
    if len(data) < size:
        raise InputError(
            f"{where}: {size} bytes are expected, but only {len(data)} are left. "
            f"{remedy}."
        )


def _check(data: bytes, stored: bytes, what: str, remedy: str) -> None:
    if (found := _sum(data)) != stored:
        ours, theirs = (_CHECKSUM.unpack(one)[0] for one in (found, stored))
        raise InputError(
            f"{what} has the checksum {ours:#010x}, but {theirs:#010x} is stored "
            f"behind it. {remedy}."
        )


def _sum(data: bytes) -> bytes:
    return _CHECKSUM.pack(masked(crc32c(data)))
