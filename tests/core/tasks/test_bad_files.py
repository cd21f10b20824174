"""Each file that cannot be used is refused in words that tell what to do."""

import json

import pytest

from albert_core import InputError
from albert_core.data.tasks import files, find
from tests.core.tasks.helpers import squad, table, tokenizer, write

HEADER = "sentence\tlabel\n"
CONTEXT = "The Nile is a river."
RACE = {
    "id": "high1.txt",
    "article": "a",
    "questions": ["q"],
    "options": [list("wxyz")],
    "answers": ["A"],
}


def refuse(task, path, *parts, **options):
    with pytest.raises(InputError) as problem:
        find(task).read(path, **options)
    for part in parts:
        assert part in str(problem.value)


@pytest.mark.parametrize(
    ("task", "name", "text", "parts"),
    [
        ("sst-2", "dev.tsv", "", ["dev.tsv is empty"]),
        ("sst-2", "dev.tsv", HEADER, ["holds no examples"]),
        ("sst-2", "dev.tsv", "\n\n", ["holds no examples"]),
        ("sts-b", "dev.tsv", "a\tscore\n", ["holds no examples"]),
        ("squad", "dev.json", "", ["dev.json is empty"]),
        ("race", "all.txt", "", ["all.txt is empty"]),
        ("ner", "train.txt", "\n \n", ["holds no examples"]),
        (
            "sst-2",
            "dev.tsv",
            f"{HEADER}a\t1\nb\tgood\nc\t2\nd\tgood\n",
            ["2 unknown labels", "'good' (line 3)", "'2' (line 4)", "are '0', '1'"],
        ),
        (
            "sst-2",
            "dev.tsv",
            f"{HEADER}a\t1\nb\nc\nd\t0\n",
            ["2 rows", "2 are needed", "line 3 has 1", "lines are 3, 4"],
        ),
        ("sst-2", "dev.tsv", "fine\t1\n", ["no header of SST-2", "'fine', '1'"]),
        (
            "sts-b",
            "dev.tsv",
            "\t".join("abcdefghi") + "\tscore\n" + "x\t" * 9 + "five\n",
            ["line 2", "must be a number, not 'five'"],
        ),
        ("regression", "x.jsonl", '{"text": "a", "label": NaN}', ["not nan"]),
        (
            "text-classification",
            "x.jsonl",
            '{"sentence": "a", "label": 1}',
            ["line 1", "has no 'text'", "It has 'sentence', 'label'"],
        ),
        ("text-classification", "x.jsonl", '{"text": 1}', ["text must be text, not 1"]),
        ("text-classification", "x.jsonl", "[1]", ["line 1, is [1]"]),
        ("text-classification", "x.jsonl", "\n{", ["line 2, is no JSON"]),
        ("text-classification", "x.csv", "text,text\n", ["'text' twice"]),
        (
            "text-classification",
            "x.csv",
            "text,label\na,b\nc\n",
            ["1 rows", "the header has 2", "line 3 has 1"],
        ),
        ("text-classification", "x.csv", 'text\n"a\n', ["no row of a csv file"]),
        ("text-classification", "x.pdf", "a", ["ends in '.pdf'", ".jsonl"]),
        (
            "token-classification",
            "x.jsonl",
            '{"words": ["a", "b"], "tags": ["O"]}',
            ["has 2 words but 1 tags"],
        ),
        (
            "multiple-choice",
            "x.jsonl",
            '{"context": "a", "choices": ["b", "c"], "label": 2}',
            ["the label 2, but 2 choices", "0 to 1, or A to B"],
        ),
        ("multiple-choice", "x.csv", "context\na\n", ["'choice0'"]),
        ("chunking", "x.txt", "a DT B-NP\nb NN\n", ["3 are needed", "line 2 has 2"]),
        ("squad", "x.json", "[]", ["a JSON list"]),
        ("squad", "x.json", '{"data": {}}', ["the file has {} for 'data'"]),
        (
            "squad",
            "x.json",
            '{"data": [{"paragraphs": [{"context": "c", "qas": [{"id": 5}]}]}]}',
            ["question 0 of paragraph 0 of article 0 has 5 for 'id'", "text"],
        ),
        (
            "squad",
            "x.json",
            squad((CONTEXT, [("q1", "?", [("Nile", 4)]), ("q2", "?", [])])),
            ["1 questions have no answer: 'q2'", "'squad2'"],
        ),
        (
            "squad",
            "x.json",
            squad(
                (CONTEXT, [("q1", "?", [("Nile", 5)]), ("q2", "?", [("river", 14)])]),
                (CONTEXT, [("q3", "?", [("Nile", -16)])]),
            ),
            ["2 questions", "'q1', 'q3'", "'Nile' at character 5", "'ile '"],
        ),
        (
            "squad2",
            "x.json",
            squad((CONTEXT, [("q1", "?", []), ("q1", "?", [])])),
            ["several questions: 'q1'"],
        ),
        ("race", "x.txt", json.dumps({"article": "a"}), ["no 'questions', 'options'"]),
        ("race", "x.txt", json.dumps(RACE | {"answers": ["E"]}), ["answers 'E'"]),
        ("race", "x.txt", json.dumps(RACE | {"answers": []}), ["1 questions", "0 ans"]),
        ("race", "x.txt", json.dumps(RACE | {"options": [["a"]]}), ["with 1 options"]),
        ("race", "x.txt", json.dumps(RACE | {"options": ["a"]}), ["has a list"]),
    ],
)
def test_what_cannot_be_read_is_refused(task, name, text, parts, tmp_path):
    path = write(tmp_path / name, text)
    refuse(task, path, str(path) if "a list" not in parts[0] else "", *parts)


def test_the_line_that_is_not_utf_8_is_named(tmp_path):
    path = tmp_path / "dev.tsv"
    path.write_bytes(HEADER.encode() + b"fine\t1\ncaf\xe9\t0\n")
    refuse("sst-2", path, "line 3, is not UTF-8", "0xe9 at position 3")


def test_a_gigantic_line_is_not_read_on(tmp_path, monkeypatch):
    path = write(tmp_path / "dev.tsv", HEADER + "a" * 100)
    monkeypatch.setattr(files, "LONGEST_LINE", 99)
    refuse("sst-2", path, "line 2, has more than 99 bytes")
    assert find("sst-2").read(write(path, HEADER + "a" * 97 + "\t1"))


def test_a_mark_at_the_beginning_and_dos_line_ends_are_no_text(tmp_path):
    path = write(tmp_path / "dev.tsv", "\ufefftext\tlabel\r\nfine\t1\r\n")
    (item,) = find("text-classification").read(path, labels=["0", "1"])
    assert (item.texts, item.label) == (("fine",), 1)


def test_what_is_not_there_is_refused(tmp_path):
    refuse("rte", tmp_path / "none.tsv", "none.tsv cannot be read", "No such file")
    refuse("rte", tmp_path, "is no file")
    refuse("squad", tmp_path, "is no file")
    refuse("race", tmp_path, "holds no *.txt", "holds nothing")
    task = find("rte")
    with pytest.raises(InputError, match="is no folder"):
        task.locate(tmp_path / "none", "dev")
    write(tmp_path / "other.md", "x")
    with pytest.raises(InputError, match=r"the split 'dev', .*it holds 'other.md'"):
        task.locate(tmp_path, "dev")
    with pytest.raises(InputError, match=r"'eval' is no split. .*'train', 'dev'"):
        task.locate(tmp_path, "eval")


def test_unknown_columns_are_refused(tmp_path):
    path = table(tmp_path / "x.tsv", ["a", "b"], ["1", "2"])
    columns = {"text": "c", "label": "d"}
    parts = ["no 'c', 'd'", "It has 'a', 'b'"]
    refuse("text-classification", path, *parts, columns=columns)
    refuse("sst-2", path, *parts, columns=columns)
    refuse("sst-2", path, "names 'txt'", "'text_pair'", columns={"txt": "a"})
    refuse("ner", path, "is 'pos'", "Give a number", columns={"tag": "pos"})
    refuse("race", path, "have no columns", columns={"text": "a"})
    refuse("squad", path, "neither labels nor columns", "'yes'", labels=["yes"])


def test_labels_must_differ(tmp_path):
    path = table(tmp_path / "dev.tsv", ["sentence", "label"], ["a", "1"])
    refuse("sst-2", path, "names '1' twice", labels=["1", "0", "1"])


def test_lengths_that_do_not_fit_are_refused(tmp_path):
    task = find("squad")
    text = squad((CONTEXT, [("q1", "what is the river", [("Nile", 4)])]))
    found = task.read(write(tmp_path / "x.json", text))
    with pytest.raises(InputError, match=r"doc_stride must be .* above 0, not 0"):
        task.features(found, tokenizer(), 50, doc_stride=0)
    with pytest.raises(InputError, match="max_length is 3, but 3 tokens"):
        task.features(found, tokenizer(), 3)
    with pytest.raises(InputError, match=r"'q1' takes 5 tokens .*max_query_length"):
        task.features(found, tokenizer(), 8, max_query_length=5)
