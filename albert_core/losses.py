"""The losses in NumPy float64, as Hugging Face's PyTorch classes define them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError

F64 = NDArray[np.float64]
IGNORED = -100  # a label that counts for nothing


def cross_entropy(logits: F64, labels: NDArray[Any], ignored: int = IGNORED) -> float:
    """Mean negative log-likelihood over the labels that are not ignored.

    It is NaN when all are, as in PyTorch.

    Args:
        logits: [..., classes].
        labels: Class numbers, of the leading shape.
        ignored: The label to leave out.

    Raises:
        InputError: A label is no class.
    """
    rows = logits.reshape(-1, logits.shape[-1])
    labels = labels.reshape(-1)
    rows, labels = rows[labels != ignored], labels[labels != ignored]
    wrong = sorted({int(label) for label in labels if not 0 <= label < rows.shape[1]})
    if wrong:
        raise InputError(
            f"Labels hold {wrong}, but the classes go from 0 to {rows.shape[1] - 1}. "
            f"Use {ignored} for what is to be left out."
        )
    rows = rows - rows.max(-1, keepdims=True)
    logs = np.log(np.exp(rows).sum(-1))
    with np.errstate(invalid="ignore"):
        chosen = rows[np.arange(len(rows)), labels.astype(int)]
        return float(np.divide((logs - chosen).sum(), len(rows)))


def problem_type(num_labels: int, integer_labels: bool) -> str:
    """The loss that a sequence classifier takes when its configuration names none."""
    if num_labels == 1:
        return "regression"
    if integer_labels:
        return "single_label_classification"
    return "multi_label_classification"


def sequence(logits: F64, labels: NDArray[Any], problem: str | None) -> float:
    """The loss of a sequence classifier.

    Args:
        logits: [batch, num_labels].
        labels: [batch] class numbers, or [batch, num_labels] targets or 0/1 flags.
        problem: One of `fields.PROBLEM_TYPES`, or None to go by the labels.
    """
    integer = np.issubdtype(labels.dtype, np.integer)
    problem = problem or problem_type(logits.shape[-1], integer)
    if problem == "single_label_classification":
        return cross_entropy(logits, labels)
    labels = labels.astype(np.float64).reshape(logits.shape)
    if problem == "regression":
        return float(((logits - labels) ** 2).mean())
    # -log sigmoid(x) for 1 and -log sigmoid(-x) for 0, without overflow
    soft = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    return float(soft.mean())


def span(start: F64, end: F64, starts: NDArray[Any], ends: NDArray[Any]) -> float:
    """Mean of the losses of both ends; positions outside the text count for nothing.

    Args:
        start: Logits [batch, seq].
        end: Logits [batch, seq].
        starts: Positions [batch] or [batch, 1].
        ends: The same.
    """
    length = start.shape[1]
    starts, ends = (x.reshape(-1).clip(0, length) for x in (starts, ends))
    first = cross_entropy(start, starts, ignored=length)
    return (first + cross_entropy(end, ends, ignored=length)) / 2
