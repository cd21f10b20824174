"""PyTorch's files up to version 1.5: pickles, and then one storage after the other."""

from pathlib import Path
from typing import cast

from albert_core.errors import FormatError, shown
from albert_core.file_checks import AGAIN, first_bytes, refusing
from conversion.formats.restricted_pickle import LARGEST, Global, kind, load
from conversion.formats.torch_names import DTYPES, Storage, functions
from conversion.formats.torch_tensors import Region

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001


def read_stream(path: Path) -> tuple[object, dict[str, Region]]:
    """The value of the pickle, and the places of the storages.

    Raises:
        FormatError: The file is damaged or hostile, or another kind of pickle.
    """
    storages: dict[str, Storage] = {}

    def persistent(number: object) -> Storage:
        match number:
            case ("storage", Global(name), str(key), str(), int(count), None):
                storage = Storage(key, name, count)
            case _:
                raise ValueError("a pickle names something that is no storage")
        if storages.setdefault(key, storage) != storage:
            raise ValueError(f"its pickle says of the storage {shown(key)} two things")
        return storage

    with path.open("rb") as file:
        data = file.read(LARGEST)
    allowed = functions(path)
    found, at = load(path, data, 0, allowed, persistent)
    if found != MAGIC:
        raise FormatError(
            "NOT_A_CHECKPOINT",
            path,
            "it is a pickle, but torch.save has not written it",
            "Give a file that torch.save has written.",
        )
    version, at = load(path, data, at, allowed, persistent)
    system, at = load(path, data, at, allowed, persistent)
    little = isinstance(system, dict) and cast(dict[object, object], system).get(
        "little_endian"
    )
    if version != PROTOCOL or little is not True:
        raise FormatError(
            "UNSUPPORTED",
            path,
            f"it has version {kind(version)}, and is little-endian: {kind(little)}",
            f"Save it again with a current torch, whose version is {PROTOCOL}.",
        )
    value, at = load(path, data, at, allowed, persistent)
    keys, at = load(path, data, at, allowed, persistent)
    with refusing(path):
        return value, _regions(path, keys, storages, at)


def _regions(
    path: Path, keys: object, storages: dict[str, Storage], at: int
) -> dict[str, Region]:
    """The places of the storages: the count of the numbers, and the numbers."""
    if not isinstance(keys, list):
        raise ValueError("it has no list of storages")
    order = cast(list[object], keys)
    if set(map(type, order)) - {str} or sorted(storages) != sorted(map(str, order)):
        raise ValueError("its list of storages and its pickle do not name the same")
    state = first_bytes(path)[1]
    regions: dict[str, Region] = {}
    with path.open("rb") as file:
        for key in map(str, order):
            storage = storages[key]
            if storage.kind not in DTYPES:
                raise FormatError(
                    "BAD_DTYPE",
                    path,
                    f"it has a {storage.kind}, not one of {', '.join(DTYPES)}",
                    "Convert its tensors with torch first.",
                )
            size = storage.count * DTYPES[storage.kind].itemsize
            file.seek(at)
            count = int.from_bytes(file.read(8), "little", signed=True)
            at += 8
            if count != storage.count or count < 0:
                raise FormatError(
                    "BAD_SHAPE",
                    path,
                    f"its storage {shown(key)} has {count} numbers, its pickle says "
                    f"{storage.count}",
                    f"{AGAIN}.",
                )
            regions[key] = Region(path, at, size, state)
            at += size
            if at > state[0]:
                what = f"it has {state[0]} bytes, its pickle speaks of {at}"
                raise FormatError("TRUNCATED", path, what, f"{AGAIN}.")
    if at != state[0]:
        raise ValueError(f"{state[0] - at} bytes stand behind its last storage")
    return regions
