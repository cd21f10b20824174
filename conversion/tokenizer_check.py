"""Whether a tokenizer belongs to a model: its pieces are counted."""

from pathlib import Path

from albert_core import wire
from albert_core.config import AlbertConfig
from albert_core.tokenizer_names import MODEL_NAMES

PIECE = 1  # ModelProto.pieces, of which there is one for every id


def problem_of(path: Path, config: AlbertConfig) -> str:
    """What is wrong with a file of a tokenizer, "" if nothing is.

    Only SentencePiece models are looked at.
    """
    if path.name not in MODEL_NAMES:
        return ""
    try:
        pieces = sum(number == PIECE for number, _ in wire.read(path.read_bytes()))
    except ValueError:
        return "it is no SentencePiece model, or damaged"
    if pieces != config.vocab_size:
        return f"it has {pieces} pieces, and vocab_size is {config.vocab_size}"
    return ""
