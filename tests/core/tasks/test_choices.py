"""Multiple choice: both layouts of RACE, and what is put before the model."""

import json

import numpy as np
import pytest

from albert_core import InputError
from albert_core.data.batching import pad
from albert_core.data.tasks import Example, Examples, choices, find
from tests.core.tasks.helpers import one_hot, tokenizer, tokens, write


def passage(name, *answers):
    return {
        "id": name,
        "article": f"the article of {name}",
        "questions": [f"What is _ {i}?" for i in range(len(answers))],
        "options": [["one", "two", "three", "four"] for _ in answers],
        "answers": list(answers),
    }


def stock(folder):
    """One file for each passage, as published."""
    for level, count in (("middle", 2), ("high", 11)):
        for i in range(1, count + 1):
            record = passage(f"{level}{i}.txt", "B", "D")
            write(folder / "train" / level / f"{i}.txt", json.dumps(record))


def lines(folder):
    """The same as JSON lines."""
    for level, count in (("middle", 2), ("high", 11)):
        records = [passage(f"{level}{i}.txt", "B", "D") for i in range(1, count + 1)]
        write(folder / "train" / level / "all.txt", records)


def test_both_layouts_of_race_are_read_the_same(tmp_path):
    task = find("race")
    for name, make in (("a", stock), ("b", lines), ("c", stock), ("c", lines)):
        make(tmp_path / name)
    found = [task.read(task.locate(tmp_path / name, "train")).items for name in "abc"]
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 26
    first = found[0][0]
    assert first.id == "middle1.txt-0"
    assert first.texts == ("the article of middle1.txt", "What is _ 0?")
    assert (first.label, first.group) == (1, "middle")
    assert [item.id for item in found[0]][-2:] == ["high11.txt-0", "high11.txt-1"]
    high = task.read(tmp_path / "a" / "train" / "high")
    assert len(high) == 22
    assert {item.group for item in high} == {"high"}
    assert task.locate(tmp_path / "a" / "train" / "..", "train").is_dir()


def test_the_answer_is_put_in_the_blank_or_after_the_question():
    for question, expected in [
        ("Is _ it?", ["Is x it?", "Is y it?"]),
        ("What?", ["What? x", "What? y"]),
        ("", ["x", "y"]),
    ]:
        assert choices.asked(Example("0", ("c", question), 0, ("x", "y"))) == expected


def test_the_question_keeps_its_end_and_the_context_its_beginning():
    tool = tokenizer()
    context = "the river is large " * 60
    long = "the old man " * 80
    for length, kept in [(512, 128), (200, 128), (40, 37)]:
        item = Example("0", (context, long), 1, ("house", "one"))
        task = find("race")
        (feature,) = task.features(Examples([item]), tool, length)
        encode = tool.vocabulary.encode
        (words,) = encode([context])
        for option, ids, types in zip(
            item.choices, feature["input_ids"], feature["token_type_ids"], strict=True
        ):
            (asked,) = encode([f"{long} {option}"])
            asked = asked[-kept:]
            expected = [2, *words[: length - 3 - len(asked)], 3, *asked, 3]
            assert ids.tolist() == expected
            assert types.sum() == len(asked) + 1
            assert tokens(ids)[-2] == tool.tokenize(option)[-1]
        assert feature["labels"] == 1


def test_scores_are_those_of_the_levels_too(tmp_path):
    stock(tmp_path)
    task = find("race")
    found = task.read(tmp_path / "train")
    features = task.features(found, tokenizer(), 64, training=True)
    outputs = [{"logits": one_hot(1 if i % 2 or i < 4 else 3, 4)} for i in range(26)]
    right = [item.label == (1 if i % 2 or i < 4 else 3) for i, item in enumerate(found)]
    assert task.score(found, features, outputs) == {
        "accuracy": sum(right) / 26,
        "accuracy_middle": 0.5,
        "accuracy_high": 0.0,
    }
    record = task.predictions(found, features, outputs)[0]
    assert (record["choice"], record["text"]) == (1, "two")
    assert sum(record["probabilities"]) == pytest.approx(1)
    arrays = pad(features[:3], multiple_of=None)
    longest = max(len(row) for f in features[:3] for row in f["input_ids"])
    assert arrays["input_ids"].shape == (3, 4, longest)
    assert np.array_equal(arrays["attention_mask"] == 0, arrays["input_ids"] == 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.jsonl", '{"context": "c", "choices": ["x", "y", "z"], "label": 1}'),
        ("x.jsonl", '{"context": "c", "choices": ["x", "y", "z"], "label": "B"}'),
        ("x.csv", "choice1,choice0,context,choice2,label\ny,x,c,z,1\n"),
    ],
)
def test_general_files_are_read(name, text, tmp_path):
    (item,) = find("multiple-choice").read(write(tmp_path / name, text))
    assert item == Example("0", ("c", ""), 1, ("x", "y", "z"))


def test_the_number_of_choices_is_one(tmp_path):
    rows = [{"context": "c", "choices": list("xyz")[:n]} for n in (2, 3)]
    task = find("multiple-choice")
    found = task.read(write(tmp_path / "x.jsonl", rows))
    with pytest.raises(InputError, match="questions with 2, 3 choices"):
        task.features(found, tokenizer(), 64)
