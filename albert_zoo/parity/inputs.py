"""Inputs that can see faults: each row of the batches is there for a reason."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.config import AlbertConfig
from albert_core.errors import InputError
from conversion.checkpoint import resolved

Inputs = dict[str, NDArray[Any]]

LENGTH = 32  # of the main batch, or the longest that the model takes
CHOICES = 2
SEED = 20_260_101


MASK = 4  # [MASK] in the vocabularies of all released models
MOST_TEXTS = 64  # of a user's


def maker(
    checkpoint: str | Path, texts: Path | None
) -> Callable[[AlbertConfig, str], Mapping[str, Inputs]]:
    """What makes the batches, with a user's texts among them.

    Args:
        checkpoint: Where the tokenizer is.
        texts: A file with a text on every line, or None.

    Raises:
        InputError: There is no text in the file, or too many are.
        TokenizerError: There is no tokenizer.
    """
    if texts is None:
        return batches
    from albert_core.tokenization import load_tokenizer

    lines = texts.read_text("utf-8", errors="replace").splitlines()
    lines = [line for line in lines if line.strip()]
    if not 0 < len(lines) <= MOST_TEXTS:
        raise InputError(
            f"{texts} holds {len(lines)} texts, and 1 to {MOST_TEXTS} are expected, "
            f"one on a line. Give another file, or leave --texts out."
        )
    tokenizer = load_tokenizer(resolved(checkpoint))
    return partial(batches, texts=lines, tokenizer=tokenizer)


def batches(
    config: AlbertConfig,
    head: str,
    texts: Sequence[str] = (),
    tokenizer: Any = None,
) -> Mapping[str, Inputs]:
    """Make the batches of a parity run, the same at every run.

    - rows: a full row with both segments; right and left padding, which a mask that is
      ignored or inverted gets wrong; one token over and over, so that only positions
      tell tokens apart; the special tokens; and a row of padding only.
    - single: one row of one token.
    - longest: one row as long as the model takes, for the last positions.
    - texts: the user's.
    - beams: what a head that searches finds when there are no labels: the rows that
      have a text, and no mask but its own.

    Args:
        config: Of the model; ids stay inside its tables.
        head: The key of `schema.HEADS`; it decides shapes and labels.
        texts: A user's, to be compared on besides.
        tokenizer: What makes tokens of them.
    """
    stream = np.random.default_rng(SEED)
    longest = config.max_position_embeddings
    made = {
        "rows": _rows(config, min(LENGTH, longest), stream),
        "single": _plain(config, 1, 1, stream),
        "longest": _plain(config, 1, longest, stream),
    }
    if texts:
        made["texts"] = _tokens(texts, tokenizer, longest)
    given = {
        name: _labelled(batch, config, head, stream) for name, batch in made.items()
    }
    if head == "ForQuestionAnsweringBeam":
        given["beams"] = {name: x[:5] for name, x in made["rows"].items()}
    return given


def batch(config: AlbertConfig, head: str, rows: int, length: int) -> Inputs:
    """Rows of tokens without padding, with labels where the head has a loss."""
    stream = np.random.default_rng(SEED)
    return _labelled(_plain(config, rows, length, stream), config, head, stream)


def _tokens(texts: Sequence[str], tokenizer: Any, longest: int) -> Inputs:
    made = tokenizer(
        list(texts),
        padding=True,
        truncation=True,
        max_length=longest,
        return_tensors="np",
        return_token_type_ids=True,
        return_attention_mask=True,
    )
    names = ("input_ids", "attention_mask", "token_type_ids")
    return {name: np.asarray(made[name], np.int32) for name in names}


def _plain(
    config: AlbertConfig, rows: int, length: int, stream: np.random.Generator
) -> Inputs:
    segments = np.zeros((rows, length), np.int32)
    segments[:, length // 2 :] = min(1, config.type_vocab_size - 1)
    ids = stream.integers(0, config.vocab_size, (rows, length), np.int32)
    return {
        "input_ids": ids,
        "attention_mask": np.ones((rows, length), np.int32),
        "token_type_ids": segments,
    }


def _rows(config: AlbertConfig, length: int, stream: np.random.Generator) -> Inputs:
    made = _plain(config, 6, length, stream)
    ids, mask = made["input_ids"], made["attention_mask"]
    mask[1, -(-length * 2 // 3) :] = 0  # right padding
    mask[2, : length // 3] = 0  # left padding
    ids[3] = ids[3, 0]  # repeated
    special = [config.bos_token_id, MASK, config.eos_token_id, config.pad_token_id]
    known = [x for x in special if x is not None and x < config.vocab_size]
    ids[4, : len(known)] = known[:length]
    mask[5] = 0  # padding only
    return made


def _labelled(
    made: Inputs, config: AlbertConfig, head: str, stream: np.random.Generator
) -> Inputs:
    """Add labels; for multiple choice, give every text as many choices."""
    rows, length = made["input_ids"].shape
    real = made["attention_mask"] == 1

    def classes(count: int, shape: tuple[int, ...] | int = rows) -> NDArray[Any]:
        return stream.integers(0, count, shape, np.int32)

    if head == "ForMultipleChoice":
        made = {k: np.stack([v, v[:, ::-1]], 1) for k, v in made.items()}
        return {**made, "labels": classes(CHOICES)}
    if head == "ForSequenceClassification":
        if config.problem_type in (None, "single_label_classification"):
            kind = classes(config.num_labels)
            regression = config.problem_type is None and config.num_labels == 1
            return {**made, "labels": kind.astype(np.float32) if regression else kind}
        flags = classes(2, (rows, config.num_labels))
        return {**made, "labels": flags.astype(np.float32)}
    if head.startswith("ForQuestionAnswering"):
        ends = classes(length)
        ends[1:2] = length  # outside of the text, so it counts for nothing
        made = {**made, "start_positions": classes(length), "end_positions": ends}
        return _joint(made, stream) if head.endswith("Beam") else made
    if head == "Model":
        return made
    count = config.num_labels if head == "ForTokenClassification" else config.vocab_size
    labels = np.where(real, classes(count, (rows, length)), -100)
    made = {**made, "labels": labels.astype(np.int32)}
    if head == "ForPreTraining":
        made["sentence_order_label"] = classes(2)
    return made


def _joint(made: Inputs, stream: np.random.Generator) -> Inputs:
    """Add a mask, open at the answers, answerability, and [CLS] in several places."""
    rows, length = made["input_ids"].shape
    mask = stream.integers(0, 2, (rows, length), np.int32)
    for name in ("start_positions", "end_positions"):
        inside = made[name] < length
        mask[np.arange(rows)[inside], made[name][inside]] = 0
    return {
        **made,
        "p_mask": mask,
        "is_impossible": np.arange(rows, dtype=np.int32) % 2,
        "cls_index": np.arange(rows, dtype=np.int32) % min(3, length),
    }
