"""Which array of a checkpoint goes where: one rule for the three backends."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert_core import schema
from albert_core.checkpoint import Array, Checkpoint
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, ConfigError, shown
from albert_core.fields import SIZE

logger = logging.getLogger("albert_zoo")

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
    stored = _by_base_name(checkpoint)
    if "predictions.decoder.weight" in wanted and "predictions.decoder.bias" in stored:
        # transformers 5 ties the biases only with the tables, and adds this one.
        stored["predictions.bias"] = stored.pop("predictions.decoder.bias")
    for alias, owner in schema.TIES.items():
        base = schema.base_name(owner)
        # What does not decode leaves a decoder, tied or not, like any other head.
        decodes = "predictions.bias" in wanted or base not in stored
        if alias in stored and alias not in wanted and decodes:
            _drop_tie(stored, checkpoint, alias, base)
    lost: list[str] = []
    wrong: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    for name, shape in wanted.items():
        source = stored.pop(schema.base_name(name), None)
        if source is None:
            (lost if schema.is_encoder(name) else result.missing).append(name)
        elif checkpoint.shape(source) != tuple(shape):
            wrong.append((name, checkpoint.shape(source), tuple(shape)))
        else:
            if schema.is_encoder(name) or schema.is_head(name):
                checkpoint.dtype(source)  # a module of the user's own may hold integers
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


def _by_base_name(checkpoint: Checkpoint) -> dict[str, str]:
    """Name in a model without a head -> name in the checkpoint."""
    stored: dict[str, str] = {}
    twice: list[str] = []
    for name in checkpoint:
        other = stored.setdefault(schema.base_name(name), name)
        if other != name:
            twice.append(f"{shown(name)} and {shown(other)}")
    if twice:
        raise CheckpointError(
            f"{checkpoint.directory} holds parameters twice, with and without prefix: "
            f"{', '.join(twice)}. Remove the wrong ones."
        )
    return stored


def _drop_tie(
    stored: dict[str, str], checkpoint: Checkpoint, alias: str, owner: str
) -> None:
    """Take the second name of a tied array away, after a look that it is the same."""
    source = stored.pop(alias)
    other = stored.setdefault(owner, source)
    if other == source or _equal(checkpoint[source], checkpoint[other]):
        return
    remedy = "Remove the wrong one."
    if alias.endswith("weight"):
        remedy = "For a decoder of its own set tie_word_embeddings to false."
    raise CheckpointError(
        f"{checkpoint.directory}: {source!r} and {other!r} are one array in this "
        f"model, but the checkpoint holds two that differ. {remedy}"
    )


def _equal(one: Array, other: Array) -> bool:
    """Whether two arrays are the same, bit by bit: a NaN is equal to itself."""
    same = one.dtype == other.dtype and one.shape == other.shape
    return same and one.tobytes() == other.tobytes()


def _misfit(
    title: str,
    checkpoint: Checkpoint,
    lost: Collection[str],
    strange: Collection[str],
    wrong: Collection[tuple[str, tuple[int, ...], tuple[int, ...]]],
) -> str:
    lines = [f"{checkpoint.directory} does not fit {title}:"]
    lines += [f"  missing     {name}" for name in sorted(lost)]
    lines += [f"  unexpected  {shown(name)}" for name in sorted(strange)]
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
        ConfigError: It is not a positive whole number, or cuts padding off.
    """
    count = config.vocab_size if count is None else count
    for name, value in {
        "new_num_tokens": count,
        "pad_to_multiple_of": multiple,
    }.items():
        if value is not None and not SIZE.accepts(value):
            raise ConfigError(f"{name} must be {SIZE.expected}, not {value!r}.")
    size = count if multiple is None else -(-count // multiple) * multiple
    if config.pad_token_id is not None and config.pad_token_id >= size:
        raise ConfigError(
            f"A vocabulary of {size} has no entry {config.pad_token_id}, which is "
            f"pad_token_id. Give a larger size, or set config.pad_token_id first."
        )
    return size
