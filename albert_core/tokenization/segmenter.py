"""What every vocabulary can do: cut text into pieces, and put pieces together."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol


class Piece(NamedTuple):
    """One piece of a text.

    Attributes:
        token: The piece as the vocabulary writes it; an unknown one as the normalised
            text writes it.
        id: Its place in the vocabulary.
        start: Where it begins in the text, in characters.
        end: Where it ends.
        starts_word: Whether a word begins with it.
    """

    token: str
    id: int
    start: int
    end: int
    starts_word: bool


class Segmenter(Protocol):
    """A vocabulary and its rules; the text that it gets holds no added tokens.

    Attributes:
        added: The tokens that were added to the vocabulary, with their ids. A piece
            that is written like one gets its id.
    """

    added: Mapping[str, int]

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of many texts, on all processors."""
        ...

    def tokenize(self, text: str) -> list[str]:
        """The pieces of a text as they are written."""
        ...

    def pieces(self, text: str) -> list[Piece]:
        """The pieces of a text with all that is known of them."""
        ...

    @property
    def size(self) -> int:
        """The number of entries of the vocabulary."""
        ...

    def to_id(self, token: str) -> int:
        """The id of a token; that of the unknown token where there is none."""
        ...

    def to_token(self, index: int) -> str:
        """The token of an id below `size`."""
        ...

    def to_text(self, tokens: Sequence[str]) -> str:
        """Put tokens, none of them special, together to a text."""
        ...
