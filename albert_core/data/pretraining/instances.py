"""Pretraining instances as columns of arrays, the features of Google's records."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.data.pretraining.masking import Masked, Masking, Pieces, mask
from albert_core.data.pretraining.segments import Pair
from albert_core.losses import IGNORED

Columns = dict[str, NDArray[Any]]

# Kept in a shard; all else that a batch has follows from these.
#   input_ids [rows, length] with tokens hidden, 0 behind the end
#   starts [rows, length] 1 where a word begins, as at [CLS] and [SEP]
#   lengths [rows] tokens; first_lengths [rows] those up to the first [SEP]
#   masked_positions, masked_ids [rows, predictions], 0 behind the last
#   masked_counts [rows]
#   sentence_order [rows] 0 for in order, 1 for swapped
COLUMNS = (
    "input_ids",
    "starts",
    "lengths",
    "first_lengths",
    "masked_positions",
    "masked_ids",
    "masked_counts",
    "sentence_order",
)


@dataclass(frozen=True)
class Instance:
    """Two segments with special tokens, before any is hidden.

    Attributes:
        ids: [CLS] first [SEP] second [SEP].
        starts: Which of them begin a word; special ones do.
        first_length: How many belong to the first segment, with [CLS] and [SEP].
        label: 0 for in order, 1 for swapped.
    """

    ids: list[int]
    starts: list[bool]
    first_length: int
    label: int


def instance(
    pair: Pair, starts: NDArray[np.bool_], cls_id: int, sep_id: int
) -> Instance:
    """Put special tokens around the segments of a pair.

    Args:
        pair: The segments.
        starts: By token id, which begin a word.
        cls_id: The id of [CLS].
        sep_id: That of [SEP].
    """
    ids = [cls_id, *pair.first, sep_id, *pair.second, sep_id]
    begins = [True, *starts[pair.first], True, *starts[pair.second], True]
    return Instance(ids, begins, len(pair.first) + 2, pair.label)


def columns(
    rows: Sequence[tuple[Instance, Masked]], max_seq_length: int, predictions: int
) -> Columns:
    """Instances as arrays, padded with zeros."""
    count = len(rows)
    table: Columns = {
        "input_ids": np.zeros((count, max_seq_length), np.int32),
        "starts": np.zeros((count, max_seq_length), np.uint8),
        "lengths": np.array([len(row.ids) for row, _ in rows], np.int32),
        "first_lengths": np.array([row.first_length for row, _ in rows], np.int32),
        "masked_positions": np.zeros((count, predictions), np.int32),
        "masked_ids": np.zeros((count, predictions), np.int32),
        "masked_counts": np.array([len(m.positions) for _, m in rows], np.int32),
        "sentence_order": np.array([row.label for row, _ in rows], np.int32),
    }
    for i, (row, masked) in enumerate(rows):
        table["input_ids"][i, : len(masked.ids)] = masked.ids
        table["starts"][i, : len(row.starts)] = row.starts
        table["masked_positions"][i, : len(masked.positions)] = masked.positions
        table["masked_ids"][i, : len(masked.labels)] = masked.labels
    return table


def restored(table: Columns) -> Columns:
    """The same instances with no token hidden."""
    ids = table["input_ids"].copy()
    rows, places = np.nonzero(_weights(table))
    ids[rows, table["masked_positions"][rows, places]] = table["masked_ids"][
        rows, places
    ]
    return {**table, "input_ids": ids}


def masked_anew(
    table: Columns, pieces: Pieces, masking: Masking, rngs: Iterable[Random]
) -> Columns:
    """The same instances with other tokens hidden: masking on the fly.

    Args:
        table: Columns of instances.
        pieces: Of their vocabulary.
        masking: How tokens are chosen.
        rngs: What each instance draws from.
    """
    plain = restored(table)
    rows: list[tuple[Instance, Masked]] = []
    for i, rng in zip(range(len(table["lengths"])), rngs, strict=False):
        end = int(plain["lengths"][i])
        ids = plain["input_ids"][i, :end].tolist()
        starts = plain["starts"][i, :end].astype(bool).tolist()
        first, label = int(plain["first_lengths"][i]), int(plain["sentence_order"][i])
        chosen = mask(ids, starts, pieces, masking, rng)
        rows.append((Instance(ids, starts, first, label), chosen))
    length = table["input_ids"].shape[1]
    return columns(rows, length, masking.max_predictions_per_seq)


def to_batch(table: Columns) -> Columns:
    """Columns as a model learns from them.

    Returns:
        `input_ids`, `attention_mask`, `token_type_ids` [rows, length];
        `masked_lm_positions`, `masked_lm_labels` [rows, predictions], where there is
        none 0 and -100; `sentence_order_label` [rows]. All are int32.
    """
    places = np.arange(int(table["input_ids"].shape[1]))
    inside = places < table["lengths"][:, None]
    second = inside & (places >= table["first_lengths"][:, None])
    return {
        "input_ids": table["input_ids"].astype(np.int32),
        "attention_mask": inside.astype(np.int32),
        "token_type_ids": second.astype(np.int32),
        "masked_lm_positions": table["masked_positions"].astype(np.int32),
        "masked_lm_labels": np.where(
            _weights(table), table["masked_ids"], IGNORED
        ).astype(np.int32),
        "sentence_order_label": table["sentence_order"].astype(np.int32),
    }


def to_google(table: Columns) -> list[Columns]:
    """Rows with the names that google-research/albert has for their features."""
    batch = to_batch(table)
    starts, weights = table["starts"].astype(np.int64), _weights(table)
    return [
        {
            "input_ids": batch["input_ids"][i].astype(np.int64),
            "input_mask": batch["attention_mask"][i].astype(np.int64),
            "segment_ids": batch["token_type_ids"][i].astype(np.int64),
            "token_boundary": starts[i],
            "masked_lm_positions": batch["masked_lm_positions"][i].astype(np.int64),
            "masked_lm_ids": table["masked_ids"][i].astype(np.int64),
            "masked_lm_weights": weights[i].astype(np.float32),
            "next_sentence_labels": batch["sentence_order_label"][i : i + 1].astype(
                np.int64
            ),
        }
        for i in range(len(starts))
    ]


def from_google(rows: Sequence[Mapping[str, NDArray[Any]]]) -> Columns:
    """Rows of Google's features as columns; the inverse of `to_google`.

    Records of BERT have no `token_boundary`: every token then begins a word.
    """

    def stacked(name: str) -> NDArray[Any]:
        return np.stack([row[name] for row in rows]).astype(np.int32)

    inside = stacked("input_mask")
    starts = [row.get("token_boundary", row["input_mask"]) for row in rows]
    weights = np.stack([row["masked_lm_weights"] for row in rows])
    first = np.argsort(weights <= 0, axis=1, kind="stable")  # what counts, then others
    return {
        "input_ids": stacked("input_ids"),
        "starts": np.stack(starts).astype(np.uint8),
        "lengths": inside.sum(1, dtype=np.int32),
        "first_lengths": (inside - stacked("segment_ids")).sum(1, dtype=np.int32),
        "masked_positions": np.take_along_axis(
            stacked("masked_lm_positions"), first, 1
        ),
        "masked_ids": np.take_along_axis(stacked("masked_lm_ids"), first, 1),
        "masked_counts": (weights > 0).sum(1, dtype=np.int32),
        "sentence_order": stacked("next_sentence_labels")[:, 0],
    }


def _weights(table: Columns) -> NDArray[np.bool_]:
    places = np.arange(int(table["masked_positions"].shape[1]))
    return places < table["masked_counts"][:, None]
