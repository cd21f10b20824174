"""How far a framework's outputs are from the reference's, and what that means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_zoo.parity.searches import settle

Arrays = Mapping[str, NDArray[Any]]

# Outputs of which the largest entry is what a user acts on.
SCORES = ("logits", "prediction_logits", "sop_logits", "start_logits", "end_logits")


@dataclass(frozen=True)
class Difference:
    """What one output of a framework is off by, over all batches.

    Attributes:
        output: Its name, such as "hidden_states.3".
        relative: Frobenius norm of the difference over that of the reference.
        largest: The largest absolute difference.
        agreeing: Rows whose largest score is in the same place as the reference's.
        decided: Rows in which the reference's largest score is clear; see `compare`.
        finite: Whether every number of the framework is finite.
    """

    output: str
    relative: float
    largest: float
    agreeing: int
    decided: int
    finite: bool


def compare(
    found: Mapping[str, Arrays], expected: Mapping[str, Arrays]
) -> list[Difference]:
    """Compare all outputs of a framework with the reference's.

    All batches of an output are judged together, so that two scores that happen to be
    close to 0 in a batch of one do not pass for a large error.

    A row's largest score counts only where it leads the second by more than the largest
    difference of that output: closer than that, either is right. The same holds for the
    places that a search finds; see `searches.settle`.

    Args:
        found: The framework's outputs, by batch and name.
        expected: The reference's outputs, by batch and name.

    Raises:
        ValueError: The outputs, or their shapes, are not the same.
    """
    names = dict.fromkeys(name for outputs in expected.values() for name in outputs)
    for batch, outputs in expected.items():
        shapes = {name: array.shape for name, array in outputs.items()}
        odd = {name: array.shape for name, array in found[batch].items()}.items()
        odd = {name for name, _ in odd ^ shapes.items()}
        if odd:
            raise ValueError(
                f"Of batch {batch!r} only one of the two has {', '.join(sorted(odd))}, "
                f"or their shapes differ"
            )
    found = {batch: settle(found[batch], expected[batch]) for batch in expected}
    given = expected.items()
    return [
        _compare(name, [(found[b][name], x[name]) for b, x in given if name in x])
        for name in names
    ]


def _compare(
    name: str, pairs: Sequence[tuple[NDArray[Any], NDArray[Any]]]
) -> Difference:
    with np.errstate(invalid="ignore", over="ignore"):
        errors = [a.astype(np.float64) - b for a, b in pairs]
        norm = float(np.sqrt(sum(np.sum(np.square(b)) for _, b in pairs))) or 1.0
        error = float(np.sqrt(sum(np.sum(np.square(e)) for e in errors)))
        largest = float(np.max([np.abs(e).max(initial=0.0) for e in errors]))
    agreeing = decided = 0
    for found, expected in pairs if name in SCORES else ():
        if expected.shape[-1] == 1:
            continue
        ordered = np.sort(expected, -1)
        clear = ordered[..., -1] - ordered[..., -2] > 2 * largest
        same = found.argmax(-1) == expected.argmax(-1)
        decided += int(clear.sum())
        agreeing += int((clear & same).sum())
    finite = all(bool(np.isfinite(found).all()) for found, _ in pairs)
    return Difference(name, error / norm, largest, agreeing, decided, finite)
