"""What a field of the configuration may hold: the rules, named, as data."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, cast

from albert_core.errors import ConfigError, shown

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
LARGEST_COUNT = 2**16  # classes


def same(value: Any) -> Any:
    """The value as it is."""
    return value


@dataclass(frozen=True)
class Rule:
    """A test on one value, and the words that tell a user what passes it.

    Attributes:
        expected: The words.
        accepts: The test.
        form: Gives one form to what JSON or a framework spells in several.
    """

    expected: str
    accepts: Callable[[Any], bool]
    form: Callable[[Any], Any] = same

    def apply(self, field: str, value: Any) -> Any:
        """Check a value and give it its form.

        Raises:
            ConfigError: It does not pass.
        """
        if not self.accepts(value):
            raise ConfigError(
                f"AlbertConfig.{field} must be {self.expected}, but it is "
                f"{shown(value)}. Correct it in config.json or in the call."
            )
        return self.form(value)


def is_integer(value: Any) -> bool:
    """Whether a value is an integer; True and False are not."""
    return not isinstance(value, bool) and isinstance(value, Integral)


def is_number(value: Any) -> bool:
    """Whether a value is a finite real number; True and False are not."""
    try:
        real = not isinstance(value, bool) and isinstance(value, Real)
        return real and math.isfinite(float(value))
    except OverflowError:
        return False


def integer(lowest: int, highest: int = LARGEST_SIZE) -> Rule:
    """Integers from `lowest` to `highest`."""
    return Rule(
        f"an integer from {lowest} to {highest}",
        lambda value: is_integer(value) and lowest <= value <= highest,
        int,
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
        lambda value: None if value is None else rule.form(value),
    )


def _is_table(value: Any, accepts: Callable[[Any], bool]) -> bool:
    """Whether keys are different numbers, in JSON spelled as texts, of good values."""
    if not isinstance(value, Mapping):
        return False
    table = cast(Mapping[Any, Any], value)
    numeric = all(
        key.isdecimal() if isinstance(key, str) else is_integer(key) and key >= 0
        for key in table
    )
    different = numeric and len(set(map(int, table))) == len(table)
    return different and all(map(accepts, table.values()))


def _is_list_of_heads(value: Any) -> bool:
    return isinstance(value, list | tuple | set | frozenset) and all(
        is_integer(head) and head >= 0 for head in cast(list[Any], value)
    )


def _is_label_numbers(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(label, str) and is_integer(number)
        for label, number in cast(Mapping[Any, Any], value).items()
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(name, str) for name in cast(list[Any], value)
    )


def _dtype_name(value: Any) -> str:
    # torch.float32, jnp.float32 and np.dtype("float32") all end in the name.
    if isinstance(value, str):
        return value
    return getattr(value, "__name__", None) or str(value).split(".")[-1]


SIZE = integer(1)
COUNT = integer(1, LARGEST_COUNT)
DEPTH = integer(1, LARGEST_DEPTH)
TOKEN = optional(integer(0))
PROBABILITY = Rule(
    "a probability from 0 to less than 1",
    lambda value: is_number(value) and 0 <= value < 1,
    float,
)
POSITIVE = Rule(
    "a number of at least 0", lambda value: is_number(value) and value >= 0, float
)
FLAG = Rule("True or False", lambda value: isinstance(value, bool))
ACTIVATION = Rule(
    "a function, or one of " + ", ".join(ACTIVATIONS),
    lambda value: value in ACTIVATIONS if isinstance(value, str) else callable(value),
)
LABELS = Rule(
    "a table from class number to label, with one entry or more",
    lambda value: (
        _is_table(value, lambda label: isinstance(label, str)) and bool(value)
    ),
    lambda value: {int(key): label for key, label in value.items()},
)
LABEL_NUMBERS = Rule(
    "a table from label to class number",
    _is_label_numbers,
    lambda value: {label: int(number) for label, number in value.items()},
)
PRUNING = Rule(
    "a table from block number to a list of head numbers",
    lambda value: _is_table(value, _is_list_of_heads),
    lambda value: {int(k): sorted({int(h) for h in v}) for k, v in value.items()},
)
NAMES = optional(Rule("a list of class names", _is_names))
DTYPE = Rule(
    "one of " + ", ".join(DTYPES),
    lambda value: _dtype_name(value) in DTYPES,
    _dtype_name,
)
