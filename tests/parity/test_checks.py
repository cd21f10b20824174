"""Verdicts cannot be fooled: the traps that other tools fall into."""

import numpy as np
import pytest

from albert_zoo.parity import checks
from albert_zoo.parity.budgets import MODES, budget
from albert_zoo.parity.checks import Check, Run, judged, worst
from albert_zoo.parity.measure import compare

UNIT = MODES["float32"].unit
STREAM = np.random.default_rng(0)
EXPECTED = STREAM.normal(0, 0.02, (64, 64))


def verdict(found, most=1e-5, expected=EXPECTED, **options):
    return judged(
        "free", "x", compare([(found, expected)], UNIT, **options), most
    ).verdict


def test_the_same_numbers_pass():
    assert verdict(EXPECTED.astype(np.float32)) == checks.PASS


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (np.zeros_like(EXPECTED), checks.FAIL),  # near, by an absolute tolerance of 0.1
        (3 * EXPECTED, checks.FAIL),  # of the same direction
        (EXPECTED[::-1], checks.FAIL),  # of the same mean
        (EXPECTED + 0.001, checks.FAIL),  # correlated
        (np.where(EXPECTED > 0.05, np.nan, EXPECTED), checks.NONFINITE),
        (np.full_like(EXPECTED, np.inf), checks.NONFINITE),
    ],
)
def test_traps(found, said):
    assert verdict(found) == said


def test_a_nan_that_the_reference_has_too_is_no_pass():
    odd = np.where(EXPECTED > 0.05, np.nan, EXPECTED)
    assert verdict(odd, expected=odd) == checks.NONFINITE
    assert verdict(odd, most=np.nan, expected=odd) == checks.NONFINITE


def test_a_budget_that_allows_anything_says_nothing():
    assert verdict(EXPECTED, most=0.6) == checks.SKIPPED
    assert verdict(EXPECTED, most=0.4) == checks.PASS
    assert verdict(0 * EXPECTED, most=0.6) == checks.FAIL


def test_one_wrong_decision_fails_however_near_the_scores_are():
    expected = np.array([[0.0, 1.0, 0.0], [1.0, 0.9999, 0.0]])
    found = expected.copy()
    found[0] = [0.0, 1.0, 1.00001]
    metrics = compare([(found, expected)], UNIT, scores=True)
    assert (metrics.decided, metrics.agreeing) == (0, 0)  # off by more than the lead
    found[0], expected[0, 2] = [0.0, 1.0, 1.0 + 1e-9], 1.0 - 1e-9
    metrics = compare([(found, expected)], UNIT, scores=True)
    assert (metrics.decided, metrics.agreeing) == (1, 1)
    assert verdict(found, most=1e-3, expected=expected, scores=True) == checks.PASS


def test_every_metric():
    found, expected = np.array([3.0, 4.0, 0.0]), np.array([3.0, 4.5, 0.0])
    metrics = compare([(found, expected)], 0.25)
    assert metrics.relative == pytest.approx(0.5 / np.hypot(3, 4.5))
    assert (metrics.largest, metrics.mean) == (0.5, pytest.approx(0.5 / 3))
    assert metrics.norm_ratio == pytest.approx(5 / np.hypot(3, 4.5))
    assert metrics.cosine == pytest.approx(27 / 5 / np.hypot(3, 4.5))
    assert (metrics.worst, metrics.found, metrics.expected) == ([0, 1], 4.0, 4.5)
    # Between 4 and 8 the neighbours of 3 bits are 2 apart: a quarter of that.
    assert metrics.ulps[0] == 3


def test_the_divergence_of_scores_is_kullback_and_leibler_s():
    expected, found = np.log([[0.5, 0.5], [0.9, 0.1]]), np.log([[0.5, 0.5], [0.5, 0.5]])
    metrics = compare([(found, expected)], UNIT, scores=True)
    assert metrics.divergence == pytest.approx(0.9 * np.log(1.8) + 0.1 * np.log(0.2))


def test_a_skip_never_counts_as_a_pass():
    skipped = Check("loss", "", checks.SKIPPED, "no loss")
    assert worst([]) == checks.SKIPPED
    assert worst([skipped]) == checks.SKIPPED
    assert worst([skipped, Check("free", "x", checks.PASS)]) == checks.PASS
    assert worst([Check("free", "x", checks.ERROR), skipped]) == checks.ERROR
    assert Run("torch", "float64", []).verdict == checks.SKIPPED


def test_budgets_grow_with_the_unit_and_the_gain():
    assert budget("float64", 1) == 1e-12
    assert budget("float64", 1e6) > 1e-12
    for mode in MODES:
        assert (
            budget(mode, 200) == pytest.approx(2 * budget(mode, 100))
            or mode == "float64"
        )
        assert budget(mode, 100, back=True) >= budget(mode, 100)
        assert budget(mode, 100, scale=3) == pytest.approx(3 * budget(mode, 100))
