"""Any checkpoint, as a lazy mapping from canonical names to arrays."""

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from albert_core import folder, safetensors_file, schema
from albert_core.checkpoint import Checkpoint
from albert_core.config import AlbertConfig
from albert_core.errors import FormatError, shown
from albert_core.folder import CONFIG_NAME
from albert_core.google import CONFIG_NAME as GOOGLE_CONFIG
from albert_core.hub import resolve
from albert_core.lazy import Lazy
from albert_core.sharding import read_sharded
from conversion.dialects.dialect import Place
from conversion.dialects.hugging_face import TORCH
from conversion.layout import Identity, Joined, Turned, same
from conversion.locate import Located, locate
from conversion.stores import Store

CLASSIFIER = Place("classifier", "weight", "dense")
DECODER = Place("predictions.decoder", "weight", "embedding")
TABLE = Place("embeddings.word_embeddings", "weight", "embedding")
PROJECTION = Place("encoder.embedding_hidden_mapping_in", "weight", "dense")
NORM = Place(schema.BLOCKS[-1].path, "weight", "norm")

logger = logging.getLogger("albert_zoo")

# What is fetched from the hub where there are no safetensors: our own readers execute
# nothing.
OTHERS = (
    *("*.bin", "*.bin.index.json", "*.h5", "*.h5.index.json", "*.msgpack", "*.json"),
    "*.spm",
)

Found = dict[Place, tuple[list[str], Lazy]]


class OpenCheckpoint(Checkpoint):
    """A checkpoint of any format: canonical names and layout, each array when asked.

    Attributes:
        store: The format.
        siblings: Other weights in the same folder, which are not read.
        config: The configuration beside the weights, None if there is none.
        lazy: The arrays of the model, by canonical name.
        sources: Canonical name -> their name of it, and further ones.
        left: Their names of what is no weight of the model, and what it is.
        unexpected: What is not known, by their names.
    """

    def __init__(
        self, located: Located, config: AlbertConfig | None, lazy: dict[str, Lazy]
    ) -> None:
        super().__init__(located.weights, lazy)
        self.store: Store = located.store
        self.folder = located.folder
        self.siblings = located.siblings
        self.config = config
        self.lazy = lazy
        self.sources: dict[str, list[str]] = {}
        self.left: dict[str, str] = {}
        self.unexpected: dict[str, Lazy] = {}

    @property
    def has_head(self) -> bool:
        """Whether it is of a model with a head."""
        return any(name.startswith(schema.PREFIX) for name in self.lazy)

    @property
    def head(self) -> str:
        """A key of `schema.HEADS`.

        Raises:
            CheckpointError: The parameters are those of no single head.
        """
        stated = self.config.architectures if self.config else None
        return schema.guess_head(list(self.lazy), stated)


def open_checkpoint(
    path: str | Path,
    config: AlbertConfig | None = None,
    allow_trailing: bool = False,
) -> OpenCheckpoint:
    """Open a checkpoint of any format; nothing but headers is read yet.

    Args:
        path: A folder, a file of weights or an index of several, the prefix of a
            TensorFlow checkpoint, or a name on the Hugging Face hub.
        config: Used in place of the one beside the weights.
        allow_trailing: Leave bytes behind the last array of a safetensors file alone.

    Returns:
        A mapping from canonical names to arrays, with what is known besides.

    Raises:
        CheckpointError: There is no checkpoint, or it is damaged, or two of its arrays
            stand for one parameter and differ. The message names them.
        ConfigError: Its configuration is not valid.

    Examples:
        >>> checkpoint = open_checkpoint("base/model.ckpt-best")  # doctest: +SKIP
        >>> checkpoint["albert.pooler.bias"].shape                # doctest: +SKIP
        (768,)
    """
    located = locate(resolved(path))
    opened = OpenCheckpoint(located, config or _config(located.folder), {})
    found = _sort(_read(located, allow_trailing), opened)
    _drop_tied_table(found, opened)
    _add_projection(found, opened)
    has_head = any(not place.in_encoder for place in found)
    for place, (names, lazy) in found.items():
        name = place.name
        if has_head and place.in_encoder:
            name = schema.PREFIX + name
        dialect, axis = located.store.dialect, located.store.dialect.axis(place)
        lazy = lazy if axis is None else Joined(lazy, axis)
        opened.lazy[name] = Turned(lazy) if dialect.turns(place) else lazy
        opened.sources[name] = [located.store.to_file(one) for one in names]
    if config is None and opened.config is not None:
        complete(opened.config, opened)
    return opened


def resolved(name_or_path: str | Path, **options: Any) -> Path:
    """Find what a user names.

    Args:
        name_or_path: A path, the prefix of a TensorFlow checkpoint, or a hub name.
        **options: Those of `albert_core.hub.resolve`.
    """
    path = Path(name_or_path).expanduser()
    is_prefix = path.with_name(f"{path.name}.index").exists()
    if is_prefix or (path.exists() and not options.get("subfolder")):
        return path
    place = resolve(name_or_path, **options)
    if not any(place.glob("*.safetensors*")):
        place = resolve(name_or_path, OTHERS, **options)
    return place


def _read(located: Located, allow_trailing: bool) -> Mapping[str, Lazy]:
    store, read = located.store, located.store.read
    if allow_trailing and store.mark:
        read = partial(safetensors_file.read_header, allow_trailing=True)
    if located.is_sharded:
        find, ending = partial(folder.find, located.folder), Path(store.shards).suffix
        return read_sharded(
            located.weights, read, ending, find=find, rename=store.from_index
        )
    return read(located.weights)


def _config(place: Path) -> AlbertConfig | None:
    if not any((place / name).exists() for name in (CONFIG_NAME, GOOGLE_CONFIG)):
        return None
    return AlbertConfig.from_pretrained(place)


def _sort(stored: Mapping[str, Lazy], opened: OpenCheckpoint) -> Found:
    """Find what every name means; several may mean one array."""
    dialect = opened.store.dialect
    found: Found = {}
    further: list[tuple[str, str]] = []
    for name, lazy in stored.items():
        if place := dialect.find(name):
            _add(found, place, name, lazy, opened)
        elif owner := dialect.alias(name):
            further.append((owner, name))
        elif what := dialect.why_left(name):
            opened.left[name] = what
        else:
            opened.unexpected[name] = lazy
    for owner, name in further:
        place = TORCH.find(owner)
        assert place is not None, owner  # a row of the dialect's own table
        if place in found and owner in dialect.dead:
            opened.left[name] = "an array that is never used"
        else:
            _add(found, place, name, stored[name], opened)
    return found


def _add(
    found: Found, place: Place, name: str, lazy: Lazy, opened: OpenCheckpoint
) -> None:
    names, other = found.setdefault(place, ([], lazy))
    if other is not lazy and not same(other, lazy):
        raise FormatError(
            "DUPLICATE",
            opened.directory,
            f"{shown(names[0])} and {shown(name)} are one array in this model, but "
            f"there are two that differ",
            "Remove the wrong one.",
        )
    names.append(name)


def _drop_tied_table(found: Found, opened: OpenCheckpoint) -> None:
    """Take the decoder's table for the embeddings' where it is the same."""
    if DECODER not in found or TABLE not in found:
        return
    config = opened.config
    names, lazy = found[DECODER]
    if config is not None and config.has_own_decoder:
        return
    if same(lazy, found[TABLE][1]):
        del found[DECODER]
        found[TABLE][0].extend(names)
    elif config is not None:
        raise FormatError(
            "DUPLICATE",
            opened.directory,
            f"{shown(names[0])} and {shown(found[TABLE][0][0])} are one array in this "
            f"model, but there are two that differ",
            "For a decoder of its own set tie_word_embeddings to false.",
        )


def _add_projection(found: Found, opened: OpenCheckpoint) -> None:
    """Add the projection that is not stored where it would change nothing."""
    if not opened.store.dialect.no_projection or PROJECTION in found:
        return
    if TABLE not in found or NORM not in found:
        return
    table, norm = found[TABLE][1], found[NORM][1]
    if table.shape[1:] == norm.shape:
        size = norm.shape[0]
        found[PROJECTION] = [], Identity((size, size), table.dtype)
        bias = Place(PROJECTION.path, "bias", PROJECTION.kind)
        found[bias] = [], Identity((size,), table.dtype)


def complete(config: AlbertConfig, opened: OpenCheckpoint) -> None:
    """Note in a configuration of Google's what only the arrays tell.

    That is how many classes a classifier has, and how many groups there are where every
    layer had norms of its own (see `conversion.dialects.layer_norms`).

    Args:
        config: From the checkpoint; is changed.
        opened: The checkpoint.
    """
    if opened.store.name != "google-tf1":
        return
    layers = config.num_hidden_layers
    last = f"encoder.albert_layer_groups.{layers - 1}.albert_layers.0.ffn.weight"
    if config.num_hidden_groups < layers and (
        last in opened or schema.PREFIX + last in opened
    ):
        logger.warning(
            "%s: its layers have norms of their own, so each becomes a group: "
            "num_hidden_groups is %d, and not %d.",
            opened.directory,
            layers,
            config.num_hidden_groups,
        )
        config.num_hidden_groups = layers
    if CLASSIFIER.name in opened and not (opened.folder / CONFIG_NAME).exists():
        config.num_labels = opened.shape(CLASSIFIER.name)[0]
