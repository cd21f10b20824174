"""Small files, read with care and written whole or not at all."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from albert_core.errors import AlbertError

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
            names = [name for name, _ in items]
            twice = sorted({name for name in names if names.count(name) > 1})
            raise error(f"{path} holds {', '.join(map(repr, twice))} twice.")
        return result

    def constant(name: str) -> NoReturn:
        raise error(f"{path} holds {name}, which is not JSON. Write a number instead.")

    try:
        if path.stat().st_size > LARGEST_JSON:
            raise error(
                f"{path} has {path.stat().st_size} bytes; at most {LARGEST_JSON} are "
                f"expected. It is not the right file."
            )
        values = json.loads(
            path.read_text("utf-8"), object_pairs_hook=pairs, parse_constant=constant
        )
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as problem:
        raise error(
            f"{path} is not a JSON file: {problem}. Get the file again."
        ) from problem
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}.") from problem
    if not isinstance(values, dict):
        raise error(
            f"{path} holds a JSON {type(values).__name__} where an object is expected."
        )
    return values


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file beside its target, then put it in place in one step.

    Killed or out of space, the old file stays as it was. The mode is what the user's
    umask asks for, which libraries that write through temporary files get wrong.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        write(temporary)
        umask = os.umask(0)
        os.umask(umask)
        temporary.chmod(0o666 & ~umask)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # so that the new name survives a crash too
    finally:
        os.close(folder)


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text, "utf-8"))
