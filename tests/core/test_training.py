"""However a batch is cut, its parts weigh what they should, and no row is lost."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from albert_core import InputError, losses
from albert_core.training import (
    Part,
    added,
    is_pretraining,
    may_leave_padding_out,
    parts,
    rows_each,
    spread,
)

IGNORED = losses.IGNORED


def pretraining(rows=7, seed=0):
    stream = np.random.default_rng(seed)
    labels = stream.integers(0, 9, (rows, 4))
    labels[stream.random(labels.shape) < 0.4] = IGNORED
    return {
        "input_ids": np.arange(rows * 3).reshape(rows, 3),
        "masked_lm_labels": labels,
        "sentence_order_label": stream.integers(0, 2, rows),
    }


def joined(cuts, name):
    return np.concatenate([cut.inputs[name] for cut in cuts])


@given(st.integers(1, 20), st.integers(1, 25), st.integers(1, 4))
def test_no_row_is_lost_whatever_the_cuts(rows, count, processes):
    batch = pretraining(rows)
    size = max(1, rows // processes)
    found = []
    for start in range(0, rows, size):
        cuts = parts(batch, count, slice(start, start + size))
        lengths = [len(cut.inputs["input_ids"]) for cut in cuts]
        mine = min(size, rows - start)
        assert len(cuts) == min(count, mine)
        assert max(lengths) - min(lengths) <= 1
        assert sum(lengths) == mine
        found += cuts
    for name, array in batch.items():
        assert np.array_equal(joined(found, name), array)
    assert all(cut.weights == found[0].weights for cut in found)


def test_pretraining_is_weighed_by_the_whole_batch():
    """Google's masked mean is over all masked tokens, and a little more than them."""
    batch = pretraining()
    masked = (batch["masked_lm_labels"] >= 0).sum()
    for cuts in (parts(batch), parts(batch, 3), parts(batch, 2, slice(2, 5))):
        for cut in cuts:
            assert cut.weights == pytest.approx(
                {"masked": 1 / (masked + 1e-5), "order": 1 / 7}, rel=1e-12
            )


def test_a_batch_without_masked_tokens_has_a_loss():
    batch = pretraining() | {"masked_lm_labels": np.full((7, 4), IGNORED)}
    (part,) = parts(batch)
    assert part.weights["masked"] == pytest.approx(1e5)


@pytest.mark.parametrize("count", [1, 2, 3, 7, 99])
@pytest.mark.parametrize("kind", ["classes", "tags", "numbers"])
def test_the_means_of_parts_make_the_mean_of_the_batch(kind, count):
    stream = np.random.default_rng(4)
    shape = (7, 5) if kind == "tags" else (7,)
    logits = stream.normal(size=(*shape, 3))
    if kind == "numbers":
        labels = stream.normal(size=7)

        def loss(x, y):
            return np.square(x[..., 0] - y).mean()

    else:
        labels, loss = stream.integers(0, 3, shape), losses.cross_entropy
    if kind == "tags":
        labels[stream.random(shape) < 0.5] = IGNORED
        labels[3] = IGNORED  # a row that nothing can be learned from
    batch = {"logits": logits, "labels": labels}
    expected = loss(logits, labels)
    cuts = parts(batch, count)
    each = [
        {"loss": loss(cut.inputs["logits"], cut.inputs["labels"]) * cut.weights["loss"]}
        for cut in cuts
    ]
    assert added(each)["loss"] == pytest.approx(expected, rel=1e-12)
    assert np.array_equal(joined(cuts, "logits"), logits)


def test_a_part_of_ignored_labels_weighs_nothing_and_has_a_loss():
    labels = np.array([[1, IGNORED], [IGNORED, IGNORED], [0, 1]])
    cuts = parts({"labels": labels}, 3)
    assert [cut.weights["loss"] for cut in cuts] == pytest.approx([1 / 3, 0, 2 / 3])
    assert (cuts[1].inputs["labels"] != IGNORED).all()
    assert labels[1].tolist() == [IGNORED, IGNORED]  # the batch is as it was
    (part,) = parts({"labels": labels[1:2]})
    assert part.weights["loss"] == 0


def test_questions_are_counted_by_rows():
    batch = {"start_positions": np.arange(5), "end_positions": np.arange(5)}
    found = [cut.weights["loss"] for cut in parts(batch, 2, slice(1, 5))]
    assert found == pytest.approx([2 / 5, 2 / 5])


def test_numbers_are_labels_even_if_one_is_that_of_the_ignored():
    labels = np.array([-100.0, 1.0, 2.0])
    found = [cut.weights["loss"] for cut in parts({"labels": labels}, 3)]
    assert found == pytest.approx([1 / 3] * 3)


def test_parts_are_spread_over_devices():
    batch = {"labels": np.array([[1, IGNORED], [1, 1], [IGNORED, IGNORED], [2, 2]])}
    (part,) = parts(batch)
    found = spread(part, 4)
    weights = [cut.weights["loss"] for cut in found]
    assert weights == pytest.approx([1 / 5, 2 / 5, 0, 2 / 5])
    assert (
        joined(found, "labels")[[0, 1, 3]].tolist()
        == batch["labels"][[0, 1, 3]].tolist()
    )
    half = parts(batch, 2)[1]
    assert sum(cut.weights["loss"] for cut in spread(half, 2)) == pytest.approx(2 / 5)
    (part,) = parts(pretraining(6))
    found = spread(part, 3)
    assert [cut.weights for cut in found] == [part.weights] * 3
    for name, array in part.inputs.items():
        assert np.array_equal(joined(found, name), array)
    assert rows_each(part.inputs, 3) == 2


def test_rows_that_cannot_be_spread_are_refused():
    (part,) = parts(pretraining(7))
    with pytest.raises(InputError) as problem:
        spread(part, 2)
    assert str(problem.value) == (
        "A part of 7 rows cannot be spread over 2 devices. Choose a batch size, and a "
        "number of parts, that make it a multiple of 2."
    )


def test_a_batch_without_labels_is_refused():
    with pytest.raises(InputError) as problem:
        parts({"input_ids": np.zeros((2, 3)), "attention_mask": np.zeros((2, 3))})
    assert str(problem.value) == (
        "The batch holds input_ids, attention_mask, and nothing to learn from. Give "
        "labels, or start_positions and end_positions."
    )


def test_what_a_batch_is_for():
    assert is_pretraining(pretraining())
    assert not is_pretraining({"labels": np.zeros(1)})


def test_figures_are_added_up():
    found = added([{"loss": 1, "x": np.float32(0.5)}, {"loss": 2.5, "x": 1}])
    assert found == {"loss": 3.5, "x": 1.5}
    assert all(type(value) is float for value in found.values())
    assert Part({}, {}).weights == {}


@pytest.mark.parametrize(
    ("changes", "head", "left_out"),
    [
        ({}, "ForTokenClassification", True),
        ({"labels": np.full((2, 3), 1)}, "ForTokenClassification", False),
        ({"labels": np.array([[1, 2, 3], [1, IGNORED, 0]])}, "ForMaskedLM", False),
        ({"labels": np.array([1, 1])}, "ForSequenceClassification", True),
        ({"attention_mask": np.ones((2, 3))}, "ForTokenClassification", False),
        ({"p_mask": np.array([[0, 0, 0], [0, 1, 1]])}, "ForBeam", True),
        ({"p_mask": np.array([[0, 0, 0], [0, 1, 0]])}, "ForBeam", False),
        ({}, "ForQuestionAnswering", False),
    ],
)
def test_padding_that_counts_stays(changes, head, left_out):
    mask = np.array([[1, 1, 1], [1, 0, 0]])
    labels = np.where(mask, 1, IGNORED)
    batch = {"attention_mask": mask, "labels": labels, **changes}
    assert may_leave_padding_out(batch, head) is left_out
