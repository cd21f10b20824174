"""The joint head of SQuAD 2 in the reference, against Google's formula once more."""

import numpy as np
import pytest

from albert_core import losses
from albert_core.reference import Reference
from albert_core.reference_beam import default_p_mask
from tests.conftest import tiny, weights

HEAD = "ForQuestionAnsweringBeam"
CONFIG = tiny(num_hidden_layers=1, num_hidden_groups=1, start_n_top=3, end_n_top=2)
ARRAYS = weights(CONFIG, HEAD, spread=0.8)
IDS = np.array([[2, 5, 9, 3, 14, 7, 21, 3, 0, 0], [2, 30, 3, 7, 7, 21, 8, 11, 6, 3]])
MASK = (IDS > 0).astype(int)
SEGMENTS = np.array([[0] * 4 + [1] * 4 + [0] * 2, [0] * 3 + [1] * 7])
P_MASK = np.array([[0, 1, 1, 1, 0, 0, 0, 1, 1, 1], [0, 1, 1, 0, 0, 0, 0, 0, 0, 1]])
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": SEGMENTS}
SPANS = {"start_positions": np.array([4, 0]), "end_positions": np.array([6, 0])}
IMPOSSIBLE = np.array([0, 1])


def kernel(name):
    """A kernel as Google stores it, (inputs, outputs)."""
    return ARRAYS[f"{name}.weight"].T.astype(np.float64)


def bias(name):
    return ARRAYS[f"{name}.bias"].astype(np.float64)


def probabilities(scores, row):
    """Of the tokens of one row; none for those that are no answer."""
    powers = np.where(P_MASK[row] == 1, 0.0, np.exp(scores))
    return powers / powers.sum()


def google(hidden, row, starts):
    """Start, end for each start, and the score of no answer, of one row.

    One token at a time, from the description of `create_v2_model`.
    """
    width = CONFIG.hidden_size
    start = [h @ kernel("start_logits.dense")[:, 0] for h in hidden]
    start = probabilities(np.array(start) + bias("start_logits.dense"), row)
    ends = []
    for first in starts(start):
        scores = []
        for token in hidden:
            pair = np.concatenate([token, hidden[first]])
            x = pair @ kernel("end_logits.dense_0") + bias("end_logits.dense_0")
            x = np.tanh(x)
            x = (x - x.sum() / width) / np.sqrt(x.var() + 1e-12)
            x = x * ARRAYS["end_logits.LayerNorm.weight"]
            x = x + bias("end_logits.LayerNorm")
            x = x @ kernel("end_logits.dense_1") + bias("end_logits.dense_1")
            scores.append(x[0])
        ends.append(probabilities(np.array(scores), row))
    expected = sum(p * token for p, token in zip(start, hidden, strict=True))
    pair = np.concatenate([expected, hidden[0]])
    x = np.tanh(pair @ kernel("answer_class.dense_0") + bias("answer_class.dense_0"))
    return start, ends, (x @ kernel("answer_class.dense_1"))[0]


def test_the_best_spans_are_google_s():
    output = Reference(CONFIG, ARRAYS, HEAD)(**INPUTS, p_mask=P_MASK)
    for row, hidden in enumerate(output.hidden_states[-1]):
        best = np.argsort(-google(hidden, row, lambda start: [])[0])[:3]
        start, ends, score = google(hidden, row, lambda start, best=best: best)
        assert list(output.start_top_index[row]) == list(best)
        found = [output.start_top_log_probs[row], output.end_top_log_probs[row]]
        places = np.array([np.argsort(-end)[:2] for end in ends])
        assert list(output.end_top_index[row]) == list(places.ravel())
        wanted = np.take_along_axis(np.array(ends), places, 1).ravel()
        wanted = np.log(start[best]), np.log(wanted)
        for logs, expected in zip(found, wanted, strict=True):
            assert logs == pytest.approx(expected, rel=1e-12)
        assert output.cls_logits[row] == pytest.approx(score, rel=1e-12)


def test_the_loss_is_google_s():
    model = Reference(CONFIG, ARRAYS, HEAD)
    output = model(**INPUTS, **SPANS, is_impossible=IMPOSSIBLE, p_mask=P_MASK)
    spans = answers = 0.0
    for row, hidden in enumerate(output.hidden_states[-1]):
        first, last = SPANS["start_positions"][row], SPANS["end_positions"][row]
        start, (end,), score = google(hidden, row, lambda _, first=first: [first])
        spans -= np.log(start[first]) + np.log(end[last])
        right = 1 / (1 + np.exp(-score))
        answers -= np.log(right if IMPOSSIBLE[row] else 1 - right)
    # Means over two rows: half of start plus end, and half of answerability.
    assert output.loss == pytest.approx(spans / 4 + answers / 4, rel=1e-12)
    only = model(**INPUTS, **SPANS, p_mask=P_MASK)
    assert only.loss == pytest.approx(spans / 4, rel=1e-12)
    assert list(only) == ["loss", "cls_logits", "hidden_states", "attentions"]


def test_the_mask_that_is_not_given_is_that_of_google_s_data():
    cls = np.zeros(2, int)
    given = {"attention_mask": MASK, "token_type_ids": SEGMENTS}
    assert default_p_mask(IDS.shape, cls, given).tolist() == P_MASK.tolist()
    only = {"attention_mask": MASK}
    assert default_p_mask(IDS.shape, cls, only).tolist() == (1 - MASK).tolist()
    assert not default_p_mask(IDS.shape, cls, {}).any()
    padded = default_p_mask((1, 3), np.array([1]), {"attention_mask": np.zeros((1, 3))})
    assert padded.tolist() == [[1, 0, 1]]


def test_a_position_outside_the_text_adds_nothing_but_counts():
    logs = np.log([[0.25, 0.75], [0.5, 0.5]])
    for outside in (-1, 2):
        starts, ends = np.array([[1], [outside]]), np.array([0, 1])
        found = losses.joint_span(logs, logs, np.zeros(2), starts, ends, None)
        assert found == pytest.approx(-np.log(0.75 * 0.25 * 0.5) / 4)
