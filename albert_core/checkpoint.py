"""The canonical checkpoint: `config.json` and `model.safetensors`, single or sharded.

It is what Hugging Face's PyTorch classes write and read: their names, kernels as
(outputs, inputs), tied arrays once. Reading is lazy, one array at a time; writing is
whole or not at all.
"""

import json
import re
from collections import ChainMap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from albert_core import folder
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, ConfigError, shown
from albert_core.files import read_json
from albert_core.folder import CONFIG_NAME, INDEX_NAME, WEIGHTS_NAME
from albert_core.rules import DTYPES
from albert_core.safetensors_file import Array, Stored, read_header, write

# One name, without a folder, a drive or a scheme before it.
PLAIN = re.compile(r"[\w.-]+\.safetensors")
SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", re.IGNORECASE)


class Checkpoint(Mapping[str, Array]):
    """Named arrays of a checkpoint, each read when it is asked for.

    Example:
        >>> checkpoint = Checkpoint.open("albert-base-v2")     # doctest: +SKIP
        >>> checkpoint["albert.pooler.bias"].shape              # doctest: +SKIP
        (768,)
    """

    def __init__(self, directory: Path, stored: Mapping[str, Stored]) -> None:
        self.directory = directory
        self._stored = stored

    @classmethod
    def open(cls, directory: str | Path) -> "Checkpoint":
        """Open a canonical checkpoint; nothing but headers is read yet.

        Raises:
            CheckpointError: The directory holds no weights, a file is damaged, or the
                index and the shards do not agree. All that is wrong is named.
        """
        directory = Path(directory)
        if directory.is_file():
            raise CheckpointError(
                f"{directory} is a file. Give the directory that holds it."
            )
        weights = folder.find_weights(directory)
        if weights is None:
            raise CheckpointError(
                f"{directory} holds neither {WEIGHTS_NAME} nor {INDEX_NAME}, so it has "
                f"no weights to load. Give the directory of a safetensors checkpoint."
            )
        if weights.name == WEIGHTS_NAME:
            return cls(directory, read_header(weights))
        return cls(directory, _sharded(directory, weights))

    def __getitem__(self, name: str) -> Array:
        return self._stored[name].read()

    def __contains__(self, name: object) -> bool:
        return name in self._stored  # a mapping's own would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self._stored)

    def __len__(self) -> int:
        return len(self._stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return self._stored[name].shape

    def dtype(self, name: str) -> str:
        """The number type of a weight, by its NumPy name, without reading it.

        Raises:
            CheckpointError: The array does not hold real numbers.
        """
        stored = self._stored[name]
        if stored.dtype.name not in DTYPES:
            raise CheckpointError(
                f"{stored.path}: {shown(name)} holds {stored.dtype.name}, but a weight "
                f"must be one of {', '.join(DTYPES)}. Convert it."
            )
        return stored.dtype.name


def _sharded(directory: Path, index: Path) -> dict[str, Stored]:
    """Read the headers of all files that an index names, and compare it with them."""
    weight_map = read_json(index, CheckpointError).get("weight_map")
    if not isinstance(weight_map, dict):
        raise CheckpointError(
            f"{index} has no 'weight_map' from names to files. Get the file again."
        )
    weight_map = cast(dict[str, object], weight_map)
    shards = sorted({str(shard) for shard in weight_map.values()})
    outside = [shard for shard in shards if not PLAIN.fullmatch(shard)]
    if outside:
        raise CheckpointError(
            f"{index} points outside its folder or at no safetensors file: "
            f"{', '.join(map(shown, outside))}. Do not use this checkpoint."
        )
    paths = {shard: folder.find(directory, shard) for shard in shards}
    missing = [shard for shard, path in paths.items() if not path.exists()]
    if missing:
        raise CheckpointError(
            f"{directory} lacks {', '.join(missing)} of the {len(shards)} files that "
            f"{index.name} names. Get the missing files."
        )
    found: dict[str, Stored] = {}
    wrong: list[str] = []
    for shard, path in paths.items():
        for name, stored in read_header(path).items():
            if name in found:
                wrong.append(
                    f"{shown(name)} is in {found[name].path.name} and in {shard}"
                )
            elif weight_map.get(name) != shard:
                wrong.append(
                    f"{shown(name)} is in {shard}, but the index does not say so"
                )
            found[name] = stored
    wrong += [
        f"{shown(name)} is not in {shard}, where the index has it"
        for name, shard in weight_map.items()
        if name not in found
    ]
    if wrong:
        raise CheckpointError(
            f"{index} and its files do not agree:\n  "
            + "\n  ".join(wrong)
            + "\nGet the checkpoint again."
        )
    return found


def save(
    directory: str | Path,
    config: AlbertConfig,
    arrays: Mapping[str, Array],
    max_shard_size: int | str = "5GB",
) -> None:
    """Write a canonical checkpoint into a directory.

    The old checkpoint is replaced in one step when the new one is complete. Weights of
    another sharding that were there before are removed.

    Args:
        directory: Made if it is not there; its other files stay.
        config: Written as `config.json`.
        arrays: Canonical names and layout; may be lazy, one is held at a time.
        max_shard_size: Bytes, or a text such as "200MB".

    Raises:
        ConfigError: The configuration or `max_shard_size` cannot be written.
        CheckpointError: `directory` is a file, or an array cannot be written.
        OSError: The disk is full or the directory cannot be written. What was there
            before is whole.
    """
    text = config.to_json_string()
    arrays = _for_transformers(config, arrays)
    sizes = {name: arrays[name].nbytes for name in arrays}
    shards = _shards(sizes, _bytes(max_shard_size))
    directory = folder.make(directory)
    with folder.replaced(directory) as place:
        (place / CONFIG_NAME).write_text(text, "utf-8")
        for name, members in shards.items():
            write(place / name, arrays, members)
        if len(shards) > 1:
            homes = {
                name: shard for shard, members in shards.items() for name in members
            }
            total = {"total_size": sum(sizes.values())}
            index = {"metadata": total, "weight_map": homes}
            text = json.dumps(index, indent=2, sort_keys=True) + "\n"
            (place / INDEX_NAME).write_text(text, "utf-8")


def _for_transformers(
    config: AlbertConfig, arrays: Mapping[str, Array]
) -> Mapping[str, Array]:
    """Add the decoder's bias: transformers 5 ties it only where it ties the tables."""
    owner, alias = "predictions.bias", "predictions.decoder.bias"
    if not config.has_own_decoder or owner not in arrays:
        return arrays
    return ChainMap({alias: arrays[owner]}, cast(dict[str, Array], arrays))


def _shards(sizes: Mapping[str, int], limit: int) -> dict[str, list[str]]:
    """Share arrays out over files, in order: file name -> names of its arrays."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name, size in sizes.items():
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    if len(shards) == 1:
        return {WEIGHTS_NAME: shards[0]}
    count = len(shards)
    return {
        folder.SHARD_NAME.format(number, count): members
        for number, members in enumerate(shards, 1)
    }


def _bytes(size: int | str) -> int:
    found = SIZE.fullmatch(size.strip()) if isinstance(size, str) else None
    if found:
        number, unit, binary = found.groups()
        base = 1024 if binary else 1000
        return int(float(number) * base ** (1 + "KMGT".index(unit.upper())))
    if isinstance(size, str | bool) or size < 1:
        raise ConfigError(
            f"max_shard_size must be a number of bytes, at least 1, or a text such as "
            f"'200MB' or '5GB', but it is {size!r}."
        )
    return size
