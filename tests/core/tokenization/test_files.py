"""The files of a tokenizer: what is read, what is written, and by whom it is read."""

import json
import shutil
import warnings

import pytest
import sentencepiece

from albert_core import folder
from albert_core.errors import TokenizerError
from albert_core.tokenization import (
    AlbertTokenizer,
    AlbertTokenizerFast,
    AlbertWordPieceTokenizer,
    load_tokenizer,
)
from albert_core.tokenization.albert import read_model
from albert_core.tokenization.json_format import read
from albert_core.tokenization.proto import Entry, Kind, PieceModel
from tests.conftest import GOLDEN

FOLDER = GOLDEN / "tokenizer"
MODEL = (FOLDER / "spiece.model").read_bytes()
TEXTS = ["Hello, (big) world 9,9.", "a [MASK] b", "Ünï ﬁ £3.50", "new words"]


def copy(name, to, new=None):
    shutil.copyfile(FOLDER / name, to / (new or name))


def test_both_files_hold_the_same_model():
    ours, theirs = read_model(MODEL, ""), read(FOLDER / "tokenizer.json").model
    assert ours.charsmap == theirs.charsmap
    assert ours.entries == theirs.entries
    kinds = {entry.kind for entry in ours.entries}
    assert kinds == {Kind.NORMAL, Kind.UNKNOWN, Kind.CONTROL, Kind.USER_DEFINED}


def test_a_model_is_written_as_sentencepiece_reads_it():
    model = read_model(MODEL, "")
    again = PieceModel.from_bytes(model.to_bytes())
    assert again == model
    processor = sentencepiece.SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.to_bytes())
    assert [processor.id_to_piece(i) for i in range(len(processor))] == [
        entry.text for entry in model.entries
    ]
    long = PieceModel((Entry("<unk>", 0.0, Kind.UNKNOWN), Entry("x" * 300, -1.5)))
    assert PieceModel.from_bytes(long.to_bytes()) == long
    for damaged in (MODEL[:999], b"\x0a\xff\xff\xff\xff", b"\x0b", b"\xff" * 20):
        with pytest.raises(TokenizerError, match="it is not a sentencepiece model"):
            read_model(damaged, "it")


def test_what_is_in_a_directory_decides(tmp_path):
    for name, kind in (
        ("vocab.txt", AlbertWordPieceTokenizer),
        ("tokenizer.json", AlbertTokenizerFast),
        ("30k-clean.model", AlbertTokenizerFast),
    ):
        place = tmp_path / name.replace(".", "-")
        place.mkdir()
        if name == "vocab.txt":
            shutil.copyfile(GOLDEN / "wordpiece" / name, place / name)
        else:
            copy("spiece.model" if name.endswith("model") else name, place, name)
        assert type(load_tokenizer(place)) is kind
        assert type(load_tokenizer(place / name)) is kind
        assert load_tokenizer(place).name_or_path == str(place)
    assert type(load_tokenizer(place, use_fast=False)) is AlbertTokenizer
    shutil.copyfile(GOLDEN / "wordpiece" / "vocab.txt", place / "vocab.txt")
    assert type(load_tokenizer(place)) is AlbertTokenizerFast
    config = place / "tokenizer_config.json"
    config.write_text('{"tokenizer_class": "BertTokenizer"}')
    assert type(load_tokenizer(place)) is AlbertWordPieceTokenizer


def test_what_the_files_say_counts_less_than_what_the_user_says(tmp_path):
    copy("spiece.model", tmp_path)
    values = {"do_lower_case": False, "model_max_length": 99, "mask_token": "[NEW]"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(values))
    for fast in (True, False):
        found = load_tokenizer(tmp_path, use_fast=fast)
        assert (found.do_lower_case, found.model_max_length) == (False, 99)
        assert (found.mask_token, found.mask_token_id) == ("[NEW]", 1000)
        mine = load_tokenizer(tmp_path, use_fast=fast, do_lower_case=True)
        assert mine.tokenize("THE") == ["▁the"] != found.tokenize("THE")


def test_files_of_old_are_read(tmp_path):
    copy("spiece.model", tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"cls_token": "[SEP]"}')
    (tmp_path / "added_tokens.json").write_text('{"new words": 1000}')
    (tmp_path / "tokenizer_config.json").write_text('{"max_len": 77}')
    found = load_tokenizer(tmp_path)
    assert found.cls_token_id == 3
    assert found.model_max_length == 77
    assert found("new words")["input_ids"] == [3, 1000, 3]


def test_a_json_s_switches_are_the_fast_one_s(tmp_path):
    values = json.loads((FOLDER / "tokenizer.json").read_text())
    steps = values["normalizer"]["normalizers"]
    kinds = ("Lowercase", "StripAccents", "NFKD")
    values["normalizer"]["normalizers"] = [s for s in steps if s["type"] not in kinds]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(values))
    found = AlbertTokenizerFast(tokenizer_file=path)
    assert (found.do_lower_case, found.keep_accents) == (False, True)
    mine = AlbertTokenizerFast(tokenizer_file=path, do_lower_case=True)
    assert (mine.do_lower_case, mine.keep_accents) == (True, True)


def test_files_of_two_vocabularies_are_refused(tmp_path):
    copy("tokenizer.json", tmp_path)
    model = read_model(MODEL, "")
    other = (*model.entries[:500], Entry("other", -3.0), *model.entries[501:])
    (tmp_path / "spiece.model").write_bytes(PieceModel(other).to_bytes())
    with pytest.raises(TokenizerError, match="differ first at id 500"):
        load_tokenizer(tmp_path)
    shorter = PieceModel(model.entries[:-1]).to_bytes()
    (tmp_path / "spiece.model").write_bytes(shorter)
    with pytest.raises(TokenizerError, match=r"1000 tokens and .* 999, .* in length"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("fast", [True, False])
def test_save_and_load(tmp_path, fast):
    tokenizer = load_tokenizer(FOLDER, use_fast=fast, model_max_length=64)
    tokenizer.add_tokens(["new words"])
    tokenizer.padding_side = "left"
    paths = tokenizer.save_pretrained(tmp_path / "deep" / "place")
    assert all((tmp_path / "deep" / "place" / p).is_file() for p in paths)
    again = type(tokenizer).from_pretrained(tmp_path / "deep" / "place")
    assert again(TEXTS) == tokenizer(TEXTS)
    assert (again.padding_side, again.model_max_length) == ("left", 64)
    assert again.added_tokens_decoder == tokenizer.added_tokens_decoder
    assert again.special_tokens_map == tokenizer.special_tokens_map
    files = {p.name: p.read_bytes() for p in (tmp_path / "deep" / "place").iterdir()}
    again.save_pretrained(tmp_path / "deep" / "place")
    for name, data in files.items():
        assert (tmp_path / "deep" / "place" / name).read_bytes() == data


def test_transformers_reads_what_is_saved(tmp_path):
    from transformers import AutoTokenizer

    tokenizer = AlbertTokenizerFast(FOLDER / "spiece.model")
    tokenizer.add_tokens(["new words"])
    tokenizer.save_pretrained(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        theirs = AutoTokenizer.from_pretrained(tmp_path)
    # The texts are such that its rules, which differ, make no difference.
    for text in ["the first people of the world", "a new words [MASK] b"]:
        assert theirs(text)["input_ids"] == tokenizer(text)["input_ids"]
    backend = tokenizer.backend_tokenizer
    assert backend.encode("the world").ids == tokenizer("the world")["input_ids"]
    assert backend.get_vocab_size() == len(tokenizer)


def test_a_vocabulary_alone(tmp_path):
    tokenizer = AlbertTokenizer(FOLDER / "spiece.model")
    (path,) = tokenizer.save_vocabulary(tmp_path, filename_prefix="mine")
    assert path == str(tmp_path / "mine-spiece.model")
    assert (tmp_path / "mine-spiece.model").read_bytes() == MODEL
    with pytest.raises(TokenizerError, match="is no directory"):
        tokenizer.save_vocabulary(tmp_path / "nowhere")


def test_a_save_that_fails_leaves_the_old_files(tmp_path, monkeypatch):
    load_tokenizer(FOLDER).save_pretrained(tmp_path)
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    other = load_tokenizer(FOLDER, do_lower_case=False)

    def full(path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "sync", full)
    with pytest.raises(OSError, match="No space"):
        other.save_pretrained(tmp_path)
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before
