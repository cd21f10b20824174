"""How far the numbers of a framework are from the reference's, in every way."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# Outputs of which the largest entry is what a user acts on.
SCORES = ("logits", "prediction_logits", "sop_logits", "start_logits", "end_logits")
# Upper ends of the bins of the ULP histogram; the last bin has no end.
ULPS = (0.5, 1, 2, 4, 8, 16, 64, 256, 1024, 65536)


@dataclass(frozen=True)
class Metrics:
    """What one place of a model is off by, over all batches.

    Attributes:
        relative: Frobenius norm of the difference over that of the reference.
        largest: The largest absolute difference.
        mean: The mean absolute difference.
        p999: The absolute difference that one in a thousand numbers exceeds.
        norm_ratio: Norm over the reference's: direction alone does not see a scale.
        cosine: Of the angle between the two.
        ulps: How many numbers are off by at most so many units in the last place, as
            `ULPS` has it, and one more for those beyond.
        agreeing: Rows whose largest score is in the same place as the reference's.
        decided: Rows in which the reference's largest score is clear: it leads the
            second by more than twice the largest difference of this output.
        divergence: The largest Kullback-Leibler divergence of a row of scores from the
            reference's, in nats; None where there are no scores.
        nonfinite: Numbers that are NaN or infinite, even if the reference's are.
        worst: Where the largest difference is: batch, and place in it.
        found: The number there.
        expected: The reference's.
    """

    relative: float
    largest: float
    mean: float
    p999: float
    norm_ratio: float
    cosine: float
    ulps: list[int]
    agreeing: int
    decided: int
    divergence: float | None
    nonfinite: int
    worst: list[int]
    found: float
    expected: float

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def compare(
    pairs: Sequence[tuple[Array, Array]],
    unit: float,
    scores: bool = False,
    floor: float = 0.0,
) -> Metrics:
    """Compare what a framework has at a place with what the reference has there.

    All batches are judged together, so that two scores that happen to be close to 0 in
    a batch of one do not pass for a large error.

    Args:
        pairs: The framework's and the reference's array of every batch, of the same
            shapes.
        unit: The unit round-off of what the framework computes in.
        scores: Whether the last axis holds scores of which the largest counts.
        floor: A norm below which the reference's is taken to be this.
    """
    found = np.concatenate([np.ravel(a).astype(np.float64) for a, _ in pairs])
    expected = np.concatenate([np.ravel(b).astype(np.float64) for _, b in pairs])
    usual = np.isfinite(expected)
    with np.errstate(all="ignore"):
        errors = np.abs(found - expected)
        norm = float(np.linalg.norm(expected[usual]))
        own = float(np.linalg.norm(found[usual]))
        relative = float(np.linalg.norm(errors)) / (max(norm, floor) or 1.0)
        together = float(found[usual] @ expected[usual])
        cosine = together / (norm * own) if norm and own else float(norm == own)
        beyond = float(np.quantile(errors, 0.999)) if len(errors) else 0.0
    ranked = np.where(np.isnan(errors), np.inf, errors)
    place = int(ranked.argmax()) if len(ranked) else 0
    agreeing = decided = 0
    divergence: float | None = None
    for a, b in pairs if scores else ():
        if b.shape[-1] == 1:
            continue
        same, clear = _agreement(a, b, float(ranked.max(initial=0.0)))
        agreeing, decided = agreeing + same, decided + clear
        divergence = max(divergence or 0.0, _divergence(a, b))
    return Metrics(
        relative=relative,
        largest=float(errors.max(initial=0.0)),
        mean=float(errors.mean()) if len(errors) else 0.0,
        p999=beyond,
        norm_ratio=own / norm if norm else float(own == norm),
        cosine=cosine,
        ulps=_ulps(errors, expected, unit),
        agreeing=agreeing,
        decided=decided,
        divergence=divergence,
        nonfinite=int((~np.isfinite(found)).sum()),
        worst=_place([b.shape for _, b in pairs], place),
        found=float(found[place]) if len(found) else 0.0,
        expected=float(expected[place]) if len(expected) else 0.0,
    )


def _ulps(errors: Array, expected: Array, unit: float) -> list[int]:
    """The histogram of the errors, in distances between neighbours of that type."""
    with np.errstate(all="ignore"):
        _, exponent = np.frexp(expected)  # of 0.5 to 1
        exponent = np.where(expected == 0, -125, np.maximum(exponent, -125))
        spacing = np.ldexp(unit, exponent)
        counted = np.where(np.isnan(errors), np.inf, errors / spacing)
    bins = [0.0, *np.nextafter(ULPS, np.inf), np.inf]
    counts, _ = np.histogram(np.minimum(counted, 1e300), bins)
    return [int(count) for count in counts]


def _agreement(found: Array, expected: Array, largest: float) -> tuple[int, int]:
    """Rows whose largest score is where the reference's is, of those that are clear."""
    ordered = np.sort(expected, -1)
    clear = ordered[..., -1] - ordered[..., -2] > 2 * largest
    same = found.argmax(-1) == expected.argmax(-1)
    return int((clear & same).sum()), int(clear.sum())


def _divergence(found: Array, expected: Array) -> float:
    """The largest Kullback-Leibler divergence of a row, reference first."""
    one, other = (_logs(x.astype(np.float64)) for x in (expected, found))
    with np.errstate(all="ignore"):
        rows = (np.exp(one) * (one - other)).sum(-1)
    return float(np.max(rows, initial=0.0))


def _logs(scores: Array) -> Array:
    with np.errstate(all="ignore"):
        scores = scores - scores.max(-1, keepdims=True)
        return scores - np.log(np.exp(scores).sum(-1, keepdims=True))


def _place(shapes: Sequence[tuple[int, ...]], index: int) -> list[int]:
    """The batch that a place in all of them is in, and where in that."""
    for number, shape in enumerate(shapes):
        size = int(np.prod(shape))
        if index < size:
            return [number, *(int(i) for i in np.unravel_index(index, shape))]
        index -= size
    return []
