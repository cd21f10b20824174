"""What two searches may find differently although both are right."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def settle(found: Arrays, expected: Arrays) -> Arrays:
    """Take the reference's choice where rounding alone decides between two.

    Two tokens closer than twice the largest difference of their log-probabilities may
    change places, and one below the last place may take it. What then follows from the
    choice of a start is that of another start, and tells nothing either.

    Args:
        found: A framework's outputs for a batch.
        expected: The reference's, of the same shapes.

    Returns:
        The framework's outputs, with the reference's in all such places.
    """
    if "start_top_index" not in expected:
        return found
    starts = expected["start_top_index"].shape
    grouped = [
        {k: x.reshape(*starts, -1) for k, x in of.items() if k.startswith("end_top")}
        for of in (found, expected)
    ]
    ends, wanted = grouped
    start_log_probs = found["start_top_log_probs"], expected["start_top_log_probs"]
    same_start = np.broadcast_to(
        _clear(*start_log_probs)[..., None], wanted["end_top_index"].shape
    )
    log_probs, index = (
        np.where(same_start, ends[name], wanted[name])
        for name in ("end_top_log_probs", "end_top_index")
    )
    same_end = same_start & _clear(log_probs, wanted["end_top_log_probs"])
    index = np.where(same_end, index, wanted["end_top_index"])
    first = same_start[..., 0]
    settled = {
        "start_top_index": np.where(
            first, found["start_top_index"], expected["start_top_index"]
        ),
        "end_top_log_probs": log_probs.reshape(starts[0], -1),
        "end_top_index": index.reshape(starts[0], -1),
    }
    return {**found, **settled}


def _clear(found: NDArray[Any], expected: NDArray[Any]) -> NDArray[np.bool_]:
    """Where a place among the best is certain; never that of the last."""
    largest = np.abs(found - expected).max(initial=0.0)
    apart = expected[..., :-1] - expected[..., 1:] > 2 * largest
    edge = (*apart.shape[:-1], 1)
    before = np.concatenate([np.ones(edge, bool), apart], -1)
    after = np.concatenate([apart, np.zeros(edge, bool)], -1)
    return before & after
