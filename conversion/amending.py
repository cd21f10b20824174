"""What a user may ask for where a source is not in order."""

import logging
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core import schema
from albert_core.config import AlbertConfig
from albert_core.errors import FormatError, listed
from albert_core.lazy import Array, Lazy, chunks
from albert_core.schema import parameters
from conversion.checking import configuration
from conversion.checkpoint import OpenCheckpoint, open_checkpoint
from conversion.difference import SAME, compare
from conversion.dtypes import nonfinite

logger = logging.getLogger("albert_zoo")


@dataclass(frozen=True)
class Resized:
    """An array with another number of rows: the first ones, and zeros behind them.

    Attributes:
        stored: The array as it is.
        rows: The number.
    """

    stored: Lazy
    rows: int

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape with that number."""
        return (self.rows, *self.stored.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type."""
        return self.stored.dtype

    def read(self) -> Array:
        """The array with that many rows."""
        array = np.zeros(self.shape, self.dtype)
        kept = min(self.rows, self.stored.shape[0])
        array[:kept] = self.stored.read()[:kept]
        return array


def resize_vocabulary(source: OpenCheckpoint) -> None:
    """Cut the tables of words to the size that the configuration states, or pad them.

    Args:
        source: An open checkpoint; is changed.

    Raises:
        ConfigError: There is no configuration.
    """
    config = configuration(source)
    rows = config.vocab_size
    larger = AlbertConfig.from_dict({**config.to_dict(), "vocab_size": rows + 1})
    shapes = {p.name: p.shape for h in schema.HEADS for p in parameters(config, h)}
    others = {p.name: p.shape for h in schema.HEADS for p in parameters(larger, h)}
    for name, lazy in source.lazy.items():
        wanted = shapes.get(name)
        if wanted is None or wanted == others[name] or lazy.shape == wanted:
            continue
        if lazy.shape[1:] == wanted[1:]:
            source.lazy[name] = Resized(lazy, rows)
            logger.warning(
                "%s: %s has %d rows and gets %d, which is its vocab_size: %s",
                source.directory,
                name,
                lazy.shape[0],
                rows,
                "the last are left out" if lazy.shape[0] > rows else "zeros are added",
            )


def damaged(source: OpenCheckpoint) -> dict[str, str]:
    """The arrays whose bytes are not what they were, and why; all of them are read."""
    found: dict[str, str] = {}
    for name, lazy in source.lazy.items():
        try:
            for _ in chunks(lazy):
                pass
        except FormatError as problem:
            if problem.code != "CHECKSUM":
                raise
            found[name] = f"damaged, left out by wish: {problem}"
    return found


def check_finite(source: OpenCheckpoint) -> None:
    """See that every number is finite; all of them are read.

    Raises:
        FormatError: Some are NaN or infinite; all arrays that hold such are named.
    """
    found: list[str] = []
    for name, lazy in source.lazy.items():
        pieces = (np.frombuffer(chunk, lazy.dtype) for chunk in chunks(lazy))
        if count := sum(map(nonfinite, pieces)):
            found.append(f"{name} ({count})")
    if found:
        raise FormatError(
            "NONFINITE",
            source.directory,
            f"there are numbers that are NaN or infinite in {', '.join(found)}",
            "Leave --reject-nonfinite out to convert them as they are.",
        )


def check_siblings(source: OpenCheckpoint) -> None:
    """See that other weights in the same folder are the same.

    Raises:
        CheckpointError: They are not, or one of them is damaged.
    """
    for path in source.siblings:
        rows = compare(source, open_checkpoint(path, source.config))
        if wrong := [row.name for row in rows if row.verdict != SAME]:
            raise FormatError(
                "DUPLICATE",
                path,
                f"it is not the same as {source.directory.name}, in {listed(wrong)}",
                "Remove the one that is wrong, or leave --verify-siblings out.",
            )
