"""Making inputs as long as one another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from albert_core.errors import TokenizerError

STRATEGIES = ("longest", "max_length", "do_not_pad")
SIDES = ("right", "left")


@dataclass(frozen=True)
class Padding:
    """How rows are made equally long.

    Attributes:
        strategy: One of `STRATEGIES`.
        side: Where the padding goes.
        fill: What each column is filled with; columns that are not named stay.
        length: The length for "max_length".
        multiple: Lengths are rounded up to a multiple of this; None for no rounding.
    """

    strategy: str
    side: str
    fill: Mapping[str, Any]
    length: int | None = None
    multiple: int | None = None

    def refilled(self, fill: Mapping[str, Any]) -> "Padding":
        """The same padding for other columns."""
        return replace(self, fill=fill)

    def target(self, lengths: Sequence[int]) -> int:
        """The length that rows of these lengths get."""
        if self.strategy == "longest" or self.length is None:
            target = max(lengths, default=0)
        else:
            target = self.length
        return -(-target // self.multiple) * self.multiple if self.multiple else target

    def apply(self, columns: dict[str, list[Any]]) -> None:
        """Pad the rows of all columns, in place."""
        if self.strategy == "do_not_pad":
            return
        lengths = [len(row) for row in columns["input_ids"]]
        target = self.target(lengths)
        for name in columns.keys() & self.fill.keys():
            filler = self.fill[name]
            columns[name] = [
                self._padded(list(row), [filler] * (target - length))
                for row, length in zip(columns[name], lengths, strict=True)
            ]

    def _padded(self, row: list[Any], filler: list[Any]) -> list[Any]:
        return row + filler if self.side == "right" else filler + row


def check_side(side: str) -> str:
    """Return a side, or refuse it.

    Raises:
        TokenizerError: It is neither right nor left.
    """
    if side not in SIDES:
        raise TokenizerError(f"{side!r} is no side. Choose 'right' or 'left'.")
    return side
