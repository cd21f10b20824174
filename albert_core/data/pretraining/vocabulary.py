"""What pretraining instances need of a tokenizer."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.data.pretraining.masking import Pieces, starts_word
from albert_core.errors import InputError, shown
from albert_core.tokenization import AlbertWordPieceTokenizer, load_tokenizer


@dataclass(frozen=True)
class Vocabulary:
    """A tokenizer, and what instances are made with.

    Attributes:
        tokenizer: Turns lines into ids.
        pieces: What masking knows of it.
        starts: [size] by id, which pieces begin a word.
        cls_id: The id of [CLS].
        sep_id: That of [SEP].
        fingerprint: SHA-256 of its pieces, in order.
    """

    tokenizer: Any
    pieces: Pieces
    starts: NDArray[np.bool_]
    cls_id: int
    sep_id: int
    fingerprint: str

    def encode(self, lines: list[str]) -> list[list[int]]:
        """The ids of lines, without special tokens."""
        return self.tokenizer(
            lines,
            add_special_tokens=False,
            split_special_tokens=True,  # what looks like them is text
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )["input_ids"]


@lru_cache(maxsize=2)
def vocabulary(tokenizer: str) -> Vocabulary:
    """Load a tokenizer by its directory or hub name.

    Raises:
        CheckpointError: There is none.
        TokenizerError: It cannot be read.
        InputError: It lacks [CLS], [SEP] or [MASK].
    """
    loaded: Any = load_tokenizer(tokenizer)
    ids = {name: getattr(loaded, f"{name}_token_id") for name in ("cls", "sep", "mask")}
    if missing := [name for name, number in ids.items() if number is None]:
        raise InputError(
            f"The tokenizer {shown(tokenizer)} has no {', '.join(missing)} token. "
            f"Pretraining needs all of cls, sep and mask."
        )
    words: list[str] = loaded.convert_ids_to_tokens(list(range(len(loaded))))
    of_pieces = not isinstance(loaded, AlbertWordPieceTokenizer)
    return Vocabulary(
        loaded,
        Pieces(len(words), ids["mask"], frozenset((ids["cls"], ids["sep"]))),
        np.array([starts_word(word, of_pieces) for word in words]),
        ids["cls"],
        ids["sep"],
        hashlib.sha256("\n".join(words).encode()).hexdigest(),
    )
