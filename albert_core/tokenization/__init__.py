"""Text to ids and back, the same in every framework; no framework is imported.

Three tokenizers: `AlbertTokenizer` on sentencepiece's `spiece.model`,
`AlbertTokenizerFast` on Hugging Face's `tokenizer.json`, and `AlbertWordPieceTokenizer`
on the `vocab.txt` of Chinese, Korean and Japanese models.
"""

from tokenizers import AddedToken

from albert_core.errors import TokenizerError
from albert_core.tokenization.albert import AlbertTokenizer, AlbertTokenizerFast
from albert_core.tokenization.auto import load_tokenizer
from albert_core.tokenization.encoding import BatchEncoding
from albert_core.tokenization.tokenizer import Tokenizer
from albert_core.tokenization.wordpiece import AlbertWordPieceTokenizer

__all__ = [
    "AddedToken",
    "AlbertTokenizer",
    "AlbertTokenizerFast",
    "AlbertWordPieceTokenizer",
    "BatchEncoding",
    "Tokenizer",
    "TokenizerError",
    "load_tokenizer",
]
