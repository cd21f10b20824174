"""Whether a checkpoint is a whole ALBERT, and nothing else."""

from collections.abc import Mapping, Sequence

from albert_core import google, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, ConfigError, FormatError, shown
from albert_core.folder import CONFIG_NAME
from albert_core.loading import Match, match
from conversion.checkpoint import TABLE, OpenCheckpoint

MOST_SHOWN = 20
# Parts of names in the checkpoints of other models -> the model.
OTHERS = {
    "encoder.layer.": "BERT or RoBERTa",
    "encoder/layer_": "BERT",
    "transformer.layer.": "DistilBERT or XLNet",
    "transformer.h.": "GPT-2",
    "decoder.block.": "T5",
    "encoder.block.": "T5",
    "electra.": "ELECTRA",
    "deberta.": "DeBERTa",
    "model.layers.": "a decoder such as Llama",
}


def configuration(source: OpenCheckpoint) -> AlbertConfig:
    """The configuration of a checkpoint.

    Raises:
        ConfigError: There is none.
    """
    if source.config is None:
        raise ConfigError(
            f"{source.folder} holds no {CONFIG_NAME} and no {google.CONFIG_NAME}, so "
            f"the shape of the model is not known. Put one there, or give --config."
        )
    return source.config


def family(names: Sequence[str]) -> str | None:
    """The model that a checkpoint's names are of, None if they tell nothing."""
    for part, model in OTHERS.items():
        if any(part in name for name in names):
            return model
    return None


def check_known(source: OpenCheckpoint) -> None:
    """See that nothing is there that is not known.

    Raises:
        FormatError: There is; the message names it.
    """
    names = [source.store.to_file(name) for name in source.unexpected]
    if not names:
        return
    listed = ", ".join(map(shown, names[:MOST_SHOWN]))
    more = f" and {len(names) - MOST_SHOWN} more" if len(names) > MOST_SHOWN else ""
    if len(source) * 4 < len(names):
        other = family(names)
        guess = f"; they look like those of {other}" if other else ""
        raise FormatError(
            "WRONG_MODEL",
            source.directory,
            f"{len(source)} of its {len(source) + len(names)} arrays have names of "
            f"ALBERT's{guess}. It has {listed}{more}",
            "Give an ALBERT checkpoint.",
        )
    raise FormatError(
        "UNEXPECTED",
        source.directory,
        f"it holds what is no part of ALBERT: {listed}{more}",
        "Leave it out with --allow-unused.",
    )


def whole_head(source: OpenCheckpoint) -> str:
    """See that a model is all there, in the shapes that its configuration asks for.

    Returns:
        The model's head, a key of `schema.HEADS`: what the configuration says, or else
        what the arrays are.

    Raises:
        CheckpointError: Something is missing or of another shape; all of it is named.
    """
    config = configuration(source)
    heads: list[str] = []
    for stated in (config.architectures, None):
        try:
            heads.append(schema.guess_head(list(source), stated))
        except CheckpointError:
            heads.append(schema.BASE)  # more than one head
    lost: list[str] = []
    for head in heads:
        wanted = {p.name: p.shape for p in schema.parameters(config, head)}
        # Some hold a pooler that their head does not use.
        pooled = schema.parameters(config, schema.BASE, True)
        prefix = schema.PREFIX if source.has_head else ""
        wanted |= {
            f"{prefix}{p.name}": p.shape
            for p in pooled
            if p.name.endswith(POOLER) and f"{prefix}{p.name}" in source
        }
        found = _match(wanted, source, config)
        # A pooler is missed by those who call for it, and by nobody else.
        missing = [n for n in found.missing if not n.endswith(POOLER)]
        if not missing:
            return head
        lost = lost or missing
    raise FormatError(
        "MISSING",
        source.directory,
        f"a model with the head {heads[0]} has arrays that are not there: "
        f"{', '.join(lost)}",
        f"Get the whole checkpoint, or correct 'architectures' in {CONFIG_NAME}.",
    )


def _match(
    wanted: Mapping[str, tuple[int, ...]], source: OpenCheckpoint, config: AlbertConfig
) -> Match:
    """Compare with a model, and tell those who have another number of words of help."""
    try:
        return match(wanted, source, f"the model of its {CONFIG_NAME}")
    except CheckpointError as problem:
        tables = [name for name in source if schema.base_name(name) == TABLE.name]
        if any(source.shape(name)[0] != config.vocab_size for name in tables):
            raise CheckpointError(
                f"{problem} If they do, and only the number of words is another, add "
                f"--resize-vocab."
            ) from problem
        raise


POOLER = ("pooler.weight", "pooler.bias")
