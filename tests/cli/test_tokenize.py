"""`albert-zoo tokenize` as a user meets it: ids, pieces, and a trained vocabulary."""

import json
import subprocess
import sys

import pytest

from albert_core.tokenization import AlbertTokenizer
from albert_zoo import console
from albert_zoo.commands import tokenize
from tests.conftest import GOLDEN
from tests.golden.tokenizer_texts import training_sentences

SPIECE = GOLDEN / "tokenizer"
LINES = ["The first year", "", "9,9 [MASK]", "a\tb\u00a0c", "东京 the"]


@pytest.fixture(scope="module")
def ids():
    tokenizer = AlbertTokenizer(SPIECE / "spiece.model")
    return [tokenizer.encode(line) for line in LINES]


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\n".join(LINES) + "\n", "utf-8")
    return path


def rows(out):
    return [[int(i) for i in line.split()] for line in out.splitlines()]


@pytest.mark.parametrize("command", [("tokenize", "encode"), ("tokenize",)])
def test_files_and_the_standard_input_become_ids(call, text, ids, command):
    arguments = (*command, "--tokenizer", SPIECE / "spiece.model")
    code, out, err = call(*arguments, text)
    assert (code, err) == (0, "")
    assert rows(out) == ids
    for more in ((), ("-",)):
        code, out, _ = call(*arguments, *more, text=text.read_text())
        assert (code, rows(out)) == (0, ids)
    code, out, _ = call(*arguments, text, "-", text, text="The first year")
    assert rows(out) == [*ids, ids[0], *ids]


def test_slow_is_the_same(call, text, ids):
    code, out, _ = call("tokenize", "--tokenizer", SPIECE, "--slow", text)
    assert (code, rows(out)) == (0, ids)


def test_pieces_and_json(call, text, ids):
    arguments = ("tokenize", "--tokenizer", SPIECE / "spiece.model", text)
    tokenizer = AlbertTokenizer(SPIECE / "spiece.model")
    pieces = [tokenizer.convert_ids_to_tokens(row) for row in ids]
    _, out, _ = call(*arguments, "--pieces")
    assert [line.split() for line in out.splitlines()] == pieces
    assert out.splitlines()[0] == "[CLS] ▁the ▁first ▁year [SEP]"
    _, out, _ = call(*arguments, "--json")
    found = [json.loads(line) for line in out.splitlines()]
    assert found == [{"ids": i, "pieces": p} for i, p in zip(ids, pieces, strict=True)]
    _, out, _ = call(*arguments, "--no-special-tokens")
    assert rows(out) == [row[1:-1] for row in ids]
    assert len(out.splitlines()) == len(LINES)  # an empty line stays one


def test_text_is_read_batch_by_batch(call, ids, monkeypatch):
    monkeypatch.setattr(tokenize, "BATCH", 2)
    code, out, _ = call("tokenize", "--tokenizer", SPIECE, text="\r\n".join(LINES))
    assert (code, rows(out)) == (0, ids)


def test_long_lines_are_no_matter_here(call, tmp_path, caplog):
    AlbertTokenizer(SPIECE / "spiece.model", model_max_length=512).save_pretrained(
        tmp_path
    )
    line = "the first year " * 500
    code, out, err = call("tokenize", "--tokenizer", tmp_path, text=line)
    assert (code, err) == (0, "")
    assert len(rows(out)[0]) == 1502
    assert not caplog.records


def test_pieces_are_harmless_to_a_terminal(call, tmp_path):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\x9b31m"]
    words = tmp_path / "vocab.txt"
    words.write_text("\n".join(vocabulary) + "\n", "utf-8")
    assert tokenize.printable("\x9b31m") == "\\x9b31m"
    code, out, _ = call("tokenize", "--tokenizer", words, "--pieces", text="none")
    assert (code, out) == (0, "[CLS] [UNK] [SEP]\n")


def test_a_vocabulary_is_trained_and_used(call, tmp_path):
    file = tmp_path / "text.txt"
    file.write_text("\n".join(training_sentences(300)), "utf-8")
    arguments = ("tokenize", "train", file, "--vocab-size", 300)
    code, out, err = call(*arguments, "--output", tmp_path / "a")
    assert (code, err) == (0, "")
    assert "has 300 pieces" in out.replace("\n", " ")
    code, out, _ = call("tokenize", "--tokenizer", tmp_path / "a", text="The CAFÉ\n")
    assert code == 0
    assert len(rows(out)[0]) > 3
    code, out, _ = call(
        *("tokenize", "train", "-", "--vocab-size", 300, "--no-lower-case"),
        *("--keep-accents", "--json", "-", "--output", tmp_path / "b"),
        text=file.read_text("utf-8"),
    )
    model = tmp_path / "b" / "spiece.model"
    assert json.loads(out) == {"vocabulary": str(model), "vocab_size": 300}
    settings = json.loads((tmp_path / "b" / "tokenizer_config.json").read_text())
    assert (settings["do_lower_case"], settings["keep_accents"]) == (False, True)
    assert (tmp_path / "a" / "spiece.model").read_bytes() != model.read_bytes()


def test_bad_input_is_a_line_and_a_code(call, text, tmp_path):
    train = ("tokenize", "train", "--output", tmp_path / "v")
    encode = ("tokenize", "--tokenizer", SPIECE)
    latin = "one\ncafé".encode("latin-1")
    for code, expected, arguments, data in (
        (console.USAGE, "Missing option '--tokenizer'", ("tokenize", "encode"), ""),
        (console.USAGE, "does not exist", (*encode, tmp_path / "absent"), ""),
        (console.USAGE, "Missing argument", train, ""),
        (console.USAGE, "is not a valid int", (*train, "--vocab-size", "x", text), ""),
        (console.BAD_INPUT, "no text to train on", (*train, "-"), ""),
        (console.BAD_INPUT, "more than this text has pieces for", (*train, text), ""),
        (console.BAD_INPUT, "standard input is not UTF-8", encode, latin),
        (console.BAD_INPUT, "no vocabulary", ("tokenize", "--tokenizer", tmp_path), ""),
    ):
        found, _, err = call(*arguments, text=data)
        assert (found, expected in " ".join(err.split())) == (code, True), err
        assert "Traceback" not in err
    assert not list(tmp_path.glob("v/*"))


def test_help_shows_the_examples(call):
    _, out, _ = call("tokenize", "--help")
    assert "albert-zoo tokenize train text.txt" in out
    assert all(name in out for name in ("encode", "train"))
    _, out, _ = call("tokenize", "train", "-h")
    assert "--vocab-size" in out


def test_the_command_line_starts_without_the_tokenizers():
    code = (
        "import sys, albert_zoo.cli\n"
        "heavy = {'tokenizers', 'sentencepiece', 'albert_core.tokenization'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
