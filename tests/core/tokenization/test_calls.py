"""A call of a tokenizer: what may be given, what comes back, what is refused."""

import gc
import pickle
from itertools import pairwise

import numpy as np
import pytest
import sentencepiece

from albert_core.errors import MissingPackageError, TokenizerError
from albert_core.tokenization import (
    AddedToken,
    AlbertTokenizer,
    AlbertTokenizerFast,
    BatchEncoding,
)
from albert_core.tokenization.normalizer import Normalizer
from albert_core.tokenization.truncation import remaining, windows
from tests.conftest import GOLDEN

FOLDER = GOLDEN / "tokenizer"


@pytest.fixture
def tokenizer():
    return AlbertTokenizer.from_pretrained(FOLDER)


def test_a_text_gives_a_row_and_a_list_gives_rows(tokenizer):
    row = tokenizer("the house")
    assert list(row) == ["input_ids", "token_type_ids", "attention_mask"]
    assert row["input_ids"][0] == tokenizer.cls_token_id
    assert row["input_ids"][-1] == tokenizer.sep_token_id
    assert tokenizer(["the house"])["input_ids"] == [row["input_ids"]]
    assert tokenizer([]) == {
        "input_ids": [],
        "token_type_ids": [],
        "attention_mask": [],
    }
    assert tokenizer("")["input_ids"] == [2, 3]
    assert (
        tokenizer.encode("the house", add_special_tokens=False)
        == (row["input_ids"][1:-1])
    )
    assert row.input_ids is row["input_ids"]
    with pytest.raises(AttributeError, match="no labels here"):
        _ = row.labels


def test_pairs_may_be_given_in_three_ways(tokenizer):
    pairs = [("the house", "a tree"), ("one", "two three")]
    firsts, seconds = map(list, zip(*pairs, strict=True))
    found = tokenizer(firsts, seconds)
    assert found == tokenizer(pairs) == tokenizer.batch_encode_plus(pairs)
    assert found["input_ids"][0] == tokenizer.encode(*pairs[0])
    types = found["token_type_ids"][0]
    assert types == sorted(types)
    assert sum(types) == len(tokenizer.tokenize("a tree")) + 1
    assert found.sequence_ids(0).count(None) == 3


def test_words_that_are_split_already(tokenizer):
    words = ["Hello", "big", "unhappiness", "3,5"]
    found = tokenizer(words, is_split_into_words=True, return_offsets_mapping=True)
    each = [tokenizer.tokenize(word) for word in words]
    assert found.tokens()[1:-1] == [token for tokens in each for token in tokens]
    numbers = [i for i, tokens in enumerate(each) for _ in tokens]
    assert found.word_ids()[1:-1] == numbers
    assert found.word_to_tokens(3) == (1 + numbers.index(3), 1 + len(numbers))
    both = tokenizer([words, ["a"]], [["b"], ["c"]], is_split_into_words=True)
    assert both["input_ids"][0][: len(numbers) + 1] == found["input_ids"][:-1]


def test_places_in_the_text(tokenizer):
    text = "The old house, 3,5 (İstanbul)"
    found = tokenizer(text, return_offsets_mapping=True)
    for token in range(1, len(found["input_ids"]) - 1):
        start, end = found.token_to_chars(token)
        assert found.offset_mapping[token] == (start, end)
        for char in range(start, end):
            assert found.char_to_token(char) == token
    assert found.token_to_chars(0) is None
    assert found.token_to_word(0) is None
    assert found.char_to_token(999) is None
    assert found.word_to_tokens(99) is found.word_to_chars(99) is None
    start, end = found.word_to_chars(2)
    assert text[start:end] == " house,"
    with pytest.raises(TokenizerError, match="where these tokens come from"):
        BatchEncoding({"input_ids": [1]}).tokens()


KINDS = {"np": "numpy", "pt": "torch", "tf": "tensorflow", "jax": "jax"}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_framework(tokenizer, kind):
    found = tokenizer(["a", "the house"], padding=True, return_tensors=kind)
    for array in found.values():
        assert type(array).__module__.startswith((KINDS[kind], "jaxlib"))
        assert array.shape == (2, len(tokenizer.encode("the house")))
        wide = kind in ("np", "pt")
        assert ("int64" if wide else "int32") in str(array.dtype)
    assert tokenizer("a", return_tensors=kind)["input_ids"].shape == (1, 3)
    lists = tokenizer(["a", "the house"], padding=True)
    assert lists.convert_to_tensors(kind)["input_ids"].shape == (
        found["input_ids"].shape
    )


def test_arrays_that_cannot_be(tokenizer, monkeypatch):
    with pytest.raises(TokenizerError, match=r"different lengths: 3, \d.*padding=True"):
        tokenizer(["a", "the house on a hill"], return_tensors="np")
    with pytest.raises(TokenizerError, match=r"'mx' is not known.*np, pt, tf, jax"):
        tokenizer("a", return_tensors="mx")
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingPackageError, match=r"albert-zoo\[torch\]"):
        tokenizer("a", return_tensors="pt")


def test_devices(tokenizer):
    row = tokenizer("a", return_tensors="pt")
    assert row.to("meta") is row
    assert row["input_ids"].device.type == "meta"


@pytest.mark.parametrize("side", ["right", "left"])
def test_windows_cover_a_text(side):
    found = [range(20)[w] for w in windows(20, 6, 2, side)]
    assert {len(w) for w in found[:-1]} == {6}
    ordered = found if side == "right" else found[::-1]
    assert ordered[0][0] == 0
    assert ordered[-1][-1] == 19
    for left, right in pairwise(ordered):
        assert left[-1] - right[0] == 1
    assert list(windows(6, 6, 2, side)) == [slice(0, 6)]
    with pytest.raises(TokenizerError, match="stride=6 is not below the 6 tokens"):
        list(windows(20, 6, 6, side))


def test_what_stays_of_a_pair():
    def one_by_one(first, second, room):
        while first + second > room:
            if first > second:
                first -= 1
            else:
                second -= 1
        return first, second

    for first in range(8):
        for second in range(8):
            for room in range(first + second + 2):
                found = remaining(first, second, room, "longest_first")
                assert found == one_by_one(first, second, room)
    assert remaining(5, 4, 6, "only_first") == (2, 4)
    assert remaining(5, 4, 6, "only_second") == (5, 1)
    assert remaining(5, 4, 6, "do_not_truncate") == (5, 4)
    with pytest.raises(TokenizerError, match="3 tokens must go, and the second text"):
        remaining(5, 3, 5, "only_second")


def test_overflowing_windows_tell_whose_they_are(tokenizer):
    texts = ["one two three four five six seven eight nine ten", "one"]
    found = tokenizer(
        texts,
        truncation=True,
        max_length=8,
        stride=2,
        padding=True,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    samples = found["overflow_to_sample_mapping"]
    assert samples[-1] == 1
    assert samples[:-1] == [0] * (len(samples) - 1)
    assert {len(row) for name, c in found.items() if name[0] != "o" for row in c} == {8}
    covered = {
        i
        for row, sample in zip(found["offset_mapping"], samples, strict=True)
        if sample == 0
        for start, end in row
        for i in range(start, end)
    }
    assert covered == set(range(len(texts[0])))
    arguments = {"truncation": True, "max_length": 6, "return_overflowing_tokens": True}
    with pytest.raises(TokenizerError, match="'only_first' or 'only_second'"):
        tokenizer("one two three", "four five six", **arguments)


REFUSED = [
    ({"padding": "maximal"}, "padding='maximal' is not known"),
    ({"truncation": "both"}, "truncation='both' is not known.*longest_first"),
    ({"padding_side": "top"}, "'top' is no side"),
    ({"truncation": True, "max_length": 1}, "max_length=1 is less than the 2 special"),
    (
        {"padding": True, "truncation": True, "max_length": 9, "pad_to_multiple_of": 8},
        "max_length=9 is no multiple of pad_to_multiple_of=8",
    ),
]


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_arguments_that_do_not_fit(tokenizer, arguments, message):
    with pytest.raises(TokenizerError, match=message):
        tokenizer("one two three", **arguments)


@pytest.mark.parametrize("text", [None, 5, [1, 2], ["a", None], {"a": 1}])
def test_what_is_no_text(tokenizer, text):
    with pytest.raises(TokenizerError, match="is not a text"):
        tokenizer(text)
    with pytest.raises(TokenizerError, match="is not a list of words"):
        tokenizer([["a"], text], is_split_into_words=True)


def test_texts_and_pairs_of_other_numbers(tokenizer):
    with pytest.raises(TokenizerError, match="2 texts and 1 second texts"):
        tokenizer(["a", "b"], ["c"])


def test_half_a_surrogate_pair(tokenizer):
    message = r"Character 4 of a text is '\\ud800', half of a surrogate pair"
    for call in (tokenizer, tokenizer.tokenize):
        with pytest.raises(TokenizerError, match=message):
            call("abc \ud800 d")
    with pytest.raises(TokenizerError, match=message):
        tokenizer("abc \ud800 d", return_offsets_mapping=True)
    assert tokenizer("a\x00b")["input_ids"].count(tokenizer.unk_token_id) == 1


def test_length_warnings_come_once(caplog):
    short = AlbertTokenizer(FOLDER / "spiece.model", model_max_length=4)
    for _ in range(2):
        short("one two three four five")
    assert len(caplog.records) == 1
    assert "the model takes 4" in caplog.text
    assert len(short("one two three", truncation=True)["input_ids"]) == 4
    assert (short.max_len_single_sentence, short.max_len_sentences_pair) == (2, 1)
    assert "model_max_length=4" in repr(short)
    endless = AlbertTokenizer(FOLDER / "spiece.model")
    for _ in range(2):
        endless("one two three", truncation=True)
    assert len(caplog.records) == 2


def test_padding_of_rows_made_earlier(tokenizer):
    rows = [tokenizer("one two three") | {"labels": 1}, tokenizer("a") | {"labels": 0}]
    found = tokenizer.pad(rows, pad_to_multiple_of=8, return_tensors="np")
    assert found["input_ids"].shape == found["attention_mask"].shape == (2, 8)
    assert found["labels"].tolist() == [1, 0]
    assert found["attention_mask"].sum() == sum(len(r["input_ids"]) for r in rows)
    left = tokenizer.pad({"input_ids": [[5], [5, 6]]}, padding_side="left")
    assert left == {"input_ids": [[0, 5], [5, 6]], "attention_mask": [[0, 1], [1, 1]]}
    again = tokenizer.pad({"input_ids": np.ones((2, 3), int)}, "max_length", 4)
    assert again["input_ids"] == [[1, 1, 1, 0]] * 2
    single = tokenizer.pad({"input_ids": [7, 8]}, padding="max_length", max_length=3)
    assert single["input_ids"] == [7, 8, 0]
    with pytest.raises(TokenizerError, match=r"no input_ids to pad, only \['labels'\]"):
        tokenizer.pad({"labels": [1]})
    tokenizer.pad_token = None
    with pytest.raises(TokenizerError, match="no padding token"):
        tokenizer.pad({"input_ids": [[1], [1, 2]]})


def test_ids_made_earlier(tokenizer):
    row = tokenizer.prepare_for_model(
        [7, 8, 9], [10, 11], truncation=True, max_length=6
    )
    assert row["input_ids"] == [2, 7, 8, 3, 10, 3]
    assert row["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert row["attention_mask"] == [1] * 6


def test_special_tokens_by_role(tokenizer):
    assert tokenizer.all_special_tokens == [
        "[CLS]",
        "[SEP]",
        "<unk>",
        "<pad>",
        "[MASK]",
    ]
    assert tokenizer.all_special_ids == [2, 3, 1, 0, 4]
    assert tokenizer.special_tokens_map["bos_token"] == "[CLS]"
    assert tokenizer.special_tokens_map_extended["mask_token"].lstrip
    ids = tokenizer.build_inputs_with_special_tokens([7, 8], [9])
    assert ids == [2, 7, 8, 3, 9, 3]
    assert (
        tokenizer.create_token_type_ids_from_sequences([7, 8], [9]) == [0] * 4 + [1] * 2
    )
    assert tokenizer.get_special_tokens_mask([7, 8], [9]) == [1, 0, 0, 1, 0, 1]
    assert tokenizer.get_special_tokens_mask(ids, None, True) == [1, 0, 0, 1, 0, 1]
    assert tokenizer.num_special_tokens_to_add(pair=True) == 3
    tokenizer.mask_token_id = 20
    assert tokenizer.mask_token == tokenizer.convert_ids_to_tokens(20)
    tokenizer.sep_token = None
    assert tokenizer.sep_token_id is None
    with pytest.raises(TokenizerError, match="sep_token=None: both are needed"):
        tokenizer("a")
    assert tokenizer("a", add_special_tokens=False)["input_ids"]


def test_adding_tokens(tokenizer):
    size = len(tokenizer)
    assert tokenizer.add_tokens("") == 0
    assert tokenizer.add_tokens(["newword", "newword"]) == 1
    assert tokenizer.add_special_tokens({"mask_token": "<blank>"}) == 1
    more = {"additional_special_tokens": ["<a>", AddedToken("<b>")]}
    assert tokenizer.add_special_tokens(more) == 2
    assert tokenizer.additional_special_tokens_ids == [size + 2, size + 3]
    keep = {"additional_special_tokens": ["<c>"]}
    tokenizer.add_special_tokens(keep, replace_additional_special_tokens=False)
    assert tokenizer.additional_special_tokens == ["<a>", "<b>", "<c>"]
    assert len(tokenizer) == size + 5 == tokenizer.vocab_size + 5
    assert tokenizer.tokenize("x<a>NEWWORD<blank>")[-3:] == [
        "<a>",
        "newword",
        "<blank>",
    ]
    assert tokenizer.get_vocab()["newword"] == size
    with pytest.raises(TokenizerError, match="no special token called mask, sap"):
        tokenizer.add_special_tokens({"sap": "x", "mask": "y"})
    with pytest.raises(TokenizerError, match="5 is not a token"):
        tokenizer.add_tokens([5])


def test_ids_back_to_text(tokenizer):
    ids = tokenizer("Hello, world [MASK]!")["input_ids"]
    assert tokenizer.decode(np.array(ids)) == tokenizer.decode(ids)
    assert (
        tokenizer.batch_decode([ids, ids[1:-1]], skip_special_tokens=True)
        == [tokenizer.decode(ids, skip_special_tokens=True)] * 2
    )
    assert tokenizer.decode(ids[1]) == tokenizer.decode([ids[1]])
    assert tokenizer.convert_tokens_to_ids(tokenizer.convert_ids_to_tokens(ids)) == ids
    assert tokenizer.convert_tokens_to_ids(None) is None
    assert tokenizer.clean_up_tokenization("do n't , he 's .") == "don't, he's."
    for wrong in (-1, 10**6):
        with pytest.raises(TokenizerError, match=f"There is no token {wrong}"):
            tokenizer.decode([wrong])


def test_the_garbage_collector_runs_after_a_call(tokenizer):
    assert gc.isenabled()
    tokenizer(["a"])
    with pytest.raises(TokenizerError):
        tokenizer([5])
    assert gc.isenabled()
    gc.disable()
    try:
        tokenizer(["a"])
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_pickles(tokenizer):
    tokenizer.add_tokens(["newword"])
    fast = AlbertTokenizerFast.from_pretrained(FOLDER)
    for one in (tokenizer, fast):
        again = pickle.loads(pickle.dumps(one))
        text = "Hello newword [MASK] 9,9"
        assert again(text) == one(text)
        found = one(text, return_offsets_mapping=True)
        assert pickle.loads(pickle.dumps(found)).tokens() == found.tokens()


def test_sampling_gives_other_pieces_and_the_same_text():
    options = {"enable_sampling": True, "nbest_size": -1, "alpha": 0.1}
    tokenizer = AlbertTokenizer(FOLDER / "spiece.model", sp_model_kwargs=options)
    text = "the other children, 9,9"
    # Seeded, as after training a vocabulary; sampling must not start again each time.
    sentencepiece.set_random_generator_seed(0)
    found = {tuple(tokenizer.encode(text)) for _ in range(20)}
    assert len(found) > 1
    assert len({tuple(row) for row in tokenizer([text] * 20).input_ids}) > 1
    assert len({tuple(tokenizer.tokenize(text)) for _ in range(20)}) > 1
    assert len({tokenizer.decode(ids) for ids in found}) == 1
    with pytest.raises(TokenizerError, match=r"sp_model_kwargs=.*'speed'"):
        AlbertTokenizer(FOLDER / "spiece.model", sp_model_kwargs={"speed": 1})


@pytest.mark.parametrize("remove_space", [True, False])
@pytest.mark.parametrize("keep_accents", [True, False])
def test_normalised_characters_come_from_their_place(remove_space, keep_accents):
    normalizer = Normalizer(True, remove_space, keep_accents)
    for text in ["  A\tb  ``c'' ", "Ünï ﬁ ½ İ 한 Å\u0301", "ΟΔΟΣ `` `", "", "``'"]:
        whole, origin = normalizer.align(text)
        assert whole == normalizer(text)
        assert len(origin) == len(whole)
        assert origin == sorted(origin)
        for place, c in zip(origin, whole, strict=True):
            assert c in normalizer(text[place : place + 2]) + ' "ς'
