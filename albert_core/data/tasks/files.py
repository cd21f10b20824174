"""Files of tasks: their lines, their rows and their places, read with care."""

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from albert_core.errors import InputError, listed, shown

LONGEST_LINE = 16 * 2**20  # bytes; no line of a real task is nearly as long
SPLITS = ("train", "dev", "test")
# What people call the splits, the best known first.
STEMS: Mapping[str, tuple[str, ...]] = {
    "train": ("train", "eng.train", "training"),
    "dev": ("dev", "valid", "validation", "eng.testa", "testa"),
    "test": ("test", "eng.testb", "testb"),
}
SUFFIXES = (".tsv", ".txt", ".jsonl", ".json", ".csv", "")

# The number of a line and its fields; a row of a file with a header has names.
Row = tuple[int, list[str]]
Record = tuple[int, Mapping[str, Any]]


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file with their numbers, which begin at 1.

    Raises:
        InputError: It cannot be read, is empty, is not UTF-8, or a line is gigantic.
    """
    number = 0
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path} is no file. Give one of its files.")
        with path.open("rb") as file:
            while line := file.readline(LONGEST_LINE + 1):
                number += 1
                if len(line) > LONGEST_LINE:
                    raise InputError(
                        f"{path}, line {number}, has more than {LONGEST_LINE} bytes. "
                        f"Check that it is the right file, and has line ends."
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                yield number, line.decode().rstrip("\r\n")
    except OSError as problem:
        raise InputError(
            f"{path} cannot be read: {problem.strerror}. Give a file that is there."
        ) from problem
    except UnicodeDecodeError as problem:
        raise InputError(
            f"{path}, line {number}, is not UTF-8: byte "
            f"{problem.object[problem.start]:#x} at position {problem.start}. Convert "
            f"the file to UTF-8."
        ) from problem
    if not number:
        raise InputError(f"{path} is empty. Get the file again.")


def tab_rows(path: Path) -> Iterator[Row]:
    """The rows of a tsv file of GLUE: quotation marks are text, as in the original."""
    for number, line in lines(path):
        if line.strip():
            yield number, line.split("\t")


def comma_rows(path: Path) -> Iterator[Row]:
    """The rows of a csv file, with the line where each ends."""
    csv.field_size_limit(LONGEST_LINE)
    rows = csv.reader((f"{line}\n" for _, line in lines(path)), strict=True)
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as problem:
            raise InputError(
                f"{path}, line {rows.line_num}, is no row of a csv file: {problem}. "
                f"Check the quotation marks there."
            ) from problem
        if row:
            yield rows.line_num, row


def json_rows(path: Path) -> Iterator[Record]:
    """The objects of a file with one on each line."""
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as problem:
            raise InputError(
                f"{path}, line {number}, is no JSON: {problem}. Put one JSON object on "
                f"each line."
            ) from problem
        if not isinstance(record, dict):
            raise InputError(
                f"{path}, line {number}, is {shown(record)}. Put one JSON object on "
                f"each line."
            )
        yield number, cast(dict[str, Any], record)


def records(path: Path) -> Iterator[Record]:
    """The rows of a jsonl, csv or tsv file, by the names of its columns.

    Raises:
        InputError: The file has another suffix, or a row has too few columns.
    """
    if path.suffix in (".jsonl", ".json", ".ndjson"):
        yield from json_rows(path)
        return
    kinds = {".csv": comma_rows, ".tsv": tab_rows, ".txt": tab_rows}
    if path.suffix not in kinds:
        raise InputError(
            f"{path} ends in {shown(path.suffix)}. Give a file that ends in .jsonl, "
            f".json, .csv, .tsv or .txt."
        )
    rows = kinds[path.suffix](path)
    _, header = next(rows, (0, list[str]()))
    if len({*header}) < len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise InputError(f"{path} has {listed(twice)} twice in its header. Rename one.")
    short: list[tuple[int, int]] = []
    for number, row in rows:
        if len(row) != len(header):
            short.append((number, len(row)))
        elif not short:
            yield number, dict(zip(header, row, strict=True))
    if short:
        raise uneven(path, short, f"the header has {len(header)}")


def uneven(path: Path, found: Sequence[tuple[int, int]], wanted: str) -> InputError:
    """The error of rows with the wrong number of columns.

    Args:
        path: The file.
        found: Their lines, and how many columns each has.
        wanted: How many there should be, as a clause.
    """
    number, count = found[0]
    return InputError(
        f"{path}: {len(found)} rows have a wrong number of columns: {wanted}, and line "
        f"{number} has {count}. The lines are {listed([line for line, _ in found])}. "
        f"Correct or remove them."
    )


def check_split(split: str) -> None:
    """Refuse a split that is none.

    Raises:
        InputError: As said.
    """
    if split not in SPLITS:
        raise InputError(f"{shown(split)} is no split. Name one of {listed(SPLITS)}.")


def candidates(
    folder: Path, split: str, stock: str, sub_folders: Sequence[str]
) -> list[Path]:
    """Where the file of a split may be, the likeliest first.

    Args:
        folder: The folder of the data.
        split: One of `SPLITS`.
        stock: The file's own name, "" for none.
        sub_folders: What its folder is called inside a folder of several tasks.
    """
    names = [stock] if stock else []
    names += [stem + suffix for stem in STEMS[split] for suffix in SUFFIXES]
    folders = [folder, *(folder / name for name in sub_folders)]
    return [place / name for place in folders for name in dict.fromkeys(names)]


def find_split(
    folder: Path, split: str, stock: str = "", sub_folders: Sequence[str] = ()
) -> Path:
    """The file of a split.

    Raises:
        InputError: There is no such split, no such folder, or no such file in it.
    """
    check_split(split)
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder. Give the one that holds the data.")
    for path in candidates(folder, split, stock, sub_folders):
        # A bare "train" is a file here; the folders of RACE are its own matter.
        if path.is_file():
            return path
    wanted = stock or f"{STEMS[split][0]}.tsv"
    there = sorted(path.name for path in folder.iterdir())
    raise InputError(
        f"{folder} holds no file of the split {shown(split)}, such as {shown(wanted)}; "
        f"it holds {listed(there) or 'nothing'}. Name the file itself."
    )
