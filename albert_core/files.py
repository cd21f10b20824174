"""Small files, read with care and written whole or not at all."""

import json
import os
import secrets
from collections import Counter
from pathlib import Path
from typing import Any, NoReturn, cast

from albert_core.errors import AlbertError, shown

LARGEST_JSON = 64 * 2**20  # bytes; real configurations and indices are far smaller


def read_json(path: Path, error: type[AlbertError]) -> dict[str, Any]:
    """Read a JSON object; duplicate keys, NaN and other roots are errors.

    Args:
        path: The file.
        error: The error class to raise.
    """

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(items)
        if len(result) != len(items):
            counts = Counter(name for name, _ in items)
            twice = sorted(name for name, count in counts.items() if count > 1)
            found = ", ".join(map(shown, twice))
            raise error(f"{path} holds {found} twice. Leave the right one.")
        return result

    def constant(name: str) -> NoReturn:
        raise error(f"{path} holds {name}, which is not JSON. Write a number instead.")

    try:
        size = path.stat().st_size
        if not path.is_file():
            raise error(f"{path} is not a regular file. Get the file again.")
        if size > LARGEST_JSON:
            raise error(
                f"{path} has {size} bytes; at most {LARGEST_JSON} are expected. It is "
                f"not the right file."
            )
        values = json.loads(
            path.read_text("utf-8"), object_pairs_hook=pairs, parse_constant=constant
        )
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}.") from problem
    except error:
        raise
    except (ValueError, RecursionError) as problem:
        raise error(
            f"{path} is not a JSON file: {problem}. Get the file again."
        ) from problem
    if not isinstance(values, dict):
        raise error(
            f"{path} holds a JSON {type(values).__name__} where an object is expected. "
            f"Get the file again."
        )
    return cast(dict[str, Any], values)


def write_text(path: Path, text: str) -> None:
    """Write a text file beside its target, then put it in place in one step.

    Killed or out of space, the old file stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, "utf-8")
        sync(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    sync(path.parent)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, would survive a crash."""
    if path.is_dir() and os.name == "nt":
        return  # Windows opens no directories
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
