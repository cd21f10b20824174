"""ALBERT's cutting of text: sentencepiece, and a rule for commas after digits."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, cast

from albert_core import wire
from albert_core.errors import TokenizerError
from albert_core.tokenization.normalizer import Normalizer
from albert_core.tokenization.segmenter import Piece

SPACE = "▁"
# Below this many characters one thread is faster than several.
SMALL = 20_000


def ends_in_digit_comma(piece: str) -> bool:
    """Whether the comma rule is for this piece: "9,", but not ","."""
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


class SentencePieces:
    """A sentencepiece vocabulary used as ALBERT uses it.

    Both ALBERT tokenizers cut text with this class, so they agree by construction.
    The Unigram model of the package tokenizers would not: it adds up scores in float64
    where sentencepiece does in float32, and so breaks ties between "aa|a" and "a|aa"
    in other ways.

    Source: google-research/albert tokenization.py `encode_pieces`.

    Args:
        model: The bytes of a sentencepiece model.
        normalizer: What is done to text first.
        options: Keywords of `sentencepiece.SentencePieceProcessor`, for sampling.
        source: Where the model is from, for error messages.

    Raises:
        TokenizerError: The model cannot be read, or the options are not known.
    """

    def __init__(
        self,
        model: bytes,
        normalizer: Normalizer,
        options: Mapping[str, Any] | None = None,
        source: str = "the model",
    ) -> None:
        import sentencepiece

        options = dict(options or {})
        try:
            processor = cast(Any, sentencepiece).SentencePieceProcessor(**options)
        except TypeError as problem:
            raise TokenizerError(
                f"sp_model_kwargs={options} is not what sentencepiece takes: "
                f"{problem}. Leave out what it does not know."
            ) from problem
        try:
            processor.LoadFromSerializedProto(model)
        except RuntimeError as problem:
            raise TokenizerError(
                f"{source} is not a sentencepiece model, or not all of it: "
                f"{len(model)} bytes. Get the file again."
            ) from problem
        self.normalizer = normalizer
        self.model = model
        self._how = (options, source)
        self.processor = processor
        self.added: Mapping[str, int] = {}
        self._samples = bool(options.get("enable_sampling"))
        every = [processor.IdToPiece(i) for i in range(len(processor))]
        # A row with one of these may need the comma rule, or holds an unknown piece,
        # whose text decides.
        self._suspects = {
            i for i, piece in enumerate(every) if ends_in_digit_comma(piece)
        }
        self._suspects.add(processor.unk_id())

    def __reduce__(self) -> Any:
        options, source = self._how
        arguments = (self.model, self.normalizer, options, source)
        return SentencePieces, arguments, {"added": self.added}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Segmenter`."""
        clean = [self.normalizer(text) for text in texts]
        if self._samples:
            # Here, not in sentencepiece's threads: each call starts new ones, and after
            # `set_random_generator_seed` they would all draw the same numbers.
            sampled = (self.processor.encode(text, out_type=str) for text in clean)
            return [self._ids(pieces) for pieces in sampled]
        rows = self._run(clean, int)
        again = [i for i, row in enumerate(rows) if not self._suspects.isdisjoint(row)]
        if again:
            found = self._run([clean[i] for i in again], str)
            for i, pieces in zip(again, found, strict=True):
                rows[i] = self._ids(pieces)
        return rows

    def tokenize(self, text: str) -> list[str]:
        """See `Segmenter`."""
        pieces = self.processor.encode(self.normalizer(text), out_type=str)
        return [token for piece in pieces for token in self._without_comma(piece)]

    def pieces(self, text: str) -> list[Piece]:
        """See `Segmenter`. A piece with "▁" takes in the space before the word.

        The first "▁" stands for no space, unless there is one; a piece of nothing else
        gets the first character, as in Hugging Face's fast tokenizer: (0, 0) is the
        place of special tokens.
        """
        clean, origin = self.normalizer.align(text)
        origin.append(len(text))
        pieces: list[Piece] = []
        after_symbol = True
        for token, start, end in self._spans(clean):
            symbol = self._is_symbol(token)
            starts_word = token.startswith(SPACE) or symbol or after_symbol
            after_symbol = symbol
            first = origin[start]
            last = origin[end - 1] + 1 if end > start else first
            if not pieces and token.startswith(SPACE):
                first -= first > 0 and text[first - 1].isspace()
                last = max(last, first + 1)
            pieces.append(Piece(token, self.to_id(token), first, last, starts_word))
        return pieces

    @property
    def size(self) -> int:
        """See `Segmenter`."""
        return len(self.processor)

    def to_id(self, token: str) -> int:
        """See `Segmenter`."""
        index = self.added.get(token)
        return self.processor.PieceToId(token) if index is None else index

    def to_token(self, index: int) -> str:
        """See `Segmenter`."""
        return self.processor.IdToPiece(index)

    def to_text(self, tokens: Sequence[str]) -> str:
        """See `Segmenter`."""
        return self.processor.decode(list(tokens)) if tokens else ""

    def _run(self, texts: list[str], kind: type) -> list[Any]:
        threads = 1 if sum(map(len, texts)) < SMALL else os.cpu_count() or 1
        return self.processor.encode(texts, out_type=kind, num_threads=threads)

    def _ids(self, pieces: list[str]) -> list[int]:
        return [self.to_id(t) for piece in pieces for t in self._without_comma(piece)]

    def _without_comma(self, piece: str) -> list[str]:
        """Cut off a comma after a digit: "▁9," -> "▁9", ","."""
        if not ends_in_digit_comma(piece):
            return [piece]
        parts: list[str] = self.processor.encode(
            piece[:-1].replace(SPACE, ""), out_type=str
        )
        if piece[0] != SPACE and parts[0].startswith(SPACE):
            parts[0] = parts[0][1:]
        return [*filter(None, parts), ","]

    def _spans(self, clean: str) -> Iterator[tuple[str, int, int]]:
        """Pieces with their places in the normalised text, in characters."""
        data = self.processor.encode(clean, out_type="serialized_proto")
        to_character = None if clean.isascii() else _characters(clean)
        for number, value in wire.read(data):
            if number != 2 or not isinstance(value, bytes):
                continue
            fields = dict(wire.read(value))
            start, end = int(fields.get(4, 0)), int(fields.get(5, 0))
            if to_character is not None:
                start, end = to_character[start], to_character[end]
            piece = cast(bytes, fields.get(1, b"")).decode()
            yield from self._share(piece, start, end)

    def _share(
        self, piece: str, start: int, end: int
    ) -> Iterator[tuple[str, int, int]]:
        """Give each part of a piece that the comma rule cuts its part of the place."""
        tokens = self._without_comma(piece)
        sizes = [len(token) for token in tokens]
        # A word at the beginning of the text has a "▁" but no space before it.
        sizes[0] -= sum(sizes) - (end - start)
        ends = list(accumulate(sizes, initial=start))
        for token, first, last in zip(tokens, ends, ends[1:], strict=False):
            yield token, min(max(first, start), end), min(max(last, start), end)

    def _is_symbol(self, token: str) -> bool:
        """Whether a piece is a user-defined symbol, which is a word of its own."""
        index = self.processor.PieceToId(token)
        special = self.processor.IsControl(index) or self.processor.IsUnknown(index)
        return self.processor.GetScore(index) == 0.0 and not special


def _characters(text: str) -> list[int]:
    """For every byte of a text, in UTF-8, the number of its character; and the end."""
    counts = [len(c.encode()) for c in text]
    places = [i for i, count in enumerate(counts) for _ in range(count)]
    return [*places, len(text)]
