"""What every reader and writer of a checkpoint's files asks first."""

import contextlib
import json
import math
import os
import stat
import struct
from collections import Counter
from collections.abc import Collection, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, cast

from albert_core.errors import CheckpointError, FormatError, listed, shown
from albert_core.lazy import Described

AGAIN = "Get the file again"
MOST_DIMENSIONS = 64  # NumPy's limit
# Of JSON in headers and indices. Parsed, a short text can need far more memory than it
# has bytes, so its braces, brackets and commas are counted first.
LARGEST_JSON = 2**24  # bytes
MOST_MARKS = 2**19  # enough for 50 000 arrays


def first_bytes(
    path: Path, *, may_be_empty: bool = False
) -> tuple[bytes, tuple[int, int]]:
    """The first 64 bytes of a file, and its state as `Stored` compares it later.

    Raises:
        FormatError: It is no regular file, empty, or a pointer of Git LFS.
    """
    # Opening a pipe would wait for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        raise FormatError(
            "NOT_A_CHECKPOINT", path, "it is not a regular file", "Give a file."
        )
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        start = file.read(64)
    if not start and not may_be_empty:
        raise FormatError("EMPTY", path, "it has no bytes", f"{AGAIN}.")
    if start.startswith(b"version https://git-lfs"):
        raise FormatError(
            "LFS_POINTER",
            path,
            "it is a Git LFS pointer to the weights",
            "Run 'git lfs pull'.",
        )
    return start, (found.st_size, found.st_mtime_ns)


def not_a(kind: str, path: Path, start: bytes) -> FormatError:
    """The error of a file that begins otherwise than it should."""
    guess = {b"<": ", as web pages do", b"{": ", as JSON does"}.get(start[:1], "")
    return FormatError(
        "NOT_A_CHECKPOINT",
        path,
        f"it is no {kind}: it begins with {start[:24]!r}{guess}",
        f"{AGAIN}.",
    )


@contextlib.contextmanager
def refusing(path: Path) -> Generator[None]:
    """Turn whatever damaged bytes make Python raise into a `FormatError`."""
    try:
        yield
    except (CheckpointError, OSError):
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        MemoryError,
        RecursionError,
        TypeError,
        ValueError,
        struct.error,
    ) as problem:
        kind = "" if type(problem) is ValueError else f"{type(problem).__name__} "
        text = str(problem)[:300]
        text = text if text.isprintable() else shown(text)
        what = f"it is damaged: {kind}{text}"
        raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.") from problem


def check_shape(path: Path, name: str, shape: Sequence[object]) -> tuple[int, ...]:
    """A shape that a file claims, if it can be one.

    Raises:
        FormatError: It has too many dimensions, or one that is negative, too large or
            no whole number.
    """
    fits = len(shape) <= MOST_DIMENSIONS and all(
        type(n) is int and 0 <= n < 2**63 for n in shape
    )
    whole = cast(tuple[int, ...], tuple(shape))
    # NumPy counts the bytes of a shape as if it had no zeros.
    if not fits or math.prod(n for n in whole if n) >= 2**58:
        raise FormatError(
            "BAD_SHAPE",
            path,
            f"{shown(name)} has the shape {shown(list(shape))}",
            f"{AGAIN}.",
        )
    return whole


def check_dtypes(
    arrays: Mapping[str, Described], path: Path, dtypes: Collection[str]
) -> None:
    """Refuse to write arrays of a number type that the format does not have.

    Raises:
        FormatError: An array has another type than the named ones.
    """
    kinds = {name: array.dtype.name for name, array in arrays.items()}
    wrong = [
        f"{shown(name)} {kind}" for name, kind in kinds.items() if kind not in dtypes
    ]
    if wrong:
        raise FormatError(
            "BAD_DTYPE",
            path,
            f"the format has no number type for {', '.join(wrong)}",
            f"Convert them to one of {', '.join(sorted(dtypes))}.",
        )


def check_names(
    names: Iterable[str], path: Path, *, may_be_empty: bool = False
) -> None:
    """Refuse names that are no text, as some files have them.

    Raises:
        FormatError: A name has half of a surrogate pair, or is empty.
    """
    for name in names:
        try:
            fits = bool(name.encode()) or may_be_empty
        except UnicodeEncodeError:
            fits = False
        if not fits:
            raise FormatError(
                "UNSUPPORTED",
                path,
                f"an array cannot have the name {shown(name)}",
                "Give it another name.",
            )


def parse_json(text: bytes, path: Path, code: str, begin: int = 0) -> object:
    """Read JSON, strictly: no name twice, no NaN, nothing that needs much memory.

    Args:
        text: The bytes.
        path: The file they are of.
        code: What the error is called if they are no JSON.
        begin: Where in the file they begin.

    Raises:
        FormatError: They are damaged or hostile; the message tells where.
    """
    marks = sum(map(text.count, (b"{", b"[", b",")))
    if len(text) > LARGEST_JSON or marks > MOST_MARKS:
        raise FormatError(
            "TOO_LARGE",
            path,
            f"its JSON has {len(text)} bytes and {marks} braces, brackets and commas; "
            f"that of a model has at most {LARGEST_JSON} and {MOST_MARKS}",
            f"{AGAIN}.",
        )

    def once(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            counts = Counter(name for name, _ in items)
            twice = [name for name, count in counts.items() if count > 1]
            what = f"it names {listed(twice)} twice"
            raise FormatError("DUPLICATE", path, what, f"{AGAIN}.")
        return result

    def constant(name: str) -> NoReturn:
        raise ValueError(f"there is {name}")

    try:
        return json.loads(
            text.decode(), object_pairs_hook=once, parse_constant=constant
        )
    except UnicodeDecodeError as problem:
        what = f"byte {begin + problem.start} is not UTF-8"
    except json.JSONDecodeError as problem:
        place = begin + len(problem.doc[: problem.pos].encode())
        what = f"it is no JSON at byte {place}: {problem.msg}"
    except RecursionError:
        what = "it has lists or objects too deep within each other"
    except FormatError:
        raise
    except ValueError as problem:  # a number of thousands of digits is one
        what = f"it is no JSON: {problem}"
    raise FormatError(code, path, what, f"{AGAIN}.")
