"""Searches are compared where rounding does not decide what they find."""

import numpy as np
import pytest

from albert_zoo.parity.budgets import MODES
from albert_zoo.parity.measure import compare
from albert_zoo.parity.proof import prove
from albert_zoo.parity.searches import settle
from tests.conftest import tiny, write

# Three starts, the last two nearly equal, and two ends for each of the three.
EXPECTED = {
    "start_top_log_probs": np.array([[-0.1, -3.0, -3.001]]),
    "start_top_index": np.array([[4, 7, 5]]),
    "end_top_log_probs": np.array([[-0.2, -2.0, -0.5, -1.0, -0.7, -0.8]]),
    "end_top_index": np.array([[6, 4, 8, 7, 9, 5]]),
    "cls_logits": np.array([0.5]),
}


def differences(**changes):
    """How far outputs with some changes are off, by name."""
    found = {**EXPECTED, **{name: np.array([x]) for name, x in changes.items()}}
    settled = settle(found, EXPECTED)
    unit = MODES["float64"].unit
    return {
        name: compare([(settled[name], EXPECTED[name])], unit).relative
        for name in EXPECTED
    }


def test_starts_that_rounding_swaps_and_their_ends_are_no_difference():
    found = differences(
        start_top_log_probs=[-0.1, -2.999, -3.002],
        start_top_index=[4, 5, 7],
        end_top_log_probs=[-0.2, -2.0, -0.7, -0.8, -0.5, -1.0],
        end_top_index=[6, 4, 9, 5, 8, 7],
    )
    assert found.pop("start_top_log_probs") == pytest.approx(3.3e-4, rel=0.1)
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(
    ("output", "values"),
    [
        ("start_top_index", [7, 4, 5]),
        ("end_top_index", [4, 6, 8, 7, 9, 5]),
        ("end_top_log_probs", [-0.3, -2.0, -0.5, -1.0, -0.7, -0.8]),
        ("start_top_log_probs", [-0.1, -3.0, np.nan]),
        ("start_top_log_probs", [-0.2, -3.0, -3.001]),
    ],
)
def test_what_rounding_cannot_change_is_a_difference(output, values):
    found = differences(**{output: values})
    assert not found.pop(output) < 0.01
    assert set(found.values()) == {0.0}


def test_other_heads_are_left_as_they_are():
    outputs = {"logits": np.ones((2, 3))}
    assert settle(outputs, {"logits": np.zeros((2, 3))}) is outputs


def test_a_model_that_can_hardly_tell_tokens_apart_is_proved(tmp_path):
    """In float32, PyTorch and the reference find other spans."""
    config = tiny(vocab_size=97, max_position_embeddings=256)
    write(tmp_path, config, "ForQuestionAnsweringBeam", seed=1)
    proof = prove(tmp_path, ["torch"], ["float32"])
    assert proof.passed, proof.runs[0].worst
