"""What a conversion will do: every array, every file, and what it costs."""

import hashlib
import json
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from albert_core import google, schema
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError, FormatError, shown
from albert_core.folder import CONFIG_NAME, find
from albert_core.sharding import share_out, to_bytes
from albert_core.tokenizer_names import MODEL_NAMES, TOKENIZER_FILES
from conversion.checking import check_known, configuration, whole_head
from conversion.checkpoint import DECODER, PROJECTION, OpenCheckpoint
from conversion.dialects.dialect import Place
from conversion.dialects.hugging_face import TORCH
from conversion.dtypes import DTYPES
from conversion.layout import is_identity
from conversion.stores import STORES, Store

logger = logging.getLogger("albert_zoo")

MANIFEST = "conversion.json"


@dataclass(frozen=True)
class Item:
    """One array of a conversion.

    Attributes:
        name: Its canonical name.
        sources: What it is called where it comes from, with further names.
        targets: What it will be called, with further names; nothing where the format
            leaves out an array that changes nothing.
        shape: In canonical layout.
        turned: Whether it will be stored as its transpose.
        stored: The shape that it will be stored in.
        source_dtype: The number type that it has.
        dtype: The one that it will have.
    """

    name: str
    sources: list[str]
    targets: list[str]
    shape: tuple[int, ...]
    turned: bool
    stored: tuple[int, ...]
    source_dtype: str
    dtype: str

    @property
    def size(self) -> int:
        """Bytes that it will take under one name."""
        return math.prod(self.shape) * numpy_dtype(self.dtype).itemsize


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's number type of a name."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@dataclass(frozen=True)
class Plan:
    """A conversion, thought through.

    Attributes:
        source: The open checkpoint.
        store: The format to write.
        items: The arrays.
        files: File of weights -> the arrays in it, by their new names.
        texts: Further files to write.
        copies: Further files to copy.
        dropped: Names of arrays that will not be there, and why.
    """

    source: OpenCheckpoint
    store: Store
    items: Sequence[Item]
    files: Mapping[str, list[str]]
    texts: Mapping[str, str]
    copies: Mapping[str, Path]
    dropped: Mapping[str, str]

    @property
    def disk(self) -> int:
        """Bytes that the target will take, without the headers of files."""
        texts = sum(len(text.encode()) for text in self.texts.values())
        copies = sum(path.stat().st_size for path in self.copies.values())
        return sum(i.size * len(i.targets) for i in self.items) + texts + copies

    @property
    def memory(self) -> int:
        """Bytes of an array that is in memory whole, at most: one that is turned."""
        return max((item.size for item in self.items), default=0)

    @property
    def all_files(self) -> list[str]:
        """The names of all files that will be there."""
        weights = [name for file in self.files for name in self.store.files(file)]
        index = [self.store.index] if len(self.files) > 1 and self.store.shards else []
        others = sorted([*self.texts, *self.copies])
        return list(dict.fromkeys([*weights, *index, *others, MANIFEST]))

    def steps(self, verify: bool) -> int:
        """How many arrays `run` will write, and read back."""
        names = sum(len(item.targets) for item in self.items)
        return names + (len(self.items) if verify else 0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        source = {
            "path": str(self.source.directory),
            "format": self.source.store.name,
        }
        return {
            "source": source,
            "format": self.store.name,
            "arrays": [{**asdict(item), "bytes": item.size} for item in self.items],
            "files": dict(self.files),
            "all_files": self.all_files,
            "dropped": dict(self.dropped),
            "disk_bytes": self.disk,
            "memory_bytes": self.memory,
        }

    @property
    def fingerprint(self) -> str:
        """What tells this plan, and the state of its source, from another."""
        beside = sorted(self.source.directory.parent.glob("[!.]*"))
        states = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in beside
            if file.is_file()
        ]
        facts = [self.to_dict(), dict(self.texts), states]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def make(
    source: OpenCheckpoint,
    to: str,
    dtype: str | None = None,
    max_shard_size: int | str = "5GB",
    include: Sequence[str] = (),
    drop_head: bool = False,
    allow_unused: bool = False,
) -> Plan:
    """Think a conversion through; nothing is written.

    Args:
        source: An open checkpoint.
        to: A key of `STORES`.
        dtype: The number type of the result, None for that of each array.
        max_shard_size: Bytes of a file at most, where a format can have several.
        include: Patterns of canonical names without a model's prefix; only arrays that
            match one are converted.
        drop_head: Leave out all but the encoder and its pooler.
        allow_unused: Leave out what is not known, in place of an error.

    Raises:
        CheckpointError: The source is not complete, or the format cannot hold it.
        ConfigError: There is no configuration, or the format cannot express it.
    """
    if to not in STORES:
        raise ConfigError(f"There is no format {shown(to)}. Use {', '.join(STORES)}.")
    if dtype not in (None, *DTYPES):
        raise ConfigError(
            f"There is no conversion to {shown(dtype)}. Use {', '.join(DTYPES)}."
        )
    store = STORES[to]
    if not allow_unused:
        check_known(source)
    head = whole_head(source)
    dropped = source.left | dict.fromkeys(source.unexpected, "not known")
    items: list[Item] = []
    for name in source:
        if why := _unwanted(name, include, drop_head):
            dropped[name] = why
        else:
            items.append(_item(source, name, store, dtype, drop_head))
    if not items:
        raise ConfigError(
            f"No array of {source.directory} matches {', '.join(map(shown, include))}. "
            f"Patterns are such as 'embeddings.*' or 'pooler.weight'."
        )
    head = schema.BASE if drop_head else head
    _check_held(source, store, head, items)
    config = AlbertConfig.from_dict(configuration(source).to_dict())
    config.architectures = [f"Albert{head}"]
    config.dtype = dtype or config.dtype
    copies = _tokenizer(source, store)
    texts = _texts(store, config, head, bool(copies))
    files = _files(store, items, to_bytes(max_shard_size))
    return Plan(source, store, items, files, texts, copies, dropped)


def _texts(
    store: Store, config: AlbertConfig, head: str, has_tokenizer: bool
) -> dict[str, str]:
    """The files that tell what a model is."""
    if store.texts:
        return store.texts(config, head, has_tokenizer)
    texts = {CONFIG_NAME: config.to_json_string()}
    if store.has_google_config:
        text = json.dumps(config.to_google(), indent=2, sort_keys=True)
        texts[google.CONFIG_NAME] = f"{text}\n"
    return texts


def _tokenizer(source: OpenCheckpoint, store: Store) -> dict[str, Path]:
    """Files of the tokenizer, by the names that they get."""
    theirs = source.store.tokenizer
    names = {MODEL_NAMES[0]: theirs} if theirs else {n: n for n in TOKENIZER_FILES}
    places = {name: find(source.folder, own) for name, own in names.items()}
    found = {name: path for name, path in places.items() if path.is_file()}
    if not store.tokenizer:
        return found
    models = [found[name] for name in MODEL_NAMES if name in found]
    if found and not models:
        logger.warning(
            "%s: its tokenizer (%s) is left out: %s has SentencePiece models only.",
            source.folder,
            ", ".join(found),
            store.title,
        )
    return {store.tokenizer: models[0]} if models else {}


def _unwanted(name: str, include: Sequence[str], drop_head: bool) -> str | None:
    """Why an array is not to be there by the user's wish."""
    place = _place(name)
    if drop_head and not place.in_encoder:
        return "a head, left out by wish"
    if include and not any(fnmatchcase(place.name, pattern) for pattern in include):
        return "not included, by wish"
    return None


def _is_needless(source: OpenCheckpoint, name: str, store: Store) -> bool:
    """Whether a format leaves an array out, which must change nothing then."""
    if _place(name).path != PROJECTION.path or not store.dialect.no_projection:
        return False
    rows, columns = source.shape(_beside(name))
    if rows != columns:
        return False
    if not is_identity(source[name]):
        raise FormatError(
            "CANNOT_HOLD",
            source.directory,
            f"{name} changes what it projects, but {store.name} has no projection "
            f"where embedding_size and hidden_size are the same",
            "Convert it to another format.",
        )
    return True


def _beside(name: str) -> str:
    """The weight of an array's layer."""
    return f"{name.rpartition('.')[0]}.weight"


def _place(name: str) -> Place:
    place = TORCH.find(name)
    assert place is not None, name  # canonical names are the schema's
    return place


def _item(
    source: OpenCheckpoint,
    name: str,
    store: Store,
    dtype: str | None,
    drop_head: bool,
) -> Item:
    place, dialect = _place(name), store.dialect
    heads = configuration(source).num_attention_heads
    targets = [dialect.spell(place, source.has_head and not drop_head)]
    if _is_needless(source, name, store):
        targets = []
    further = dialect.aliases.get(place.name)
    # PyTorch's second name of the bias counts only where there is a second table.
    if further and (dialect.dead or any(_place(n) == DECODER for n in source)):
        targets.append(further)
    return Item(
        name=name,
        sources=source.sources[name],
        targets=targets,
        shape=source.shape(name),
        turned=dialect.turns(place),
        stored=dialect.shape(place, source.shape(name), heads),
        source_dtype=source.dtype(name),
        dtype=dtype or source.dtype(name),
    )


def _check_held(
    source: OpenCheckpoint, store: Store, head: str, items: Sequence[Item]
) -> None:
    """See that a format has the model, and a name and number type for every array."""
    lost = [i.name for i in items if _place(i.name).path in store.dialect.lacks]
    if store.heads and head not in store.heads:
        lost = lost or [f"a model with the head {head}"]
    if lost:
        raise FormatError(
            "CANNOT_HOLD",
            source.directory,
            f"the models of {store.title} do not have {', '.join(lost)}",
            "Convert to another format, or leave them out with --include or "
            "--drop-head.",
        )
    wrong = sorted({item.dtype for item in items} - set(store.dtypes))
    if wrong:
        raise FormatError(
            "CANNOT_HOLD",
            source.directory,
            f"{store.name} does not have the number type {', '.join(wrong)}",
            "Add --dtype float32.",
        )


def _files(store: Store, items: Sequence[Item], limit: int) -> dict[str, list[str]]:
    """Share the arrays out over files."""
    if store.head_file:
        own: dict[str, list[str]] = {store.file: [], store.head_file: []}
        for item in items:
            file = store.file if _place(item.name).in_encoder else store.head_file
            own[file] += item.targets
        return {file: names for file, names in own.items() if names}
    sizes = {name: item.size for item in items for name in item.targets}
    shards = share_out(sizes, limit) if store.shards else [list(sizes)]
    if len(shards) == 1:
        return {store.file: shards[0]}
    count = len(shards)
    return {
        store.shards.format(number, count): members
        for number, members in enumerate(shards, 1)
    }
