"""Pipelines give what transformers' own give, in every framework."""

import functools
import shutil

import pytest
import transformers

from albert_zoo.models import TASKS
from albert_zoo.pipelines import pipeline
from tests.conftest import FRAMEWORKS, GOLDEN
from tests.pipelines.models import (
    LABELS,
    LONGEST,
    TEXTS,
    assert_same,
    their_tokenizer,
    write_model,
)

LONG = " ".join(TEXTS * 4)  # in tokens more than twice what the models take
MASKED = ["the [MASK] people", "a [MASK] story of [MASK] old river"]
PAIR = {"text": TEXTS[0], "text_pair": TEXTS[2]}
STRATEGIES = ("simple", "first", "average", "max")
CASES = {
    "fill-mask": [
        (MASKED[0], {}),
        (MASKED, {"top_k": 3}),
        (MASKED[:1], {"top_k": 1}),
        (MASKED, {"targets": ["▁the", "story", "▁people"]}),
        (MASKED[0] + " " + LONG, {"tokenizer_kwargs": {"truncation": True}}),
    ],
    "text-classification": [
        (TEXTS[0], {}),
        (TEXTS, {}),
        (TEXTS[:1], {"top_k": 1}),
        (TEXTS[0], {"top_k": None}),
        (TEXTS[0], {"top_k": 2}),
        (TEXTS, {"top_k": 3, "function_to_apply": "sigmoid"}),
        (TEXTS, {"function_to_apply": "none"}),
        (PAIR, {}),
        ([PAIR, {"text": TEXTS[1]}], {"top_k": None}),
        (LONG, {"truncation": True}),
        (TEXTS, {"truncation": True, "max_length": 5}),
        (TEXTS, {"max_length": 6}),
    ],
    "token-classification": [
        (TEXTS[0], {}),
        (TEXTS, {"ignore_labels": []}),
        *[(TEXTS, {"aggregation_strategy": name}) for name in STRATEGIES],
        *[(LONG, {"aggregation_strategy": s, "stride": 5}) for s in STRATEGIES],
        (LONG, {"aggregation_strategy": "simple"}),
        (
            TEXTS[2].split(),
            {"is_split_into_words": True, "aggregation_strategy": "max"},
        ),
        (
            [text.split() for text in TEXTS],
            {"is_split_into_words": True, "delimiter": "--"},
        ),
    ],
    "feature-extraction": [
        (TEXTS[0], {}),
        (TEXTS, {}),
        (LONG, {"truncation": True}),
        (TEXTS, {"tokenize_kwargs": {"padding": "max_length", "max_length": 30}}),
    ],
    "zero-shot-classification": [
        (TEXTS[0], {"candidate_labels": "old, new , a b"}),
        (TEXTS, {"candidate_labels": ["old", "new"], "multi_label": True}),
        (LONG, {"candidate_labels": ["one"]}),
        (
            TEXTS,
            {"candidate_labels": ["x", "y"], "hypothesis_template": "it was {}"},
        ),
    ],
}


@pytest.fixture(scope="module")
def theirs(path_of):
    """A function that gives their result, computed once."""

    @functools.cache
    def load(task):
        transformers.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
        model_class = getattr(transformers, f"Albert{TASKS[task]}")
        model = model_class.from_pretrained(path_of(task))
        tokenizer = their_tokenizer()
        return transformers.pipeline(task, model=model, tokenizer=tokenizer, device=-1)

    @functools.cache
    def run(task, number):
        inputs, options = CASES[task][number]
        return load(task)(inputs, **options)

    return run


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("task", CASES)
def test_results_are_those_of_hugging_face(task, framework, ready, theirs):
    ours = ready(task, framework)
    # What is made of the outputs is the same code; each new shape costs JAX a second.
    cases = CASES[task] if framework == "torch" else CASES[task][:2]
    for number, (inputs, options) in enumerate(cases):
        found = ours(inputs, **options)
        assert_same(found, theirs(task, number), f"{inputs} {options}")


def test_both_tokenizers_agree_on_these_texts(ready):
    ours, hf = ready("fill-mask").tokenizer, their_tokenizer()
    for text in [*TEXTS, LONG, *MASKED]:
        assert ours(text)["input_ids"] == hf(text)["input_ids"]


def test_words_of_a_wordpiece_vocabulary_are_its_own(tmp_path):
    """Such a piece says by "##" that it continues a word, whatever the text says."""
    labels = {"id2label": LABELS, "vocab_size": 3000}
    path = write_model(tmp_path / "model", "ForTokenClassification", **labels)
    for file in ("tokenizer.json", "tokenizer_config.json", "spiece.model"):
        (path / file).unlink()
    for file in ("vocab.txt", "tokenizer.json"):
        shutil.copy(GOLDEN / "wordpiece" / file, path)
    model = transformers.AlbertForTokenClassification.from_pretrained(path)
    tokenizer = transformers.BertTokenizerFast.from_pretrained(path)
    tokenizer.model_max_length = LONGEST
    theirs = transformers.pipeline("ner", model=model, tokenizer=tokenizer, device=-1)
    ours = pipeline("ner", path, framework="torch")
    assert type(ours.tokenizer).__name__ == "AlbertWordPieceTokenizer"
    for text in ("我们是中国人", "un café hello languages", " ".join(TEXTS)):
        for strategy in ("first", "average"):
            found = ours(text, aggregation_strategy=strategy)
            assert_same(found, theirs(text, aggregation_strategy=strategy), text)
