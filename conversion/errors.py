"""The error of a file that cannot be read, with a code that scripts can tell apart."""

from pathlib import Path

from albert_core.errors import CheckpointError


class FormatError(CheckpointError):
    """A file is damaged, hostile, or of another kind than it should be.

    Attributes:
        code: One word in capitals that says which.

    Args:
        code: The word.
        path: The file.
        what: What is wrong, and where.
        remedy: One thing to do about it.
    """

    def __init__(self, code: str, path: str | Path, what: str, remedy: str) -> None:
        super().__init__(f"{code} {path}: {what}. {remedy}")
        self.code = code
