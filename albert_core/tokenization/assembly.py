"""How tokens of one text, or of two, become the rows that a model gets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, cast

from albert_core.errors import TokenizerError
from albert_core.tokenization import truncation
from albert_core.tokenization.encoding import Origin
from albert_core.tokenization.segmenter import Piece
from albert_core.tokenization.texts import Source
from albert_core.tokenization.vocabulary import Vocabulary

# The ids of a text, and of a second one.
Row = tuple[list[int], list[int] | None]
# What stays of the first text and of the second.
Window = tuple[slice, slice]
WHOLE: Window = (slice(None), slice(None))


@dataclass(frozen=True)
class Assembly:
    """How rows are cut to a length, and what is put around the texts.

    Attributes:
        max_length: The most tokens that a row may have; None for any number.
        strategy: One of `truncation.STRATEGIES`.
        side: Where tokens are cut off.
        stride: How many tokens neighbouring windows share.
        overflow: Whether what is cut off makes rows of its own.
        build: Puts special tokens around one list of ids or two; None for none.
    """

    max_length: int | None
    strategy: str
    side: str
    stride: int
    overflow: bool
    build: Callable[[list[int], list[int] | None], list[int]] | None

    def windows(self, first: int, second: int | None) -> list[Window]:
        """What rows take of texts with that many tokens.

        Raises:
            TokenizerError: The length leaves no room.
        """
        pair = second is not None
        around = len(self.build([], [] if pair else None)) if self.build else 0
        if (
            self.strategy == "do_not_truncate"
            or self.max_length is None
            or first + (second or 0) + around <= self.max_length
        ):
            return [WHOLE]
        room = self.max_length - around
        if room < 0:
            raise TokenizerError(
                f"max_length={self.max_length} is less than the {around} special "
                f"tokens of a row. Ask for more."
            )
        left, right = truncation.remaining(first, second or 0, room, self.strategy)
        if not self.overflow:
            return [(self._kept(first, left), self._kept(second or 0, right))]
        if pair and self.strategy == "longest_first":
            raise TokenizerError(
                "With truncation='longest_first' what overflows of a pair cannot be "
                "returned. Choose 'only_first' or 'only_second'."
            )
        if left < first:
            found = truncation.windows(first, left, self.stride, self.side)
            return [(window, slice(None)) for window in found]
        found = truncation.windows(second or 0, right, self.stride, self.side)
        return [(slice(None), window) for window in found]

    def cut(
        self, firsts: list[list[int]], seconds: list[list[int]] | None
    ) -> tuple[list[Row], list[int]]:
        """Cut texts to their length; tell of each row which text it is from."""
        pairs = zip(firsts, seconds or repeat(None), strict=False)
        if self.strategy == "do_not_truncate":
            return list(pairs), list(range(len(firsts)))
        rows: list[Row] = []
        samples: list[int] = []
        for i, (first, second) in enumerate(pairs):
            sizes = len(first), None if second is None else len(second)
            for left, right in self.windows(*sizes):
                rows.append((first[left], None if second is None else second[right]))
                samples.append(i)
        return rows, samples

    def _kept(self, length: int, keep: int) -> slice:
        return slice(0, keep) if self.side == "right" else slice(length - keep, length)

    def origin(
        self,
        first: Sequence[tuple[Piece, int]],
        second: Sequence[tuple[Piece, int]] | None,
        special: Callable[[int], str],
    ) -> Origin:
        """Where the tokens of a row come from.

        Args:
            first: The pieces of the first text with the number of their words.
            second: Those of the second.
            special: Gives the token of a special token's id.
        """
        # Ids below zero are put in as places, to see where they come out.
        count = len(first)
        places = [-1 - i for i in range(count)]
        others = None
        if second is not None:
            others = [-1 - count - i for i in range(len(second))]
        if self.build is None:
            row = places + (others or [])
        else:
            row = self.build(places, others)
        origin = Origin()
        everything = [*first, *(second or ())]
        for index in row:
            if index >= 0:
                origin.tokens.append(special(index))
                origin.sequences.append(None)
                origin.words.append(None)
                origin.offsets.append((0, 0))
                continue
            piece, word = everything[-1 - index]
            origin.tokens.append(piece.token)
            origin.sequences.append(int(-1 - index >= count))
            origin.words.append(word)
            origin.offsets.append((piece.start, piece.end))
        return origin


def ids_of(
    vocabulary: Vocabulary, sources: list[Source], whole: bool
) -> list[list[int]]:
    """The ids of texts, or of lists of words.

    Args:
        vocabulary: The vocabulary.
        sources: The texts.
        whole: Whether to take added tokens for ordinary text.
    """
    if not sources or isinstance(sources[0], str):
        return vocabulary.encode(cast(Any, sources), whole)
    words = iter(vocabulary.encode([word for s in sources for word in s], whole))
    return [[i for _ in source for i in next(words)] for source in sources]


def pieces_of(
    vocabulary: Vocabulary, source: Source, whole: bool
) -> list[tuple[Piece, int]]:
    """The pieces of a text, or of a list of words, with the number of their word."""
    if not isinstance(source, str):
        return [
            (piece, number)
            for number, word in enumerate(source)
            for piece in vocabulary.pieces(word, whole)
        ]
    word = -1
    result: list[tuple[Piece, int]] = []
    for piece in vocabulary.pieces(source, whole):
        word += piece.starts_word or word < 0
        result.append((piece, word))
    return result
