"""Outputs of a model for all features of a task, in batches of one shape."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.data.batching import pad
from albert_core.data.tasks.form import Feature
from albert_core.data.tasks.questions import BEAM, SPAN

ROWS = 32
LENGTHS = 32  # rows are as long as a multiple of this, so that shapes are few
LABELS = ("labels", "start_positions", "end_positions", "is_impossible")

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Mapping[str, NDArray[Any]], Sequence[str]], Arrays]
WANTED = {"ForQuestionAnswering": SPAN, "ForQuestionAnsweringBeam": BEAM}


def outputs_of(
    run: Run,
    features: Sequence[Feature],
    head: str,
    pad_id: int = 0,
    step: Callable[[str], None] = lambda _: None,
) -> list[Arrays]:
    """What a model says of each feature.

    Args:
        run: Takes inputs and the names of outputs, and gives these.
        features: Of a task.
        head: The model's, a key of `schema.HEADS`.
        pad_id: The id of the padding token.
        step: Is called after every batch.

    Returns:
        For each feature the outputs by name, without the batch.
    """
    wanted = WANTED.get(head, ("logits",))
    order = sorted(range(len(features)), key=lambda i: -_length(features[i]))
    found: list[Arrays] = [{} for _ in features]
    for start in range(0, len(order), ROWS):
        chosen = order[start : start + ROWS]
        filled = [*chosen, *[chosen[0]] * (ROWS - len(chosen))]
        inputs = padded([features[i] for i in filled], pad_id)
        given = {name: x for name, x in inputs.items() if name not in LABELS}
        rows = run(given, wanted)
        for place, index in enumerate(chosen):
            found[index] = {name: rows[name][place] for name in wanted}
        step(f"{min(start + ROWS, len(order))} of {len(order)}")
    return found


def padded(features: Sequence[Feature], pad_id: int = 0) -> Arrays:
    """Features as arrays whose lengths are few."""
    return pad(features, LENGTHS, pad_id)


def _length(feature: Feature) -> int:
    ids: Any = feature["input_ids"]
    return max(len(row) for row in ids) if np.ndim(ids[0]) else len(ids)
