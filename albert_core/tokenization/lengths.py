"""What the arguments `padding`, `truncation` and `max_length` mean together."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from albert_core.errors import TokenizerError, shown
from albert_core.tokenization import padding, truncation

logger = logging.getLogger("albert_zoo")

UNLIMITED = int(1e30)  # what Hugging Face writes where no length is known
FALSE_OR_TRUE: dict[str, tuple[str, str]] = {
    "padding": ("do_not_pad", "longest"),
    "truncation": ("do_not_truncate", "longest_first"),
}


@dataclass(frozen=True)
class Lengths:
    """How long rows become.

    Attributes:
        padding: One of `padding.STRATEGIES`.
        truncation: One of `truncation.STRATEGIES`.
        max_length: The length for both; None if neither needs one.
        multiple: What padded lengths are rounded up to; None for no rounding.
    """

    padding: str
    truncation: str
    max_length: int | None
    multiple: int | None


def settle(
    pad: bool | str,
    cut: bool | str | None,
    max_length: int | None,
    multiple: int | None,
    model_max_length: int,
) -> Lengths:
    """Settle how long rows become, by Hugging Face's rules.

    Args:
        pad: The argument `padding` of a call.
        cut: The argument `truncation`; None is yes where only a length is given.
        max_length: The argument of that name.
        multiple: The argument `pad_to_multiple_of`.
        model_max_length: The tokenizer's, for where a length is needed.

    Raises:
        TokenizerError: An argument is not known, or they contradict one another.
    """
    if cut is None:
        cut = max_length is not None and pad is False
    pad = _strategy("padding", pad, padding.STRATEGIES)
    cut = _strategy("truncation", cut, truncation.STRATEGIES)
    cuts = cut != "do_not_truncate"
    if max_length is None and (cuts or pad == "max_length"):
        if model_max_length > UNLIMITED // 10**10:
            return Lengths(
                "do_not_pad" if pad == "max_length" else pad,
                "do_not_truncate",
                None,
                multiple,
            )
        max_length = model_max_length
    if (
        cuts
        and pad != "do_not_pad"
        and multiple
        and max_length
        and max_length % multiple
    ):
        raise TokenizerError(
            f"max_length={max_length} is no multiple of pad_to_multiple_of={multiple}, "
            f"so that rows cannot be cut and padded to both."
        )
    return Lengths(pad, cut, max_length, multiple)


def _strategy(
    argument: Literal["padding", "truncation"], value: Any, known: Sequence[str]
) -> str:
    if isinstance(value, bool):
        return FALSE_OR_TRUE[argument][value]
    if value in known:
        return value
    raise TokenizerError(
        f"{argument}={shown(value)} is not known. Choose True, False, or one of "
        f"{', '.join(known)}."
    )


class Warnings:
    """Warnings of lengths that do not fit, each of them once."""

    def __init__(self, model_max_length: int) -> None:
        self.model_max_length = model_max_length
        self._given: set[str] = set()

    def of_settled(self, asked: Sequence[object], lengths: Lengths) -> None:
        """Warn where a length was asked for that nobody knows.

        Args:
            asked: The arguments `padding` and `truncation`.
            lengths: What became of them.
        """
        pad, cut = asked
        cuts = cut not in (None, False, "do_not_truncate")
        if lengths.max_length is None and (cuts or pad == "max_length"):
            self._warn(
                "unknown",
                "The tokenizer knows no model_max_length, and no max_length was given: "
                "nothing is padded or cut to it.",
            )

    def of_rows(self, rows: Sequence[Sequence[int]]) -> None:
        """Warn of rows that are too long for the model."""
        longest = max(map(len, rows), default=0)
        if longest > self.model_max_length:
            self._warn(
                "too long",
                f"A row has {longest} tokens, and the model takes "
                f"{self.model_max_length}. Ask for truncation=True.",
            )

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._given:
            self._given.add(kind)
            logger.warning(message)
