"""What every backend says when the inputs of a call do not fit the model."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from albert_core.config import AlbertConfig
from albert_core.errors import InputError


def check_one_given(input_ids: object, inputs_embeds: object) -> None:
    """Refuse a call that gives both or neither of the two.

    Raises:
        InputError: As said.
    """
    if (input_ids is None) == (inputs_embeds is None):
        found = "neither" if input_ids is None else "both"
        raise InputError(
            f"Give one of input_ids and inputs_embeds; this call gives {found}."
        )


def check_length(config: AlbertConfig, length: int | None) -> None:
    """Refuse a sequence that is longer than the position table.

    Raises:
        InputError: As said, with both lengths.
    """
    if length is not None and length > config.max_position_embeddings:
        raise InputError(
            f"The sequence has {length} tokens, but max_position_embeddings is "
            f"{config.max_position_embeddings}. Truncate or split the text."
        )


def check_width(config: AlbertConfig, width: int | None) -> None:
    """Refuse embeddings of another width than the model's tables have.

    Raises:
        InputError: As said, with both widths.
    """
    if width is not None and width != config.embedding_size:
        raise InputError(
            f"inputs_embeds is {width} wide, but embedding_size is "
            f"{config.embedding_size}. Give word embeddings, not hidden states."
        )


def check_range(config: AlbertConfig, name: str, lowest: int, highest: int) -> None:
    """Refuse ids outside the table they look up; some frameworks would not.

    Args:
        config: The configuration.
        name: The argument: input_ids, token_type_ids or position_ids.
        lowest: The smallest id of the call.
        highest: The largest id of the call.

    Raises:
        InputError: As said, with the id and the size of the table.
    """
    field = TABLES[name]
    size = getattr(config, field)
    if lowest < 0 or highest >= size:
        wrong = lowest if lowest < 0 else highest
        raise InputError(
            f"{name} holds {wrong}, but {field} is {size}, so ids go from 0 to "
            f"{size - 1}. Check that the tokenizer belongs to this model."
        )


def check_arrays(config: AlbertConfig, arrays: Mapping[str, Any]) -> None:
    """Refuse ids [..., seq] that do not fit the model, for programs that would not.

    Args:
        config: The configuration.
        arrays: By the names of `TABLES`; others are left alone.

    Raises:
        InputError: Of `check_length` and `check_range`.
    """
    for name in TABLES.keys() & arrays.keys():
        values = np.asarray(arrays[name])
        if values.size:
            check_length(config, values.shape[-1])
            check_range(config, name, int(values.min()), int(values.max()))


TABLES = {
    "input_ids": "vocab_size",
    "token_type_ids": "type_vocab_size",
    "position_ids": "max_position_embeddings",
}
