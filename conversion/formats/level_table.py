"""The sorted table of LevelDB, as TensorFlow writes the index of a checkpoint.

A file is a row of blocks, an empty block about blocks, a block that says where the
others are, and a footer. A block is keys, each without the start that it shares with
the key before, and values. Source: leveldb/doc/table_format.md. There is a package
plyvel, but it opens databases, not single tables.
"""

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from albert_core.crc32c import crc32c, masked
from albert_core.errors import FormatError
from albert_core.file_checks import AGAIN, first_bytes, not_a, refusing

MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
FOOTER = 48
TRAILER = 5  # one byte for the kind of compression, four for the checksum
BLOCK = 2**18  # bytes after which a block that is written ends
RESTART = 16  # keys after which one is written whole
LARGEST = 2**25  # bytes of a table that is read; one entry takes less than a hundred
MOST_ENTRIES = 100_000
MOST_BLOCKS = 10_000


def read(path: Path) -> dict[bytes, bytes]:
    """Read a whole table.

    Raises:
        FormatError: It is no table, damaged, or larger than any index.
    """
    start, (size, _) = first_bytes(path)
    if size < FOOTER:
        raise FormatError(
            "TOO_SHORT", path, f"it has {size} bytes, a table has {FOOTER}", f"{AGAIN}."
        )
    with path.open("rb") as file:
        file.seek(size - FOOTER)
        footer = file.read()
        if not footer.endswith(MAGIC):
            if start[:1] in b"<{":
                raise not_a("index of a TensorFlow checkpoint", path, start)
            raise FormatError(
                "TRUNCATED",
                path,
                f"it ends with {footer[-8:].hex()}, an index of a TensorFlow "
                f"checkpoint with {MAGIC.hex()}; it is cut short or something else",
                f"{AGAIN}.",
            )
        if size > LARGEST:
            raise FormatError(
                "TOO_LARGE",
                path,
                f"it has {size} bytes, an index at most {LARGEST}",
                "Write the checkpoint again without what is no variable.",
            )
        file.seek(0)
        data = file.read()
    with refusing(path):
        return _entries(path, data, footer)


def _entries(path: Path, data: bytes, footer: bytes) -> dict[bytes, bytes]:
    _, at = _handle(footer, 0)
    (begin, size), _ = _handle(footer, at)
    found: dict[bytes, bytes] = {}
    last, room, end = None, LARGEST, 0
    for count, (name, where) in enumerate(_pairs(_block(path, data, begin, size))):
        (begin, size), _ = _handle(where, 0)
        # A block that came again and again would be read again and again.
        if begin < end:
            raise ValueError(f"the block at byte {begin} begins before byte {end}")
        end = begin + size + TRAILER
        room -= len(name)
        if count == MOST_BLOCKS or room < 0:
            raise ValueError(f"it has over {MOST_BLOCKS} blocks, or names for them")
        for key, value in _pairs(_block(path, data, begin, size)):
            if last is not None and key <= last:
                raise ValueError(f"the key {key[:60]!r} is not in its place")
            # A short file could claim long keys that share nearly everything.
            room -= len(key)
            if room < 0 or len(found) == MOST_ENTRIES:
                raise FormatError(
                    "TOO_LARGE",
                    path,
                    f"it has over {MOST_ENTRIES} entries or {LARGEST} bytes of names",
                    "Write the checkpoint again without what is no variable.",
                )
            found[key] = value
            last = key
    return found


def _block(path: Path, data: bytes, begin: int, size: int) -> bytes:
    """The contents of one block, if its checksum is right."""
    stop = begin + size
    if stop + TRAILER > len(data) - FOOTER:
        raise ValueError(f"a block of {size} bytes at byte {begin} ends outside")
    kind = data[stop]
    (crc,) = struct.unpack_from("<I", data, stop + 1)
    if masked(crc32c(memoryview(data)[begin : stop + 1])) != crc:
        raise FormatError(
            "CHECKSUM",
            path,
            f"the block of {size} bytes at byte {begin} does not have the checksum "
            f"that stands behind it",
            f"{AGAIN}.",
        )
    if kind:
        name = {1: "Snappy"}.get(kind, f"kind {kind}")
        raise FormatError(
            "UNSUPPORTED",
            path,
            f"its blocks are compressed ({name}); TensorFlow writes none such",
            "Write the checkpoint again with TensorFlow.",
        )
    return data[begin:stop]


def _pairs(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    (restarts,) = struct.unpack_from("<I", block, len(block) - 4)
    stop = len(block) - 4 * (restarts + 1)
    if stop < 0:
        raise ValueError(f"a block of {len(block)} bytes has {restarts} restarts")
    at, key = 0, b""
    while at < stop:
        shared, at = _varint(block, at)
        own, at = _varint(block, at)
        size, at = _varint(block, at)
        if shared > len(key) or at + own + size > stop:
            raise ValueError(f"an entry at byte {at} of its block ends outside")
        key = key[:shared] + block[at : at + own]
        at += own + size
        yield key, block[at - size : at]


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Where a block begins, and its size."""
    begin, at = _varint(data, at)
    size, at = _varint(data, at)
    return (begin, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise ValueError(f"no end of a number at byte {at}")


def write(file: IO[bytes], entries: Iterable[tuple[bytes, bytes]]) -> None:
    """Write a table.

    Args:
        file: Where to.
        entries: Keys in order, and values.
    """
    places: list[tuple[bytes, bytes]] = []
    held: list[tuple[bytes, bytes]] = []
    size = 0
    for key, value in entries:
        held.append((key, value))
        size += len(key) + len(value)
        if size >= BLOCK:
            places.append((key, _put(file, held)))
            held, size = [], 0
    if held:
        # Any key behind the last one does; TensorFlow takes the shortest.
        end = held[-1][0][:1]
        places.append((bytes([end[0] + 1]) if end else end, _put(file, held)))
    footer = _put(file, []) + _put(file, places, 1)
    file.write(footer.ljust(FOOTER - len(MAGIC), b"\0") + MAGIC)


def _put(
    file: IO[bytes], entries: list[tuple[bytes, bytes]], restart: int = RESTART
) -> bytes:
    """Write one block, and give the place of it."""
    block, restarts, last = bytearray(), [0], b""
    for count, (key, value) in enumerate(entries):
        shared = 0
        if count % restart:
            ends = zip(key, last, strict=False)
            shared = next(
                (at for at, (a, b) in enumerate(ends) if a != b),
                min(len(key), len(last)),
            )
        elif count:
            restarts.append(len(block))
        for number in (shared, len(key) - shared, len(value)):
            block += _to_varint(number)
        block += key[shared:] + value
        last = key
    block += struct.pack(f"<{len(restarts) + 1}I", *restarts, len(restarts))
    block += b"\0"
    begin = file.tell()
    file.write(block + struct.pack("<I", masked(crc32c(bytes(block)))))
    return _to_varint(begin) + _to_varint(len(block) - 1)


def _to_varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)
