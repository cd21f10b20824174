"""What transformers has no pipeline for, and what cannot be used."""

import json
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

import albert_zoo
from albert_core import AlbertConfig, checkpoint
from albert_core.errors import CheckpointError, InputError
from albert_zoo import models
from albert_zoo.pipelines import pipeline
from tests.backends.adapters import Model
from tests.conftest import FRAMEWORKS, tiny, weights
from tests.pipelines.models import LONGEST, TEXTS, assert_same, write_model


def test_the_front_door_is_light():
    names = ("torch", "tensorflow", "jax", "tokenizers", "sentencepiece", "sklearn")
    code = (
        "import sys, albert_zoo, albert_zoo.cli, albert_zoo.pipelines, "
        f"albert_core.data.squad\nprint([n for n in {names} if n in sys.modules])"
    )
    command = [sys.executable, "-c", code]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stdout == "[]\n"
    assert albert_zoo.pipeline is pipeline
    assert {"load_model", "load_tokenizer", "pipeline"} <= {*dir(albert_zoo)}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_choices_are_those_of_the_model(ready, path_of, framework):
    ours = ready("multiple-choice", framework)
    items = [
        {"prompt": TEXTS[0], "choices": ["a book", "the old river", "story"]},
        {"prompt": TEXTS[1], "choices": ["the people", "of the world"]},
    ]
    found = ours(items)
    model = Model("torch", path_of("multiple-choice"), "ForMultipleChoice")
    for item, result in zip(items, found, strict=True):
        encoded = ours.tokenizer(
            [item["prompt"]] * len(item["choices"]),
            item["choices"],
            padding=True,
            return_tensors="np",
        )
        logits = model(**{k: v[None] for k, v in encoded.items()})["logits"][0]
        scores = np.exp(logits) / np.exp(logits).sum()
        assert np.allclose(result["scores"], scores, atol=1e-5)
        assert result["index"] == scores.argmax()
        assert result["choice"] == item["choices"][scores.argmax()]
        assert result["score"] == max(result["scores"])
    assert_same(ours(items[0]["prompt"], items[0]["choices"]), found[0])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_embeddings_are_means_of_what_is_no_padding(ready, path_of, framework):
    ours = ready("sentence-embedding", framework)
    model = Model("torch", path_of("sentence-embedding"))
    states = [
        model(**ours.tokenizer([text], return_tensors="np"))["last_hidden_state"][0]
        for text in TEXTS
    ]
    found = ours(TEXTS)
    assert np.allclose(found, [rows.mean(0) for rows in states], atol=1e-5)
    first = ours(TEXTS, pooling="cls")
    assert np.allclose(first, [rows[0] for rows in states], atol=1e-5)
    unit = ours(TEXTS[0], normalize=True)
    assert np.allclose(unit, found[0] / np.linalg.norm(found[0]), atol=1e-5)
    tensor = ours(TEXTS[0], return_tensors=True)
    assert type(tensor).__module__.split(".")[0] in ("torch", "tensorflow", "jaxlib")
    assert np.allclose(np.asarray(tensor), found[0], atol=1e-5)


def test_the_files_of_sentence_transformers_are_followed(path_of, tmp_path):
    path = shutil.copytree(path_of("sentence-embedding"), tmp_path / "model")
    files = {
        "modules.json": [{"type": "sentence_transformers.models.Normalize"}],
        "sentence_bert_config.json": {"max_seq_length": 7},
        "1_Pooling/config.json": {"pooling_mode_cls_token": True},
    }
    for name, content in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(json.dumps(content))
    ours = pipeline(model=path)
    assert ours.task == "sentence-embedding"
    assert (ours.options.pooling, ours.options.normalize) == ("cls", True)
    assert ours.options.max_length == 7
    assert pipeline(model=path, normalize=False).options.normalize is False


def test_the_class_is_that_of_the_task_or_the_checkpoint(path_of, tmp_path):
    path = path_of("fill-mask")
    assert type(albert_zoo.load_model(path)).__name__ == "AlbertForMaskedLM"
    model = albert_zoo.load_model(path, "feature-extraction", "flax", device_map="cpu")
    assert type(model).__name__ == "FlaxAlbertModel"
    assert models.framework_of(model) == "flax"
    model = albert_zoo.load_model(path, "ner", "tf", num_labels=7)
    assert type(model).__name__ == "TFAlbertForTokenClassification"
    assert model.config.num_labels == 7
    assert models.framework_of(model) == "tf"
    config = tiny()
    checkpoint.save(tmp_path, config, weights(config, "ForQuestionAnswering"))
    model = albert_zoo.load_model(
        tmp_path, dtype="float64", attn_implementation="eager"
    )
    assert type(model).__name__ == "AlbertForQuestionAnswering"
    assert str(model.dtype) == "torch.float64"
    assert model.config.attn_implementation == "eager"


def test_a_loaded_model_serves_as_well(ready, path_of):
    model = albert_zoo.load_model(path_of("text-classification"))
    ours = ready("text-classification")
    same = pipeline(model=model, tokenizer=ours.tokenizer, top_k=None)
    assert same(TEXTS) == ours(TEXTS, top_k=None)
    with pytest.raises(InputError, match="does text-classification or zero-shot"):
        pipeline("fill-mask", model=model, tokenizer=ours.tokenizer)
    with pytest.raises(InputError, match="needs a tokenizer"):
        pipeline(model=model)


@pytest.mark.parametrize(
    ("changes", "function"),
    [
        ({"num_labels": 1}, lambda x: 1 / (1 + np.exp(-x))),
        ({"problem_type": "regression"}, lambda x: x),
        (
            {"problem_type": "multi_label_classification"},
            lambda x: 1 / (1 + np.exp(-x)),
        ),
    ],
)
def test_scores_suit_what_the_model_was_trained_for(tmp_path, changes, function):
    path = write_model(tmp_path, "ForSequenceClassification", **changes)
    ours = pipeline(model=path)
    found = {each["label"]: each["score"] for each in ours(TEXTS[0], top_k=None)}
    inputs = ours.tokenizer([TEXTS[0]], return_tensors="np")
    logits = Model("torch", path, "ForSequenceClassification")(**inputs)["logits"][0]
    for label, expected in enumerate(function(logits)):
        assert found[f"LABEL_{label}"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_number_types_and_devices_can_be_chosen(ready, path_of, framework):
    path = path_of("text-classification")
    options = {"dtype": "bfloat16", "device": -1}
    narrow = pipeline(model=path, framework=framework, **options)(TEXTS, top_k=None)
    wide = ready("text-classification", framework)(TEXTS, top_k=None)
    assert narrow != wide
    for one, other in zip(narrow, wide, strict=True):
        scores = [{each["label"]: each["score"] for each in x} for x in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=0.05)


def test_devices_have_the_names_of_each_framework(monkeypatch):
    import tensorflow as tf
    import torch

    found = [SimpleNamespace(device_type=kind) for kind in ("CPU", "GPU", "GPU")]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda: found)
    names = [models.place("torch", x) for x in (None, -1, 0, "cpu", "cuda", "cuda:1")]
    assert names == ["auto", "cpu", "cuda:0", "cpu", "cuda", "cuda:1"]
    names = [models.place("tf", x) for x in ("auto", -1, "cpu", "cuda:1")]
    assert names == ["auto", "/CPU:0", "/CPU:0", "/GPU:1"]
    assert models.place("tf", "/GPU:0") == "/GPU:0"
    assert models.place("flax", -1).platform == "cpu"
    with pytest.raises(InputError, match=r"cpu:9'; JAX .* has .*0"):
        models.place("flax", "cpu:9")
    with pytest.raises(InputError, match="no device 'gpu:x'"):
        models.place("torch", "gpu:x")
    for device in ("cuda:2", 2, "mps:1", "tpu"):
        with pytest.raises(InputError, match=r"PyTorch has cpu, cuda:0, cuda:1.*'cpu'"):
            models.place("torch", device)
    with pytest.raises(InputError, match=r"TensorFlow has /CPU:0, /GPU:0, /GPU:1"):
        models.place("tf", "cuda:2")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_device_that_is_not_there_is_refused(framework, path_of):
    with pytest.raises(InputError, match=r"no device 'cuda:64'; .* has .*(cpu|CPU)"):
        pipeline(model=path_of("fill-mask"), framework=framework, device="cuda:64")


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_texts_of_no_tokens_are_refused(framework, ready):
    ours = ready("feature-extraction", framework)
    options = {"add_special_tokens": False}
    with pytest.raises(InputError, match="The text has 0 tokens"):
        ours("\u200b", tokenize_kwargs=options)
    with pytest.raises(InputError, match="The text has 0 tokens"):
        ours([TEXTS[0], "\u200b"], tokenize_kwargs=options)


def test_a_pipeline_never_runs_on_random_weights(path_of):
    with pytest.raises(CheckpointError) as problem:
        pipeline("text-classification", path_of("fill-mask"))
    for name in (
        "albert.pooler.weight",
        "classifier.weight",
        "this one does fill-mask",
    ):
        assert name in str(problem.value)
    # A pooler that nothing comes from may be missing.
    assert pipeline("feature-extraction", path_of("fill-mask"))


@pytest.mark.parametrize("first", [0, 1])
def test_labels_must_fit_the_head(path_of, tmp_path, first):
    path = shutil.copytree(path_of("token-classification"), tmp_path / "model")
    config = json.loads((path / "config.json").read_text())
    names = "AB" if first == 0 else "ABCD"
    config["id2label"] = dict(enumerate(names, first))
    config["label2id"] = {name: number for number, name in config["id2label"].items()}
    (path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError) as problem:
        pipeline(model=path)
    labels = list(config["id2label"])
    assert f"names {len(names)} labels, {labels}" in str(problem.value)
    assert "has 4 rows, 0 to 3" in str(problem.value)


def test_the_tokenizer_must_fit_the_model(path_of, tmp_path):
    path = write_model(tmp_path, "ForMaskedLM", vocab_size=900)
    with pytest.raises(InputError, match=r"ids up to 999, but .* 900 entries"):
        pipeline(model=path)


BAD_TEXTS = [
    ("", "The text is empty"),
    (" \n", "The text is empty"),
    ("a\0b", "NUL character at position 1"),
    ("ab\ud83d", r"half a surrogate pair, '\\ud83d', at position 2"),
    (7, "must be a string, not 7"),
]


@pytest.mark.parametrize("task", ["fill-mask", "token-classification"])
@pytest.mark.parametrize(("text", "message"), BAD_TEXTS)
def test_texts_that_are_none_are_refused(ready, task, text, message):
    ours = ready(task)
    with pytest.raises(InputError, match=message):
        ours(["a [MASK]", text])
    good, bad, other = ours.stream(["a [MASK]", text, "the [MASK]"])
    assert isinstance(bad, InputError)
    assert_same(good, ours("a [MASK]"))
    assert_same(other, ours("the [MASK]"))


LONG = "old river " * 40
BAD_CALLS = [
    ("fill-mask", ("no mask",), {}, r"no \[MASK\] in the text"),
    ("fill-mask", (LONG + "[MASK]",), {"truncation": True}, "it was cut off"),
    ("fill-mask", (LONG + "[MASK]",), {}, "tokens, but the model takes at most 40"),
    ("fill-mask", ("a [MASK]",), {"top_k": 0}, "between 1 and 1000"),
    ("fill-mask", ("a [MASK]",), {"targets": []}, "nothing that the tokenizer knows"),
    ("fill-mask", ("a [MASK]",), {"topk": 1}, "Give top_k"),
    ("text-classification", ("a",), {"beams": 1}, "no option 'beams'. It takes"),
    ("text-classification", ([["a", "b"]],), {}, "Give a pair as"),
    ("text-classification", ({"txt": "a"},), {}, r"correct \['txt'\]"),
    ("text-classification", ("a",), {"function_to_apply": "tanh"}, "'tanh'"),
    ("text-classification", (LONG,), {}, "Give truncation=True"),
    ("token-classification", ("a",), {"aggregation_strategy": "sum"}, "'sum'"),
    ("token-classification", ("a",), {"stride": 3}, "other than 'none'"),
    (
        "token-classification",
        ("a",),
        {"stride": 38, "aggregation_strategy": "max"},
        "below 38",
    ),
    ("token-classification", ("a",), {"is_split_into_words": True}, "a list of words"),
    ("question-answering", ("who?",), {}, '"question": ..., "context"'),
    ("question-answering", ("who?", ""), {}, "The context is empty"),
    ("question-answering", (["a", "b"], ["c"]), {}, "2 questions but 1 contexts"),
    ("question-answering", (LONG, "a b"), {}, "leaves 0 of a window of 40"),
    ("question-answering", ("a", "b"), {"max_answer_len": 0}, "1 or more, not 0"),
    ("question-answering", ("a", "b"), {"top_k": None}, "1 or more, not None"),
    ("question-answering", ("a", "b"), {"doc_stride": 99}, "is 99, but a window"),
    ("multiple-choice", ("a",), {}, '"prompt": ..., "choices"'),
    ("multiple-choice", ("a", []), {}, "at least one text"),
    ("zero-shot-classification", ("a",), {}, "needs candidate_labels"),
    (
        "zero-shot-classification",
        ("a", "b"),
        {"hypothesis_template": "it is"},
        "Put {} into it",
    ),
    ("sentence-embedding", ("a",), {"pooling": "max"}, "mean, cls, not 'max'"),
]


@pytest.mark.parametrize(("task", "inputs", "options", "message"), BAD_CALLS)
def test_calls_that_cannot_be_are_refused(ready, task, inputs, options, message):
    with pytest.raises(InputError, match=message):
        ready(task)(*inputs, **options)


def test_pipelines_that_cannot_be_are_refused(path_of):
    path = path_of("fill-mask")
    for options, message in [
        ({"task": "poetry"}, "no task 'poetry'. Give one of fill-mask"),
        ({"framework": "theano"}, "no framework 'theano'. Give one of torch"),
        ({"batch_tokens": 0}, "batch_tokens must be 1 or more"),
        ({"model": 7, "tokenizer": 7}, "not 7. Load it"),
        ({"model": None}, "Give model="),
    ]:
        with pytest.raises(InputError, match=message):
            pipeline(**{"model": path, **options})


def test_a_megabyte_without_a_space_ends(ready):
    text = "abcdefgh" * 2**17
    assert ready("text-classification")(text, truncation=True)
    assert len(ready("sentence-embedding")(text)) == 24
    ask = ready("question-answering")
    found = ask("who?", text[:6_000], handle_impossible_answer=True)
    assert found["answer"] == text[found["start"] : found["end"]]
    name = ready("token-classification")
    found = name(text[:6_000], aggregation_strategy="first", stride=5)
    assert all(entity["end"] <= 6_000 for entity in found)


def test_the_question_can_be_cut(ready):
    ask = ready("question-answering")
    with pytest.raises(InputError, match="max_question_len"):
        ask(LONG, TEXTS[2])
    assert ask(LONG, TEXTS[2], max_question_len=4)["answer"]


def test_slow_tokenizers_serve_as_well(path_of):
    path = path_of("token-classification")
    slow = albert_zoo.load_tokenizer(path, use_fast=False)
    assert not slow.is_fast
    options = {"aggregation_strategy": "first", "stride": 5}
    found = [pipeline(model=path, tokenizer=t, **options) for t in (slow, path)]
    text = " ".join(TEXTS * 3)
    assert found[0](text) == found[1](text)


def test_the_longest_is_what_model_and_tokenizer_take(ready, path_of):
    assert ready("fill-mask").longest == LONGEST
    tokenizer = albert_zoo.load_tokenizer(path_of("fill-mask"), model_max_length=9)
    assert pipeline(model=path_of("fill-mask"), tokenizer=tokenizer).longest == 9
    assert AlbertConfig.from_pretrained(path_of("fill-mask")).vocab_size == 1000
