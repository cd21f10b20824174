"""Making inputs shorter: which tokens stay, and which windows overflow."""

from collections.abc import Iterator

from albert_core.errors import TokenizerError

STRATEGIES = ("longest_first", "only_first", "only_second", "do_not_truncate")


def remaining(first: int, second: int, room: int, strategy: str) -> tuple[int, int]:
    """How many tokens of a text, or of both of a pair, stay.

    Args:
        first: The length of the first text.
        second: The length of the second; 0 for none.
        room: How many tokens both may have.
        strategy: "longest_first" takes tokens from the longer text, and from the second
            where both are as long; the others from one text only.

    Raises:
        TokenizerError: The text to cut is too short for that.
    """
    excess = first + second - room
    if excess <= 0 or strategy == "do_not_truncate":
        return first, second
    if strategy == "longest_first":
        level = min(excess, abs(first - second))
        if first > second:
            first -= level
        else:
            second -= level
        rest = excess - level
        return max(first - rest // 2, 0), max(second - (rest - rest // 2), 0)
    cut, which = (first, "first") if strategy == "only_first" else (second, "second")
    if cut <= excess:
        raise TokenizerError(
            f"{excess} tokens must go, and the {which} text has {cut}, so that "
            f"truncation={strategy!r} would leave nothing of it. Use another strategy, "
            f"such as 'longest_first', or a larger max_length."
        )
    if strategy == "only_first":
        return first - excess, second
    return first, second - excess


def windows(length: int, size: int, stride: int, side: str) -> Iterator[slice]:
    """Overlapping windows that cover a text; the first is what truncation leaves.

    Args:
        length: The number of tokens.
        size: The number of tokens a window has.
        stride: How many tokens two neighbours share.
        side: Where tokens are cut off, "right" or "left".

    Raises:
        TokenizerError: The overlap is not smaller than the window.
    """
    if length <= size:
        yield slice(0, length)
        return
    if stride >= size:
        raise TokenizerError(
            f"stride={stride} is not below the {size} tokens that a window has, so "
            f"that windows would not move on. Use a smaller stride or a larger "
            f"max_length."
        )
    for start in range(0, length, size - stride):
        end = min(start + size, length)
        if side == "right":
            yield slice(start, end)
        else:
            yield slice(length - end, length - start)
        if end == length:
            return
