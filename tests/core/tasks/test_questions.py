"""Answers: where they are in windows, and how they are found again."""

import numpy as np
import pytest

from albert_core import InputError
from albert_core.data.tasks import Example, Examples, find, windows
from tests.core.tasks.helpers import squad, tokenizer, tokens, write

CONTEXT = (
    "The Nile is a large river.  It runs by the old house, (where) 747 men of "
    "C\u00f4te d'Ivoire live \u2014 and the \ufb01ne river \u201cOld One\u201d is by "
    "it.\nThe house is of the man with the large dog \u4e2d\u6587 and so it is."
)
ANSWERS = [
    "The Nile",
    "large river",
    "747 men",
    "C\u00f4te d'Ivoire",
    "\u201cOld One\u201d",
    "Old One",
    "where",
    "so it is",
    "The Nile is a large river.  It runs by the old house, (where) 747 men",
]


def read(tmp_path, answers=ANSWERS, name="squad", context=CONTEXT):
    questions = [
        (f"q{i}", "what is it", [(text, context.index(text))] if text else [])
        for i, text in enumerate(answers)
    ]
    path = write(tmp_path / "x.json", squad((context, questions)))
    return find(name).read(path)


def gold(feature, noise=0.0, seed=0):
    """The logits of a model that knows the answer, [CLS] where there is none."""
    stream = np.random.default_rng(seed)
    size = len(feature["input_ids"]) + 5  # padding
    start, end = stream.normal(size=(2, size)) * noise
    start[feature["start_positions"]] += 20
    end[feature["end_positions"]] += 20
    return {"start_logits": start, "end_logits": end}


@pytest.mark.parametrize(("length", "stride"), [(512, 128), (64, 20), (40, 7), (24, 3)])
def test_the_span_of_an_answer_reads_as_the_answer(length, stride, tmp_path):
    task, found = find("squad"), read(tmp_path)
    features = task.features(
        found, tokenizer(), length, training=True, doc_stride=stride
    )
    whole = dict.fromkeys(range(len(found)), 0)
    for feature in features:
        first, last = feature["start_positions"], feature["end_positions"]
        if first == 0:
            assert last == 0
            continue
        number = feature["example"]
        whole[number] += 1
        begin = feature["first"]
        places = feature["offsets"], first - begin, last - begin
        start, end = windows.character_span(*places, CONTEXT)
        text, at = found[number].label[0]
        assert (start, CONTEXT[start:end]) == (at, text)
        assert feature["token_type_ids"][first : last + 1].all()
    if length == 512:
        assert set(whole.values()) == {1}
    elif length < 64:
        assert len(features) > 3 * len(found)
        assert whole[len(found) - 1] == 0  # longer than a window


def test_right_logits_give_full_marks_from_overlapping_windows(tmp_path):
    task, found = find("squad"), read(tmp_path, ANSWERS[:-1])
    features = task.features(found, tokenizer(), 64, training=True, doc_stride=20)
    outputs = [gold(feature, 0.1, seed) for seed, feature in enumerate(features)]
    records = task.predictions(found, features, outputs)
    assert [record["answer"] for record in records] == ANSWERS[:-1]
    assert task.score(found, features, outputs) == {"exact_match": 100, "f1": 100}
    assert task.metric == "f1"


def test_windows_are_those_of_the_original():
    assert windows.windows(0, 5, 2) == [(0, 0)]
    assert windows.windows(5, 5, 2) == [(0, 5)]
    assert windows.windows(10, 6, 3) == [(0, 6), (3, 6), (6, 4)]
    assert windows.windows(10, 4, 9) == [(0, 4), (4, 4), (8, 2)]  # none are left out


@pytest.mark.parametrize("length", [1, 30, 400])
@pytest.mark.parametrize("size", [5, 8, 250])
@pytest.mark.parametrize("stride", [3, 4, 5, 128])
def test_a_token_belongs_to_the_window_with_most_around_it(length, size, stride):
    """Source: google-research/albert `_check_is_max_context`."""
    spans = windows.windows(length, size, stride)
    found = windows.in_best_window(spans, length)
    for place in range(length):
        best, best_span = None, None
        for number, (start, count) in enumerate(spans):
            if not start <= place < start + count:
                continue
            left, right = place - start, start + count - 1 - place
            score = min(left, right) + 0.01 * count
            if best is None or score > best:
                best, best_span = score, number
        assert found[place] == best_span


def test_features_are_question_and_window(tmp_path):
    task, found = find("squad"), read(tmp_path, ANSWERS[:1])
    features = task.features(found, tokenizer(), 40, doc_stride=16, max_query_length=2)
    tool = tokenizer()
    (query, context) = tool.vocabulary.encode(["what is it", CONTEXT])
    assert len(query) > 2
    for number, feature in enumerate(features):
        window = context[16 * number : 16 * number + 35]
        assert feature["input_ids"].tolist() == [2, *query[:2], 3, *window, 3]
        assert feature["token_type_ids"].sum() == len(window) + 1
        assert not {"start_positions", "p_mask", "is_impossible"} & {*feature}


def test_the_joint_head_gets_its_mask_and_whether_there_is_an_answer(tmp_path):
    task = find("squad2", "ForQuestionAnsweringBeam")
    found = read(tmp_path, ["The Nile", ""], "squad2")
    features = task.features(found, tokenizer(), 40, training=True, doc_stride=16)
    for feature in features:
        masked = tokens(feature["input_ids"][feature["p_mask"] == 1])
        assert masked.count("[SEP]") == 2
        assert feature["p_mask"][0] == 0
        types = feature["token_type_ids"]
        assert feature["p_mask"][1:].tolist() == [*(1 - types[1:-1]), 1]
        impossible = feature["start_positions"] == feature["end_positions"] == 0
        assert feature["is_impossible"] == impossible
    kinds = [f["is_impossible"] for f in features if f["example"] == 0]
    assert kinds == [0] + [1] * (len(kinds) - 1)
    assert all(f["is_impossible"] for f in features if f["example"] == 1)
    plain = task.features(found, tokenizer(), 40)
    assert all("p_mask" in f and "start_positions" not in f for f in plain)


def beam(feature, start, end, cls):
    """A beam search that has two starts, and two ends for each of them."""
    places = [feature["first"] + x for x in (start, end)]
    return {
        "start_top_log_probs": np.log([0.6, 0.3]),
        "start_top_index": np.array([1, places[0]]),  # the first is in the question
        "end_top_log_probs": np.log([0.9, 0.1, 0.2, 0.7]),
        "end_top_index": np.array([2, 3, places[0] - 1, places[1]]),
        "cls_logits": np.float32(cls),
    }


def test_the_spans_of_a_beam_are_judged(tmp_path):
    task = find("squad2", "ForQuestionAnsweringBeam")
    found = read(tmp_path, ["The Nile", ""], "squad2")
    features = task.features(found, tokenizer(), 512)
    ends = [tuple(pair) for pair in features[0]["offsets"].tolist()]
    last = next(i for i, (_, end) in enumerate(ends) if end == 8)
    outputs = [beam(features[0], 0, last, -2), beam(features[1], 0, last, 3)]
    records = task.predictions(found, features, outputs)
    assert [record["answer"] for record in records] == ["The Nile", ""]
    assert records[1]["best_answer"] == "The Nile"
    assert records[1]["no_answer"] == 3
    assert records[0]["score"] == pytest.approx(np.log(0.3) + np.log(0.7))
    scores = task.score(found, features, outputs)
    assert scores["exact"] == scores["f1"] == scores[task.metric] == 100
    assert scores["best_f1_thresh"] == -2
    outputs[0]["end_top_log_probs"] = np.zeros(3)
    with pytest.raises(InputError, match="2 starts and 3 ends"):
        task.score(found, features, outputs)


def test_the_ends_of_a_start_stand_together_in_a_beam():
    output = {
        "start_top_log_probs": [-1, -2, -3],
        "start_top_index": [6, 20, 2],
        "end_top_log_probs": [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6],
        "end_top_index": [6, 5, 20, 35, 20, 50],
    }
    best = np.ones(48, bool)
    best[:5] = False
    assert list(windows.beam_spans(output, best)) == [
        (6, 6, pytest.approx(-1.1)),
        (20, 20, pytest.approx(-2.3)),
        (20, 35, pytest.approx(-2.4)),
    ]
    output["end_top_index"] = [35, 36, 60, 50, 47, 3]
    found = [span[:2] for span in windows.beam_spans(output, best)]
    assert found == [(6, 35)]  # 30 tokens are the most


def test_the_surest_window_tells_whether_there_is_an_answer(tmp_path):
    found = read(tmp_path, ["The Nile"], "squad2")
    task = find("squad2", "ForQuestionAnsweringBeam")
    features = task.features(found, tokenizer(), 40, doc_stride=16)
    doubts = [3.0, -1.0, *[2.0] * (len(features) - 2)]
    outputs = [beam(f, 0, 0, x) for f, x in zip(features, doubts, strict=True)]
    assert task.predictions(found, features, outputs)[0]["no_answer"] == -1


def test_each_token_is_judged_in_one_window(tmp_path):
    found = read(tmp_path, ["The Nile"])
    features = find("squad").features(found, tokenizer(), 40, doc_stride=7)
    counts = np.zeros(len(tokenizer().tokenize(CONTEXT)), int)
    for number, feature in enumerate(features):
        counts[7 * number :][: len(feature["best"])] += feature["best"]
    assert len(features) > 4
    assert (counts == 1).all()


def test_no_answer_is_told_by_the_null_score(tmp_path):
    task = find("squad2")
    found = read(tmp_path, ["large river", "", "747 men"], "squad2")
    features = task.features(found, tokenizer(), 64, training=True, doc_stride=20)
    outputs = [gold(feature, 0.1, seed) for seed, feature in enumerate(features)]
    scores = task.score(found, features, outputs)
    assert scores["NoAns_exact"] == 100
    assert scores["best_f1"] == 100
    records = task.predictions(found, features, outputs)
    assert records[1]["answer"] == ""
    assert records[1]["no_answer"] > 0 > records[0]["no_answer"]


def test_spans_are_whole_short_and_in_the_context():
    size = 60
    best = np.ones(size, bool)
    best[:10] = False
    start, end = np.zeros((2, size))
    for place, score in [(5, 99), (40, 8), (12, 7)]:
        start[place] = score
    end[[39, 42, 45, 40]] = 5, 4, 3, 6
    found = sorted(windows.best_spans(start, end, best), key=lambda span: -span[2])
    assert found[:3] == [(40, 40, 14.0), (12, 40, 13.0), (40, 42, 12.0)]
    assert all(10 <= first <= last < first + 30 for first, last, _ in found)


def test_an_empty_context_and_a_missing_feature(tmp_path):
    examples = Examples([Example("a", ("what", ""), ()), Example("b", ("what", "it"))])
    task = find("squad2")
    features = task.features(examples, tokenizer(), 20)
    assert len(features) == 2
    outputs = [
        {name: np.zeros(len(f["input_ids"])) for name in ("start_logits", "end_logits")}
        for f in features
    ]
    records = task.predictions(examples, features, outputs)
    assert (records[0]["answer"], "score" in records[0]) == ("", False)
    with pytest.raises(InputError, match="1 of 2 examples have no feature: 'b'"):
        task.predictions(examples, features[:1], outputs[:1])
    with pytest.raises(InputError, match="has no 'start_top_log_probs'"):
        find("squad2", "ForQuestionAnsweringBeam").score(
            Examples([examples[0]]), features[:1], outputs[:1]
        )


def test_white_space_around_an_answer_is_no_part_of_it(tmp_path):
    found = read(tmp_path, [" Nile "])
    assert found[0].label == (("Nile", 4),)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "x.jsonl",
            '{"id": "a", "question": "q", "context": "the Nile", '
            '"answers": [{"text": "Nile", "answer_start": 4}]}',
        ),
        (
            "x.jsonl",
            '{"id": "a", "question": "q", "context": "the Nile", '
            '"answers": {"text": ["Nile"], "answer_start": [4]}}',
        ),
        ("x.csv", "id,question,context,answer,answer_start\na,q,the Nile,Nile,4\n"),
    ],
)
def test_general_files_are_read(name, text, tmp_path):
    task = find("question-answering")
    path = write(tmp_path / name, text)
    (item,) = task.read(path)
    assert item == Example("a", ("q", "the Nile"), (("Nile", 4),))
    path.write_text(text.replace("4", "3"))
    with pytest.raises(InputError, match=r"1 questions do not stand .*: 'a'"):
        task.read(path)
    path.write_text(text.replace("4", "null"))
    with pytest.raises(InputError, match="answers of question 'a' are"):
        task.read(path)
