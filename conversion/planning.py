"""Thinking a conversion through, before anything is written."""

import json
import logging
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from albert_core import google, schema
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError, FormatError, shown
from albert_core.folder import CONFIG_NAME, find
from albert_core.sharding import share_out, to_bytes
from albert_core.tokenizer_names import MODEL_NAMES, TOKENIZER_FILES
from conversion.amending import damaged
from conversion.checking import check_known, configuration, whole_head
from conversion.checkpoint import DECODER, PROJECTION, OpenCheckpoint
from conversion.dialects.dialect import Place
from conversion.dialects.hugging_face import TORCH
from conversion.dtypes import DTYPES
from conversion.layout import is_identity
from conversion.plan import Item, Plan
from conversion.stores import STORES, Store
from conversion.tokenizer_check import problem_of

logger = logging.getLogger("albert_zoo")


def make(
    source: OpenCheckpoint,
    to: str,
    dtype: str | None = None,
    max_shard_size: int | str = "5GB",
    include: Sequence[str] = (),
    drop_head: bool = False,
    allow_unused: bool = False,
    salvage: bool = False,
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
        salvage: Leave out what is damaged, in place of an error; every array is read.

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
    broken = damaged(source) if salvage else {}
    items: list[Item] = []
    for name in source:
        if why := broken.get(name) or _unwanted(name, include, drop_head):
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
    for path in copies.values():
        if problem := problem_of(path, configuration(source)):
            logger.warning("%s comes along, but %s", path, problem)
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
