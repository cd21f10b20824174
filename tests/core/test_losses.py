"""The losses against their definitions, written out one term at a time."""

import math

import numpy as np
import pytest

from albert_core import InputError, losses

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (4, 5, 7))


def negative_log_likelihood(scores, label):
    return math.log(sum(math.exp(score) for score in scores)) - scores[label]


def close(found, expected):
    assert type(found) is float
    assert abs(found - expected) <= 1e-14 * max(1, abs(expected))


def test_cross_entropy_is_a_mean_over_what_is_not_ignored():
    labels = RNG.integers(0, 7, (4, 5))
    labels[0, 0] = labels[3] = -100
    terms = [
        negative_log_likelihood(LOGITS[i], labels[i])
        for i in np.ndindex(4, 5)
        if labels[i] != -100
    ]
    assert len(terms) == 14
    close(losses.cross_entropy(LOGITS, labels), sum(terms) / 14)


def test_cross_entropy_of_nothing_is_nan_as_in_pytorch():
    assert math.isnan(losses.cross_entropy(LOGITS, np.full((4, 5), -100)))


def test_cross_entropy_of_scores_beyond_the_exponential():
    close(losses.cross_entropy(np.array([[1e4, 0.0]]), np.array([1])), 1e4)
    close(losses.cross_entropy(np.array([[-1e4, -1e4]]), np.array([1])), math.log(2))


@pytest.mark.parametrize("label", [-1, 7, -99])
def test_a_label_that_is_no_class(label):
    """NumPy would count it from the end."""
    with pytest.raises(InputError) as caught:
        losses.cross_entropy(LOGITS[0], np.array([0, label, 1, -100, 2]))
    assert str(caught.value) == (
        f"Labels hold [{label}], but the classes go from 0 to 6. Use -100 for what is "
        f"to be left out."
    )


ROWS = LOGITS[:, 0]
CLASSES = np.array([3, 0, 6, 1])
FLAGS = RNG.integers(0, 2, (4, 7)).astype(np.float32)
VALUES = RNG.normal(size=(4, 7))


def single(rows):
    return sum(map(negative_log_likelihood, rows, CLASSES)) / len(rows)


def several(rows):
    terms = []
    for i in np.ndindex(rows.shape):
        chance = 1 / (1 + math.exp(-rows[i]))
        terms.append(-math.log(chance if FLAGS[i] else 1 - chance))
    return sum(terms) / len(terms)


def squares(rows, values):
    pairs = [(rows[i] - values[i]) ** 2 for i in np.ndindex(rows.shape)]
    return sum(pairs) / len(pairs)


def test_every_problem_of_a_sequence():
    for problem, labels, expected in (
        ("single_label_classification", CLASSES, single(ROWS)),
        ("single_label_classification", CLASSES[:, None], single(ROWS)),
        ("multi_label_classification", FLAGS, several(ROWS)),
        ("multi_label_classification", FLAGS.astype(int), several(ROWS)),
        ("regression", VALUES, squares(ROWS, VALUES)),
        # By the labels alone.
        (None, CLASSES, single(ROWS)),
        (None, CLASSES.astype(np.uint8), single(ROWS)),
        (None, FLAGS, several(ROWS)),
    ):
        close(losses.sequence(ROWS, labels, problem), expected)


@pytest.mark.parametrize("problem", [None, "regression"])
@pytest.mark.parametrize("shape", [(4,), (4, 1)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_regression_of_one_value(dtype, shape, problem):
    values = np.array([1, 0, 2, 5]).astype(dtype)
    expected = squares(ROWS[:, :1], values[:, None])
    close(losses.sequence(ROWS[:, :1], values.reshape(shape), problem), expected)


def test_several_labels_of_scores_beyond_the_exponential():
    rows, flags = np.array([[800.0, -800.0]]), np.array([[0.0, 1.0]])
    close(losses.sequence(rows, flags, "multi_label_classification"), 800.0)


def test_the_problem_by_the_labels():
    assert losses.problem_type(1, True) == losses.problem_type(1, False) == "regression"
    assert losses.problem_type(2, True) == "single_label_classification"
    assert losses.problem_type(2, False) == "multi_label_classification"


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_spans_count_positions_in_the_text_only(shape):
    """Below 0 counts as 0; from the end on, as nothing."""
    start, end = LOGITS[:3, :, 0], LOGITS[:3, :, 1]
    starts, ends = np.array([1, -7, 5]), np.array([99, 4, 6])
    first = (
        negative_log_likelihood(start[0], 1) + negative_log_likelihood(start[1], 0)
    ) / 2
    second = negative_log_likelihood(end[1], 4)
    found = losses.span(start, end, starts.reshape(shape), ends.reshape(shape))
    close(found, (first + second) / 2)


def test_a_span_whose_ends_are_all_outside_is_nan_as_in_pytorch():
    start = LOGITS[:3, :, 0]
    outside = np.array([5, 6, 7])
    assert math.isnan(losses.span(start, start, outside, np.array([0, 1, 2])))
