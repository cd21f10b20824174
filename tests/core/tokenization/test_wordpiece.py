"""The Chinese models' tokenizer does what BERT's of transformers 4.57.6 does."""

import json
import pickle

import pytest

from albert_core.errors import TokenizerError
from albert_core.tokenization import AddedToken, load_tokenizer
from albert_core.tokenization.wordpiece import AlbertWordPieceTokenizer
from tests.conftest import GOLDEN

FOLDER = GOLDEN / "wordpiece"
RECORDED = json.loads((FOLDER / "ids.json").read_text())
# Where BERT's slow and fast tokenizers differ ours follows the fast one.
UNASSIGNED = "\u0378"


@pytest.fixture(scope="module")
def tokenizer():
    return AlbertWordPieceTokenizer(FOLDER / "vocab.txt")


def test_ids_tokens_and_offsets_are_those_of_bert(tokenizer):
    rows = RECORDED["texts"]
    found = tokenizer([row["text"] for row in rows], return_offsets_mapping=True)
    differ = [row for row in rows if row["fast_ids"]]
    assert [row["text"] for row in differ] == [UNASSIGNED]
    for i, row in enumerate(rows):
        if row in differ:
            assert found["input_ids"][i] == row["fast_ids"]
            continue
        assert found["input_ids"][i] == row["ids"], row["text"]
        assert found.tokens(i)[1:-1] == tokenizer.tokenize(row["text"]) == row["tokens"]
        assert [list(pair) for pair in found["offset_mapping"][i]] == row["offsets"]
        assert tokenizer.decode(row["ids"]) == row["decoded"]
        plain = tokenizer.decode(row["ids"], skip_special_tokens=True)
        assert plain == row["decoded_plain"]


def test_the_switches_are_those_of_bert():
    for row in RECORDED["options"]:
        tokenizer = AlbertWordPieceTokenizer(FOLDER / "vocab.txt", **row["options"])
        assert tokenizer.encode(row["text"]) == row["fast_ids"], row
        if row["fast_ids"] == row["ids"]:
            assert tokenizer.tokenize(row["text"]) == row["tokens"]


def test_calls_give_what_bert_gives():
    for row in RECORDED["calls"]:
        tokenizer = AlbertWordPieceTokenizer.from_pretrained(FOLDER, **row["init"])
        found = dict(tokenizer(*row["texts"], **row["arguments"]))
        found = json.loads(json.dumps(found))
        if "length" in found:  # a number where BERT's fast one has a list
            row["result"]["length"] = found["length"]
        assert found == row["result"], (row["init"], row["arguments"])


def test_added_tokens_are_those_of_bert(tokenizer, tmp_path):
    (row,) = RECORDED["added"]
    tokenizer = AlbertWordPieceTokenizer.from_pretrained(FOLDER)
    left = AddedToken(row["stripping"], lstrip=True, rstrip=True)
    counts = [tokenizer.add_tokens(row["plain"]), tokenizer.add_tokens([left])]
    extra = {"additional_special_tokens": row["special"]}
    counts.append(tokenizer.add_special_tokens(extra))
    assert counts == row["counts"]
    tokenizer.save_pretrained(tmp_path)
    for which in (tokenizer, load_tokenizer(tmp_path)):
        assert len(which) == row["length"]
        for text in row["texts"]:
            assert which.encode(text["text"]) == text["ids"]
            assert which.tokenize(text["text"]) == text["tokens"]
            assert which.decode(text["ids"]) == text["decoded"]


def test_the_special_tokens_have_their_names_ids_and_places(tokenizer):
    assert (tokenizer.unk_token_id, tokenizer.pad_token_id) == (2, 0)
    assert (tokenizer.mask_token, tokenizer.bos_token) == ("[MASK]", None)
    # Unlike ALBERT's own, BERT's mask leaves the space before it alone.
    assert not tokenizer.added_tokens_decoder[tokenizer.mask_token_id].lstrip
    pair = tokenizer("read [MASK]", "我们", return_offsets_mapping=True)
    assert pair["offset_mapping"][2] == (5, 11)
    assert pair.word_ids() == [None, 0, 1, None, 0, 1, None]
    assert pair.sequence_ids() == [None, 0, 0, None, 1, 1, None]


def test_words_are_counted_as_bert_splits_them(tokenizer):
    found = tokenizer("unreading, the 我们")
    assert found.tokens()[1:-1] == [
        *("un", "##r", "##e", "##a", "##d", "##ing", ",", "the", "我", "们")
    ]
    assert found.word_ids()[1:-1] == [0, 0, 0, 0, 0, 0, 1, 2, 3, 4]


def test_every_form_of_saving_loads_the_same(tokenizer, tmp_path):
    texts = [row["text"] for row in RECORDED["texts"]]
    expected = tokenizer(texts)["input_ids"]
    tokenizer.save_pretrained(tmp_path)
    assert (tmp_path / "vocab.txt").read_bytes() == (FOLDER / "vocab.txt").read_bytes()
    copies = [
        pickle.loads(pickle.dumps(tokenizer)),
        *map(load_tokenizer, (tmp_path, FOLDER / "vocab.txt", FOLDER)),
        load_tokenizer(FOLDER / "tokenizer.json"),
    ]
    for copy in copies:
        assert isinstance(copy, AlbertWordPieceTokenizer)
        assert copy(texts)["input_ids"] == expected
    encoded = tokenizer.backend_tokenizer.encode_batch(texts)
    assert [row.ids for row in encoded] == expected
    pair = tokenizer.backend_tokenizer.encode("read", "我们")
    found = tokenizer("read", "我们")
    assert (pair.ids, pair.type_ids) == (found.input_ids, found.token_type_ids)


def test_a_tokenizer_json_alone_says_how_text_is_treated(tmp_path):
    switches = {"do_lower_case": False, "strip_accents": True}
    switches["tokenize_chinese_chars"] = False
    tokenizer = AlbertWordPieceTokenizer(FOLDER / "vocab.txt", **switches)
    tokenizer.save_pretrained(tmp_path)
    alone = AlbertWordPieceTokenizer(tokenizer_file=tmp_path / "tokenizer.json")
    assert {name: getattr(alone, name) for name in switches} == switches
    text = "Hello the café 我们 HELLO"
    assert alone.tokenize(text) == tokenizer.tokenize(text)
    other = AlbertWordPieceTokenizer(
        tokenizer_file=tmp_path / "tokenizer.json", do_lower_case=True
    )
    assert other.tokenize("THE") == ["the"]


def test_transformers_reads_what_is_saved(tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers")
    cased = AlbertWordPieceTokenizer(FOLDER / "vocab.txt", do_lower_case=False)
    cased.save_pretrained(tmp_path)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in ("Hello the 我们 [MASK] café", "read, İ", "HELLO"):
        assert theirs(text)["input_ids"] == cased(text)["input_ids"]


def test_a_tokenizer_json_of_old_says_less(tmp_path):
    values = json.loads((FOLDER / "tokenizer.json").read_text())
    del values["model"]["type"]
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    assert load_tokenizer(tmp_path).tokenize("reading") == ["read", "##ing"]


def vocabulary(*tokens):
    return ("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *tokens]) + "\n").encode()


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"the\n[PAD]\n[CLS]\n",
            r"no '\[UNK\]', the token of unknown words, among its 3",
        ),
        (vocabulary("a", "b", "a"), r"each token once: 'a' \(2 times\)\. "),
        (b"", "no token on each line"),
        (b"\n\n", "no token on each line"),
        (b'{"model": {}}', r"no token on each line: it begins with '\{"),
        ((GOLDEN / "tokenizer" / "spiece.model").read_bytes(), "is not UTF-8 text"),
    ],
    ids=["no unk", "twice", "empty", "blank", "json", "spiece"],
)
def test_a_bad_vocab_txt_is_one_clear_error(tmp_path, data, expected):
    (tmp_path / "vocab.txt").write_bytes(data)
    with pytest.raises(TokenizerError, match=expected) as caught:
        load_tokenizer(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda v: v["model"].update(type="BPE"), "of type 'BPE', where WordPiece"),
        (lambda v: v.update(normalizer=None), "normalizer None, where BERT's is Bert"),
        (
            lambda v: v["pre_tokenizer"].update(type="Whitespace"),
            "pre_tokenizer 'Whitespace'",
        ),
        (lambda v: v["model"]["vocab"].update(the=1), "ids are not 0 to 165, each"),
        (lambda v: v["model"].update(unk_token=5), "cannot|can be read"),
    ],
    ids=["bpe", "normalizer", "pre-tokenizer", "ids", "type"],
)
def test_a_bad_tokenizer_json_is_one_clear_error(tmp_path, change, expected):
    values = json.loads((FOLDER / "tokenizer.json").read_text())
    change(values)
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(TokenizerError, match=expected):
        AlbertWordPieceTokenizer.from_pretrained(tmp_path)


def test_two_files_that_differ_are_an_error(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(vocabulary("new"))
    (tmp_path / "tokenizer.json").write_bytes((FOLDER / "tokenizer.json").read_bytes())
    with pytest.raises(TokenizerError, match="differ in 166 tokens"):
        load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="needs a vocabulary"):
        AlbertWordPieceTokenizer()
