"""ALBERT's tokenizers give what transformers 4.57.6 gives, whatever file they are from.

tests/golden/make_tokenizer.py made the files and recorded its slow tokenizer.
"""

import hashlib
import json
import shutil

import pytest

from albert_core.tokenization import AddedToken, AlbertTokenizer, AlbertTokenizerFast
from tests.conftest import GOLDEN

FOLDER = GOLDEN / "tokenizer"
RECORDED = json.loads((FOLDER / "ids.json").read_text())
SOURCES = {
    "slow": lambda **more: AlbertTokenizer(FOLDER / "spiece.model", **more),
    "fast": lambda **more: AlbertTokenizerFast(FOLDER / "spiece.model", **more),
    "json": lambda **more: AlbertTokenizerFast(
        tokenizer_file=FOLDER / "tokenizer.json", **more
    ),
    "hub json": lambda **more: AlbertTokenizerFast(
        tokenizer_file=FOLDER / "hub_tokenizer.json", **more
    ),
}
# Texts with characters that sentencepiece removes or takes for white space: the pieces
# beside them take them in, in one library those before, in the other those after.
OTHER_PLACES = {
    *("line\r\nbreak", "\ufeffbom", "\u2581the the", "the \u2581 the", "☺\ufe0f"),
    *("\x07bell", "a\x7fb", "a \ufffd b"),
    "?! -- ﬥ three !! βητα \x8b\x8e\x8b\x82\x85 –",
}


@pytest.fixture(params=SOURCES, scope="module")
def source(request):
    return SOURCES[request.param]


@pytest.fixture(scope="module")
def tokenizer(source):
    return source()


def test_the_files_are_those_that_transformers_wrote():
    recorded = json.loads((GOLDEN / "tokenizer_provenance.json").read_text())
    found = {
        file.relative_to(GOLDEN).as_posix(): hashlib.sha256(file.read_bytes())
        for name in ("tokenizer", "wordpiece")
        for file in (GOLDEN / name).iterdir()
    }
    digests = {name: digest.hexdigest() for name, digest in found.items()}
    assert digests == recorded["sha256"]
    assert recorded["transformers"] == "4.57.6"


def test_ids_and_tokens(tokenizer):
    rows = RECORDED["texts"]
    found = tokenizer([row["text"] for row in rows])["input_ids"]
    for row, ids in zip(rows, found, strict=True):
        assert ids == row["ids"], row["text"]
        assert tokenizer.tokenize(row["text"]) == row["tokens"], row["text"]


def test_decoding(tokenizer):
    for row in RECORDED["texts"]:
        assert tokenizer.decode(row["ids"]) == row["decoded"], row["text"]
        plain = tokenizer.decode(row["ids"], skip_special_tokens=True)
        assert plain == row["decoded_plain"], row["text"]


def test_offsets_where_its_fast_tokenizer_has_the_same_ids(tokenizer):
    rows = [row for row in RECORDED["texts"] if row["offsets"] is not None]
    assert len(rows) > 150
    for row in rows:
        text = row["text"]
        found = tokenizer(text, return_offsets_mapping=True)
        places = zip(found["offset_mapping"], row["offsets"], strict=True)
        differ = [
            (ours, tuple(theirs)) for ours, theirs in places if ours != (*theirs,)
        ]
        # Ours are the places of the masks without the space that they take.
        differ = [ours for ours, _ in differ if text[slice(*ours)] != "[MASK]"]
        assert not differ or text in OTHER_PLACES, text


def test_options(source):
    for row in RECORDED["options"]:
        tokenizer = source(**row["options"])
        assert tokenizer.encode(row["text"]) == row["ids"], row
        assert tokenizer.tokenize(row["text"]) == row["tokens"], row


def test_calls(source):
    for row in RECORDED["calls"]:
        found = dict(source(**row["init"])(*row["texts"], **row["arguments"]))
        found = json.loads(json.dumps(found))
        # Where its slow tokenizer differs from its fast one, either will do.
        assert found in (row["result"], row.get("fast_result")), (
            row["init"],
            row["arguments"],
        )


@pytest.mark.parametrize("kind", [AlbertTokenizer, AlbertTokenizerFast])
def test_a_directory_where_the_symbols_are_added_tokens(kind):
    tokenizer = kind.from_pretrained(FOLDER)
    rows = RECORDED["directory"]
    alone = {row["text"]: row["ids"] for row in RECORDED["texts"]}
    assert sum(row["ids"] != alone[row["text"]] for row in rows) > 20
    for row in rows:
        assert tokenizer.encode(row["text"]) == row["ids"], row["text"]
        assert tokenizer.tokenize(row["text"]) == row["tokens"], row["text"]
        assert tokenizer.decode(row["ids"]) == row["decoded"], row["text"]


def test_added_tokens(source):
    (row,) = RECORDED["added"]
    tokenizer = source()
    left = AddedToken(row["stripping"], lstrip=True, rstrip=True)
    counts = [tokenizer.add_tokens(row["plain"]), tokenizer.add_tokens([left])]
    extra = {"additional_special_tokens": row["special"]}
    counts.append(tokenizer.add_special_tokens(extra))
    assert counts == row["counts"]
    assert len(tokenizer) == row["length"]
    for text in row["texts"]:
        assert tokenizer.encode(text["text"]) == text["ids"], text
        assert tokenizer.tokenize(text["text"]) == text["tokens"]
        assert tokenizer.decode(text["ids"]) == text["decoded"]
        plain = tokenizer.decode(text["ids"], skip_special_tokens=True)
        assert plain == text["decoded_plain"]


def test_what_is_saved_loads_the_same(source, tmp_path):
    tokenizer = source(do_lower_case=False, keep_accents=True)
    tokenizer.save_pretrained(tmp_path)
    texts = [row["text"] for row in RECORDED["texts"]]
    expected = tokenizer(texts)["input_ids"]
    for kind in (AlbertTokenizer, AlbertTokenizerFast):
        if kind is AlbertTokenizerFast or (tmp_path / "spiece.model").exists():
            assert kind.from_pretrained(tmp_path)(texts)["input_ids"] == expected
    shutil.rmtree(tmp_path)
