"""BERT's cutting of text: words, and their longest pieces from the left."""

from collections.abc import Mapping, Sequence

from tokenizers import Tokenizer as Engine
from tokenizers import models, normalizers, pre_tokenizers

from albert_core.errors import TokenizerError, shown
from albert_core.tokenization.segmenter import Piece

CONTINUED = "##"
LONGEST_WORD = 100  # characters


class WordPieces:
    """A WordPiece vocabulary used as BERT uses it.

    Source: google-research/bert tokenization.py, whose rules the package tokenizers
    holds; transformers 4.57.6 `BertTokenizer`.

    Args:
        vocabulary: The tokens with their ids.
        unk_token: The token of words that cannot be made of pieces.
        do_lower_case: Whether capitals become small letters.
        strip_accents: Whether accents are removed; None for what `do_lower_case` says.
        tokenize_chinese_chars: Whether every Chinese character is a word.
        longest_word: Longer words, in characters, are unknown.

    Raises:
        TokenizerError: The vocabulary has no unknown token.
    """

    def __init__(
        self,
        vocabulary: Mapping[str, int],
        unk_token: str = "[UNK]",
        *,
        do_lower_case: bool = True,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool = True,
        longest_word: int = LONGEST_WORD,
    ) -> None:
        self.vocabulary = dict(vocabulary)
        if unk_token not in self.vocabulary:
            raise TokenizerError(
                f"The vocabulary has no {shown(unk_token)}, the token of unknown "
                f"words, among its {len(self.vocabulary)}. Get the right file, or give "
                f"unk_token."
            )
        self.unknown = self.vocabulary[unk_token]
        self.tokens = {i: token for token, i in self.vocabulary.items()}
        model = models.WordPiece(
            self.vocabulary,
            unk_token=unk_token,
            max_input_chars_per_word=longest_word,
        )
        self.engine = Engine(model)
        self.engine.normalizer = normalizers.BertNormalizer(
            clean_text=True,
            handle_chinese_chars=tokenize_chinese_chars,
            strip_accents=strip_accents,
            lowercase=do_lower_case,
        )
        self.engine.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self.added: Mapping[str, int] = {}

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Segmenter`."""
        found = self.engine.encode_batch_fast(list(texts), add_special_tokens=False)
        moved = {
            self.vocabulary[token]: index
            for token, index in self.added.items()
            if self.vocabulary.get(token, index) != index
        }
        if moved:
            return [[moved.get(i, i) for i in row.ids] for row in found]
        return [row.ids for row in found]

    def tokenize(self, text: str) -> list[str]:
        """See `Segmenter`; an unknown word is the unknown token."""
        return self.engine.encode(text, add_special_tokens=False).tokens

    def pieces(self, text: str) -> list[Piece]:
        """See `Segmenter`."""
        found = self.engine.encode(text, add_special_tokens=False)
        words = [None, *found.word_ids]
        return [
            Piece(token, self.to_id(token), start, end, word != words[i])
            for i, (token, (start, end), word) in enumerate(
                zip(found.tokens, found.offsets, found.word_ids, strict=True)
            )
        ]

    @property
    def size(self) -> int:
        """See `Segmenter`."""
        return len(self.tokens)

    def to_id(self, token: str) -> int:
        """See `Segmenter`."""
        index = self.added.get(token)
        return self.vocabulary.get(token, self.unknown) if index is None else index

    def to_token(self, index: int) -> str:
        """See `Segmenter`."""
        return self.tokens[index]

    def to_text(self, tokens: Sequence[str]) -> str:
        """See `Segmenter`."""
        return " ".join(tokens).replace(f" {CONTINUED}", "").strip()
