"""Texts and pairs: how they are cut, and how predictions are judged."""

import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as known

from albert_core import InputError
from albert_core.data.tasks import Example, Examples, find
from tests.core.tasks.helpers import one_hot, tokenizer, write

WORDS = [
    "the",
    "house",
    "of",
    "the",
    "old",
    "man",
    "by",
    "the",
    "river",
    "is",
    "a",
    "large",
    "one",
]


def popped(first, second, room):
    """Source: google-research/albert `_truncate_seq_pair`."""
    first, second = list(first), list(second)
    while len(first) + len(second) > room:
        if len(first) > len(second):
            first.pop()
        else:
            second.pop()
    return first, second


def pairs(*texts, label=None, labels=("0", "1")):
    items = [Example(str(i), text, label) for i, text in enumerate(texts)]
    return Examples(items, labels)


@pytest.mark.parametrize("name", ["rte", "text-classification", "regression"])
def test_pairs_are_cut_as_in_the_original(name):
    tool = tokenizer()
    texts = [
        (" ".join(WORDS[:i]), " ".join(WORDS[:j]))
        for i in range(0, 13, 3)
        for j in range(0, 13, 2)
    ]
    encode = tool.vocabulary.encode
    task = find(name)
    for length in (4, 9, 16, 64):
        found = task.features(pairs(*texts), tool, length)
        for feature, text in zip(found, texts, strict=True):
            first, second = popped(*encode(list(text)), length - 3)
            assert feature["input_ids"].tolist() == [2, *first, 3, *second, 3]
            types = [0] * (len(first) + 2) + [1] * (len(second) + 1)
            assert feature["token_type_ids"].tolist() == types
            again = tool(*text, truncation="longest_first", max_length=length)
            assert again["input_ids"] == feature["input_ids"].tolist()
            assert "labels" not in feature


def test_one_text_loses_its_tail():
    (feature,) = find("cola").features(pairs(("the house",), label=1), tokenizer(), 3)
    whole = tokenizer()("the house")["input_ids"]
    assert feature["input_ids"].tolist() == [*whole[:2], whole[-1]]
    assert feature["labels"] == 1


def test_what_has_no_label_is_not_trained_on():
    with pytest.raises(InputError, match=r"1 of 1 examples .* have no label: '0'"):
        find("rte").features(pairs(("a", "b")), tokenizer(), 9, training=True)


def judge(name, found, wanted, labels=("0", "1")):
    """The scores of classes, or of numbers, that were found."""
    items = [Example(str(i), ("a", "b"), label) for i, label in enumerate(wanted)]
    examples = Examples(items, labels)
    task = find(name)
    features = task.features(examples, tokenizer(), 8)
    size = len(labels)
    outputs = [{"logits": one_hot(x, size) if size else np.float32([x])} for x in found]
    return task, task.score(examples, features, outputs)


@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("seed", range(5))
def test_classes_are_judged_as_by_scikit_learn(seed):
    stream = np.random.default_rng(seed)
    found, wanted = stream.integers(0, 2, (2, 30)).tolist()
    right = known.accuracy_score(wanted, found)
    for name in ("sst-2", "mnli", "mismnli", "qnli", "rte", "wnli"):
        labels = ("a", "b", "c") if "mnli" in name else ("a", "b")
        task, scores = judge(name, found, wanted, labels)
        assert scores == {"accuracy": pytest.approx(right)}
        assert task.metric == "accuracy"
    for name in ("mrpc", "qqp"):
        scores = judge(name, found, wanted)[1]
        assert scores["accuracy"] == pytest.approx(right)
        assert scores["f1"] == pytest.approx(known.f1_score(wanted, found))
    task, scores = judge("cola", found, wanted)
    expected = known.matthews_corrcoef(wanted, found)
    assert scores[task.metric] == pytest.approx(expected)
    scores = judge("text-classification", found, wanted)[1]
    expected = known.f1_score(wanted, found, average="macro")
    assert scores["macro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("name", ["sts-b", "regression"])
def test_numbers_are_judged_as_by_scipy(name):
    found, wanted = np.random.default_rng(0).normal(size=(2, 30)).tolist()
    task, scores = judge(name, found, wanted, ())
    expected = {
        "pearson": stats.pearsonr(found, wanted).statistic,
        "spearman": stats.spearmanr(found, wanted).statistic,
        "mse": known.mean_squared_error(wanted, found),
    }
    assert scores == pytest.approx(expected, abs=1e-6)  # the outputs are float32
    assert (task.metric, task.problem_type) == ("pearson", "regression")


def test_a_model_that_says_one_number_for_all_has_no_correlation():
    scores = judge("sts-b", [2.0, 2.0], [1.0, 3.0], ())[1]
    assert (scores["pearson"], scores["spearman"]) == (0, 0)


def test_predictions_are_records():
    examples = pairs(("a", "b"), labels=("no", "yes"))
    task = find("rte")
    features = task.features(examples, tokenizer(), 8)
    outputs = [{"logits": np.float32([0, math.log(3)])}]
    (record,) = task.predictions(examples, features, outputs)
    assert record == {
        "id": "0",
        "label": "yes",
        "probabilities": pytest.approx({"no": 0.25, "yes": 0.75}),
    }
    outputs = [{"logits": np.float32([1.5])}]
    found = find("sts-b").predictions(pairs(("a",), labels=()), features, outputs)
    assert found == [{"id": "0", "value": 1.5}]


def test_outputs_must_fit_the_examples():
    examples = pairs(("a",), ("b",), label=0)
    task = find("cola")
    features = task.features(examples, tokenizer(), 8)
    good = {"logits": np.zeros(2)}
    for count, outputs, message in [
        (2, [good], "2 features and 1 outputs"),
        (1, [good], "2 examples and 1 features"),
        (2, [good, {"start": 1}], "Output 1 has no 'logits'. It has 'start'"),
        (2, [{"logits": np.zeros(3)}] * 2, "3 labels, but .* has 2: '0', '1'"),
    ]:
        with pytest.raises(InputError, match=message):
            task.score(examples, features[:count], outputs)
    with pytest.raises(InputError, match=r"2 numbers, .* num_labels=1"):
        find("sts-b").predictions(examples, features, [good] * 2)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.jsonl", '{"a": "one, two", "text_pair": "b", "label": 7}\n'),
        ("x.json", '\n{"a": "one, two", "text_pair": "b", "label": "7"}'),
        ("x.csv", 'label,a,text_pair\n7,"one, two",b\n'),
        ("x.tsv", "label\ta\ttext_pair\n7\tone, two\tb\n"),
    ],
)
def test_general_files_are_read(name, text, tmp_path):
    columns = {"text": "a"}
    path = write(tmp_path / name, text)
    found = find("text-classification").read(path, columns=columns)
    (item,) = found
    assert (item.texts, item.label, found.labels) == (("one, two", "b"), 0, ("7",))
    (item,) = find("regression").read(path, columns=columns)
    assert item.label == 7.0


def test_labels_are_those_of_the_training_file(tmp_path):
    task = find("text-classification")
    train = [{"text": "a", "label": name} for name in ("pear", "apple", "pear")]
    found = task.read(write(tmp_path / "train.jsonl", train))
    assert (found.labels, [item.label for item in found]) == (
        ("apple", "pear"),
        [1, 0, 1],
    )
    dev = write(tmp_path / "dev.jsonl", [{"text": "b", "label": "pear"}])
    assert task.locate(tmp_path, "dev") == dev
    assert task.read(dev, labels=found.labels)[0].label == 1
    with pytest.raises(InputError, match=r"'pear' \(line 1\)\. The known .* 'fig'"):
        task.read(dev, labels=["fig"])
