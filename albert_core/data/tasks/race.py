"""The files of RACE: one for each passage as published, or JSON lines.

Source: google-research/albert `race_utils`, whose files hold a passage on each line;
`{split}/{middle,high}/all.txt` are those, `{split}/{middle,high}/*.txt` the published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from albert_core.data.tasks.examples import Example, Examples, no_examples
from albert_core.data.tasks.files import check_split, find_split, json_rows
from albert_core.errors import InputError, listed, shown

LETTERS = "ABCD"
LEVELS = ("middle", "high")
ALL = "all.txt"


@dataclass(frozen=True)
class RaceFiles:
    """Reads RACE: a file, the folder of a split, or that of one of its levels."""

    def split_file(self, folder: Path, split: str) -> Path:
        """The folder of a split."""
        check_split(split)
        return folder / split

    def locate(self, folder: Path, split: str) -> Path:
        """The folder of a split that is there, or else a file."""
        check_split(split)
        for place in (folder / split, folder / "RACE" / split):
            if place.is_dir():
                return place
        return find_split(folder, split)

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`; labels and columns are those of RACE always."""
        if labels is not None and tuple(labels) != tuple(LETTERS):
            raise InputError(
                f"The labels of RACE are {listed(LETTERS)}, not {listed(labels)}. "
                f"Leave labels out."
            )
        if columns:
            raise InputError(
                f"The files of RACE have no columns, but columns names "
                f"{listed(columns)}. Use the task 'multiple-choice' for other files."
            )
        items: list[Example] = []
        for file in _files(path):
            for line, passage in json_rows(file):
                items += _questions(passage, file, line)
        if not items:
            raise no_examples(path)
        return Examples(items, tuple(LETTERS), str(path))


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    levels = [path / level for level in LEVELS if (path / level).is_dir()] or [path]
    found: list[Path] = []
    for level in levels:
        whole = level / ALL
        # Both hold the same passages where both are there.
        found += [whole] if whole.is_file() else sorted(level.glob("*.txt"), key=_order)
    if not found:
        there = sorted(child.name for child in path.iterdir())
        raise InputError(
            f"{path} holds no *.txt, neither itself nor in {listed(LEVELS)}; it holds "
            f"{listed(there) or 'nothing'}. Give the folder of a split of RACE."
        )
    return found


def _order(path: Path) -> tuple[int, str]:
    """By number: the files are called 1.txt, 2.txt, ..., 10.txt."""
    return (int(path.stem) if path.stem.isdecimal() else -1, path.name)


def _questions(passage: Mapping[str, Any], path: Path, line: int) -> list[Example]:
    where = f"{path}, line {line},"
    names = ("article", "questions", "options")
    if missing := [name for name in names if name not in passage]:
        raise InputError(
            f"{where} has no {listed(missing)}. It has {listed(passage) or 'nothing'}. "
            f"Give a file of RACE."
        )
    article, questions, options = (passage[name] for name in names)
    answers = passage.get("answers")
    texts = [article, *_list(questions)]
    choices = [_list(choice) for choice in _list(options)]
    right = [None] * len(_list(questions)) if answers is None else _list(answers)
    every = [*texts, *(option for choice in choices for option in choice)]
    if not all(isinstance(text, str) for text in every):
        raise InputError(f"{where} holds something else than text. Get the file again.")
    if not len(choices) == len(right) == len(texts) - 1:
        raise InputError(
            f"{where} has {len(texts) - 1} questions, {len(choices)} lists of options "
            f"and {len(right)} answers. Give as many of each."
        )
    if wrong := sorted({len(options) for options in choices} - {len(LETTERS)}):
        raise InputError(
            f"{where} has questions with {listed(wrong)} options; RACE has "
            f"{len(LETTERS)}. Use the task 'multiple-choice' for other numbers."
        )
    if unknown := [answer for answer in right if answer not in (None, *LETTERS)]:
        raise InputError(
            f"{where} has the unknown answers {listed(unknown)}. The known ones are "
            f"{listed(LETTERS)}. Correct them."
        )
    name = str(passage.get("id", f"{path.stem}:{line}"))
    group = next((x for x in LEVELS if path.parent.name == x or name.startswith(x)), "")
    return [
        Example(
            f"{name}-{number}",
            (article, question),
            None if answer is None else LETTERS.index(answer),
            tuple(options),
            group,
        )
        for number, (question, options, answer) in enumerate(
            zip(texts[1:], choices, right, strict=True)
        )
    ]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(
            f"{shown(value)} stands where RACE has a list. Get the file again."
        )
    return cast(list[Any], value)
