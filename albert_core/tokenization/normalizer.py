"""What ALBERT does to a text before sentencepiece sees it."""

import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache

# The two spellings of a quotation mark in the corpora of old. Hugging Face replaces
# them, google-research/albert does not.
QUOTES = ("``", "''")


@cache
def _accents() -> frozenset[str]:
    """The characters that Unicode combines with the one before: 'e' + this = 'é'."""
    every = map(chr, range(sys.maxunicode + 1))
    return frozenset(c for c in every if unicodedata.combining(c))


def _without_accents(text: str) -> str:
    accents = _accents()
    if accents.isdisjoint(text):
        return text
    return "".join(c for c in text if c not in accents)


def lower_each(text: str) -> str:
    """Lower-case character by character, without looking at neighbours.

    `str.lower` knows one rule that does: a capital sigma at the end of a word becomes
    "ς". Hugging Face lower-cases characters one by one first, so there it is "σ".
    """
    return text.replace("Σ", "σ").lower()


@dataclass(frozen=True)
class Normalizer:
    """White space, quotation marks, accents and capitals, in this order.

    Source: google-research/albert tokenization.py `preprocess_text`, with the quotation
    marks of transformers 4.57.6 `AlbertTokenizer`.

    Attributes:
        do_lower_case: Whether capitals become small letters.
        remove_space: Whether runs of white space become one space, none at the ends.
        keep_accents: Whether to leave accents, and with them all of NFKD.
    """

    do_lower_case: bool = True
    remove_space: bool = True
    keep_accents: bool = False

    def __call__(self, text: str) -> str:
        """Normalise a text."""
        if self.remove_space:
            text = " ".join(text.split())
        for quote in QUOTES:
            text = text.replace(quote, '"')
        if not self.keep_accents and not text.isascii():
            # Accents go before the decomposition too: it leaves them accents, and it
            # would sort a long run of them in quadratic time.
            text = _without_accents(text)
            if not unicodedata.is_normalized("NFKD", text):
                text = _without_accents(unicodedata.normalize("NFKD", text))
        return text.lower() if self.do_lower_case else text

    def align(self, text: str) -> tuple[str, list[int]]:
        """Normalise a text, and tell where each character of the result comes from.

        Returns:
            The normalised text, and for each of its characters the position of the one
            in `text` that gave it: the last of a run of white space, and of ``.
        """
        whole = self(text)
        if whole == text or (text.isascii() and whole == text.lower()):
            return whole, list(range(len(text)))
        pairs = list(enumerate(text))
        if self.remove_space:
            pairs = _squeeze(pairs)
        pairs = _straighten(pairs)
        if not self.keep_accents:
            pairs = [
                (i, part)
                for i, c in pairs
                for part in unicodedata.normalize("NFKD", c)
                if not unicodedata.combining(part)
            ]
        if self.do_lower_case:
            # Only the length counts: the letters are those of the whole.
            pairs = [(i, part) for i, c in pairs for part in c.lower()]
        return whole, [i for i, _ in pairs]


def _squeeze(pairs: list[tuple[int, str]]) -> list[tuple[int, str]]:
    squeezed: list[tuple[int, str]] = []
    for i, c in pairs:
        if not c.isspace():
            squeezed.append((i, c))
        elif squeezed and squeezed[-1][1] == " ":
            squeezed[-1] = (i, " ")
        elif squeezed:
            squeezed.append((i, " "))
    if squeezed and squeezed[-1][1] == " ":
        squeezed.pop()
    return squeezed


def _straighten(pairs: list[tuple[int, str]]) -> list[tuple[int, str]]:
    for quote in QUOTES:
        text = "".join(c for _, c in pairs)
        starts = [match.start() for match in re.finditer(re.escape(quote), text)]
        for start in reversed(starts):
            pairs[start : start + 2] = [(pairs[start + 1][0], '"')]
    return pairs
