"""A vocabulary with the tokens that were added to it, which text is split at."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tokenizers import AddedToken

from albert_core.errors import TokenizerError, shown
from albert_core.tokenization.normalizer import lower_each
from albert_core.tokenization.segmenter import Piece, Segmenter

LONG_LOWER = "İ"  # the one character whose small form is two


@dataclass
class Part:
    """A stretch of text between added tokens, or one of them.

    Attributes:
        text: What it says.
        start: Where it begins.
        added: Whether it is an added token.
    """

    text: str
    start: int
    added: bool = False


class Vocabulary:
    """What text is split at, and what ids stand for.

    Source: the behaviour of transformers 4.57.6 `PreTrainedTokenizer`.

    Args:
        segmenter: Cuts the text between the added tokens.
        do_lower_case: Whether text is lower-cased before it is split.
    """

    def __init__(self, segmenter: Segmenter, do_lower_case: bool) -> None:
        self.segmenter = segmenter
        self.do_lower_case = do_lower_case
        self.added: dict[int, AddedToken] = {}
        self.specials: list[str] = []
        self._refresh()

    def __len__(self) -> int:
        return self.segmenter.size + sum(i >= self.segmenter.size for i in self.added)

    def refresh(self, specials: Sequence[str]) -> None:
        """Take note of the special tokens; only they are never lower-cased."""
        self.specials = list(specials)
        self._refresh()

    def put(self, index: int, token: AddedToken) -> None:
        """Set the token of an id.

        Raises:
            TokenizerError: The id is below zero.
        """
        if index < 0:
            raise TokenizerError(
                f"The added token {token.content!r} has the id {index}, and ids begin "
                f"at 0. Correct the file that says so."
            )
        self.added[index] = token
        self._refresh()

    def add(self, token: AddedToken) -> bool:
        """Mark a token as one to split at; put it at the end if it is new.

        Returns:
            Whether the vocabulary has become longer.
        """
        if not token.special and token.normalized and self.do_lower_case:
            token.content = token.content.lower()
        known = self.find(token.content)
        index = len(self) if known is None else known
        self.put(index, token)
        return known is None

    def find(self, token: str) -> int | None:
        """The id of a token, or None."""
        if token in self._ids:
            return self._ids[token]
        index = self.segmenter.to_id(token)
        return index if self.segmenter.to_token(index) == token else None

    def to_id(self, token: str) -> int:
        """The id of a token; that of the unknown token where there is none."""
        index = self._ids.get(token)
        return self.segmenter.to_id(token) if index is None else index

    def to_token(self, index: int) -> str:
        """The token of an id.

        Raises:
            TokenizerError: There is no such id.
        """
        if index in self.added:
            return self.added[index].content
        if not 0 <= index < self.segmenter.size:
            raise TokenizerError(
                f"There is no token {index}: the vocabulary has {len(self)}, from 0 "
                f"on. Take the tokenizer that belongs to the model."
            )
        return self.segmenter.to_token(index)

    def get_vocab(self) -> dict[str, int]:
        """All tokens with their ids."""
        size = self.segmenter.size
        return {self.segmenter.to_token(i): i for i in range(size)} | self._ids

    def encode(self, texts: Sequence[str], whole: bool = False) -> list[list[int]]:
        """The ids of many texts.

        Args:
            texts: Any texts.
            whole: Whether to take added tokens for ordinary text.

        Raises:
            TokenizerError: A text holds half of a surrogate pair.
        """
        if self.do_lower_case:
            texts = [self._lower(text) for text in texts]
        if whole or not any(self._may_split(text) for text in texts):
            return self._encode(list(texts))
        split = [self._split(text) for text in texts]
        plain = [part.text for parts in split for part in parts if not part.added]
        rows = iter(self._encode(plain))
        result: list[list[int]] = []
        for parts in split:
            ids: list[int] = []
            for part in parts:
                ids += [self._ids[part.text]] if part.added else next(rows)
            result.append(ids)
        return result

    def tokenize(self, text: str, whole: bool = False) -> list[str]:
        """The tokens of a text as they are written."""
        tokens: list[str] = []
        for part in self.split(text, whole):
            if part.added:
                tokens.append(part.text)
            else:
                check_characters([part.text])
                tokens += self.segmenter.tokenize(part.text)
        return tokens

    def pieces(self, text: str, whole: bool = False) -> list[Piece]:
        """The tokens of a text with their places in it."""
        origin = _origin_of_lower(text) if self.do_lower_case else None
        pieces: list[Piece] = []
        for part in self.split(text, whole):
            if part.added:
                end = len(part.text)
                found = [Piece(part.text, self._ids[part.text], 0, end, True)]
            else:
                check_characters([part.text])
                found = self.segmenter.pieces(part.text)
            for piece in found:
                start, end = part.start + piece.start, part.start + piece.end
                if origin is not None:
                    start, end = origin[start], origin[end - 1] + 1 if end else 0
                pieces.append(piece._replace(start=start, end=end))
        return pieces

    def split(self, text: str, whole: bool = False) -> list[Part]:
        """Split a text at the added tokens, lower-casing what is between them."""
        if self.do_lower_case:
            text = self._lower(text)
        if whole:
            return [Part(text, 0)] if text else []
        return self._split(text)

    def _may_split(self, text: str) -> bool:
        """Whether a text holds the first character of an added token; fast."""
        return any(map(text.__contains__, self._firsts))

    def _split(self, text: str) -> list[Part]:
        if not self._may_split(text):
            return [Part(text, 0)] if text else []
        parts: list[Part] = []
        at = 0
        for match in self._added_pattern.finditer(text):
            if match.start() > at:
                parts.append(Part(text[at : match.start()], at))
            parts.append(Part(match.group(), match.start()))
            at = match.end()
        if at < len(text):
            parts.append(Part(text[at:], at))
        self._strip(parts)
        for part in parts:
            part.added = part.text in self._ids
        return [part for part in parts if part.text]

    def _strip(self, parts: list[Part]) -> None:
        """Let added tokens take white space beside them, or give way inside a word."""
        for i, part in enumerate(parts):
            if part.text not in self._ids:
                continue
            rules = self.added[self._ids[part.text]]
            left = parts[i - 1] if i > 0 else None
            right = parts[i + 1] if i + 1 < len(parts) else None
            if rules.rstrip and right:
                stripped = right.text.lstrip()
                right.start += len(right.text) - len(stripped)
                right.text = stripped
            if rules.lstrip and left:
                left.text = left.text.rstrip()
            if not rules.single_word:
                continue
            if left and left.text and left.text[-1] != " ":
                left.text, part.text = left.text + part.text, ""
            elif right and right.text and right.text[0] != " ":
                right.text, right.start = part.text + right.text, part.start
                part.text = ""

    def _lower(self, text: str) -> str:
        if not any(map(text.__contains__, self._kept_firsts)):
            return lower_each(text)
        pieces = self._kept_pattern.split(text)
        # With a group in the pattern, every second piece is what it matched.
        pieces[::2] = [lower_each(piece) for piece in pieces[::2]]
        return "".join(pieces)

    def _encode(self, texts: list[str]) -> list[list[int]]:
        try:
            return self.segmenter.encode(texts)
        except (RuntimeError, UnicodeEncodeError, TypeError):
            check_characters(texts)
            raise

    def _refresh(self) -> None:
        self._ids = {token.content: i for i, token in self.added.items()}
        self.segmenter.added = self._ids
        contents = sorted(self._ids, key=lambda content: (-len(content), content))
        self._firsts = {content[0] for content in contents}
        self._added_pattern = _any_of(contents)
        normalized = [
            token.content
            for token in self.added.values()
            if not token.special and token.normalized
        ]
        kept = [*self.specials, *normalized]
        self._kept_firsts = {content[0] for content in kept if content}
        self._kept_pattern = _any_of(kept)


def check_characters(texts: Iterable[str]) -> None:
    """Refuse text that is no Unicode.

    Raises:
        TokenizerError: A text holds half of a surrogate pair.
    """
    for text in texts:
        for i, c in enumerate(text):
            if "\ud800" <= c <= "\udfff":
                near = shown(text[max(0, i - 10) : i + 10])
                raise TokenizerError(
                    f"Character {i} of a text is {c!r}, half of a surrogate pair, "
                    f"which is no character: {near}. Read the text with its right "
                    f"encoding, or with errors='replace'."
                )


def _any_of(contents: Sequence[str]) -> re.Pattern[str]:
    """Matches the first of some strings, in a group; nothing if there are none."""
    return re.compile(f"({'|'.join(map(re.escape, contents)) or '(?!)'})")


def _origin_of_lower(text: str) -> list[int] | None:
    """Where each character of the lower-cased text is in the text; None if the same."""
    if LONG_LOWER not in text:
        return None
    return [i for i, c in enumerate(text) for _ in range(1 + (c == LONG_LOWER))] + [
        len(text)
    ]
