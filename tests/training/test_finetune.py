"""Fine-tuning, judging and predicting: what is learnt, from what, and how it ends."""

import json
import shutil

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_core.checkpoint import Checkpoint
from albert_core.data.tasks import find
from albert_zoo.training import start
from albert_zoo.training.finetune import in_epochs, steps_of_epoch
from albert_zoo.training.logs import records
from albert_zoo.training.option_fields import Options
from tests.conftest import FRAMEWORKS, weights
from tests.training.conftest import VOCABULARY

WORDS = [
    word
    for word in VOCABULARY.joinpath("vocab.txt").read_text("utf-8").split()
    if word.isascii() and word.isalpha() and len(word) > 2
]
GOOD, BAD, REST = WORDS[0], WORDS[1], WORDS[2:12]
SIZES = {
    "embedding_size": 8,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": 32,
    "initializer_range": 0.2,
}
QUIET = ["--device", "cpu", "--quiet", "--recipe", "finetune", "--max-length", 24]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A pretrained checkpoint with its tokenizer."""
    place = tmp_path_factory.mktemp("model") / "pretrained"
    size = len(VOCABULARY.joinpath("vocab.txt").read_text("utf-8").splitlines())
    config = AlbertConfig(vocab_size=size, **SIZES)
    config.architectures = ["AlbertForPreTraining"]
    checkpoint.save(place, config, weights(config, "ForPreTraining"))
    for file in VOCABULARY.iterdir():
        if not (place / file.name).exists():
            shutil.copy(file, place)
    return place


def reviews(path, rows, seed=0, labels=("bad", "good")):
    """A file whose label is whether one word or another is in the text."""
    rng = np.random.default_rng(seed)
    lines = ["review,stars"]
    for _ in range(rows):
        label = int(rng.integers(2))
        words = [*rng.choice(REST, 2), *[(BAD, GOOD)[label]] * 3]
        rng.shuffle(words)
        lines.append(f"{' '.join(words)},{labels[label]}")
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def files(tmp_path):
    return reviews(tmp_path / "train.csv", 96), reviews(tmp_path / "dev.csv", 40, 1)


COLUMNS = ["--column", "text=review", "--column", "label=stars"]
OWN = ["--task", "text-classification", *COLUMNS]


@pytest.fixture
def finetune(call, files, model, tmp_path):
    """Run the command: (folder, *options) -> code, output, errors."""
    train, dev = files

    def run(folder, *more, source=model):
        given = ["finetune", *OWN, "--train", train, "--dev", dev, "--model", source]
        return call(*given, "--output", tmp_path / folder, *QUIET, *more)

    return run


LEARN = ["--epochs", 12, "--learning-rate", 0.003, "--batch-size", 16]
LEARN += ["--warmup-steps", 0, "--framework", "torch"]


def test_a_task_is_learnt_judged_and_predicted(finetune, call, files, tmp_path):
    code, said, err = finetune("run", *LEARN, "--json", "-")
    assert code == 0, err
    scores = json.loads(said)["scores"]
    assert scores["accuracy"] > 0.9  # half of the labels are either
    run = tmp_path / "run"
    assert json.loads((run / "scores.json").read_text()) == scores
    assert AlbertConfig.from_pretrained(run).id2label == {0: "bad", 1: "good"}
    judged = [row for row in records(run) if "eval_accuracy" in row]
    assert [row["step"] for row in judged] == [6 * n for n in range(1, 13)]  # epochs
    best = max(row["eval_accuracy"] for row in judged)
    assert scores["accuracy"] == best
    options = [*OWN, "--model", run, "--max-length", 24]
    for framework in FRAMEWORKS:
        given = ["--framework", framework, "--json", "-"]
        code, said, err = call("evaluate", files[1], *options, *given)
        assert code == 0, err
        found = json.loads(said)
        assert found["scores"] == pytest.approx(scores)
        assert (found["framework"], found["examples"]) == (framework, 40)
    code, said, err = call("predict", files[1], *options, "--framework", "torch")
    assert code == 0, err
    rows = [json.loads(line) for line in said.splitlines()]
    wanted = [line.split(",")[1] for line in files[1].read_text().splitlines()[1:]]
    right = np.mean([row["label"] == x for row, x in zip(rows, wanted, strict=True)])
    assert right == scores["accuracy"]


def test_three_frameworks_learn_the_same(finetune, tmp_path):
    short = ["--steps", 3, "--log-every", 1]
    losses = {}
    for framework in FRAMEWORKS:
        code, _, err = finetune(framework, *short, "--framework", framework)
        assert code == 0, err
        rows = records(tmp_path / framework)
        losses[framework] = [row["loss"] for row in rows if "loss" in row]
    # The classifier's dropout is the framework's own; the start is not.
    first = [Checkpoint.open(tmp_path / f / "checkpoint-0") for f in FRAMEWORKS]
    for name in first[0]:
        assert all(np.array_equal(one[name], first[0][name]) for one in first[1:])
    assert {len(found) for found in losses.values()} == {3}


COUNT = 24  # batches: some epochs, whatever fills a batch


@pytest.mark.parametrize("max_tokens", [0, 96])
def test_batches_go_on_behind_what_was_used(max_tokens):
    rng = np.random.default_rng(0)
    features = [
        {
            "input_ids": rng.integers(5, 9, int(rng.integers(3, 60))).astype(np.int32),
            "token_type_ids": np.zeros(1, np.int8),
            "labels": number,
        }
        for number in range(11)
    ]
    for feature in features:
        feature["token_type_ids"] = np.zeros(len(feature["input_ids"]), np.int8)
    options = Options(batch_size=4, max_tokens=max_tokens, epochs=1.0, seed=3)
    stream = in_epochs(features, options)
    batches = [next(stream)["labels"].tolist() for _ in range(COUNT)]
    used = 0
    for index, batch in enumerate(batches):
        again = in_epochs(features, options, used)
        rest = [next(again)["labels"].tolist() for _ in range(COUNT - index)]
        assert rest == batches[index:]
        used += len(batch)
    labels = [label for batch in batches for label in batch]
    assert sorted(labels[:11]) == sorted(labels[11:22]) == list(range(11))
    assert labels[:11] != labels[11:22]
    each = steps_of_epoch(features, options)
    assert abs(sum(map(len, batches[:each])) - 11) <= 2


def test_a_run_that_was_stopped_goes_on_to_the_same(finetune, tmp_path):
    more = ["--steps", 6, "--save-every", 2, "--keep", 0, "--framework", "torch"]
    assert finetune("whole", *more)[0] == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "part")
    for step in (4, 6):
        shutil.rmtree(tmp_path / "part" / f"checkpoint-{step}")
    assert finetune("part", *more, "--resume")[0] == 0
    files = [
        tmp_path / run / "checkpoint-6/model.safetensors" for run in ("whole", "part")
    ]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_what_pretraining_brought_is_there_unless_it_is_not_wanted(
    finetune, model, tmp_path
):
    one = ["--steps", 1, "--framework", "torch"]
    assert finetune("with", *one)[0] == 0
    assert finetune("without", *one, "--untrained")[0] == 0
    name = "albert.embeddings.word_embeddings.weight"
    given = Checkpoint.open(model)[name]
    found = Checkpoint.open(tmp_path / "with" / "checkpoint-0")[name]
    assert np.array_equal(found, given)
    drawn = Checkpoint.open(tmp_path / "without" / "checkpoint-0")[name]
    assert not np.array_equal(drawn, given)
    assert finetune("with", *one, "--untrained", "--resume")[0] == 3


def test_a_head_of_other_labels_is_drawn_anew_and_named(
    finetune, model, tmp_path, caplog
):
    config = AlbertConfig.from_pretrained(model, num_labels=3)
    config.architectures = ["AlbertForSequenceClassification"]
    three = tmp_path / "three"
    checkpoint.save(three, config, weights(config, "ForSequenceClassification"))
    for file in VOCABULARY.iterdir():
        if not (three / file.name).exists():
            shutil.copy(file, three)
    assert finetune("run", "--steps", 1, "--framework", "torch", source=three)[0] == 0
    assert "classifier.weight" in caplog.text
    found = Checkpoint.open(tmp_path / "run" / "checkpoint-0")
    assert found.shape("classifier.weight") == (2, 16)
    pooler = "albert.pooler.weight"
    assert np.array_equal(found[pooler], Checkpoint.open(three)[pooler])


def test_a_label_that_training_did_not_have(finetune, call, files, tmp_path):
    reviews(files[1], 6, labels=("bad", "superb"))
    code, _, err = finetune("run", "--steps", 1, "--framework", "torch")
    assert code == 3
    assert "'superb'" in err
    assert "dev.csv" in err
    assert not (tmp_path / "run").exists()


def test_a_model_that_does_not_fit(call, model, files):
    options = [*OWN, "--model", model, "--framework", "torch"]
    code, _, err = call("evaluate", files[1], *options, "--max-length", 24)
    assert code == 3
    assert "classifier.weight" in err


def test_a_length_that_the_model_does_not_have(finetune):
    code, _, err = finetune("run", "--steps", 1, "--max-length", 33)
    assert code == 3
    assert "--max-length 33 is more than the 32 positions" in err


def test_columns_that_are_no_pairs(call, files, model):
    given = ["--task", "text-classification", "--column", "review", "--model", model]
    code, _, err = call("evaluate", files[1], *given)
    assert code == 2
    assert "FIELD=NAME" in err


def conll(path):
    sentence = f"{GOOD} X B-A\n{BAD} X I-A\n{REST[0]} X O\n\n"
    path.write_text(sentence * 8)


def squad(path):
    text = f"{REST[0]} {GOOD} {BAD} {REST[1]}"
    answer = {"text": GOOD, "answer_start": text.index(GOOD)}
    qas = [{"id": str(n), "question": BAD, "answers": [answer]} for n in range(8)]
    paragraph = {"context": text, "qas": qas}
    path.write_text(json.dumps({"data": [{"title": "t", "paragraphs": [paragraph]}]}))


def choices(path):
    row = {"context": REST[0], "choices": [GOOD, BAD], "label": 0}
    path.write_text((json.dumps(row) + "\n") * 8)


def numbers(path):
    rows = [{"text": f"{GOOD} {REST[n % len(REST)]}", "label": n / 8} for n in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize(
    ("task", "write", "name", "more"),
    [
        ("chunking", conll, "train.txt", []),
        ("squad", squad, "train.json", []),
        ("squad", squad, "joint.json", ["--joint"]),
        ("multiple-choice", choices, "train.jsonl", []),
        ("regression", numbers, "train.jsonl", []),
    ],
)
def test_every_head_learns(call, model, tmp_path, task, write, name, more):
    file = tmp_path / name
    write(file)
    given = ["finetune", "--task", task, *more, "--train", file, "--dev", file]
    given += ["--model", model, "--output", tmp_path / "run", *QUIET, "--steps", 2]
    given += ["--log-every", 1, "--batch-size", 4, "--parts", 2, "--framework", "torch"]
    code, said, err = call(*given, "--json", "-")
    assert code == 0, err
    assert find(task).metric in json.loads(said)["scores"]
    losses = [row["loss"] for row in records(tmp_path / "run") if "loss" in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_positions_may_begin_as_waves():
    config = AlbertConfig(vocab_size=9, **{**SIZES, "embedding_size": 6})
    plain = start.fresh(config, "ForPreTraining", 0)
    waves = start.fresh(config, "ForPreTraining", 0, "waves")
    same = {name for name in plain if np.array_equal(plain[name], waves[name])}
    assert plain.keys() - same == {start.POSITIONS}
    table = waves[start.POSITIONS]
    assert table.shape == (32, 6)
    assert np.allclose(table[0], [0, 0.4, 0, 0.4, 0, 0.4])  # sine and cosine of 0
    # Two places as far apart are as alike everywhere.
    alike = table @ table.T
    for offset in (1, 5):
        diagonal = np.diagonal(alike, offset)
        assert np.allclose(diagonal, diagonal[0], atol=1e-5)
    assert (np.diagonal(alike, 1) < np.diagonal(alike)[0] - 0.01).all()
