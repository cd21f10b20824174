"""The errors a user can meet: each says what is wrong, what was found, what to do."""

from collections.abc import Collection
from itertools import islice
from pathlib import Path

MOST_SHOWN = 100  # names in one message; no real checkpoint of ours has more


class AlbertError(ValueError):
    """Something the user gave cannot be used; the message names it and the remedy."""


class ConfigError(AlbertError):
    """A configuration field, or a combination of fields, is not valid."""


class CheckpointError(AlbertError):
    """A checkpoint is missing, damaged, incomplete or of another model."""


class FormatError(CheckpointError):
    """A file is damaged, hostile, or of another kind than it should be.

    Attributes:
        code: One word in capitals that says which, for scripts to tell apart.

    Args:
        code: The word.
        path: The file.
        what: What is wrong, and where.
        remedy: One thing to do about it.
    """

    def __init__(self, code: str, path: str | Path, what: str, remedy: str) -> None:
        super().__init__(f"{code} {path}: {what}. {remedy}")
        self.code = code


class InputError(AlbertError):
    """The arguments of a model call do not fit the model."""


class TrainingError(AlbertError):
    """A run of training cannot go on, or a folder is that of another run."""


class TokenizerError(AlbertError):
    """A tokenizer's files or arguments, or a text, cannot be used."""


class MissingPackageError(ImportError):
    """An optional package is not installed; the message names the extra to install."""


def shown(value: object) -> str:
    """A value as a message shows it: on one line, harmless to a terminal, and short."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def listed(names: Collection[object]) -> str:
    """Names as a message shows them: each of a hundred, and how many more there are."""
    first = ", ".join(shown(name) for name in islice(names, MOST_SHOWN))
    more = len(names) - MOST_SHOWN
    return f"{first} and {more} more" if more > 0 else first
