"""Question answering is what transformers 4.57.6 gave, in every framework."""

import json
import shutil

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_zoo.pipelines import pipeline
from tests.conftest import FRAMEWORKS, GOLDEN
from tests.pipelines.models import TOKENIZER, assert_same

MODEL = GOLDEN / "plain-ForQuestionAnswering"
EXPECTED = json.loads((GOLDEN / "pipelines.json").read_text("utf-8"))
VOCABULARY = 1000
WORDS = "albert.embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """The model of make_pipelines.py, with its tokenizer beside it."""
    path = tmp_path_factory.mktemp("golden") / "model"
    config = AlbertConfig.from_pretrained(MODEL, vocab_size=VOCABULARY)
    stored = checkpoint.Checkpoint.open(MODEL)
    arrays = {name: stored[name] for name in stored}
    shape = (VOCABULARY, config.embedding_size)
    arrays[WORDS] = np.random.default_rng(7).normal(0, 0.3, shape).astype(np.float32)
    checkpoint.save(path, config, arrays)
    for file in ("spiece.model", "tokenizer.json"):
        shutil.copy(TOKENIZER / file, path)
    return path


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_answers_are_those_of_hugging_face(model, framework):
    ask = pipeline(model=model, framework=framework)
    assert ask.task == "question-answering"
    contexts = list(dict.fromkeys(case["context"] for case in EXPECTED["answers"]))
    question = EXPECTED["answers"][0]["question"]
    ids = [ask.tokenizer(question, context)["input_ids"] for context in contexts]
    assert ids == list(EXPECTED["ids"].values())
    for case in EXPECTED["answers"][:: 1 if framework == "torch" else 7]:
        found = ask(question, case["context"], **case["options"])
        assert_same(found, case["answer"], str(case["options"]))
    many = {"handle_impossible_answer": True, "top_k": 500}
    for context, expected in zip(contexts, EXPECTED["nothing"], strict=True):
        nothing = next(
            each for each in ask(question, context, **many) if not each["end"]
        )
        assert_same(nothing, {"score": expected, "start": 0, "end": 0, "answer": ""})
    several = ask(question=[question, "what?"], context=contexts[:2])
    assert_same(several, EXPECTED["several"])
