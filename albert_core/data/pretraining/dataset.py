"""A folder of pretraining instances: a manifest, and shards that are safetensors files.

The manifest says how the instances were made, so that two runs that do not belong
together are told apart, and with which vocabulary, so that a model of another is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert_core import safetensors_file
from albert_core.data.pretraining.instances import COLUMNS, Columns
from albert_core.data.pretraining.masking import Masking, Pieces
from albert_core.errors import InputError, shown
from albert_core.files import read_json, write_text

MANIFEST = "pretraining.json"
FORMAT = 1
SHARD = "shard-{:05}-of-{:05}.safetensors"


@dataclass(frozen=True)
class Recipe:
    """How instances are made, with the defaults of the published recipe.

    Attributes:
        max_seq_length: Tokens of an instance, with special ones.
        short_seq_prob: How often a document is cut into shorter instances.
        dupe_factor: How often each document is used, cut and masked anew each time.
        random_next_sentence: BERT's negatives, from elsewhere.
        masking: How tokens are hidden.
        seed: Of all that is drawn.
    """

    max_seq_length: int = 512
    short_seq_prob: float = 0.1
    dupe_factor: int = 40
    random_next_sentence: bool = False
    masking: Masking = field(default_factory=Masking)
    seed: int = 12345

    def validate(self) -> None:
        """Refuse numbers that make no instances.

        Raises:
            InputError: As said; every one is named.
        """
        whole = {
            "max_seq_length": (self.max_seq_length, 5),
            "dupe_factor": (self.dupe_factor, 1),
            "max_predictions_per_seq": (self.masking.max_predictions_per_seq, 1),
            "ngram": (self.masking.ngram, 1),
        }
        shares = {
            "short_seq_prob": self.short_seq_prob,
            "masked_lm_prob": self.masking.masked_lm_prob,
        }
        wrong = [
            f"{name} must be {least} or more, not {value}"
            for name, (value, least) in whole.items()
            if value < least
        ]
        wrong += [
            f"{name} must be from 0 to 1, not {value}"
            for name, value in shares.items()
            if not 0 <= value <= 1
        ]
        if wrong:
            raise InputError(
                f"{'; '.join(wrong)}. Change {'it' if len(wrong) == 1 else 'them'}."
            )


@dataclass(frozen=True)
class Manifest:
    """What a folder of instances holds.

    Attributes:
        origin: How they were made: settings and sources, as JSON has them.
        pieces: What masking knows of their vocabulary.
        pad_id: Stands behind the end of an instance.
        vocabulary: The fingerprint of the vocabulary.
        max_seq_length: Tokens of an instance.
        shards: The files with their numbers of instances; None while they are made.
    """

    origin: Mapping[str, Any]
    pieces: Pieces
    vocabulary: str
    max_seq_length: int
    shards: Sequence[tuple[str, int]] | None

    def write(self, folder: Path) -> None:
        """Put the manifest into a folder, in one step."""
        values = {
            "format": FORMAT,
            "origin": self.origin,
            "vocabulary": {
                "sha256": self.vocabulary,
                "size": self.pieces.size,
                "mask_id": self.pieces.mask_id,
                "special_ids": sorted(self.pieces.special_ids),
            },
            "max_seq_length": self.max_seq_length,
            "shards": None
            if self.shards is None
            else [list(row) for row in self.shards],
        }
        write_text(folder / MANIFEST, json.dumps(values, indent=2) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read what a folder holds.

    Raises:
        InputError: There is no manifest, or none that this version understands.
    """
    path = folder / MANIFEST
    if not path.exists():
        raise InputError(
            f"{folder} holds no pretraining data: there is no {MANIFEST}. Make "
            f"some with albert-zoo data create."
        )
    values = read_json(path, InputError)
    if values.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {shown(values.get('format'))}; this version reads "
            f"{FORMAT}. Make the data again."
        )
    try:
        found = values["vocabulary"]
        pieces = Pieces(
            int(found["size"]),
            int(found["mask_id"]),
            frozenset(int(number) for number in found["special_ids"]),
        )
        shards: list[tuple[str, int]] | None = None
        if values["shards"] is not None:
            shards = [(str(name), int(rows)) for name, rows in values["shards"]]
            if not sum(rows for _, rows in shards):
                raise ValueError("no instances")
        return Manifest(
            dict(values["origin"]),
            pieces,
            str(found["sha256"]),
            int(values["max_seq_length"]),
            shards,
        )
    except (KeyError, TypeError, ValueError, OverflowError) as problem:
        raise InputError(
            f"{path} is damaged: {type(problem).__name__} {problem}. Make the "
            f"data again."
        ) from problem


def write_shard(path: Path, table: Columns) -> None:
    """Write the columns of instances beside their place, and put them there."""
    temporary = path.with_name(f".{path.name}")
    temporary.unlink(missing_ok=True)
    try:
        safetensors_file.write(temporary, table, metadata={"format": "albert-zoo"})
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def read_shard(path: Path, rows: int | None = None) -> Columns:
    """Read the columns of a shard.

    Args:
        path: The file.
        rows: How many instances it should have.

    Raises:
        InputError: It is missing, lacks columns, or has other numbers of rows.
        FormatError: It is damaged.
    """
    if not path.exists():
        raise InputError(f"{path} is missing. Make the data again.")
    stored = safetensors_file.read_header(path)
    lacks = [name for name in COLUMNS if name not in stored]
    counts = {name: stored[name].shape[:1] for name in COLUMNS if name in stored}
    if lacks:
        raise InputError(
            f"{path} does not hold pretraining instances: it lacks "
            f"{', '.join(lacks)}. Make the data again."
        )
    expected = counts["lengths"] if rows is None else (rows,)
    uneven = [f"{name} {sum(n)}" for name, n in counts.items() if n != expected]
    if uneven:
        raise InputError(
            f"{path} should hold {sum(expected)} instances, but the rows of its "
            f"columns are {', '.join(uneven)}. Make the data again."
        )
    return {name: stored[name].read() for name in COLUMNS}
