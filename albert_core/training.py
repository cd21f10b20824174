"""What a step of training works on, the same in all frameworks: parts of a batch.

The loss of a part is its sum over what it holds, divided by how much the whole batch
holds. So the loss of a batch is the sum of its parts', and neither how it is cut nor
the devices that the parts are on make a difference.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError
from albert_core.losses import IGNORED

Batch = Mapping[str, NDArray[Any]]

MASKED_LABELS = "masked_lm_labels"
# Google's: keeps the mean over masked tokens finite where there are none.
NO_TOKENS = 1e-5
# Heads whose loss has the scores of padding in it, as transformers' has.
SCORING_PADDING = ("ForQuestionAnswering",)


@dataclass(frozen=True)
class Part:
    """Some rows of a batch.

    Attributes:
        inputs: The arguments of the model and its labels.
        weights: What the sums of its losses are multiplied by: "masked" and "order" in
            pretraining, else "loss", which the mean of the part is.
    """

    inputs: Batch
    weights: Mapping[str, float]


def is_pretraining(batch: Batch) -> bool:
    """Whether a batch is of pretraining instances, and not of a task."""
    return MASKED_LABELS in batch


def may_leave_padding_out(inputs: Batch, head: str) -> bool:
    """Whether a model learns the same without its padding.

    Args:
        inputs: A batch.
        head: The head of the model.
    """
    mask = inputs.get("attention_mask")
    if mask is None or head in SCORING_PADDING:
        return False
    padding = mask == 0
    # What stands at padding must count for nothing.
    counts = (
        (inputs[name] != nothing)[padding].any()
        for name, nothing in (("labels", IGNORED), ("p_mask", 1))
        if name in inputs and inputs[name].shape == mask.shape
    )
    return bool(padding.any()) and not any(counts)


def parts(batch: Batch, count: int = 1, share: slice = slice(None)) -> list[Part]:
    """Cut a batch by rows.

    Args:
        batch: The whole batch, of all devices.
        count: How many parts; there are no more of them than rows.
        share: The rows of this process, if there are several.
    """
    mine = {name: array[share] for name, array in batch.items()}
    cuts = [
        {name: array[rows] for name, array in mine.items()}
        for rows in _slices(len(next(iter(mine.values()))), count)
    ]
    if is_pretraining(batch):
        masked = _counted(batch[MASKED_LABELS]) + NO_TOKENS
        order = len(batch[MASKED_LABELS])
        weights = {"masked": 1 / masked, "order": 1 / order}
        return [Part(cut, weights) for cut in cuts]
    whole = max(1, _examples(batch))
    return [_part(cut, 1 / whole) for cut in cuts]


def spread(part: Part, count: int) -> list[Part]:
    """Cut a part for several devices, as many rows for each.

    Raises:
        InputError: The rows cannot be divided.
    """
    size = rows_each(part.inputs, count)
    cuts = [
        {name: x[i * size : (i + 1) * size] for name, x in part.inputs.items()}
        for i in range(count)
    ]
    if is_pretraining(part.inputs):
        return [Part(cut, part.weights) for cut in cuts]
    each = part.weights["loss"] / max(1, _examples(part.inputs))
    return [_part(cut, each) for cut in cuts]


def rows_each(inputs: Batch, count: int) -> int:
    """How many rows of a part each of several devices has.

    Raises:
        InputError: They cannot be divided.
    """
    rows = len(next(iter(inputs.values())))
    if rows % count:
        raise InputError(
            f"A part of {rows} rows cannot be spread over {count} devices. Choose a "
            f"batch size, and a number of parts, that make it a multiple of {count}."
        )
    return rows // count


def _part(cut: Batch, each: float) -> Part:
    """A part of a task's batch; `each` is what an example of it weighs."""
    count = _examples(cut)
    if not count:  # a mean of nothing is no number; at a weight of 0 any label does
        cut = {**cut, "labels": np.zeros_like(cut["labels"])}
    return Part(cut, {"loss": count * each})


def _slices(rows: int, count: int) -> Sequence[slice]:
    edges = np.linspace(0, rows, min(count, rows) + 1).round().astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(edges)]


def _examples(batch: Batch) -> int:
    """How many labels the mean of a task's loss is over."""
    if "start_positions" in batch:
        return len(batch["start_positions"])
    labels = batch.get("labels")
    if labels is None:
        raise InputError(
            f"The batch holds {', '.join(batch)}, and nothing to learn from. Give "
            f"labels, or start_positions and end_positions."
        )
    return _counted(labels) if labels.dtype.kind in "iu" else len(labels)


def _counted(labels: NDArray[Any]) -> int:
    return int((labels != IGNORED).sum())


def added(figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The figures of a batch, those of its parts added up."""
    return {name: sum(float(one[name]) for one in figures) for name in figures[0]}
