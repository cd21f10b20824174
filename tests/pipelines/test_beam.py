"""Question answering by the joint head of SQuAD 2."""

import pytest

from albert_core import CheckpointError, InputError, checkpoint
from albert_zoo import load_model, models
from albert_zoo.pipelines import pipeline
from tests.conftest import FRAMEWORKS, tiny, weights
from tests.pipelines.models import TEXTS, assert_same, write_model

HEAD = "ForQuestionAnsweringBeam"
QUESTION, CONTEXT = "who lived there?", TEXTS[2]
LONG = " ".join(TEXTS * 4)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A checkpoint."""
    return write_model(tmp_path_factory.mktemp("beam"), HEAD, end_n_top=7)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def ask(request, path):
    """Its pipeline in a framework, by the checkpoint alone."""
    return pipeline(model=path, framework=request.param)


def spans_of(ask, path):
    """Every span that the model finds, the most probable first, and the score of none.

    From the model in PyTorch, on one window.
    """
    encoded = ask.tokenizer(QUESTION, CONTEXT, return_offsets_mapping=True)
    names = ("input_ids", "token_type_ids", "attention_mask")
    model = load_model(path, "question-answering", "torch", device_map="cpu")
    assert type(model).__name__ == "AlbertForQuestionAnsweringBeam"
    import torch

    with torch.no_grad():
        output = model(**{name: torch.tensor([encoded[name]]) for name in names})
    found = []
    for i in range(5):
        for j in range(7 * i, 7 * i + 7):
            first = int(output.start_top_index[0, i])
            last = int(output.end_top_index[0, j])
            log = output.start_top_log_probs[0, i] + output.end_top_log_probs[0, j]
            if 0 < first <= last < first + 15:
                begin = encoded["offset_mapping"][first][0]
                end = encoded["offset_mapping"][last][1]
                found.append((float(log.exp()), begin, end))
    return sorted(found, reverse=True), float(torch.sigmoid(output.cls_logits)[0])


def test_the_answers_are_the_spans_of_the_search(ask, path):
    spans, none = spans_of(ask, path)
    assert len(spans) > 3
    found = ask(QUESTION, CONTEXT, top_k=3, align_to_words=False)
    wanted = [
        {"score": score, "start": start, "end": end, "answer": CONTEXT[start:end]}
        for score, start, end in spans[:3]
    ]
    assert_same(found, wanted)
    options = {"top_k": 99, "align_to_words": False, "handle_impossible_answer": True}
    (empty,) = [x for x in ask(QUESTION, CONTEXT, **options) if not x["answer"]]
    assert_same(empty, {"score": none, "start": 0, "end": 0, "answer": ""})


def test_a_long_context_is_read_in_windows(ask):
    found = ask(QUESTION, LONG, top_k=4, doc_stride=9)
    assert len(found) == 4
    assert all(each["answer"] == LONG[each["start"] : each["end"]] for each in found)


def test_where_nothing_was_found_there_is_no_answer(ask):
    found = ask("who?", "a", max_answer_len=1, align_to_words=False)
    assert found["answer"] in ("a", "")
    window = type("Window", (), {"parts": [None, 0, None, 1, None]})
    assert ask.spans(window, ([(0, 0, 0.9), (3, 4, 0.1)], 0.0), 5, 15) == (0.5, [])
    assert ask.spans(window, ([(3, 3, 0.2), (3, 3, 0.4)], 0.0), 1, 15)[1] == [
        (3, 3, 0.4)
    ]


def test_it_does_no_other_task(path, tmp_path):
    assert models.task_of(path) == "question-answering"
    model = load_model(path, framework="torch")
    assert pipeline(model=model, tokenizer=path)(QUESTION, CONTEXT)
    with pytest.raises(InputError, match="Beam does question-answering, not fill-mask"):
        pipeline("fill-mask", model=model, tokenizer=path)
    message = r"that fill-mask needs: predictions\.dense.*one does question-answering\."
    with pytest.raises(CheckpointError, match=message):
        pipeline("fill-mask", path)
    arrays = weights(tiny(), HEAD)
    del arrays["answer_class.dense_1.weight"]
    checkpoint.save(tmp_path, tiny(architectures=[f"Albert{HEAD}"]), arrays)
    with pytest.raises(CheckpointError, match=r"needs: answer_class\.dense_1\.weight"):
        pipeline("question-answering", tmp_path)
