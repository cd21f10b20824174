"""Sentences with a word and its tag on each line, as CoNLL has them.

Sources: the shared tasks of CoNLL 2000 (chunks) and 2003 (names).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from albert_core.data.tasks.columns import Fields
from albert_core.data.tasks.examples import Example, Examples, collected
from albert_core.data.tasks.files import find_split, lines, uneven
from albert_core.errors import InputError, shown

# Not all white space: words hold spaces that do not break.
BETWEEN = re.compile("[ \t]+")
DOCUMENT = "-DOCSTART-"
FIELDS = Fields((), ("word", "tag"))


@dataclass(frozen=True)
class ConllFiles:
    """Reads files of CoNLL.

    Columns may be told by their numbers, from 0, or -1 for the last:
    `columns={"word": "0", "tag": "-1"}` is the default.
    """

    def split_file(self, folder: Path, split: str) -> Path:
        """The path that the file of a split is expected at."""
        return folder / f"{split}.txt"

    def locate(self, folder: Path, split: str) -> Path:
        """The file of a split that is there."""
        return find_split(folder, split, f"{split}.txt")

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`; labels are collected unless they are given."""
        word, tag = _places(FIELDS.check(columns))
        items: list[Example] = []
        begins: list[int] = []
        found: list[tuple[str, str]] = []
        short: list[tuple[int, int]] = []
        width = 0
        for number, line in [*lines(path), (0, "")]:
            cells = BETWEEN.split(line.strip(" \t"))
            if cells == [""] or cells[0] == DOCUMENT:
                if found:
                    words, tags = zip(*found, strict=True)
                    items.append(Example(str(len(items)), words, tags))
                found = []
                continue
            # A line with fewer columns than the first has lost one, perhaps the tag.
            width = width or max(len(cells), _needed(word), _needed(tag), 2)
            if len(cells) < width:
                short.append((number, len(cells)))
                continue
            if not found:
                begins.append(number)
            found.append((cells[word], cells[tag]))
        if short:
            raise uneven(path, short, f"{width} are needed")
        return collected(path, items, begins, labels, tags=True)


def _places(columns: Mapping[str, str]) -> tuple[int, int]:
    places: list[int] = []
    for name, default in (("word", "0"), ("tag", "-1")):
        value = columns.get(name, default)
        try:
            places.append(int(value))
        except ValueError:
            raise InputError(
                f"The column of {name!r} is {shown(value)}, but files of CoNLL have no "
                f"names of columns. Give a number, 0 for the first, -1 for the last."
            ) from None
    return places[0], places[1]


def _needed(place: int) -> int:
    return place + 1 if place >= 0 else -place
