"""The canonical checkpoint: `config.json` and `model.safetensors`, single or sharded.

It is what Hugging Face's PyTorch classes write and read: their names, kernels as
(outputs, inputs), tied arrays once. Reading is lazy, one array at a time; writing is
whole or not at all.
"""

import logging
from collections import ChainMap
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import cast

from albert_core import folder
from albert_core.config import AlbertConfig
from albert_core.errors import FormatError, shown
from albert_core.folder import CONFIG_NAME, INDEX_NAME, WEIGHTS_NAME
from albert_core.lazy import Array, Lazy, nbytes
from albert_core.rules import DTYPES
from albert_core.safetensors_file import read_header, write
from albert_core.sharding import index_text, read_sharded, share_out, to_bytes

logger = logging.getLogger("albert_zoo")

ENDING = ".safetensors"
OTHERS = ("pytorch_model.bin", "tf_model.h5", "flax_model.msgpack")  # never read here


class Checkpoint(Mapping[str, Array]):
    """Named arrays of a checkpoint, each read when it is asked for.

    Attributes:
        directory: Where it is.
        stored: The same arrays, each lazy.

    Examples:
        >>> checkpoint = Checkpoint.open("albert-base-v2")     # doctest: +SKIP
        >>> checkpoint["albert.pooler.bias"].shape              # doctest: +SKIP
        (768,)
    """

    def __init__(self, directory: Path, stored: Mapping[str, Lazy]) -> None:
        self.directory = directory
        self.stored = stored

    @classmethod
    def open(cls, directory: str | Path) -> "Checkpoint":
        """Open a canonical checkpoint; nothing but headers is read yet.

        Raises:
            CheckpointError: The directory holds no weights, a file is damaged, or the
                index and the shards do not agree. All that is wrong is named.
        """
        directory = Path(directory)
        if directory.is_file():
            what = "it is a file"
            remedy = "Give the directory that holds it."
            raise FormatError("NOT_A_CHECKPOINT", directory, what, remedy)
        weights = folder.find_weights(directory)
        if weights is None:
            raise FormatError(
                "NOT_A_CHECKPOINT",
                directory,
                f"it holds neither {WEIGHTS_NAME} nor {INDEX_NAME}, so it has no "
                f"weights to load",
                "Give the directory of a safetensors checkpoint.",
            )
        others = [name for name in OTHERS if (directory / name).exists()]
        if others:
            logger.info("%s: %s is read, not %s", directory, weights.name, others)
        if weights.name == WEIGHTS_NAME:
            return cls(directory, read_header(weights))
        find = partial(folder.find, directory)
        return cls(directory, read_sharded(weights, read_header, ENDING, find=find))

    def __getitem__(self, name: str) -> Array:
        return self.stored[name].read()

    def __contains__(self, name: object) -> bool:
        return name in self.stored  # a mapping's own would read the array

    def __iter__(self) -> Iterator[str]:
        return iter(self.stored)

    def __len__(self) -> int:
        return len(self.stored)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape of an array, without reading it."""
        return self.stored[name].shape

    def dtype(self, name: str) -> str:
        """The number type of a weight, by its NumPy name, without reading it.

        Raises:
            CheckpointError: The array does not hold real numbers.
        """
        stored = self.stored[name]
        if stored.dtype.name not in DTYPES:
            raise FormatError(
                "BAD_DTYPE",
                getattr(stored, "path", self.directory),
                f"{shown(name)} holds {stored.dtype.name}, but a weight must be one of "
                f"{', '.join(DTYPES)}",
                "Convert it.",
            )
        return stored.dtype.name


def save(
    directory: str | Path,
    config: AlbertConfig,
    arrays: Mapping[str, Lazy | Array],
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
    arrays = arrays.stored if isinstance(arrays, Checkpoint) else arrays
    arrays = _for_transformers(config, arrays)
    sizes = {name: nbytes(arrays[name]) for name in arrays}
    shards = _shards(sizes, to_bytes(max_shard_size))
    directory = folder.make(directory)
    with folder.replaced(directory) as place:
        (place / CONFIG_NAME).write_text(text, "utf-8")
        for name, members in shards.items():
            write(place / name, arrays, members)
        if len(shards) > 1:
            homes = {
                name: shard for shard, members in shards.items() for name in members
            }
            text = index_text(homes, sum(sizes.values()))
            (place / INDEX_NAME).write_text(text, "utf-8")


def _for_transformers(
    config: AlbertConfig, arrays: Mapping[str, Lazy | Array]
) -> Mapping[str, Lazy | Array]:
    """Add the decoder's bias: transformers 5 ties it only where it ties the tables."""
    owner, alias = "predictions.bias", "predictions.decoder.bias"
    if not config.has_own_decoder or owner not in arrays:
        return arrays
    return ChainMap({alias: arrays[owner]}, cast(dict[str, Lazy | Array], arrays))


def _shards(sizes: Mapping[str, int], limit: int) -> dict[str, list[str]]:
    """File name -> names of its arrays."""
    shares = share_out(sizes, limit)
    if len(shares) == 1:
        return {WEIGHTS_NAME: shares[0]}
    return {
        folder.SHARD_NAME.format(number, len(shares)): members
        for number, members in enumerate(shares, 1)
    }
