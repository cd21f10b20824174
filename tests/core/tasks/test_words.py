"""Tags of words: which piece has them, and how they are judged."""

import numpy as np
import pytest

from albert_core.data.metrics import entity_f1
from albert_core.data.tasks import Example, Examples, find
from tests.core.tasks.helpers import one_hot, tokenizer, tokens, write

CONLL = """-DOCSTART- -X- -X- O

the DT B-NP O
Rockwell NNP I-NP B-ORG
runs VBZ B-VP O

to TO B-VP O
the\u00a0old DT B-NP O
"""


def read(tmp_path, **options):
    return find("ner").read(write(tmp_path / "train.txt", CONLL), **options)


def test_the_first_piece_of_a_word_has_its_tag(tmp_path):
    found = read(tmp_path)
    assert found.labels == ("B-ORG", "I-ORG", "O")
    features = find("ner").features(found, tokenizer(), 64, training=True)
    for item, feature in zip(found, features, strict=True):
        whole = tokenizer()(list(item.texts), is_split_into_words=True)
        assert feature["input_ids"].tolist() == whole["input_ids"]
        expected, before = [], None
        for word in whole.word_ids():
            first = word is not None and word != before
            expected.append(item.label[word] if first else -100)
            before = word
        assert feature["labels"].tolist() == expected
    assert tokens(features[0]["input_ids"])[:4] == ["[CLS]", "▁the", "▁", "r"]
    assert features[0]["labels"].tolist()[:4] == [-100, 2, 0, -100]
    assert found[1].texts == ("to", "the\u00a0old")


def test_another_column_may_hold_the_tag(tmp_path):
    found = read(tmp_path, columns={"tag": "2", "word": "1"})
    assert found[0].texts == ("DT", "NNP", "VBZ")
    assert found.labels == ("B-NP", "B-VP", "I-NP", "I-VP", "O")


def test_each_kind_has_both_tags_as_a_test_file_may_hold_the_other(tmp_path):
    task = find("chunking")
    train = task.read(write(tmp_path / "train.txt", "a x B-LST\nb x O\n"))
    dev = write(tmp_path / "valid.txt", "a x B-LST\nb x I-LST\n")
    assert task.locate(tmp_path, "dev") == dev
    assert task.read(dev, labels=train.labels)[0].label == [0, 1]


def test_the_files_of_conll_2003_are_found(tmp_path):
    for split, name in [
        ("train", "eng.train"),
        ("dev", "eng.testa"),
        ("test", "eng.testb"),
    ]:
        file = write(tmp_path / name, CONLL)
        assert find("ner").locate(tmp_path, split) == file


def test_words_that_do_not_fit_count_as_outside():
    task = find("ner")
    texts = ("the", "house", "river", "old")
    examples = Examples([Example("0", texts, [0, 2, 0, 0])], ("B-A", "I-A", "O"))
    (feature,) = task.features(examples, tokenizer(), 5)
    assert len(feature["input_ids"]) == 5
    kept = feature["heads"][:, 0].tolist()
    assert 0 < len(kept) < 4
    outputs = [{"logits": np.tile(one_hot(0, 3), (8, 1))}]  # padded rows
    (record,) = task.predictions(examples, [feature], outputs)
    assert record["tags"] == ["B-A"] * len(kept) + ["O"] * (4 - len(kept))
    scores = task.score(examples, [feature], outputs)
    theirs = [["B-A", "O", "B-A", "B-A"]]
    expected = entity_f1([record["tags"]], theirs)
    assert scores == {name: expected[name] for name in scores}
    assert scores[task.metric] < 1


def test_a_word_without_pieces_is_no_fault():
    examples = Examples([Example("0", ("the", "\u200b", "old"), [0, 0, 0])], ("O",))
    (feature,) = find("ner").features(examples, tokenizer(), 64)
    whole = tokenizer()(list(examples[0].texts), is_split_into_words=True)
    assert feature["input_ids"].tolist() == whole["input_ids"]
    assert [n for n, _ in feature["heads"]] == sorted({*whole.word_ids()} - {None})


def test_right_logits_give_right_tags(tmp_path):
    task, found = find("ner"), read(tmp_path)
    features = task.features(found, tokenizer(), 64)
    outputs = [
        {"logits": np.array([one_hot(max(x, 0), 3) for x in feature["labels"]])}
        for feature in features
    ]
    assert task.score(found, features, outputs)["f1"] == 1
    assert task.predictions(found, features, outputs)[0]["tags"] == ["O", "B-ORG", "O"]


def test_tags_that_are_not_of_entities_are_counted(tmp_path):
    task = find("token-classification")
    rows = [
        {"words": ["a", "b"], "tags": ["DT", "NN"]},
        {"words": "a c", "tags": "DT DT"},
    ]
    found = task.read(write(tmp_path / "train.jsonl", rows))
    assert found.labels == ("DT", "NN")
    features = task.features(found, tokenizer(), 64)
    logits = np.tile(one_hot(0, 2), (64, 1))
    scores = task.score(found, features, [{"logits": logits}] * 2)
    assert scores == {"f1": 0.75, "accuracy": 0.75}
    assert len(task.read(write(tmp_path / "x.conll", "a DT\n\nb NN\n"))) == 2


def test_the_logits_must_have_the_labels(tmp_path):
    task, found = find("ner"), read(tmp_path)
    features = task.features(found, tokenizer(), 64)
    with pytest.raises(ValueError, match=r"The model has 2 labels, .* has 3"):
        task.score(found, features, [{"logits": np.zeros((64, 2))}] * 2)
