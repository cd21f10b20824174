"""Which columns of a record hold what a task needs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from albert_core.errors import InputError, listed, shown


@dataclass(frozen=True)
class Fields:
    """The fields of a task over named columns.

    Attributes:
        needed: Those without which there is no example.
        others: Those that may be missing, as labels are in a test set.
    """

    needed: tuple[str, ...]
    others: tuple[str, ...] = ()

    def check(self, columns: Mapping[str, str] | None) -> Mapping[str, str]:
        """The columns that a user named, by field.

        Raises:
            InputError: There is no such field.
        """
        known = self.needed + self.others
        if unknown := [name for name in columns or {} if name not in known]:
            raise InputError(
                f"columns names {listed(unknown)}, which this task has not. Its fields "
                f"are {listed(known)}: map each to a column of the file."
            )
        return dict(columns or {})

    def of(
        self, names: Iterable[str], columns: Mapping[str, str], path: Path, line: int
    ) -> dict[str, str]:
        """The column of each field that a header or record has.

        Raises:
            InputError: A column is not there that is needed, or that was named.
        """
        there = list(names)
        wanted = {name: columns.get(name, name) for name in self.needed}
        wanted |= {name: columns[name] for name in self.others if name in columns}
        if missing := [name for name in wanted.values() if name not in there]:
            raise InputError(
                f"{path}, line {line}, has no {listed(missing)}. It has "
                f"{listed(there) or 'nothing'}. Map the fields {listed(wanted)} to "
                f"columns of the file."
            )
        optional = {name: name for name in self.others if name in there}
        return {**optional, **wanted}


def text_of(value: Any, name: str, path: Path, line: int) -> str:
    """A value that must be text.

    Raises:
        InputError: It is something else.
    """
    if not isinstance(value, str):
        raise InputError(
            f"{path}, line {line}: {name} must be text, not {shown(value)}. Correct it."
        )
    return value


def texts_of(value: Any, name: str, path: Path, line: int) -> tuple[str, ...]:
    """A value that must be a list of texts; text is split at white space.

    Raises:
        InputError: It is something else.
    """
    if isinstance(value, str):
        return tuple(value.split())
    given: object = value
    items = cast(list[Any], value if isinstance(value, list) else [None])
    if not all(isinstance(item, str) for item in items):
        raise InputError(
            f"{path}, line {line}: {name} must be a list of texts, not {shown(given)}. "
            f"Correct it."
        )
    return tuple(items)


def number_of(value: Any, path: Path, line: int) -> float:
    """A label that must be a finite number.

    Raises:
        InputError: It is something else.
    """
    try:
        number = float(value)
        if isinstance(value, bool) or not abs(number) < float("inf"):
            raise ValueError("no finite number")
    except (TypeError, ValueError) as problem:
        raise InputError(
            f"{path}, line {line}: the label must be a number, not {shown(value)}. "
            f"Correct it, or name the right column."
        ) from problem
    return number


def name_of(value: Any, path: Path, line: int) -> str | None:
    """A label that must be the name of a class; JSON may hold a number for it.

    Raises:
        InputError: It is something else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return None if value is None else text_of(value, "the label", path, line)
