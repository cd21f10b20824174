"""Lines of text, JSON records and rows of CSV as inputs of a pipeline.

What cannot be used becomes an error in its place, so that a run can go on.
"""

import csv
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from albert_core.errors import InputError, shown
from albert_zoo.pipelines.base import Pipeline

Numbered = Iterator[tuple[int, Any]]

CHOICES = "choices"  # the one field that is a list


def read(
    kind: str, file: BinaryIO, task: type[Pipeline], columns: Sequence[str] = ()
) -> Numbered:
    """Read inputs, or errors in their place, each with the number of its line.

    Args:
        kind: "text", "jsonl" or "csv".
        file: Where from; it is read as UTF-8, a little at a time.
        task: The pipeline that they are for.
        columns: Where its fields are found in a record, in their order; by default
            under their own names. Of multiple choice, what is more than two is further
            choices.

    Raises:
        InputError: A column that is not in the header of a csv file.
    """
    return READERS[kind](file, task, columns)


def _text(file: BinaryIO, task: type[Pipeline], _: Sequence[str]) -> Numbered:
    """A line is a text; where more is needed, tabs are between the fields."""
    for number, line in _lines(file):
        if isinstance(line, InputError) or task.required == 1:
            yield number, line
        else:
            yield number, _item(task, line.split("\t"), "tabs between")


def _jsonl(file: BinaryIO, task: type[Pipeline], columns: Sequence[str]) -> Numbered:
    for number, line in _lines(file):
        try:
            yield number, line if isinstance(line, InputError) else json.loads(line)
        except (ValueError, RecursionError) as problem:
            yield number, InputError(f"This is no JSON record: {problem}.")


def _records(file: BinaryIO, task: type[Pipeline], columns: Sequence[str]) -> Numbered:
    """A line is a JSON string or a JSON object."""
    for number, record in _jsonl(file, task, columns):
        if not isinstance(record, Mapping):
            yield number, record
            continue
        names = columns or [
            name
            for place, name in enumerate(task.fields)
            if place < task.required or name in record
        ]
        if missing := [name for name in names if name not in record]:
            yield number, InputError(_lacks("The record", missing, record))
            continue
        values = [record[name] for name in names]
        if CHOICES in task.fields and len(values) == 2 and isinstance(values[1], list):
            values = [values[0], *values[1]]
        yield number, _item(task, values, "keys for")


def _csv(file: BinaryIO, task: type[Pipeline], columns: Sequence[str]) -> Numbered:
    csv.field_size_limit(sys.maxsize)
    # Bytes that are no UTF-8 become surrogates, found below.
    rows = csv.reader(line.decode(errors="surrogateescape") for line in _unmarked(file))
    header = next(rows, [])
    names = columns or _named(task, header)
    if missing := [name for name in names if name not in header]:
        raise InputError(_lacks("The csv file", missing, header))
    return _rows(rows, header, [header.index(name) for name in names], task)


def _named(task: type[Pipeline], header: Sequence[str]) -> list[str]:
    """The columns that bear the names of the fields."""
    names = [
        name
        for place, name in enumerate(task.fields)
        if place < task.required or name in header
    ]
    if CHOICES in names and CHOICES not in header:
        choices = [name for name in header if name.startswith("choice")]
        names = names[:1] + (choices or ["choice"])
    return names


def _rows(
    rows: Any, header: Sequence[str], places: Sequence[int], task: type[Pipeline]
) -> Numbered:
    number = rows.line_num + 1
    while True:
        try:
            row = next(rows)
            if len(row) == len(header):
                values = [row[place] for place in places]
                "".join(values).encode()
                yield number, _item(task, values, "columns for")
            elif row:
                yield (
                    number,
                    InputError(
                        f"The row has {len(row)} cells, the header has {len(header)}."
                    ),
                )
        except StopIteration:
            return
        except UnicodeEncodeError:
            yield number, InputError("The row is not UTF-8. Convert the file.")
        except csv.Error as problem:
            yield number, InputError(f"This is no row of a csv file: {problem}.")
        number = rows.line_num + 1


def _lines(file: BinaryIO) -> Iterator[tuple[int, Any]]:
    for number, line in enumerate(_unmarked(file), 1):
        try:
            yield number, line.decode().rstrip("\r\n")
        except UnicodeDecodeError as problem:
            yield (
                number,
                InputError(
                    f"The line is not UTF-8: byte {line[problem.start]:#x} at position "
                    f"{problem.start}. Convert the file."
                ),
            )


def _unmarked(file: BinaryIO) -> Iterator[bytes]:
    """The lines of a file, without the mark that some programs begin UTF-8 with."""
    for number, line in enumerate(file):
        yield line if number else line.removeprefix(b"\xef\xbb\xbf")


def _item(task: type[Pipeline], values: list[Any], how: str) -> Any:
    """Values in the order of the fields as an input of the pipeline."""
    if len(values) < task.required or (
        len(values) > len(task.fields) and CHOICES not in task.fields
    ):
        return InputError(
            f"{task.task} needs {' and '.join(task.fields[: task.required])}, with "
            f"{how} them, but {len(values)} {'was' if len(values) == 1 else 'were'} "
            f"found."
        )
    if CHOICES in task.fields:
        values = [values[0], values[1:]]
    if len(values) == 1:
        return values[0]
    return dict(zip(task.fields, values, strict=False))


def _lacks(what: str, missing: Sequence[str], there: Any) -> str:
    return (
        f"{what} has no {', '.join(map(shown, missing))}. It has "
        f"{', '.join(map(shown, there)) or 'nothing'}. Name another with --column."
    )


Reader = Callable[[BinaryIO, type[Pipeline], Sequence[str]], Numbered]
READERS: Mapping[str, Reader] = {
    "text": _text,
    "jsonl": _records,
    "csv": _csv,
}
