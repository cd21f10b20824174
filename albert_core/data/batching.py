"""Features of different lengths in batches, and as arrays."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError, listed, shown
from albert_core.losses import IGNORED

POOL = 2048  # features among which those of similar length are put together

# What a model takes of a feature: its type, and what it is padded with. The rest of a
# feature is for judging. Positions and classes are int64, as PyTorch wants them.
INPUTS: Mapping[str, tuple[type[np.generic], int]] = {
    "input_ids": (np.int32, 0),
    "attention_mask": (np.int32, 0),
    "token_type_ids": (np.int32, 0),
    "p_mask": (np.float32, 1),
    "labels": (np.int64, IGNORED),
    "start_positions": (np.int64, 0),
    "end_positions": (np.int64, 0),
    "is_impossible": (np.int64, 0),
}
Feature = Mapping[str, Any]


def _rows(ids: Any) -> list[Any]:
    """The rows of a feature: one, or one for each choice."""
    return list(ids) if _nested(ids) else [ids]


def _nested(value: Any) -> bool:
    """Whether a value of a feature is a list of rows; they differ in length."""
    return len(value) > 0 and isinstance(value[0], list | np.ndarray)


def _longest(feature: Feature) -> int:
    return max(len(row) for row in _rows(feature["input_ids"]))


def _rounded(length: int, multiple_of: int | None) -> int:
    return -(-length // multiple_of) * multiple_of if multiple_of else length


def batches(
    features: Sequence[Feature],
    max_tokens: int,
    seed: int | None = None,
    multiple_of: int | None = 8,
) -> list[list[int]]:
    """Put features of similar length together, up to a number of tokens.

    Args:
        features: They are told by their "input_ids".
        max_tokens: The most that a padded batch may have: rows, which are choices in
            multiple choice, times the longest of them.
        seed: Shuffle with it; the same seed gives the same batches. None gives the
            longest first, so that a lack of memory shows at once.
        multiple_of: As in `pad`; the budget counts that padding too.

    Returns:
        The numbers of the features of each batch; each feature is in one.

    Raises:
        InputError: A feature alone has more tokens.
    """
    counts = [len(_rows(feature["input_ids"])) for feature in features]
    sizes = [_rounded(_longest(feature), multiple_of) for feature in features]
    over = [i for i, size in enumerate(sizes) if size * counts[i] > max_tokens]
    if over:
        worst = max(over, key=lambda i: sizes[i] * counts[i])
        rows = f" in {counts[worst]} rows" if counts[worst] > 1 else ""
        raise InputError(
            f"max_tokens is {max_tokens}, but {len(over)} examples alone are longer: "
            f"the longest, number {worst}, has {sizes[worst] * counts[worst]} padded "
            f"tokens{rows}. Give a larger max_tokens or a smaller max_length."
        )
    order = list(range(len(features)))
    stream = random.Random(seed)
    size = max(1, len(order))
    if seed is not None:
        # Sorted as a whole, the same features would meet in every epoch.
        stream.shuffle(order)
        size = POOL
    found: list[list[int]] = []
    for start in range(0, len(order), size):
        pool = sorted(order[start : start + size], key=lambda i: -sizes[i])
        found += _filled(pool, sizes, counts, max_tokens)
    if seed is not None:
        stream.shuffle(found)
    return found


def _filled(
    order: Sequence[int], sizes: Sequence[int], counts: Sequence[int], most: int
) -> list[list[int]]:
    """Cut features, the longest first, into batches that are as full as may be."""
    found: list[list[int]] = []
    longest = rows = 0
    for i in order:
        if not found or (rows + counts[i]) * longest > most:
            found.append([])
            longest, rows = sizes[i], 0
        found[-1].append(i)
        rows += counts[i]
    return found


def fixed_batches(
    count: int, batch_size: int, seed: int | None = None
) -> list[list[int]]:
    """Cut numbers into batches of one size; the last may be smaller.

    Args:
        count: How many examples there are.
        batch_size: How many a batch has.
        seed: Shuffle with it; None keeps the order.

    Raises:
        InputError: The size is below 1.
    """
    if batch_size < 1:
        raise InputError(f"batch_size must be 1 or more, not {shown(batch_size)}.")
    order = list(range(count))
    if seed is not None:
        random.Random(seed).shuffle(order)
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def pad(
    features: Sequence[Feature], multiple_of: int | None = 8, pad_id: int = 0
) -> dict[str, NDArray[Any]]:
    """Features as arrays, padded on the right.

    Args:
        features: Those of one batch.
        multiple_of: Round the length up to a multiple; None for no rounding.
        pad_id: The id of the padding token.

    Returns:
        "input_ids", "attention_mask" and "token_type_ids" [rows, length], of multiple
        choice [rows, choices, length], and the labels: [rows], or [rows, length] with
        -100 for padding. Numbers to be predicted are float32.

    Raises:
        InputError: There are no features, only some have a label, or the choices are
            not as many in all.
    """
    if not features:
        raise InputError("There are no features. Give at least one.")
    names = [name for name in INPUTS if any(name in feature for feature in features)]
    for name in names:
        lacking = [i for i, feature in enumerate(features) if name not in feature]
        if lacking:
            raise InputError(
                f"{len(lacking)} of {len(features)} features have no {shown(name)}: "
                f"numbers {listed(lacking)}. Give all of them one, or none."
            )
    if len(counts := {len(_rows(feature["input_ids"])) for feature in features}) > 1:
        raise InputError(
            f"The features have {listed(sorted(counts))} choices. Put those with as "
            f"many into a batch."
        )
    length = _rounded(max(map(_longest, features)), multiple_of)
    arrays: dict[str, NDArray[Any]] = {}
    for name in names:
        kind, fill = INPUTS[name]
        fill = pad_id if name == "input_ids" else fill
        values = [feature[name] for feature in features]
        if isinstance(values[0], list | np.ndarray):
            arrays[name] = _array(values, length, kind, fill)
        else:
            real = name == "labels" and any(isinstance(x, float) for x in values)
            arrays[name] = np.array(values, np.float32 if real else kind)
    masks = [[np.ones_like(row) for row in _rows(f["input_ids"])] for f in features]
    if np.ndim(arrays["input_ids"]) == 2:
        masks = [rows[0] for rows in masks]
    arrays.setdefault("attention_mask", _array(masks, length, np.int32, 0))
    return arrays


def _array(
    values: Sequence[Any], length: int, kind: type[np.generic], fill: int
) -> NDArray[Any]:
    """Rows, or lists of rows, of different lengths as one array."""
    nested = _nested(values[0])
    shape = (len(values), len(values[0]), length) if nested else (len(values), length)
    array = np.full(shape, fill, kind)
    for place, value in enumerate(values):
        for choice, row in enumerate(value if nested else [value]):
            target = array[place, choice] if nested else array[place]
            target[: len(row)] = row
    return array
