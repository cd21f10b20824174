"""The files of GLUE: where each task has its texts and its labels.

Source: google-research/albert `classifier_utils`, which goes by the place of a column;
the names of the header are those of the published files.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_core.data.tasks.columns import Fields, number_of
from albert_core.data.tasks.examples import Example, Examples, collected, no_examples
from albert_core.data.tasks.files import Row, find_split, tab_rows, uneven
from albert_core.errors import InputError, listed, shown

BINARY = ("0", "1")
NLI = ("contradiction", "entailment", "neutral")
ENTAILMENT = ("entailment", "not_entailment")


@dataclass(frozen=True)
class Table:
    """A task of GLUE as its files have it; columns are numbered from 0, -1 is the last.

    Attributes:
        folder: What its folder is called.
        labels: The classes in order; None for numbers.
        texts: The columns of the one or two texts of train and dev.
        label: The column of the label there.
        named: What the header calls it; "" where train and dev have no header.
        test: The columns of the texts of test, which has a header always.
        files: The files of the splits.
        skips: Whether rows that are too short are left out.
    """

    folder: str
    labels: tuple[str, ...] | None
    texts: tuple[int, ...]
    label: int
    named: str
    test: tuple[int, ...]
    files: tuple[str, str, str] = ("train.tsv", "dev.tsv", "test.tsv")
    skips: bool = False


def _mnli(folder: str, kind: str) -> Table:
    files = ("train.tsv", f"dev_{kind}.tsv", f"test_{kind}.tsv")
    return Table(folder, NLI, (8, 9), -1, "gold_label", (8, 9), files)


AX_FILES = ("train.tsv", "diagnostic-full.tsv", "diagnostic.tsv")
TABLES: Mapping[str, Table] = {
    "cola": Table("CoLA", BINARY, (3,), 1, "", (1,)),
    "sst-2": Table("SST-2", BINARY, (0,), 1, "label", (1,)),
    "mrpc": Table("MRPC", BINARY, (3, 4), 0, "Quality", (3, 4)),
    "sts-b": Table("STS-B", None, (7, 8), -1, "score", (7, 8)),
    "qqp": Table("QQP", BINARY, (3, 4), 5, "is_duplicate", (1, 2), skips=True),
    "mnli": _mnli("MNLI", "matched"),
    "mismnli": _mnli("MNLI", "mismatched"),
    "qnli": Table("QNLI", ENTAILMENT, (1, 2), -1, "label", (1, 2)),
    "rte": Table("RTE", ENTAILMENT, (1, 2), -1, "label", (1, 2)),
    "wnli": Table("WNLI", BINARY, (1, 2), -1, "label", (1, 2)),
    # The published file has no labels; the full one, with labels, is the dev split.
    "ax": Table("AX", NLI, (5, 6), 7, "Label", (1, 2), AX_FILES),
}
FIELDS = Fields(("text",), ("text_pair", "label", "id"))


@dataclass(frozen=True)
class GlueFiles:
    """Reads the files of a task of GLUE.

    Attributes:
        table: Where they have what.
    """

    table: Table

    def split_file(self, folder: Path, split: str) -> Path:
        """The path that the file of a split has in the published data."""
        return folder / self.table.files[("train", "dev", "test").index(split)]

    def locate(self, folder: Path, split: str) -> Path:
        """The file of a split that is there."""
        stock = self.split_file(folder, split).name
        names = (self.table.folder, self.table.folder.lower(), "diagnostic")
        return find_split(folder, split, stock, names)

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`."""
        rows = list(tab_rows(path))
        if not rows:
            raise no_examples(path)
        layout = self._layout(path, rows[0], columns)
        items: list[Example] = []
        numbers: list[int] = []
        short: list[tuple[int, int]] = []
        for place, (line, row) in enumerate(rows[layout.header :]):
            if len(row) < layout.width:
                short.append((line, len(row)))
                continue
            items.append(layout.example(row, place))
            numbers.append(line)
        if short and not self.table.skips:
            raise uneven(path, short, f"{layout.width} are needed")
        if self.table.labels is not None:
            known = self.table.labels if labels is None else labels
            return collected(path, items, numbers, known, len(short))
        if not items:
            raise no_examples(path)
        values = [
            item
            if item.label is None
            else Example(item.id, item.texts, number_of(item.label, path, line))
            for item, line in zip(items, numbers, strict=True)
        ]
        return Examples(values, (), str(path), len(short))

    def _layout(
        self, path: Path, first: Row, columns: Mapping[str, str] | None
    ) -> "_Layout":
        """Which columns the file has, told by its header or else by its name."""
        line, header = first
        if columns:
            return self._chosen(path, first, columns)
        table = self.table
        if not table.named:  # train and dev of CoLA
            if header == ["index", "sentence"]:
                return _Layout(table.test, None, 1, max(table.test) + 1)
            return _Layout(table.texts, table.label, 0, 4)
        if table.named in header:
            # The last column of the header is the last of every row; a row that was
            # cut off would have another one there.
            width = len(header) if table.label < 0 else max(*table.texts, table.label)
            width += table.label >= 0
            return _Layout(table.texts, table.label, 1, width)
        if table.named not in header and path.stem.startswith(("test", "diagnostic")):
            return _Layout(table.test, None, 1, max(table.test) + 1)
        raise InputError(
            f"{path}, line {line}, is no header of {table.folder}: it names no column "
            f"{shown(table.named)}, but {listed(header)}. Give the published file, or "
            f"name the columns with columns=."
        )

    def _chosen(self, path: Path, first: Row, columns: Mapping[str, str]) -> "_Layout":
        line, header = first
        chosen = FIELDS.of(header, FIELDS.check(columns), path, line)
        texts = [chosen[name] for name in ("text", "text_pair") if name in chosen]
        places = tuple(header.index(name) for name in texts)
        label = header.index(chosen["label"]) if "label" in chosen else None
        return _Layout(places, label, 1, len(header))


@dataclass(frozen=True)
class _Layout:
    """Where the texts and the label of a file are, and how many columns that takes."""

    texts: tuple[int, ...]
    label: int | None
    header: int
    width: int

    def example(self, row: Sequence[str], number: int) -> Example:
        texts = tuple(row[place] for place in self.texts)
        label: Any = None if self.label is None else row[self.label]
        return Example(str(number), texts, label)
