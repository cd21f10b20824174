"""Slow and fast agree on any text, with each other and with the rules written plainly.

Texts are drawn in batches, for speed: 5,000 in a normal run, 100,000 with -m nightly.
"""

import unicodedata

import pytest
import sentencepiece
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from albert_core.tokenization import AlbertTokenizer, AlbertTokenizerFast
from tests.conftest import GOLDEN
from tests.golden.tokenizer_texts import (
    ACCENTED,
    FOREIGN,
    RUNS,
    SPECIALS,
    SYMBOLS,
    WORDS,
)

FOLDER = GOLDEN / "tokenizer"
SLOW = AlbertTokenizer(FOLDER / "spiece.model")
FAST = {
    "spiece.model": AlbertTokenizerFast(FOLDER / "spiece.model"),
    "tokenizer.json": AlbertTokenizerFast(tokenizer_file=FOLDER / "tokenizer.json"),
    "hub": AlbertTokenizerFast(tokenizer_file=FOLDER / "hub_tokenizer.json"),
}
MODEL = sentencepiece.SentencePieceProcessor(model_file=str(FOLDER / "spiece.model"))
BATCH = 100

known = st.sampled_from(
    [*WORDS, *ACCENTED, *FOREIGN, *RUNS, *SYMBOLS, "HELLO", "The", "Straße", "ΣΟΦΟΣ"]
    + [" "] * 60
)
digits = st.text("0123456789,.", min_size=1, max_size=8)
signs = st.text(".!?-~=*\"'`()£€–,", max_size=6)
blanks = st.text(" \t\n\r\u00a0\u3000\u2028\u200b\u2581", max_size=3)
anything = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
visible = st.text(st.characters(exclude_categories=["C"]), max_size=6)
spaces = st.text(" \t\n\r\u00a0\u3000\u2028", max_size=3)
plain = st.one_of(known, known, known, digits, signs, blanks, anything)
special = st.sampled_from([*SPECIALS, "[mask]", "[SEP", "<s>"])


def batches(*parts):
    text = st.lists(st.one_of(*parts), max_size=8).map("".join)
    return st.lists(text, min_size=BATCH, max_size=BATCH)


# A batch takes hypothesis minutes to make smaller, and the error names the text anyway.
SETTINGS = settings(
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def quickly(check, texts=5000):
    """Run a check on batches that are the same every time."""
    return settings(SETTINGS, max_examples=texts // BATCH, derandomize=True)(check)


def at_length(check):
    """Run it for a night."""
    return pytest.mark.nightly(settings(SETTINGS, max_examples=100_000 // BATCH)(check))


def by_the_book(text):
    """ALBERT's rules as google-research/albert has them, with HF's quotation marks."""
    text = "".join(c.lower() for c in text)
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    text = unicodedata.normalize("NFKD", text)
    text = "".join(c for c in text if not unicodedata.combining(c)).lower()
    tokens = []
    for piece in MODEL.encode(text, out_type=str):
        if len(piece) > 1 and piece.endswith(",") and piece[-2].isdigit():
            parts = MODEL.encode(piece[:-1].replace("▁", ""), out_type=str)
            if not piece.startswith("▁"):
                parts[0] = parts[0].removeprefix("▁")
            tokens += [*filter(None, parts), ","]
        else:
            tokens.append(piece)
    return tokens


def agree(texts):
    expected = SLOW(texts)["input_ids"]
    for name, fast in FAST.items():
        assert fast(texts)["input_ids"] == expected, name
    found = SLOW(texts, return_offsets_mapping=True)
    for i, (text, ids) in enumerate(zip(texts, expected, strict=True)):
        # Ids, tokens and places are found in ways of their own.
        assert found.tokens(i)[1:-1] == SLOW.tokenize(text), text
        assert SLOW.convert_tokens_to_ids(found.tokens(i)) == ids, text
        places = found["offset_mapping"][i][1:-1]
        assert len(places) == len(ids) - 2
        assert all(0 <= start <= end <= len(text) for start, end in places)
        assert places == sorted(places)


def follow_the_book(texts):
    texts = [text for text in texts if not any(token in text for token in SPECIALS)]
    ids = SLOW(texts, add_special_tokens=False)["input_ids"]
    for text, row in zip(texts, ids, strict=True):
        tokens = by_the_book(text)
        assert SLOW.tokenize(text) == tokens, text
        assert row == MODEL.piece_to_id(tokens), text


test_slow_and_fast_agree = quickly(given(batches(plain, special))(agree))
test_slow_and_fast_agree_at_length = at_length(given(batches(plain, special))(agree))
test_the_rules_are_followed = quickly(given(batches(plain))(follow_the_book))
test_the_rules_are_followed_at_length = at_length(
    given(batches(plain))(follow_the_book)
)


def surface(text):
    """What the pieces of a text say, without spaces."""
    return said_by(*SLOW.tokenize(text))


def said_by(*tokens):
    # "𝝨" and such become "ς" at the end of a word, and alone "σ".
    return "".join(tokens).replace("▁", "").replace("ς", "σ")


def lead_back(texts):
    found = FAST["tokenizer.json"](texts, return_offsets_mapping=True)
    for i, text in enumerate(texts):
        tokens = found.tokens(i)[1:-1]
        places = found["offset_mapping"][i][1:-1]
        for token, (start, end) in zip(tokens, places, strict=True):
            said = said_by(token)
            # A quotation mark that was two signs has the place of the second.
            read = surface(text[start:end])
            assert said == '"' or said in read, (text, token, start, end)


# Characters that sentencepiece removes have no place of their own.
seen = st.one_of(known, known, known, digits, signs, spaces, visible)
test_offsets_lead_back_to_the_text = quickly(given(batches(seen))(lead_back), 1000)
test_offsets_lead_back_at_length = at_length(given(batches(seen))(lead_back))
