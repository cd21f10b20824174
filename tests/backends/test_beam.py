"""The joint head of SQuAD 2 in the three frameworks: what its stages do not show."""

from contextlib import nullcontext

import numpy as np
import pytest

from albert_zoo.parity.budgets import STRUCTURE
from tests.backends.adapters import Model
from tests.backends.flax_models import quick_compiles
from tests.conftest import FRAMEWORKS, tiny, write

HEAD = "ForQuestionAnsweringBeam"
SHALLOW = {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 1}
IDS = np.array(
    [[2, 5, 9, 3, 14, 7, 21, 3, 0, 0], [2, 30, 3, 7, 7, 21, 8, 11, 6, 3]], np.int32
)
MASK = (IDS > 0).astype(np.int32)
SEGMENTS = np.array([[0] * 4 + [1] * 4 + [0] * 2, [0] * 3 + [1] * 7], np.int32)
P_MASK = np.array([[0, 1, 1, 1, 0, 0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]])
TEXT = {"input_ids": IDS, "attention_mask": MASK}
PAIR = {**TEXT, "token_type_ids": SEGMENTS}
SPAN = ("start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index")


@pytest.fixture(scope="module", params=FRAMEWORKS)
def folder(request, tmp_path_factory):
    """A framework and a checkpoint; JAX compiles quickly rather than well."""
    path = tmp_path_factory.mktemp(request.param)
    config = tiny(start_n_top=3, end_n_top=2, **SHALLOW)
    with quick_compiles() if request.param == "flax" else nullcontext():
        yield request.param, write(path, config, HEAD)


@pytest.fixture(scope="module")
def model(folder):
    """The model of the checkpoint, in float64."""
    return Model(*folder, HEAD)


def assert_same(found, wanted):
    assert list(found) == list(wanted)
    for name in found:
        assert found[name] == pytest.approx(wanted[name], rel=STRUCTURE), name


def test_a_span_that_was_found_has_its_probability_as_its_loss(model):
    found = model(**PAIR)
    for row in range(2):
        inputs = {name: x[row : row + 1] for name, x in PAIR.items()}
        start, first, end, last = (found[name][row] for name in SPAN)
        for i in range(3):
            for j in range(2 * i, 2 * i + 2):
                labels = {"start_positions": first[i], "end_positions": last[j]}
                labels = {k: np.array([[v]], np.int32) for k, v in labels.items()}
                loss = model(**inputs, **labels)["loss"]
                assert loss == pytest.approx(-(start[i] + end[j]) / 2, rel=1e-12)


def test_what_is_not_given_is_as_google_s_data_has_it(model):
    cls = np.zeros(2, np.int32)
    assert_same(model(**PAIR), model(**PAIR, p_mask=P_MASK, cls_index=cls[:, None]))
    assert_same(model(**TEXT), model(**TEXT, p_mask=1 - MASK, cls_index=cls))
    ids = {"input_ids": IDS}
    assert_same(model(**ids), model(**ids, p_mask=np.zeros(IDS.shape)))
    found = model(**PAIR)
    for name in ("start_top_index", "end_top_index"):
        assert not np.take_along_axis(P_MASK, found[name], 1).any()


def test_other_places_of_cls(model):
    wanted = model(**PAIR)
    found = model(**PAIR, p_mask=P_MASK, cls_index=np.array([3, 0]))
    same = found["cls_logits"] == pytest.approx(wanted["cls_logits"], rel=1e-12)
    assert not same
    assert found["cls_logits"][1] == pytest.approx(wanted["cls_logits"][1], rel=1e-12)
    assert_same(*({k: x[k] for k in SPAN} for x in (found, wanted)))
    # A token outside of the text has no state.
    far = [model(**PAIR, p_mask=P_MASK, cls_index=np.array([x, x])) for x in (10, -1)]
    assert_same(*far)


def test_answerability_is_yes_or_no_or_not_learnt(model):
    spans = {"start_positions": np.array([4, 0]), "end_positions": np.array([6, 0])}
    forms = [np.array([0, 1]), np.array([[False], [True]]), np.array([0.0, 1.0])]
    found = [model(**PAIR, **spans, is_impossible=x) for x in forms]
    assert_same(found[1], found[0])
    assert_same(found[2], found[0])
    without = model(**PAIR, **spans)
    scores = without["cls_logits"] * [1, -1]
    answers = np.log1p(np.exp(scores)).mean()
    assert found[0]["loss"] == pytest.approx(without["loss"] + answers / 2, rel=1e-12)


def test_one_end_alone_searches(model):
    found = model(**PAIR, start_positions=np.array([4, 4]))
    assert "loss" not in found
    assert_same(found, model(**PAIR))


def test_fewer_tokens_than_are_looked_for(model):
    found = model(input_ids=IDS[:, :2])
    assert [found[name].shape for name in SPAN] == [(2, 2), (2, 2), (2, 4), (2, 4)]
    one = model(input_ids=IDS[:, :1])
    assert [one[name].shape for name in SPAN] == [(2, 1)] * 4
    assert not one["end_top_log_probs"].any()


def test_of_equals_the_first_is_taken(model):
    """Where no token can be an answer, all have the same probability."""
    found = model(**PAIR, p_mask=np.ones(IDS.shape))
    assert found["start_top_index"].tolist() == [[0, 1, 2]] * 2
    assert found["end_top_index"].tolist() == [[0, 1] * 3] * 2
    assert found["end_top_log_probs"] == pytest.approx(-np.log(10))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_can_mask(folder, model, dtype):
    half = Model(*folder, HEAD, dtype=dtype)
    found, wanted = half.raw(**PAIR), model(**PAIR)
    for name in ("start_top_log_probs", "cls_logits"):
        array = np.asarray(found[name].float() if folder[0] == "torch" else found[name])
        assert array.astype(np.float64) == pytest.approx(wanted[name], abs=0.1), name
    spans = {"start_positions": np.array([4, 0]), "end_positions": np.array([6, 0])}
    loss = float(half.raw(**PAIR, **spans, is_impossible=np.array([0, 1])).loss)
    full = model(**PAIR, **spans, is_impossible=np.array([0, 1]))["loss"]
    assert loss == pytest.approx(full, abs=0.1)
