"""The measures are those of scikit-learn, SciPy, CoNLL and SQuAD."""

import json
import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as known

from albert_core import InputError
from albert_core.data import metrics, squad
from tests.conftest import GOLDEN

JUDGED = json.loads((GOLDEN / "pipelines.json").read_text("utf-8"))
DRAWS = range(20)


def draw(seed, classes=3, rows=40):
    stream = np.random.default_rng(seed)
    return stream.integers(0, classes, (2, stream.integers(1, rows)))


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("seed", DRAWS)
@pytest.mark.parametrize("classes", [1, 2, 4])
def test_classes_are_judged_as_by_scikit_learn(seed, classes):
    found, wanted = draw(seed, classes)
    close = pytest.approx
    assert metrics.accuracy(found, wanted) == close(
        known.accuracy_score(wanted, found), abs=1e-12
    )
    for average in ("macro", "micro"):
        expected = known.f1_score(wanted, found, average=average, zero_division=0)
        assert metrics.f1(found, wanted, average) == close(expected, abs=1e-12)
    if classes == 2:
        for positive in (0, 1):
            expected = known.f1_score(
                wanted, found, pos_label=positive, zero_division=0
            )
            mine = metrics.f1(found, wanted, positive=positive)
            assert mine == close(expected, abs=1e-12)
    expected = known.matthews_corrcoef(wanted, found)
    assert metrics.matthews(found, wanted) == close(expected, abs=1e-12)


@pytest.mark.parametrize("seed", DRAWS)
def test_numbers_are_judged_as_by_scipy(seed):
    found, wanted = draw(seed, classes=7, rows=30) + 0.0
    if len({*found}) == 1 or len({*wanted}) == 1:
        assert math.isnan(metrics.pearson(found, wanted))
        return
    for mine, theirs in [
        (metrics.pearson, stats.pearsonr),
        (metrics.spearman, stats.spearmanr),
    ]:
        expected = theirs(found, wanted).statistic
        assert mine(found, wanted) == pytest.approx(expected, abs=1e-12)


def test_names_of_classes_are_classes_too():
    found, wanted = ["yes", "no", "no"], ["yes", "yes", "no"]
    assert metrics.f1(found, wanted, positive="yes") == pytest.approx(2 / 3)
    assert metrics.matthews(found, wanted) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("B-A I-A O B-A", [("A", 0, 1), ("A", 3, 3)]),
        ("B-A B-A I-A", [("A", 0, 0), ("A", 1, 2)]),
        ("I-A I-B I-B O I-B", [("A", 0, 0), ("B", 1, 2), ("B", 4, 4)]),
        ("B-A-x I-A-x", [("A-x", 0, 1)]),
        ("O O", []),
    ],
)
def test_entities_begin_and_end_as_in_conll(tags, expected):
    assert metrics.entities(tags.split()) == expected


def test_entities_are_right_as_a_whole():
    labels = ["B-PER I-PER O B-LOC", "B-LOC O"]
    found = ["B-PER I-PER O B-PER", "B-LOC I-LOC"]
    result = metrics.entity_f1([x.split() for x in found], [x.split() for x in labels])
    place, person = result.pop("kinds").values()
    assert result == pytest.approx(
        {"precision": 1 / 3, "recall": 1 / 3, "f1": 1 / 3, "accuracy": 4 / 6}
    )
    assert person == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "number": 1}
    assert place == {"precision": 0.0, "recall": 0.0, "f1": 0.0, "number": 2}


def test_answers_are_judged_as_by_the_scripts_of_squad():
    cases = JUDGED["judged"]
    predictions = {name: found for name, (found, _, _) in cases.items()}
    answers = {name: right for name, (_, right, _) in cases.items()}
    unsure = {name: value for name, (_, _, value) in cases.items()}
    for threshold, expected in JUDGED["squad"].items():
        found = squad.squad_v2(predictions, answers, unsure, float(threshold))
        wanted = {k: v for k, v in expected.items() if not k.startswith("has_ans")}
        assert found == pytest.approx(wanted)
    plain = squad.squad_v2(predictions, answers)
    assert plain == {k: v for k, v in squad_at_one().items() if k in plain}
    assert "best_f1" not in plain


def squad_at_one():
    return {k: pytest.approx(v) for k, v in JUDGED["squad"]["1.0"].items()}


def test_squad_1_counts_unanswered_questions_as_wrong():
    answers = {"a": ["The River", "old"], "b": ["x"], "c": ["the"]}
    found = squad.squad_v1({"a": "river", "c": "a"}, answers)
    # Two answers of articles alone match, but share no word.
    assert found == pytest.approx({"exact_match": 200 / 3, "f1": 100 / 3})
    assert squad.squad_v1({"a": "old river"}, answers)["f1"] == pytest.approx(200 / 9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.accuracy([1, 2], [1]), "2 predictions and 1 labels"),
        (lambda: metrics.accuracy([], []), "0 predictions"),
        (lambda: metrics.f1([1], [1], "weighted"), "binary, macro, micro.*weighted"),
        (lambda: metrics.entities(["B-A", "X"]), "'X' is no tag"),
        (lambda: metrics.entity_f1([["O"]], [["O", "O"]]), "1 predictions and 2 tags"),
        (lambda: squad.squad_v1({"z": "a"}, {"q": ["a"]}), "among the 1.*'z'"),
        (lambda: squad.squad_v1({}, {"q": []}), "'q' the first.*squad_v2"),
        (lambda: squad.squad_v2({}, {"q": []}), "predictions: 'q'|no predictions"),
        (lambda: squad.squad_v2({"q": ""}, {"q": []}, {}), "'q'"),
    ],
)
def test_what_cannot_be_judged_is_said(call, message):
    with pytest.raises(InputError, match=message):
        call()
