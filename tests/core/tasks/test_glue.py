"""Every task of GLUE finds its texts and labels where the published files have them."""

import pytest

from albert_core import InputError
from albert_core.data.tasks import find, names
from albert_core.schema import HEADS
from tests.core.tasks.helpers import table, write

MNLI = [
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse",
    "sentence1_parse sentence2_parse sentence1 sentence2",
]
MNLI_TEST = " ".join(MNLI).split()
# The published headers, and the columns of the texts and the label in them.
TRAIN = {
    "sst-2": ("sentence label", ["sentence"], "label"),
    "mrpc": (
        "Quality;#1 ID;#2 ID;#1 String;#2 String",
        ["#1 String", "#2 String"],
        "Quality",
    ),
    "sts-b": (
        "index genre filename year old_index source1 source2 sentence1 sentence2 score",
        ["sentence1", "sentence2"],
        "score",
    ),
    "qqp": (
        "id qid1 qid2 question1 question2 is_duplicate",
        ["question1", "question2"],
        "is_duplicate",
    ),
    "mnli": (
        " ".join([*MNLI, "label1 gold_label"]),
        ["sentence1", "sentence2"],
        "gold_label",
    ),
    "mismnli": (
        " ".join([*MNLI, "label1 label2 label3 label4 label5 gold_label"]),
        ["sentence1", "sentence2"],
        "gold_label",
    ),
    "qnli": ("index question sentence label", ["question", "sentence"], "label"),
    "rte": ("index sentence1 sentence2 label", ["sentence1", "sentence2"], "label"),
    "wnli": ("index sentence1 sentence2 label", ["sentence1", "sentence2"], "label"),
    "ax": (
        "Lexical Semantics;Predicate-Argument Structure;Logic;Knowledge;Domain;Premise;"
        "Hypothesis;Label",
        ["Premise", "Hypothesis"],
        "Label",
    ),
}
TEST = {
    "cola": ("index sentence", ["sentence"]),
    "sst-2": ("index sentence", ["sentence"]),
    "mrpc": ("index;#1 ID;#2 ID;#1 String;#2 String", ["#1 String", "#2 String"]),
    "sts-b": (TRAIN["sts-b"][0].removesuffix(" score"), ["sentence1", "sentence2"]),
    "qqp": ("id question1 question2", ["question1", "question2"]),
    "mnli": (" ".join(MNLI_TEST), ["sentence1", "sentence2"]),
    "mismnli": (" ".join(MNLI_TEST), ["sentence1", "sentence2"]),
    "qnli": ("index question sentence", ["question", "sentence"]),
    "rte": ("index sentence1 sentence2", ["sentence1", "sentence2"]),
    "wnli": ("index sentence1 sentence2", ["sentence1", "sentence2"]),
    "ax": ("index sentence1 sentence2", ["sentence1", "sentence2"]),
}
LABELS = {
    "sts-b": None,
    "mnli": ("contradiction", "entailment", "neutral"),
    "mismnli": ("contradiction", "entailment", "neutral"),
    "ax": ("contradiction", "entailment", "neutral"),
    "qnli": ("entailment", "not_entailment"),
    "rte": ("entailment", "not_entailment"),
}


def split(header):
    return header.split(";") if ";" in header else header.split()


def rows(header, texts, label=None, value=""):
    """Two rows in which every cell tells its column."""
    names = split(header)
    cells = [[f"{name} of {i}" for name in names] for i in range(2)]
    if label is not None:
        for row in cells:
            row[names.index(label)] = value
    expected = [tuple(f"{name} of {i}" for name in texts) for i in range(2)]
    return [names, *cells], expected


@pytest.mark.parametrize("name", TRAIN)
def test_texts_and_labels_are_in_the_published_columns(name, tmp_path):
    header, texts, label = TRAIN[name]
    labels = LABELS.get(name, ("0", "1"))
    value = "3.25" if labels is None else labels[1]
    cells, expected = rows(header, texts, label, value)
    task = find(name)
    file = table(task.split_file(tmp_path, "dev"), *cells)
    assert task.locate(tmp_path, "dev") == file
    found = task.read(file)
    assert [item.texts for item in found] == expected
    assert [item.label for item in found] == [3.25 if labels is None else 1] * 2
    assert found.labels == (labels or ())


@pytest.mark.parametrize("name", TEST)
def test_test_files_have_columns_of_their_own_and_no_labels(name, tmp_path):
    cells, expected = rows(*TEST[name])
    task = find(name)
    found = task.read(table(task.split_file(tmp_path, "test"), *cells))
    assert [item.texts for item in found] == expected
    assert [item.label for item in found] == [None, None]
    with pytest.raises(InputError, match=r"2 of 2 examples of .* have no label: '0'"):
        found.known()


def test_cola_has_no_header_in_train_and_dev(tmp_path):
    cells = [["gj04", "1", "", "They ran."], ["gj04", "0", "*", "Ran they."]]
    found = find("cola").read(table(tmp_path / "dev.tsv", *cells))
    assert [(item.texts, item.label) for item in found] == [
        (("They ran.",), 1),
        (("Ran they.",), 0),
    ]


def test_the_dev_sets_of_mnli_are_two(tmp_path):
    files = [
        find(name).split_file(tmp_path, "dev").name for name in ("mnli", "mismnli")
    ]
    assert files == ["dev_matched.tsv", "dev_mismatched.tsv"]
    assert find("ax").split_file(tmp_path, "test").name == "diagnostic.tsv"


def test_a_test_file_with_labels_is_read_as_one(tmp_path):
    file = table(tmp_path / "test.tsv", ["sentence", "label"], ["fine", "1"])
    (item,) = find("sst-2").read(file)
    assert (item.texts, item.label) == (("fine",), 1)


def test_qqp_leaves_short_rows_out_and_counts_them(tmp_path):
    cells, _ = rows(*TRAIN["qqp"], "1")
    file = table(tmp_path / "train.tsv", *cells[:2], ["1", "2"], cells[2])
    found = find("qqp").read(file)
    assert (len(found), found.skipped) == (2, 1)


def test_quotation_marks_are_text(tmp_path):
    file = table(tmp_path / "dev.tsv", ["sentence", "label"], ['"so" he said', "1"])
    assert find("sst-2").read(file)[0].texts == ('"so" he said',)


def test_columns_may_be_named(tmp_path):
    file = table(tmp_path / "x.tsv", ["gold", "b", "a"], ["1", "two", "one"])
    columns = {"text": "a", "text_pair": "b", "label": "gold"}
    (item,) = find("mrpc").read(file, columns=columns)
    assert (item.texts, item.label) == (("one", "two"), 1)


def test_labels_may_be_in_another_order(tmp_path):
    file = table(tmp_path / "dev.tsv", ["sentence", "label"], ["fine", "1"])
    found = find("sst-2").read(file, labels=["1", "0"])
    assert (found.labels, found[0].label) == (("1", "0"), 0)


def test_the_folder_of_all_tasks_will_do(tmp_path):
    file = write(tmp_path / "RTE" / "dev.tsv", "x")
    assert find("rte").locate(tmp_path, "dev") == file


@pytest.mark.parametrize("name", names())
def test_every_task_names_a_head_and_the_score_that_chooses(name):
    task = find(name)
    assert task.name == name
    assert task.head in HEADS
    sequence = task.head == "ForSequenceClassification"
    assert (task.problem_type is not None) == sequence


def test_an_unknown_task_or_head_is_refused():
    with pytest.raises(InputError, match="no task 'sst2'") as problem:
        find("sst2")
    assert all(repr(name) in str(problem.value) for name in names())
    with pytest.raises(InputError, match="'rte' has no head 'ForMultipleChoice'"):
        find("rte", "ForMultipleChoice")
    assert find("squad2", "ForQuestionAnsweringBeam").head == "ForQuestionAnsweringBeam"
