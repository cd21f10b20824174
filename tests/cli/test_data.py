"""`albert-zoo data` as a user meets it: made, looked at, and taken to records."""

import errno
import json
import re

import numpy as np
import pytest

from albert_core.data.pretraining import dataset
from albert_core.data.pretraining.batches import PretrainingData
from albert_zoo.commands import data as module
from tests.conftest import GOLDEN
from tests.golden.tokenizer_texts import training_sentences

SPIECE = GOLDEN / "tokenizer"
WITH = ("--tokenizer", SPIECE)
SMALL = ("--max-seq-length", 32, "--dupe-factor", 2, "--workers", 1, "--seed", 7)


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    lines = training_sentences(60)
    path.write_text("\n\n".join("\n".join(lines[n::6]) for n in range(6)), "utf-8")
    return path


@pytest.fixture
def create(call, text, tmp_path):
    """Make instances: (*options, files) -> code, output, errors."""

    def run(*options, files=(text,)):
        to = ("--output", tmp_path / "made")
        return call("data", "create", *files, *WITH, *to, *SMALL, *options)

    return run


def manifest(path):
    return json.loads((path / dataset.MANIFEST).read_text("utf-8"))


def test_instances_are_made_of_text(create, tmp_path):
    code, out, err = create("--json", tmp_path / "result.json")
    made = PretrainingData(tmp_path / "made")
    assert (code, err) == (0, "")
    assert out.replace("\n", " ").strip() == (
        f"{tmp_path / 'made'} holds {len(made)} instances of up to 32 tokens in 1 "
        f"shards"
    )
    assert json.loads((tmp_path / "result.json").read_text()) == {
        "folder": str(tmp_path / "made"),
        "instances": len(made),
        "shards": 1,
        "max_seq_length": 32,
    }


def test_json_takes_the_place_of_the_line(create, tmp_path):
    code, out, _ = create("--json", "-")
    assert code == 0
    assert json.loads(out)["folder"] == str(tmp_path / "made")


def test_options_change_the_recipe(create, tmp_path):
    code, _, err = create(
        *("--max-predictions-per-seq", 5, "--masked-lm-prob", 0.3, "--ngram", 2),
        *("--favor-longer-ngram", "--no-whole-word-mask", "--short-seq-prob", 0.2),
        "--random-next-sentence",
    )
    assert (code, err) == (0, "")
    assert manifest(tmp_path / "made")["origin"]["recipe"] == {
        "max_seq_length": 32,
        "short_seq_prob": 0.2,
        "dupe_factor": 2,
        "random_next_sentence": True,
        "masking": {
            "masked_lm_prob": 0.3,
            "max_predictions_per_seq": 5,
            "ngram": 2,
            "favor_shorter_ngram": False,
            "do_whole_word_mask": False,
        },
        "seed": 7,
    }


def test_what_is_not_said_is_the_recipes(call, text, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[data]\nmax_seq_length = 40\ndupe_factor = 1\nngram = 1\n")
    options = ("--output", tmp_path / "made", "--recipe", file, "--workers", 1)
    code, _, err = call("data", "create", text, *WITH, *options, "--seed", 3)
    assert (code, err) == (0, "")
    recipe = manifest(tmp_path / "made")["origin"]["recipe"]
    assert recipe["max_seq_length"] == 40
    assert (recipe["dupe_factor"], recipe["seed"]) == (1, 3)
    assert recipe["masking"]["ngram"] == 1
    assert recipe["masking"]["masked_lm_prob"] == 0.15


def test_the_same_command_goes_on(create, tmp_path, monkeypatch):
    assert create()[0] == 0
    (shard,) = (tmp_path / "made").glob("*.safetensors")
    wanted = shard.read_bytes(), manifest(tmp_path / "made")
    (tmp_path / "made" / dataset.MANIFEST).unlink()
    shard.unlink()
    with monkeypatch.context() as patch:

        def full(path, *_, **__):
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")

        patch.setattr(dataset.safetensors_file, "write", full)
        code, out, err = create()
    assert (code, out) == (5, "")
    assert "No space left on device" in err
    assert [file.name for file in (tmp_path / "made").iterdir()] == [dataset.MANIFEST]
    assert create()[0] == 0
    assert (shard.read_bytes(), manifest(tmp_path / "made")) == wanted
    code, out, _ = create()  # there is nothing left to do
    assert code == 0
    assert "instances of up to 32 tokens" in out.replace("\n", " ")


def test_instances_are_shown(create, call, text, tmp_path):
    create()
    code, out, err = call("data", "show", tmp_path / "made", *WITH, "--count", 2)
    assert (code, err) == (0, "")
    one, other, rest = out.split("\n\n")
    assert rest == ""
    batch = next(PretrainingData(tmp_path / "made").in_order(2))
    for row, shown in enumerate((one, other)):
        head, pieces = shown.strip().split("\n")
        end = int(batch["attention_mask"][row].sum())
        order = "swapped" if batch["sentence_order_label"][row] else "in order"
        assert head == f"{end} tokens, segments {order}"
        assert pieces.startswith("[CLS] ")
        assert pieces.count("[SEP]") == 2
        hidden = re.findall(r"\S+\((\S+)\)(?= |$)", pieces)
        assert len(hidden) == (batch["masked_lm_labels"][row] >= 0).sum()
        assert len(pieces.split(" ")) == end
    code, out, _ = call("data", "show", tmp_path / "made", *WITH)
    assert out.count(" tokens, segments ") == 3


def test_records_go_there_and_back(create, call, tmp_path):
    create()
    code, out, err = call("data", "to-records", tmp_path / "made", tmp_path / "records")
    assert (code, out) == (0, "")
    assert err == f"{tmp_path / 'records'} holds 1 files\n"
    (file,) = (tmp_path / "records").iterdir()
    arguments = ("data", "from-records", file, *WITH, "--output", tmp_path / "back")
    code, out, err = call(*arguments, "--json", "-")
    assert (code, err) == (0, "")
    assert json.loads(out)["instances"] == len(PretrainingData(tmp_path / "made"))
    shows = [
        call("data", "show", tmp_path / name, *WITH, "--count", 99)
        for name in ("made", "back")
    ]
    assert shows[0] == shows[1]
    code, _, err = call(*arguments)
    assert code == 3
    assert "holds pretraining data already. Choose another." in err


def test_bad_input_is_a_line_and_a_code(create, call, text, tmp_path):
    def bad(result, *parts, code=3):
        assert (result[0], result[1]) == (code, "")
        assert "Traceback" not in result[2]
        for part in parts:
            assert part in result[2].replace("\n", " ")

    blank, latin = tmp_path / "blank.txt", tmp_path / "latin.txt"
    blank.write_text("\n\n")
    latin.write_bytes(b"one\ncaf\xe9\n")
    bad(create(files=(text, blank)), "albert-zoo: There is no text in", "blank.txt")
    bad(create("--masked-lm-prob", 2), "masked_lm_prob must be from 0 to 1, not 2.0")
    bad(create("--recipe", "nothing"), "nothing")
    bad(create("--workers", 0), "--workers", code=2)
    bad(create(files=(tmp_path / "none.txt",)), "none.txt", code=2)
    bad(call("data", "create", text), "--tokenizer", code=2)
    assert not (tmp_path / "made").exists()
    bad(create(files=(latin,)), "line 2 is not UTF-8: byte 0xe9 at 7. Convert the")
    bad(create(), "made otherwise: ", "latin.txt", "Choose another folder")
    show = ("data", "show", tmp_path / "made", *WITH)
    bad(call(*show), "is not complete", "Run the same command again")
    to = ("data", "to-records", tmp_path / "made", tmp_path / "records")
    bad(call(*to), "is not complete. Make its instances first")
    bad(call("data", "show", tmp_path, *WITH), "there is no pretraining.json")
    bad(call("data", "show", tmp_path / "made", "--tokenizer", tmp_path / "no"), "no")
    away = ("--output", tmp_path / "x")
    bad(call("data", "from-records", latin, *WITH, *away), "latin.txt")


@pytest.mark.parametrize("other", [0, 1])
def test_data_of_another_vocabulary_is_not_shown(call, text, tmp_path, other):
    """Be it the smaller one or the larger."""
    tokenizers = [SPIECE, GOLDEN / "wordpiece"]
    to = ("--tokenizer", tokenizers[other], "--output", tmp_path / "made", *SMALL)
    assert call("data", "create", text, *to)[0] == 0
    code, out, err = call(
        *("data", "show", tmp_path / "made", "--tokenizer", tokenizers[1 - other])
    )
    assert (code, out) == (3, "")
    assert err == (
        f"albert-zoo: {tmp_path / 'made'} was made with another vocabulary than that "
        f"of {tokenizers[1 - other]}. Give the tokenizer that it was made with.\n"
    )


def test_what_is_shown_is_harmless_to_a_terminal():
    class Words:
        def convert_ids_to_tokens(self, ids):
            return "\x9b" if isinstance(ids, int) else ["a"] * len(ids)

    row = {
        "attention_mask": np.array([1, 1]),
        "input_ids": np.array([0, 0]),
        "masked_lm_positions": np.array([1]),
        "masked_lm_labels": np.array([5]),
        "sentence_order_label": 0,
    }
    lines = list(module._readable(row, Words()))
    assert module.printable("\n".join(lines)).split("\n")[1] == "a a(\\x9b)"
