"""What every text of a pipeline is held to."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from albert_core.errors import InputError, shown


def check_text(text: Any, what: str = "The text") -> str:
    """A text that a tokenizer can make something of.

    Raises:
        InputError: It is no string, is empty, or holds what is no character.
    """
    if not isinstance(text, str):
        raise InputError(f"{what} must be a string, not {shown(text)}.")
    if not text.strip():
        raise InputError(f"{what} is empty. Leave it out, or put words in.")
    if (place := text.find("\0")) >= 0:
        raise InputError(
            f"{what} holds a NUL character at position {place}. Remove it; the input "
            f"may not be a text."
        )
    try:
        text.encode()
    except UnicodeEncodeError as problem:
        raise InputError(
            f"{what} holds half a surrogate pair, {text[problem.start]!r}, at position "
            f"{problem.start}. Decode it again as UTF-8 or UTF-16."
        ) from None
    return text


def check_vocabulary(tokenizer: Any, size: int) -> None:
    """Refuse a tokenizer with ids that the model has no row for.

    Raises:
        InputError: As said, with both numbers.
    """
    highest = max(tokenizer.get_vocab().values(), default=-1)
    if highest >= size:
        raise InputError(
            f"The tokenizer has ids up to {highest}, but the model's vocabulary has "
            f"{size} entries, 0 to {size - 1}. Give the tokenizer of this model."
        )


def lines_of(path: Path) -> Iterator[str]:
    """The lines of a file, each when it is asked for."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")
