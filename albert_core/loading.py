"""Which array of a checkpoint goes where: one rule for the three backends."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from albert_core import schema
from albert_core.checkpoint import Checkpoint
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, ConfigError
from albert_core.fields import SIZE
from albert_core.hub import resolve

logger = logging.getLogger("albert_zoo")

HUB_OPTIONS = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "revision",
    "subfolder",
    "token",
)

# What has one row for each entry of the vocabulary, by its name without prefix.
VOCABULARY = {
    "embeddings.word_embeddings.weight",
    "predictions.decoder.weight",
    "predictions.bias",
}


@dataclass
class Match:
    """How a checkpoint fits a model.

    Attributes:
        sources: Name in the model -> name in the checkpoint.
        missing: Names of a head that the checkpoint lacks; they keep initial values.
        unexpected: Names of a head that the model does not have; they are left.
        mismatched: (name, shape in the checkpoint, shape in the model), left by wish.
    """

    sources: dict[str, str] = field(default_factory=dict[str, str])
    missing: list[str] = field(default_factory=list[str])
    unexpected: list[str] = field(default_factory=list[str])
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = field(
        default_factory=list[tuple[str, tuple[int, ...], tuple[int, ...]]]
    )

    @property
    def initialised(self) -> list[str]:
        """Names in the model that keep their initial, random values."""
        return self.missing + [name for name, _, _ in self.mismatched]

    def info(self) -> dict[str, list[Any]]:
        """The `loading_info` of Hugging Face's `from_pretrained`."""
        return {
            "missing_keys": self.missing,
            "unexpected_keys": self.unexpected,
            "mismatched_keys": self.mismatched,
            "error_msgs": [],
        }

    def report(self, title: str, place: str | Path) -> None:
        """Say which weights are random and which were left, if any."""
        if self.initialised:
            logger.warning(
                "%s from %s: these weights are not in the checkpoint and have random "
                "initial values; train them before use: %s",
                title,
                place,
                ", ".join(self.initialised),
            )
        if self.unexpected:
            logger.info(
                "%s from %s: weights of another head were left: %s",
                title,
                place,
                ", ".join(self.unexpected),
            )


def open_pretrained(
    name_or_path: str | Path, config: AlbertConfig | None, options: dict[str, Any]
) -> tuple[AlbertConfig, Checkpoint]:
    """Open a checkpoint and its configuration.

    Args:
        name_or_path: A directory or a hub name.
        config: Used in place of the stored one when given.
        options: Keywords of `from_pretrained`; the hub's options and the fields of the
            configuration are taken out of it.
    """
    hub = {key: options.pop(key) for key in HUB_OPTIONS if key in options}
    directory = resolve(name_or_path, **hub)
    fields = {k: options.pop(k) for k in list(options) if AlbertConfig.is_field(k)}
    if config is None:
        config = AlbertConfig.from_pretrained(directory, **fields)
    else:
        for key, value in fields.items():
            setattr(config, key, value)
        config.validate()
    return config, Checkpoint.open(directory)


def match(
    wanted: Mapping[str, tuple[int, ...]],
    checkpoint: Checkpoint,
    title: str,
    ignore_mismatched_sizes: bool = False,
) -> Match:
    """Find the source of every parameter of a model.

    A checkpoint with a head fits a model without, and the other way round. Parameters
    of a head, the pooler among them, may be missing or left over. Everything else must
    be there, in the right shape, with nothing more.

    Args:
        wanted: Name in the model -> shape in canonical layout.
        checkpoint: The open checkpoint.
        title: The model's class, for messages.
        ignore_mismatched_sizes: Leave arrays of another shape out.

    Raises:
        CheckpointError: The checkpoint does not fit; the message lists all of it.
    """
    result = Match()
    stored = {schema.base_name(name): name for name in checkpoint}
    for alias, owner in schema.TIES.items():
        if alias in stored and alias not in wanted:
            _drop_tie(stored, checkpoint, alias, schema.base_name(owner))
    lost: list[str] = []
    wrong: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    for name, shape in wanted.items():
        source = stored.pop(schema.base_name(name), None)
        if source is None:
            (lost if schema.is_encoder(name) else result.missing).append(name)
        elif checkpoint.shape(source) != tuple(shape):
            wrong.append((name, checkpoint.shape(source), tuple(shape)))
        else:
            checkpoint.dtype(source)
            result.sources[name] = source
    strange: list[str] = []
    for base, source in stored.items():
        if base not in schema.BUFFERS:
            (result.unexpected if schema.is_head(base) else strange).append(source)
    if ignore_mismatched_sizes:
        result.mismatched, wrong = wrong, []
    if lost or strange or wrong:
        raise CheckpointError(_misfit(title, checkpoint, lost, strange, wrong))
    return result


def _drop_tie(
    stored: dict[str, str], checkpoint: Checkpoint, alias: str, owner: str
) -> None:
    """Take the second name of a tied array away, after a look that it is the same."""
    source = stored.pop(alias)
    if owner not in stored:
        stored[owner] = source
    elif not np.array_equal(
        checkpoint[source].view(np.uint8), checkpoint[stored[owner]].view(np.uint8)
    ):
        raise CheckpointError(
            f"{checkpoint.directory}: {source!r} and {stored[owner]!r} are one array in "
            f"this model, but the checkpoint holds two that differ. For a decoder of "
            f"its own set tie_word_embeddings=False in config.json."
        )


def _misfit(
    title: str,
    checkpoint: Checkpoint,
    lost: Collection[str],
    strange: Collection[str],
    wrong: Collection[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> str:
    lines = [f"{checkpoint.directory} does not fit {title}:"]
    lines += [f"  missing     {name}" for name in sorted(lost)]
    lines += [f"  unexpected  {name!r}" for name in sorted(strange)]
    lines += [
        f"  shape       {name}: {found} in the checkpoint, {expected} in the model"
        for name, found, expected in sorted(wrong)
    ]
    if any("encoder.layer." in name for name in strange):
        lines.append("This looks like a BERT checkpoint. Give an ALBERT one.")
    elif wrong and all(not schema.is_encoder(name) for name, _, _ in wrong):
        lines.append(
            "For a new head give ignore_mismatched_sizes=True, or the num_labels of "
            "the checkpoint."
        )
    else:
        lines.append("Check that config.json belongs to these weights.")
    return "\n".join(lines)


def padded(config: AlbertConfig, count: int | None, multiple: int | None) -> int:
    """The vocabulary size that `resize_token_embeddings` is asked for.

    Raises:
        ConfigError: It is not a positive whole number.
    """
    count = config.vocab_size if count is None else count
    for name, value in {"new_num_tokens": count, "pad_to_multiple_of": multiple}.items():
        if value is not None and not SIZE.accepts(value):
            raise ConfigError(f"{name} must be {SIZE.expected}, not {value!r}.")
    return count if multiple is None else -(-count // multiple) * multiple
