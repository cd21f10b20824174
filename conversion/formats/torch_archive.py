"""The zip files of PyTorch: a pickle, and a member for each storage."""

import zlib
from pathlib import Path

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, refusing
from conversion.formats.restricted_pickle import LARGEST, Global, load
from conversion.formats.stored_zip import Member, members
from conversion.formats.torch_names import DTYPES, Storage, functions
from conversion.formats.torch_tensors import Region


def read_zip(path: Path) -> tuple[object, dict[str, Region]]:
    """The value of the pickle, and the places of the storages.

    Raises:
        FormatError: The file is damaged or hostile, or another kind of archive.
    """
    found, state = members(path)
    root = _root(path, found)
    names = {name[len(root) :] for name in found}
    if "constants.pkl" in names or any(name.startswith("code/") for name in names):
        raise FormatError(
            "UNSUPPORTED",
            path,
            "it is a TorchScript archive (TORCHSCRIPT), which holds code",
            "Load it with torch.jit.load and save its state_dict.",
        )
    if f"{root}byteorder" in found:
        order = _bytes(path, found[f"{root}byteorder"])
        if order != b"little":
            raise FormatError(
                "UNSUPPORTED",
                path,
                f"its numbers are in the byte order {shown(order)}",
                "Save it again on a little-endian computer.",
            )
    regions: dict[str, Region] = {}

    def persistent(number: object) -> Storage:
        match number:
            case ("storage", Global(kind), str(key), str(), int(count)):
                storage = Storage(key, kind, count)
            case _:
                raise ValueError("a pickle names something that is no storage")
        name = f"{root}data/{key}"
        if name not in found:
            raise ValueError(f"it has no member {shown(name)}, but its pickle does")
        member = found[name]
        width = DTYPES[kind].itemsize if kind in DTYPES else 0
        # A storage of bytes need not be a whole number of wider numbers.
        if width and not 0 <= member.size - count * width < width:
            raise FormatError(
                "BAD_SHAPE",
                path,
                f"its storage {shown(key)} has {member.size} bytes, its pickle says "
                f"{count} numbers of {width}",
                f"{AGAIN}.",
            )
        place = Region(path, member.start, member.size, state, member.crc)
        regions.setdefault(key, place)
        return storage

    data = _bytes(path, found[f"{root}data.pkl"])
    value, end = load(path, data, 0, functions(path), persistent)
    with refusing(path):
        if end != len(data):
            raise ValueError(f"its pickle ends at byte {end} of {len(data)}")
    return value, regions


def _root(path: Path, found: dict[str, Member]) -> str:
    """The folder that all members are in."""
    roots = {name.split("/")[0] + "/" for name in found}
    with_pickle = [root for root in roots if f"{root}data.pkl" in found]
    if with_pickle and len(roots) > 1:
        raise FormatError(
            "UNSAFE",
            path,
            f"it has members in the folders {shown(sorted(roots))}, torch.save has one",
            f"{AGAIN}, from someone you trust.",
        )
    if not with_pickle:
        names = shown(sorted(found)[:5])
        raise FormatError(
            "NOT_A_CHECKPOINT",
            path,
            f"it is a zip file without data.pkl; it has {names}",
            "Give a file that torch.save has written.",
        )
    return with_pickle[0]


def _bytes(path: Path, member: Member) -> bytes:
    """A small member, if it has its checksum."""
    if member.size > LARGEST:
        raise FormatError(
            "TOO_LARGE",
            path,
            f"its member {shown(member.name)} has {member.size} bytes, more than that "
            f"of any model",
            "Save only the model's state_dict.",
        )
    with path.open("rb") as file:
        file.seek(member.start)
        data = file.read(member.size)
    if zlib.crc32(data) != member.crc:
        raise FormatError(
            "CHECKSUM",
            path,
            f"its member {shown(member.name)} has the checksum {zlib.crc32(data):08x}, "
            f"it should be {member.crc:08x}",
            f"{AGAIN}.",
        )
    return data
