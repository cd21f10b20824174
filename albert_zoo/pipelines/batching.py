"""Rows of different lengths in few, well filled batches, and in their order again."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from albert_core.packing import fit

Item = TypeVar("Item")
Row = Mapping[str, Sequence[int]]

PACKED = 128  # the length of rows that several texts share, unless one is longer
ROOM = 4  # times as long as a text; also padding over tokens, outside of the encoder
PER_TOKEN = ("input_ids", "attention_mask", "token_type_ids")


@dataclass(frozen=True)
class Batch:
    """What runs at once.

    Attributes:
        rows: Which rows, by their number.
        size: Rows of the arrays; more than there are rows where shapes are to be few.
        length: Tokens of the arrays.
    """

    rows: list[int]
    size: int
    length: int


def windows(items: Iterable[Item], most: int, characters: int) -> Iterator[list[Item]]:
    """Cut a stream into pieces that fit into memory, each as soon as it is full.

    Where it is cut depends on the items before the cut alone, so that a run that is
    taken up again makes the same pieces.
    """
    held: list[Item] = []
    weight = 0
    for item in items:
        held.append(item)
        weight += _characters(item)
        if len(held) == most or weight >= characters:
            yield held
            held, weight = [], 0
    if held:
        yield held


def _characters(item: Any) -> int:
    if isinstance(item, str):
        return len(item)
    if isinstance(item, Mapping):
        item = item.values()
    elif not isinstance(item, list | tuple):
        return 0
    return sum(map(_characters, item))


def power_of_two(number: int) -> int:
    """The smallest power of two that is not below a number."""
    return 1 << max(0, number - 1).bit_length()


def bucket(length: int, longest: int) -> int:
    """The length that a row is padded to: 16, 32, 48, 64, 96, 128, 192, ..."""
    for power in count(4):
        for size in (2**power, 3 * 2 ** (power - 1)):
            if size >= length and size != 24:
                return max(length, min(size, longest))
    raise AssertionError("there is always a larger one")


def batches(
    lengths: Sequence[int], tokens: int, longest: int, few_shapes: bool
) -> Iterator[Batch]:
    """Put rows of similar length together.

    Args:
        lengths: Of each row.
        tokens: About the most that a batch holds, padding included.
        longest: The most tokens that the model takes.
        few_shapes: Round sizes and lengths up to few different ones.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        length = lengths[order[start]]
        if few_shapes:
            length = bucket(length, longest)
        size = max(1, tokens // length)
        if few_shapes:
            size = power_of_two(size + 1) // 2  # the power of two below
        rows = order[start : start + size]
        yield Batch(rows, power_of_two(len(rows)) if few_shapes else len(rows), length)
        start += size


def packed_batches(
    lengths: Sequence[int], tokens: int, longest: int
) -> Iterator[Batch]:
    """Put rows together for a predictor that packs several into one; shapes are few.

    Args:
        lengths: Of each row.
        tokens: About the most that a batch holds, without padding.
        longest: The most tokens that the model takes.
    """
    shapes = [bucket(length, longest) for length in lengths]
    # Rows that are much longer than texts are filled with less waste.
    short = [shape for shape in shapes if shape <= PACKED]
    usual = min(ROOM * max(short, default=0), PACKED, longest)
    for width in sorted({max(shape, usual) for shape in shapes}, reverse=True):
        texts = [i for i, shape in enumerate(shapes) if max(shape, usual) == width]
        row_of = fit([lengths[i] for i in texts], width) // width
        rows: list[int] = []
        last = first = 0
        for place in np.argsort(row_of, kind="stable"):
            row = int(row_of[place])
            many = power_of_two(len(rows) + 1) * width > ROOM * max(tokens, width)
            full = row - first >= max(1, tokens // width)
            if rows and (full or (many and row != last)):
                yield _shared(rows, width, lengths, longest)
                rows, first = [], row
            rows.append(texts[place])
            last = row
        yield _shared(rows, width, lengths, longest)


def _shared(rows: list[int], width: int, lengths: Sequence[int], longest: int) -> Batch:
    """A batch of texts that share rows; a single row is as short as it can be."""
    total = sum(lengths[row] for row in rows)
    alone = bucket(max(lengths[row] for row in rows), longest)
    return Batch(rows, power_of_two(len(rows)), alone if total <= alone else width)


def stack(
    rows: Sequence[Row], batch: Batch, padding: int, few_shapes: bool
) -> dict[str, NDArray[np.int32]]:
    """Rows as arrays, padded at their ends.

    Args:
        rows: All have the same names; "positions" may differ in number.
        batch: The shape.
        padding: The id of the padding token.
        few_shapes: Whether the number of positions is rounded up as well.
    """
    arrays: dict[str, NDArray[np.int32]] = {}
    for name in rows[0]:
        width = batch.length
        if name not in PER_TOKEN:
            width = max(len(row[name]) for row in rows)
            width = power_of_two(width) if few_shapes else width
        fill = padding if name == "input_ids" else 0
        array = np.full((batch.size, width), fill, np.int32)
        for place, row in enumerate(rows):
            array[place, : len(row[name])] = row[name]
        arrays[name] = array
    return arrays
