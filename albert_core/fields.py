"""What each field of `AlbertConfig` may hold: one named rule a field, as data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

ACTIVATIONS = (
    "gelu",  # the erf form
    "gelu_new",  # the tanh form, which Google's files call "gelu"
    "gelu_pytorch_tanh",  # the same function as gelu_new
    "quick_gelu",
    "relu",
    "silu",
    "swish",  # the same function as silu
    "tanh",
    "linear",
)
POSITION_EMBEDDINGS = ("absolute", "relative_key", "relative_key_query")
PROBLEM_TYPES = (
    "regression",
    "single_label_classification",
    "multi_label_classification",
)
ATTENTION_IMPLEMENTATIONS = ("eager", "sdpa")
DTYPES = ("float64", "float32", "float16", "bfloat16")

# Beyond any model that was ever trained; a number above them is a damaged file.
LARGEST_SIZE = 2**24
LARGEST_DEPTH = 2**12


@dataclass(frozen=True)
class Rule:
    """A test on one value, and the words that tell a user what passes it."""

    expected: str
    accepts: Callable[[Any], bool]


def is_integer(value: object) -> bool:
    """Whether a value is an integer; True and False are not."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a finite real number; True and False are not."""
    real = isinstance(value, Real) and not isinstance(value, bool)
    return real and math.isfinite(float(value))  # pyright: ignore[reportArgumentType]


def integer(lowest: int, highest: int = LARGEST_SIZE) -> Rule:
    """Integers from `lowest` to `highest`."""
    return Rule(
        f"an integer from {lowest} to {highest}",
        lambda value: is_integer(value) and lowest <= value <= highest,
    )


def one_of(choices: tuple[str, ...]) -> Rule:
    """One of some words."""
    return Rule(
        "one of " + ", ".join(choices),
        lambda value: isinstance(value, str) and value in choices,
    )


def optional(rule: Rule) -> Rule:
    """The values of another rule, and None."""
    return Rule(
        f"{rule.expected}, or None",
        lambda value: value is None or rule.accepts(value),
    )


def _is_label_table(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        is_integer(key) and isinstance(label, str) for key, label in value.items()
    )


def _is_pruning(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        is_integer(layer)
        and isinstance(heads, list | tuple | set | frozenset)
        and all(is_integer(head) and head >= 0 for head in heads)
        for layer, heads in value.items()
    )


SIZE = integer(1)
DEPTH = integer(1, LARGEST_DEPTH)
TOKEN = optional(integer(0))
PROBABILITY = Rule(
    "a probability from 0 to less than 1",
    lambda value: is_number(value) and 0 <= value < 1,
)
POSITIVE = Rule(
    "a number of at least 0", lambda value: is_number(value) and value >= 0
)
FLAG = Rule("True or False", lambda value: isinstance(value, bool))
ACTIVATION = Rule(
    "a function, or one of " + ", ".join(ACTIVATIONS),
    lambda value: callable(value) or value in ACTIVATIONS,
)
LABELS = Rule("a table from class number to label", _is_label_table)
LABEL_NUMBERS = Rule(
    "a table from label to class number",
    lambda value: isinstance(value, Mapping) and all(map(is_integer, value.values())),
)
PRUNING = Rule("a table from layer number to a list of head numbers", _is_pruning)
NAMES = optional(
    Rule(
        "a list of class names",
        lambda value: (
            isinstance(value, list) and all(isinstance(name, str) for name in value)
        ),
    )
)
