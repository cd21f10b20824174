"""From logits to scores, and to the best of them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities along the last axis."""
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def sigmoid(scores: NDArray[Any]) -> NDArray[Any]:
    """The probability of each by itself."""
    return 1 / (1 + np.exp(-scores))


def highest(scores: NDArray[Any], count: int) -> NDArray[Any]:
    """Where the highest scores of each row are, the highest first."""
    some = np.sort(np.argpartition(-scores, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(-np.take_along_axis(scores, some, 1), axis=1, kind="stable")
    return np.take_along_axis(some, order, 1)
