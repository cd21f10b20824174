"""The general tasks: any jsonl, csv or tsv file with named columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_core.data.tasks.answers import check_ids, right_answers
from albert_core.data.tasks.columns import (
    Fields,
    name_of,
    number_of,
    text_of,
    texts_of,
)
from albert_core.data.tasks.conll import ConllFiles
from albert_core.data.tasks.examples import Example, Examples, collected, no_examples
from albert_core.data.tasks.files import find_split, records
from albert_core.errors import InputError, listed, shown

Record = Mapping[str, Any]

FIELDS: Mapping[str, Fields] = {
    "text-classification": Fields(("text",), ("text_pair", "label", "id")),
    "regression": Fields(("text",), ("text_pair", "label", "id")),
    "token-classification": Fields(("words",), ("tags", "id")),
    "multiple-choice": Fields(("context",), ("question", "choices", "label", "id")),
    "question-answering": Fields(
        ("question", "context"), ("answers", "answer", "answer_start", "id")
    ),
}
LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
CONLL = (".conll", ".bio", ".iob")


@dataclass(frozen=True)
class TableFiles:
    """Reads the files of a general task.

    Attributes:
        task: A key of `FIELDS`.
    """

    task: str

    def split_file(self, folder: Path, split: str) -> Path:
        """The path that the file of a split is expected at."""
        return folder / f"{split}.jsonl"

    def locate(self, folder: Path, split: str) -> Path:
        """The file of a split that is there."""
        return find_split(folder, split)

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`."""
        if self.task == "token-classification" and path.suffix in CONLL:
            return ConllFiles().read(path, labels, columns)
        fields = FIELDS[self.task]
        chosen = fields.check(columns)
        items: list[Example] = []
        lines: list[int] = []
        for line, record in records(path):
            names = fields.of(record, chosen, path, line)
            values = {field: record[name] for field, name in names.items()}
            if self.task == "multiple-choice" and "choices" not in values:
                values["choices"] = _numbered_choices(record, path, line)
            where = _Where(path, line, str(len(items)))
            items.append(MAKERS[self.task](values, where))
            lines.append(line)
        if not items:
            raise no_examples(path)
        if self.task in ("text-classification", "token-classification"):
            tags = self.task == "token-classification"
            return collected(path, items, lines, labels, tags=tags)
        if self.task == "question-answering":
            check_ids(path, [item.id for item in items])
        return Examples(items, (), str(path))


@dataclass(frozen=True)
class _Where:
    path: Path
    line: int
    number: str

    def id_of(self, values: Record) -> str:
        return str(values.get("id", self.number))

    def text(self, values: Record, name: str) -> str:
        return text_of(values[name], name, self.path, self.line)


def _pair(values: Record, where: _Where) -> tuple[str, ...]:
    names = ("text", "text_pair") if values.get("text_pair") is not None else ("text",)
    return tuple(where.text(values, name) for name in names)


def _classified(values: Record, where: _Where) -> Example:
    label = name_of(values.get("label"), where.path, where.line)
    return Example(where.id_of(values), _pair(values, where), label)


def _measured(values: Record, where: _Where) -> Example:
    label = values.get("label")
    if label is not None:
        label = number_of(label, where.path, where.line)
    return Example(where.id_of(values), _pair(values, where), label)


def _tagged(values: Record, where: _Where) -> Example:
    words = texts_of(values["words"], "words", where.path, where.line)
    tags = None
    if values.get("tags") is not None:
        tags = texts_of(values["tags"], "tags", where.path, where.line)
        if len(tags) != len(words):
            raise InputError(
                f"{where.path}, line {where.line}, has {len(words)} words but "
                f"{len(tags)} tags. Give each word one."
            )
    return Example(where.id_of(values), words, tags)


def _chosen(values: Record, where: _Where) -> Example:
    choices = values["choices"]
    if not isinstance(choices, list):
        raise InputError(
            f"{where.path}, line {where.line}: choices must be a list of texts, not "
            f"{shown(choices)}. Correct it."
        )
    choices = texts_of(choices, "choices", where.path, where.line)
    if len(choices) < 2:
        raise InputError(
            f"{where.path}, line {where.line}, has {len(choices)} choices. Give two or "
            f"more."
        )
    question = where.text(values, "question") if values.get("question") else ""
    texts = (where.text(values, "context"), question)
    label = values.get("label")
    if label is not None:
        label = place_of(label, len(choices), where.path, where.line)
    return Example(where.id_of(values), texts, label, choices)


def place_of(label: Any, count: int, path: Path, line: int) -> int:
    """The number of the right choice, which a file may write as a letter.

    Raises:
        InputError: There is no such choice.
    """
    names = [str(label), LETTERS.find(str(label)) if len(str(label)) == 1 else -1]
    for name in names:
        if str(name) in map(str, range(count)):
            return int(name)
    raise InputError(
        f"{path}, line {line}, has the label {shown(label)}, but {count} choices. Use "
        f"0 to {count - 1}, or {LETTERS[0]} to {LETTERS[min(count, 26) - 1]}."
    )


def _numbered_choices(record: Record, path: Path, line: int) -> list[Any]:
    """The columns choice0, choice1 and so on of a file without lists."""
    names = sorted(
        (name for name in record if name.removeprefix("choice").isdecimal()),
        key=lambda name: int(name.removeprefix("choice")),
    )
    if not names:
        raise InputError(
            f"{path}, line {line}, has neither 'choices' nor 'choice0', 'choice1', "
            f"...: it has {listed(record)}. Map the field 'choices' to a column."
        )
    return [record[name] for name in names]


def _asked(values: Record, where: _Where) -> Example:
    texts = (where.text(values, "question"), where.text(values, "context"))
    name = where.id_of(values)
    answers = values.get("answers")
    if answers is None and values.get("answer") is not None:
        answers = [{"text": values["answer"], "answer_start": values["answer_start"]}]
        if not values["answer"]:
            answers = []  # how a csv file says that there is none
    label = None
    if answers is not None:
        label = right_answers(answers, texts[1], name, where.path)
    return Example(name, texts, label)


MAKERS = {
    "text-classification": _classified,
    "regression": _measured,
    "token-classification": _tagged,
    "multiple-choice": _chosen,
    "question-answering": _asked,
}
