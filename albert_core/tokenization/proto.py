"""The inside of a sentencepiece model, as `spiece.model` holds it.

Source: google/sentencepiece src/sentencepiece_model.proto.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from itertools import chain
from typing import NamedTuple

from albert_core import wire


class Kind(IntEnum):
    """What an entry of the vocabulary is."""

    NORMAL = 1
    UNKNOWN = 2
    CONTROL = 3
    USER_DEFINED = 4
    UNUSED = 5
    BYTE = 6


class Entry(NamedTuple):
    """An entry of the vocabulary: text, log probability, kind."""

    text: str
    score: float
    kind: Kind = Kind.NORMAL


UNIGRAM = 1  # ModelProto.TrainerSpec.model_type


@dataclass(frozen=True)
class PieceModel:
    """A vocabulary with its normaliser.

    Attributes:
        entries: In the order of their ids.
        charsmap: How sentencepiece normalises characters, in a form of its own.
        model_type: 1 is unigram, which ALBERT uses; 2 is BPE.
    """

    entries: tuple[Entry, ...]
    charsmap: bytes = b""
    model_type: int = UNIGRAM

    @classmethod
    def from_bytes(cls, data: bytes) -> "PieceModel":
        """Read a model.

        Raises:
            ValueError: It is damaged, or something else.
        """
        entries: list[Entry] = []
        charsmap, model_type = b"", UNIGRAM
        for number, value in wire.read(data):
            if number == 1 and isinstance(value, bytes):
                entries.append(_entry(value))
            elif number == 2 and isinstance(value, bytes):
                spec = dict(wire.read(value))
                model_type = int(spec.get(3, UNIGRAM))
            elif number == 3 and isinstance(value, bytes):
                found = dict(wire.read(value)).get(2, b"")
                charsmap = found if isinstance(found, bytes) else b""
        return cls(tuple(entries), charsmap, model_type)

    def to_bytes(self) -> bytes:
        """Write a model that sentencepiece reads."""
        pieces = (
            wire.write(
                1, wire.write(1, text) + wire.write(2, score) + wire.write(3, kind)
            )
            for text, score, kind in self.entries
        )
        trainer = wire.write(3, self.model_type)
        # The other switches of the normaliser are true by default: a space goes in
        # front, runs of spaces become one, spaces are written "▁".
        name = "nmt_nfkc" if self.charsmap else "identity"
        normalizer = wire.write(1, name) + wire.write(2, self.charsmap)
        parts = (wire.write(2, trainer), wire.write(3, normalizer))
        return b"".join(chain(pieces, parts))


def _entry(data: bytes) -> Entry:
    text, score, kind = "", 0.0, Kind.NORMAL
    for number, value in wire.read(data):
        if number == 1 and isinstance(value, bytes):
            text = value.decode()
        elif number == 2 and isinstance(value, bytes):
            (score,) = struct.unpack("<f", value)
        elif number == 3:
            kind = Kind(int(value))
    return Entry(text, score, kind)
