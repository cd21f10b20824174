"""The losses in NumPy float64, each followed by its gradient.

They are Hugging Face's PyTorch classes', but for `joint_span`, which is Google's.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError
from albert_core.numerics import F64, sigmoid, softmax

IGNORED = -100  # a label that counts for nothing
MASKED = 1e30  # Google's: what is taken off the score of a token that is no answer


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


def cross_entropy_gradient(
    logits: F64, labels: NDArray[Any], ignored: int = IGNORED
) -> F64:
    """The gradient of the logits: (softmax - 1 at the label) / number of labels.

    It is 0 when all labels are ignored, as in PyTorch.
    """
    rows = logits.reshape(-1, logits.shape[-1])
    labels = labels.reshape(-1)
    kept = np.flatnonzero(labels != ignored)
    gradient = np.zeros_like(rows)
    gradient[kept] = softmax(rows[kept])
    gradient[kept, labels[kept].astype(int)] -= 1
    return gradient.reshape(logits.shape) / max(1, len(kept))


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
    problem = problem or _problem_of(logits, labels)
    if problem == "single_label_classification":
        return cross_entropy(logits, labels)
    labels = labels.astype(np.float64).reshape(logits.shape)
    if problem == "regression":
        return float(((logits - labels) ** 2).mean())
    return binary(logits, labels)


def sequence_gradient(logits: F64, labels: NDArray[Any], problem: str | None) -> F64:
    """The gradient of the logits."""
    problem = problem or _problem_of(logits, labels)
    if problem == "single_label_classification":
        return cross_entropy_gradient(logits, labels)
    labels = labels.astype(np.float64).reshape(logits.shape)
    if problem == "regression":
        return 2 * (logits - labels) / logits.size
    return binary_gradient(logits, labels)


def _problem_of(logits: F64, labels: NDArray[Any]) -> str:
    integer = np.issubdtype(labels.dtype, np.integer)
    return problem_type(logits.shape[-1], integer)


def binary(logits: F64, labels: NDArray[Any]) -> float:
    """Mean loss of independent yes-or-no labels, of the shape of the logits."""
    # -log sigmoid(x) for 1 and -log sigmoid(-x) for 0, without overflow
    soft = np.maximum(logits, 0) - logits * labels + np.log1p(np.exp(-np.abs(logits)))
    return float(soft.mean())


def binary_gradient(logits: F64, labels: NDArray[Any]) -> F64:
    """The gradient of the logits: (sigmoid - label) / number of labels."""
    return (sigmoid(logits) - labels) / logits.size


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


def span_gradient(
    start: F64, end: F64, starts: NDArray[Any], ends: NDArray[Any]
) -> tuple[F64, F64]:
    """The gradients of both logits."""
    length = start.shape[1]
    starts, ends = (x.reshape(-1).clip(0, length) for x in (starts, ends))
    first = cross_entropy_gradient(start, starts, ignored=length)
    return first / 2, cross_entropy_gradient(end, ends, ignored=length) / 2


def joint_span(
    start: F64,
    end: F64,
    cls_logits: F64,
    starts: NDArray[Any],
    ends: NDArray[Any],
    impossible: NDArray[Any] | None,
) -> float:
    """Mean of the losses of both ends, and half of that of answerability.

    A position outside the text adds nothing, but counts in the mean. Source:
    google-research/albert `squad_utils.v2_model_fn_builder`.

    Args:
        start: Log-probabilities of the start [batch, seq].
        end: Of the end, given the right start [batch, seq].
        cls_logits: [batch].
        starts: Positions [batch] or [batch, 1].
        ends: The same.
        impossible: 1 where there is no answer, [batch] or [batch, 1]; None leaves
            answerability out.
    """
    losses = [0.0, 0.0]
    for which, (logs, positions) in enumerate(((start, starts), (end, ends))):
        for row, position in zip(logs, positions.reshape(-1), strict=True):
            if 0 <= position < len(row):
                losses[which] -= float(row[position]) / len(logs)
    loss = sum(losses) / 2
    if impossible is not None:
        loss += binary(cls_logits, impossible.reshape(-1)) / 2
    return loss


def joint_span_gradient(
    start: F64,
    end: F64,
    cls_logits: F64,
    starts: NDArray[Any],
    ends: NDArray[Any],
    impossible: NDArray[Any] | None,
) -> tuple[F64, F64, F64]:
    """The gradients of both log-probabilities and of the logits of answerability."""
    gradients = np.zeros_like(start), np.zeros_like(end)
    for gradient, positions in zip(gradients, (starts, ends), strict=True):
        for row, position in zip(gradient, positions.reshape(-1), strict=True):
            if 0 <= position < len(row):
                row[position] = -1 / len(gradient) / 2
    answers = np.zeros_like(cls_logits)
    if impossible is not None:
        answers = binary_gradient(cls_logits, impossible.reshape(-1)) / 2
    return *gradients, answers
