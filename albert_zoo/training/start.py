"""The first checkpoint of a run, made in NumPy, so that all frameworks begin alike."""

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from albert_core import loading, schema
from albert_core.config import AlbertConfig
from albert_core.initial import initial_value, wave_positions
from conversion.pretrained import open_pretrained

Arrays = dict[str, NDArray[Any]]


POSITIONS = f"{schema.PREFIX}embeddings.position_embeddings.weight"


def fresh(
    config: AlbertConfig, head: str, seed: int, positions: str = "random"
) -> Arrays:
    """Initial weights of a model.

    Args:
        config: Its configuration.
        head: A key of `schema.HEADS`.
        seed: Of what is drawn.
        positions: "random", or "waves" for sines and cosines.
    """
    arrays: Arrays = {
        row.name: initial_value(row, config.initializer_range, seed)
        for row in schema.parameters(config, head)
    }
    if positions == "waves":
        shape = config.max_position_embeddings, config.embedding_size
        arrays[POSITIONS] = wave_positions(shape, config.initializer_range)
    return arrays


def pretrained(
    source: str | Path, head: str, seed: int, **fields: Any
) -> tuple[AlbertConfig, Arrays]:
    """The weights of a checkpoint of any format; what it lacks of a head is drawn.

    Weights that stay random are named in a warning. A head of another shape, such as
    one for other labels, is drawn anew.

    Args:
        source: A checkpoint, or a hub name.
        head: The head that is wanted.
        seed: Of what is drawn.
        **fields: Of the configuration, that differ from the checkpoint's.

    Raises:
        CheckpointError: The encoder is not whole.
    """
    config, stored = open_pretrained(source, None, dict(fields))
    rows = {row.name: row for row in schema.parameters(config, head)}
    wanted = {name: row.shape for name, row in rows.items()}
    heads = {name for name in wanted if not schema.is_encoder(name)}
    found = loading.match(wanted, stored, f"Albert{head}", ignore_mismatched_sizes=True)
    if any(name not in heads for name, _, _ in found.mismatched):
        loading.match(wanted, stored, f"Albert{head}")  # says what does not fit
    found.report(f"Albert{head}", source)
    arrays: Arrays = {name: stored[at] for name, at in found.sources.items()}
    for name in found.initialised:
        arrays[name] = initial_value(rows[name], config.initializer_range, seed)
    return config, {name: arrays[name] for name in rows}
