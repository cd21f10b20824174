"""The zip files that `torch.save` writes: nothing compressed, nothing left over.

Programs differ in what they take from an odd zip file, and so one can show harmless
weights to a scanner and others to a reader. This reader takes only what all agree on:
the file begins with a member and ends with the directory, the members follow each
other, and both descriptions of each say the same. Source: APPNOTE.TXT of PKWARE.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, first_bytes, refusing

LARGEST_DIRECTORY = 2**24
MOST_MEMBERS = 100_000
_END = struct.Struct("<4s4H2IH")
_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIBED = 8  # flag: sizes and checksum stand behind the data
_DESCRIPTIONS = 16, 24  # bytes there, with sizes of four or eight
_ENCRYPTED = 1 | 64 | 2**13


@dataclass(frozen=True)
class Member:
    """A file in the zip file.

    Attributes:
        name: Its name.
        header: Where what stands before it begins.
        start: Where it begins.
        size: Its bytes.
        crc: Its checksum.
        described: If a description stands behind it.
    """

    name: str
    header: int
    start: int
    size: int
    crc: int
    described: bool


def members(path: Path) -> tuple[dict[str, Member], tuple[int, int]]:
    """The members by name, and the state of the file.

    Raises:
        FormatError: The file is damaged, or odd in any way.
    """
    state = first_bytes(path)[1]
    with path.open("rb") as file, refusing(path):
        begin, count, entries = _directory(path, file, state[0])
        found: dict[str, Member] = {}
        at = 0
        while at < len(entries):
            member, at = _member(path, file, entries, at)
            if member.name in found:
                raise FormatError(
                    "DUPLICATE",
                    path,
                    f"it has the member {shown(member.name)} twice",
                    f"{AGAIN}.",
                )
            found[member.name] = member
        if len(found) != count:
            raise ValueError(f"its directory has {len(found)} members, not {count}")
        _follow_each_other(list(found.values()), begin)
        return found, state


def _directory(path: Path, file: IO[bytes], size: int) -> tuple[int, int, bytes]:
    """Where the directory begins, the number of its entries, and the directory."""
    end = size - _END.size
    tail = _at(file, max(end - _LOCATOR.size, 0), min(size, 42))
    if tail[-_END.size :][:4] != b"PK\5\6" or end < 0:
        raise FormatError(
            "TRUNCATED",
            path,
            "it begins as a zip file, but does not end as one",
            f"{AGAIN}.",
        )
    _, *disks, count, all_, length, begin, comment = _END.unpack(tail[-_END.size :])
    claims, stop = [count, length, begin], end
    if any(disks) or all_ != count or comment:
        raise ValueError("it is one part of a zip file, or has a comment")
    if tail.startswith(b"PK\6\7"):
        _, disk, stop, disks = _LOCATOR.unpack(tail[: _LOCATOR.size])
        _, rest, _, _, *disks64, count, all_, length, begin = _END64.unpack(
            _at(file, stop, _END64.size)
        )
        if disk or disks > 1 or any(disks64) or rest != 44 or all_ != count:
            raise ValueError("the zip64 end of its directory is damaged")
        if stop + _END64.size + _LOCATOR.size != end:
            raise ValueError("the zip64 end of its directory is not at its place")
        for claim, found, most in zip(
            claims, (count, length, begin), (2**16, 2**32, 2**32), strict=True
        ):
            if claim not in (found, most - 1):
                raise ValueError(f"its directory is said to have {claim} and {found}")
    if begin + length != stop:
        raise ValueError(
            f"its directory is at bytes {begin} to {begin + length}, not up to {stop}"
        )
    if length > LARGEST_DIRECTORY or count > MOST_MEMBERS:
        raise FormatError(
            "TOO_LARGE",
            path,
            f"it has {count} members in a directory of {length} bytes, more than any "
            f"model",
            "Save only the model's state_dict.",
        )
    return begin, count, _at(file, begin, length)


def _member(path: Path, file: IO[bytes], entries: bytes, at: int) -> tuple[Member, int]:
    """One member of the directory, and where the next begins."""
    fields = _ENTRY.unpack_from(entries, at)
    magic, _, _, flags, method, _, _, crc, packed, size, *rest = fields
    name_size, extra_size, comment_size, disk, _, _, header = rest
    begin, middle = at + _ENTRY.size, at + _ENTRY.size + name_size
    raw, extra = entries[begin:middle], entries[middle : middle + extra_size]
    at = middle + extra_size + comment_size
    if magic != b"PK\1\2" or at > len(entries):
        raise ValueError("its directory is damaged")
    name = raw.decode()
    size, packed, header = _large(extra, size, packed, header)
    if flags & _ENCRYPTED or method:
        what = "encrypted" if flags & _ENCRYPTED else "compressed"
        raise FormatError(
            "UNSUPPORTED",
            path,
            f"its member {shown(name)} is {what}; torch.save writes none such",
            "Unpack it and save it again with torch.",
        )
    if packed != size or disk:
        raise ValueError(f"its member {shown(name)} has {packed} and {size} bytes")
    parts = name.removesuffix("/").split("/")
    if not {"", ".", ".."}.isdisjoint(parts) or set(name) & set("\\\0"):
        raise FormatError(
            "UNSAFE",
            path,
            f"its member {shown(name)} has a name that is no plain path",
            f"{AGAIN}, from someone you trust.",
        )
    start = _start(file, header, (flags, crc, size, raw))
    described = bool(flags & _DESCRIBED)
    return Member(name, header, start, size, crc, described), at


def _large(extra: bytes, *numbers: int) -> list[int]:
    """The numbers, those that do not fit their fields from the extra field for it."""
    values, at = list(numbers), 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, at)
        at += 4
        if kind == 1:
            place = at
            for index, number in enumerate(numbers):
                if number == 2**32 - 1:
                    if place + 8 > at + length:
                        raise ValueError("a zip64 field of its directory is too short")
                    (values[index],) = struct.unpack_from("<Q", extra, place)
                    place += 8
        at += length
    return values


def _start(file: IO[bytes], at: int, said: tuple[int, int, int, bytes]) -> int:
    """Where a member begins, if what stands before it is what the directory says."""
    flags, crc, size, raw = said
    fields = _LOCAL.unpack(_at(file, at, _LOCAL.size))
    magic, _, own_flags, method, _, _, own_crc, packed, own_size, *lengths = fields
    at += _LOCAL.size + sum(lengths)
    texts = _at(file, at - sum(lengths), sum(lengths))
    name, extra = texts[: lengths[0]], texts[lengths[0] :]
    # Zeros, if the numbers come behind the data.
    later = {0} if flags & _DESCRIBED else set[int]()
    if (
        (magic, own_flags, method, name) != (b"PK\3\4", flags, 0, raw)
        or own_crc not in later | {crc}
        or not set(_large(extra, own_size, packed)) <= later | {size}
    ):
        raise ValueError(
            f"its member {shown(raw.decode())} is described in two ways, before it and "
            f"in the directory"
        )
    return at


def _follow_each_other(found: list[Member], end: int) -> None:
    """Refuse members that overlap, and bytes that belong to none."""
    at, room = 0, (0,)
    for member in sorted(found, key=lambda member: member.header):
        if member.header - at not in room:
            raise ValueError(
                f"its member {shown(member.name)} begins at byte {member.header}, "
                f"the one before ends at {at}"
            )
        at = member.start + member.size
        room = (0, *_DESCRIPTIONS) if member.described else (0,)
    if end - at not in room:
        raise ValueError(f"its members end at byte {at}, its directory begins at {end}")


def _at(file: IO[bytes], start: int, size: int) -> bytes:
    # The system refuses to go to some places far behind the end.
    if start + size > os.fstat(file.fileno()).st_size:
        raise ValueError(f"{size} bytes at byte {start} lie behind its end")
    file.seek(start)
    return file.read(size)
