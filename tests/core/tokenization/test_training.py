"""A vocabulary trained here is one such as Google trained, and is written whole."""

import json
import unicodedata

import pytest
import sentencepiece

from albert_core import folder
from albert_core.errors import TokenizerError
from albert_core.tokenization import load_tokenizer, training
from albert_core.tokenization.normalizer import Normalizer
from albert_core.tokenizer_names import TOKENIZER_FILES
from tests.conftest import GOLDEN
from tests.golden.tokenizer_texts import training_sentences

TEXTS = training_sentences(400, seed=5)


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    return training.train_vocabulary(iter(TEXTS), tmp_path_factory.mktemp("v"), 400)


def pieces_of(model):
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    return [processor.id_to_piece(i) for i in range(len(processor))]


def test_the_special_pieces_are_those_of_the_released_vocabularies(vocabulary):
    first = pieces_of(vocabulary)[:13]
    assert first == pieces_of(GOLDEN / "tokenizer" / "spiece.model")[:13]
    assert first == ["<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]", *'()"-.–£€']


def test_the_pieces_are_written_as_the_tokenizer_will_ask_for_them(vocabulary):
    pieces = pieces_of(vocabulary)
    assert len(pieces) == 400
    for piece in pieces[13:]:
        fed = Normalizer()(piece)
        assert unicodedata.normalize("NFKC", fed) == piece  # sentencepiece puts it so
    assert any(c.isupper() or c == "é" for text in TEXTS for c in text)


def test_capitals_and_accents_stay_where_the_tokenizer_keeps_them(tmp_path):
    model = training.train_vocabulary(
        iter(TEXTS), tmp_path, 400, do_lower_case=False, keep_accents=True
    )
    learnt = "".join(pieces_of(model)[13:])
    assert "T" in learnt
    assert "é" in learnt
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert (settings["do_lower_case"], settings["keep_accents"]) == (False, True)


def test_the_directory_is_a_tokenizer(vocabulary):
    for fast in (True, False):
        tokenizer = load_tokenizer(vocabulary.parent, use_fast=fast)
        assert tokenizer.is_fast == fast
        assert len(tokenizer) == 400
        assert tokenizer.model_max_length == 512
        ids = tokenizer("The first year")["input_ids"]
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids) == "[CLS] the first year[SEP]"


def test_the_listing_is_that_of_spm_train(vocabulary, tmp_path):
    lines = vocabulary.with_name("spiece.vocab").read_text("utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == pieces_of(vocabulary)
    text = tmp_path / "text"
    text.write_text("\n".join(training.prepared(TEXTS, Normalizer())), "utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(tmp_path / "theirs"), vocab_size=400,
        minloglevel=2, **training.GOOGLE_FLAGS,
    )  # fmt: skip
    assert lines == (tmp_path / "theirs.vocab").read_text("utf-8").splitlines()


def test_files_and_an_iterator_give_the_same_vocabulary(vocabulary, tmp_path):
    files = [tmp_path / "a.txt", tmp_path / "b.txt"]
    files[0].write_text("\n".join(TEXTS[:150]) + "\n", "utf-8")
    files[1].write_text("\r\n".join(TEXTS[150:]), "utf-8")
    again = training.train_vocabulary(files, tmp_path / "new" / "deep", 400)
    assert again.read_bytes() == vocabulary.read_bytes()


def test_no_text_is_lost_to_sentencepiece_s_limits():
    long = " ".join(["éclair \0 of▅the"] * 900) + " " + "x" * 9000 + "日" * 5000
    lines = list(training.prepared([long, " \n"], Normalizer()))
    assert max(len(line.encode()) for line in lines) <= training.LONGEST_LINE
    assert not {"\0", "▅"} & set("".join(lines))
    words = " ".join(lines).replace("x", "").replace("日", "").split()
    assert words == ["eclair", "of", "the"] * 900
    assert "".join(lines).count("x") == 9000
    assert "".join(lines).count("日") == 5000


def check(expected, inputs, target, size=400, **options):
    with pytest.raises(TokenizerError, match=expected) as caught:
        training.train_vocabulary(inputs, target, size, **options)
    assert len(str(caught.value).splitlines()) == 1
    assert not target.is_dir() or not any(target.glob("*"))


def test_errors_name_what_is_wrong(tmp_path):
    to = tmp_path / "to"
    absent = tmp_path / "absent.txt"
    check("no text file .*absent.txt", absent, to)
    check("no text file 'a sentence'.* and 2 more", ["a sentence"] * 7, to)
    check("no text to train on", iter(["", "  \n"]), to)
    check("no text to train on", [], to)
    check(r"vocab_size=30000 is more .* at most \d+\.", iter(TEXTS), to, 30_000)
    check("vocab_size=20 is too small .* are [0-9]+ already", iter(TEXTS), to, 20)
    check("vocab_size=-1", iter(TEXTS), to, -1)
    check("no flag color", iter(TEXTS), to, color="red")
    check("character_coverage.*<= 1", iter(TEXTS), to, character_coverage=2.0)
    check("half of a surrogate pair", iter(["fine", "not \udc80"]), to)
    latin = tmp_path / "latin.txt"
    latin.write_bytes(b"one\n" + "café".encode("latin-1"))
    check("latin.txt is not UTF-8", latin, to)


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, OSError])
def test_an_error_of_the_iterator_comes_through(tmp_path, error):
    def texts():
        yield "a text"
        raise error("mine")

    with pytest.raises(error, match="mine"):
        training.train_vocabulary(texts(), tmp_path)


@pytest.mark.parametrize("name", TOKENIZER_FILES)
def test_a_tokenizer_is_never_overwritten(tmp_path, name):
    (tmp_path / name).write_text("precious")
    with pytest.raises(TokenizerError, match=f"already: {name}"):
        training.train_vocabulary(iter(TEXTS), tmp_path, 400)
    assert (tmp_path / name).read_text() == "precious"


def test_a_disk_that_fills_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "_commit", full)
    with pytest.raises(OSError, match="No space"):
        training.train_vocabulary(iter(TEXTS), tmp_path, 400)
    assert list(tmp_path.iterdir()) == []
