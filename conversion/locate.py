"""From a path to a checkpoint: which format it is, and where its weights are."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

from albert_core import folder, safetensors_file
from albert_core.errors import CheckpointError, FormatError, shown
from albert_core.file_checks import first_bytes
from conversion import keras_hub_preset
from conversion.formats import orbax_folder
from conversion.formats.bundle_path import find_prefix
from conversion.stores import STORES, Store

logger = logging.getLogger("albert_zoo")

ZIP, HDF5, STREAM = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n", b"\x80"
ENDINGS = {
    ".safetensors": "safetensors",
    ".bin": "pytorch-bin",
    ".pt": "pytorch-bin",
    ".pth": "pytorch-bin",
    ".h5": "tensorflow-h5",
    ".hdf5": "tensorflow-h5",
    ".msgpack": "flax-msgpack",
    ".keras": "keras",
}


@dataclass(frozen=True)
class Located:
    """Where a checkpoint is.

    Attributes:
        store: Its format.
        weights: The file of all weights, or the index of several, or a TensorFlow
            checkpoint's `.index`.
        folder: Where its configuration and its tokenizer are.
        siblings: Other weights in a folder, which are not read.
    """

    store: Store
    weights: Path
    folder: Path
    siblings: tuple[Path, ...] = ()

    @property
    def is_sharded(self) -> bool:
        """Whether the weights are in several files."""
        return self.weights.name.endswith(".index.json")


def locate(path: str | Path) -> Located:
    """Find the weights that a path means.

    Args:
        path: A folder, a file of weights or an index of several, or the prefix of a
            TensorFlow checkpoint.

    Raises:
        CheckpointError: There are none.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        if orbax_folder.is_one(path):
            return Located(STORES["orbax"], path, _beside(path))
        return _in_folder(path)
    if path.name.endswith(".index.json"):
        return _an_index(path)
    if path.exists() and not _is_bundle(path):
        return Located(_of_file(path), path, path.parent)
    if not path.exists() and not path.with_name(f"{path.name}.index").exists():
        raise CheckpointError(
            f"{path} does not exist. Give a folder, a file of weights, or the prefix "
            f"of a TensorFlow checkpoint."
        )
    return _bundle(path)


def _in_folder(place: Path) -> Located:
    found: list[Located] = []
    if weights := folder.find_weights(place):
        found.append(
            _an_index(weights, place)
            if _is_index(weights)
            else Located(_of_safetensors(weights), weights, place)
        )
    for store in STORES.values():
        for name in dict.fromkeys((store.file, store.index)):
            file = place / name
            if not file.exists() or store.mark or store.name == "google-tf1":
                continue
            if not name.endswith(".weights.h5") or _of_file(file) is store:
                found.append(Located(store, file, place))
    if any(place.glob("*.index")) or (place / "variables" / "variables.index").exists():
        found.append(_bundle(place))
    if not found:
        known = dict.fromkeys(store.file for store in STORES.values())
        raise FormatError(
            "NOT_A_CHECKPOINT",
            place,
            f"it holds no weights: none of {', '.join(known)}, nor an index of several",
            "Give the folder of a checkpoint, or a file of weights.",
        )
    first, *others = found
    # Folders of the hub hold many formats, and everybody takes safetensors then.
    if others and not first.store.mark:
        names = ", ".join(one.weights.name for one in others)
        logger.warning("%s: %s is read, not %s", place, first.weights.name, names)
    return replace(first, siblings=tuple(one.weights for one in others))


def _beside(path: Path) -> Path:
    """Where the configuration of a folder of Orbax is: in it, or beside it."""
    return path if (path / folder.CONFIG_NAME).exists() else path.parent


def _is_index(path: Path) -> bool:
    return path.name.endswith(".index.json")


def _an_index(path: Path, place: Path | None = None) -> Located:
    for store in STORES.values():
        if path.name == store.index:
            if store.mark:
                store = _of_shards(path) or store
            return Located(store, path, place or path.parent)
    known = dict.fromkeys(store.index for store in STORES.values() if store.shards)
    raise FormatError(
        "NOT_A_CHECKPOINT",
        path,
        f"it is no index of a known format: {', '.join(known)}",
        "Give the folder that holds it.",
    )


def _of_shards(index: Path) -> Store | None:
    """The format of the safetensors files that an index is beside, by any of them."""
    for file in sorted(index.parent.glob("model-*.safetensors")):
        return _of_safetensors(file)
    return None


def _of_safetensors(path: Path) -> Store:
    mark = safetensors_file.metadata(path).get("format", "pt")
    for store in STORES.values():
        if store.mark == mark:
            return store
    raise FormatError(
        "UNSUPPORTED",
        path,
        f"its metadata says that it is of format {shown(mark)}, not pt, tf or flax",
        "Convert it with the software that wrote it.",
    )


def _is_bundle(path: Path) -> bool:
    return path.suffix == ".index" or ".data-" in path.name or path.suffix == ".meta"


def _bundle(path: Path) -> Located:
    prefix = find_prefix(path)
    place = prefix.parent
    if place.name == "variables" and not (place / "albert_config.json").exists():
        assets = place.parent / "assets"  # a module of TensorFlow Hub
        place = assets if assets.is_dir() else place.parent
    index = prefix.with_name(f"{prefix.name}.index")
    return Located(STORES["google-tf1"], index, place)


def _of_file(path: Path) -> Store:
    """The format of a file, by how it begins, or else by its name."""
    start, _ = first_bytes(path)
    if start[8:9] == b"{" and path.suffix not in (".bin", ".h5", ".msgpack"):
        return _of_safetensors(path)
    if path.name.endswith(".weights.h5") and keras_hub_preset.is_preset(path):
        return STORES["keras-hub"]
    if path.name.endswith((".keras", ".weights.h5")):
        return STORES["keras"]
    if start.startswith(ZIP) or (path.suffix in (".bin", ".pt", ".pth")):
        return STORES["pytorch-bin"]
    if start.startswith(HDF5):
        return STORES["tensorflow-h5"]
    name = ENDINGS.get(path.suffix)
    if name is None:
        raise FormatError(
            "NOT_A_CHECKPOINT",
            path,
            f"it begins with {start[:24]!r}, and ends with none of "
            f"{', '.join(ENDINGS)}",
            "Give a file of weights.",
        )
    return _of_safetensors(path) if name == "safetensors" else STORES[name]
