"""What the forms of tasks share: a form makes features, and judges the outputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from albert_core.data.tasks.examples import Examples
from albert_core.errors import InputError, listed, shown
from albert_core.tokenization import Tokenizer

Feature = dict[str, Any]
# The arrays of a head for one feature, without the batch; they may be padded.
Output = Mapping[str, Any]
AT_ONCE = 1000  # texts that the tokenizer gets in one call


@dataclass(frozen=True)
class Lengths:
    """How long features become.

    Attributes:
        max_length: The most tokens of a row.
        doc_stride: How many tokens a window over a context begins after the one before.
        max_query_length: The most tokens of a question; the rest is cut off.
    """

    max_length: int
    doc_stride: int = 128
    max_query_length: int = 64

    def __post_init__(self) -> None:
        for name in ("max_length", "doc_stride", "max_query_length"):
            value = getattr(self, name)
            if type(value) is not int or value < 1:
                raise InputError(
                    f"{name} must be a whole number above 0, not {shown(value)}."
                )

    def room(self, tokenizer: Tokenizer, pair: bool) -> int:
        """The tokens that special ones leave.

        Raises:
            InputError: There are none.
        """
        special = tokenizer.num_special_tokens_to_add(pair=pair)
        if self.max_length <= special:
            raise InputError(
                f"max_length is {self.max_length}, but {special} tokens of a row are "
                f"special ones. Give a larger max_length."
            )
        return self.max_length - special


class Form(Protocol):
    """What kind of question a task asks, whatever its files look like."""

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        lengths: Lengths,
        training: bool,
    ) -> list[Feature]:
        """See `Task.features`."""
        ...

    def score(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> dict[str, float]:
        """See `Task.score`."""
        ...

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """See `Task.predictions`."""
        ...


def ids_of(tokenizer: Tokenizer, texts: Sequence[str]) -> dict[str, list[int]]:
    """The ids of every text, without special tokens; each text is cut up once."""
    unique = list(dict.fromkeys(texts))
    found: dict[str, list[int]] = {}
    for start in range(0, len(unique), AT_ONCE):
        some = unique[start : start + AT_ONCE]
        options: dict[str, Any] = {
            "add_special_tokens": False,
            "truncation": False,
            "verbose": False,
        }
        rows = tokenizer(some, return_attention_mask=False, **options)["input_ids"]
        found.update(zip(some, rows, strict=True))
    return found


def row(tokenizer: Tokenizer, first: list[int], second: list[int] | None) -> Feature:
    """The inputs of one row, with special tokens; arrays need a tenth of lists."""
    ids = tokenizer.build_inputs_with_special_tokens(first, second)
    types = tokenizer.create_token_type_ids_from_sequences(first, second)
    return {
        "input_ids": np.array(ids, np.int32),
        "token_type_ids": np.array(types, np.int8),
    }


def check_outputs(
    features: Sequence[Feature], outputs: Sequence[Output], names: Sequence[str]
) -> None:
    """Refuse outputs that are not of these features and this head.

    Args:
        features: What went into the model.
        outputs: What came out of it.
        names: What each must hold.

    Raises:
        InputError: Their number differs, or one has not the names.
    """
    if len(features) != len(outputs) or not features:
        raise InputError(
            f"There are {len(features)} features and {len(outputs)} outputs. Give one "
            f"output for each feature, and at least one."
        )
    for place, output in enumerate(outputs):
        if missing := [name for name in names if name not in output]:
            raise InputError(
                f"Output {place} has no {listed(missing)}. It has {listed([*output])}. "
                f"Use the head of the task."
            )


def logits_of(
    examples: Examples,
    features: Sequence[Feature],
    outputs: Sequence[Output],
    width: int | None,
) -> list[NDArray[np.float64]]:
    """The logits of each example, in float64.

    Args:
        examples: The examples.
        features: One for each.
        outputs: One for each.
        width: How long the last axis must be; None for any length.

    Raises:
        InputError: The numbers of the three differ, or the width is another.
    """
    check_outputs(features, outputs, ["logits"])
    if len(features) != len(examples):
        raise InputError(
            f"There are {len(examples)} examples and {len(features)} features. Give "
            f"all of both."
        )
    found = [np.asarray(output["logits"], np.float64) for output in outputs]
    if width is not None and found[0].shape[-1] != width:
        raise InputError(
            f"The model has {found[0].shape[-1]} labels, but {examples.source} has "
            f"{width}: {listed(examples.labels)}. Use a model with as many labels."
        )
    return found
