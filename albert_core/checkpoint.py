"""The canonical checkpoint: `config.json` and `model.safetensors`, single or sharded.

It is what Hugging Face's PyTorch classes write and read: their names, kernels as
(outputs, inputs), tied arrays once. Reading is lazy, one array at a time; writing is
whole or not at all.
"""

import json
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import ml_dtypes  # noqa: F401  (teaches NumPy, and so safetensors, bfloat16)
import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError
from albert_core.files import read_json, write_text, write_whole

Array = NDArray[Any]

WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
LARGEST_HEADER = 100 * 2**20  # bytes; the limit of the safetensors format itself
# The number types of the safetensors format that a weight may have.
DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class Checkpoint(Mapping[str, Array]):
    """Named arrays of a checkpoint, each read when it is asked for.

    Example:
        >>> checkpoint = Checkpoint.open("albert-base-v2")     # doctest: +SKIP
        >>> checkpoint["albert.pooler.bias"].shape              # doctest: +SKIP
        (768,)
    """

    def __init__(self, directory: Path, homes: Mapping[str, Path]) -> None:
        self.directory = directory
        self._homes = homes
        self._files = {path: _open(path) for path in set(homes.values())}

    @classmethod
    def open(cls, directory: str | Path) -> "Checkpoint":
        """Open a canonical checkpoint; nothing but headers is read yet.

        Raises:
            CheckpointError: The directory holds no weights, a file is damaged, or the
                index and the shards do not agree. All that is wrong is named.
        """
        directory = Path(directory)
        single, index = directory / WEIGHTS_NAME, directory / INDEX_NAME
        if single.is_file():
            return cls(directory, dict.fromkeys(_names(single), single))
        if not index.is_file():
            raise CheckpointError(
                f"{directory} holds neither {WEIGHTS_NAME} nor {INDEX_NAME}, so it has "
                f"no weights to load. Give the directory of a safetensors checkpoint."
            )
        return cls(directory, _homes_from_index(index))

    def __getitem__(self, name: str) -> Array:
        return self._files[self._homes[name]].get_tensor(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return tuple(self._files[self._homes[name]].get_slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """The number type of an array, by its NumPy name, without reading it.

        Raises:
            CheckpointError: The array does not hold real numbers.
        """
        code = self._files[self._homes[name]].get_slice(name).get_dtype()
        if code not in DTYPES:
            raise CheckpointError(
                f"{self._homes[name]}: {name!r} holds {code}, but a weight must be one "
                f"of {', '.join(DTYPES)}."
            )
        return DTYPES[code]


def _names(path: Path) -> list[str]:
    """Read the names in a safetensors file, which its library takes without a look.

    The library checks sizes and offsets. A name that stands there twice it resolves
    silently, one of the two arrays being lost.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise CheckpointError(f"{path} is not a regular file.")
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            if length > LARGEST_HEADER:
                raise CheckpointError(
                    f"{path} announces a header of {length} bytes, more than the "
                    f"{LARGEST_HEADER} that the format allows. {_damaged(path)}"
                )
            items = json.loads(file.read(length), object_pairs_hook=list)
    except OSError as problem:
        raise CheckpointError(f"{path} cannot be read: {problem.strerror}.") from problem
    except (struct.error, ValueError, RecursionError) as problem:
        if isinstance(problem, CheckpointError):
            raise
        raise CheckpointError(
            f"{path} is not a safetensors file: {problem}. {_damaged(path)}"
        ) from problem
    if not isinstance(items, list):
        raise CheckpointError(f"{path} is not a safetensors file. {_damaged(path)}")
    names = [str(name) for name, _ in items if name != "__metadata__"]
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise CheckpointError(
            f"{path} holds {', '.join(map(repr, twice))} twice. {_damaged(path)}"
        )
    return names


def _damaged(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
    if start.startswith(b"version https://git-lfs"):
        return "It is a pointer to the weights: run 'git lfs pull'."
    return f"It has {path.stat().st_size} bytes. Get the file again."


def _open(path: Path) -> Any:
    try:
        return safe_open(str(path), framework="numpy")
    except (SafetensorError, OSError) as problem:
        raise CheckpointError(
            f"{path} is damaged or cut short: {problem}. {_damaged(path)}"
        ) from problem


def _homes_from_index(index: Path) -> dict[str, Path]:
    weight_map = read_json(index, CheckpointError).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(
            f"{index} has no 'weight_map' from names to files. Get the file again."
        )
    folder = index.parent
    shards = sorted({str(shard) for shard in weight_map.values()})
    outside = [shard for shard in shards if not _is_plain(shard)]
    if outside:
        raise CheckpointError(
            f"{index} points outside its folder or at no safetensors file: "
            f"{', '.join(map(repr, outside))}. Do not use this checkpoint."
        )
    missing = [shard for shard in shards if not (folder / shard).is_file()]
    if missing:
        raise CheckpointError(
            f"{folder} lacks {', '.join(missing)} of the {len(shards)} files that "
            f"{index.name} names. Get the missing files."
        )
    homes: dict[str, Path] = {}
    wrong: list[str] = []
    for shard in shards:
        for name in _names(folder / shard):
            if name in homes:
                wrong.append(f"{name!r} is in {homes[name].name} and in {shard}")
            elif weight_map.get(name) != shard:
                wrong.append(f"{name!r} is in {shard}, but the index does not say so")
            homes[name] = folder / shard
    wrong += [
        f"{name!r} is not in {shard}, where the index has it"
        for name, shard in weight_map.items()
        if name not in homes
    ]
    if wrong:
        raise CheckpointError(
            f"{index} and its files do not agree:\n  "
            + "\n  ".join(wrong)
            + "\nGet the checkpoint again."
        )
    return homes


def _is_plain(shard: str) -> bool:
    parts = PureWindowsPath(shard)  # knows both kinds of slash, and drives
    return parts.name == shard and not parts.drive and shard.endswith(".safetensors")


def save(
    directory: str | Path,
    config: AlbertConfig,
    arrays: Mapping[str, Array],
    max_shard_size: int | str = "5GB",
) -> None:
    """Write a canonical checkpoint into a directory.

    Each file is written beside its target and put in place whole; weights of another
    sharding that were there before are removed last.

    Args:
        directory: Made if it is not there; its other files stay.
        config: Written as `config.json`.
        arrays: Canonical names and layout.
        max_shard_size: Bytes, or a text such as "200MB".

    Raises:
        OSError: The disk is full or the directory cannot be written. What was there
            before is whole.
    """
    from huggingface_hub import split_state_dict_into_shards_factory

    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    plan = split_state_dict_into_shards_factory(
        dict(arrays),
        get_storage_size=lambda array: array.nbytes,
        filename_pattern="model{suffix}.safetensors",
        max_shard_size=max_shard_size,
    )
    for name, members in plan.filename_to_tensors.items():
        shard = {member: np.ascontiguousarray(arrays[member]) for member in members}
        write_whole(
            directory / name,
            lambda path, shard=shard: save_file(shard, path, metadata={"format": "pt"}),
        )
    config.save_pretrained(directory)
    if plan.is_sharded:
        index = {"metadata": plan.metadata, "weight_map": plan.tensor_to_filename}
        text = json.dumps(index, indent=2, sort_keys=True) + "\n"
        write_text(directory / INDEX_NAME, text)
    stale = {*directory.glob("model*.safetensors"), directory / INDEX_NAME}
    written = {directory / name for name in plan.filename_to_tensors}
    if plan.is_sharded:
        written.add(directory / INDEX_NAME)
    for path in stale - written:
        path.unlink(missing_ok=True)
