"""The files of SQuAD, 1.1 and 2.0."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from albert_core.data.tasks.answers import (
    check_ids,
    check_places,
    read_answers,
    stripped,
)
from albert_core.data.tasks.examples import Example, Examples, no_examples
from albert_core.data.tasks.files import check_split, find_split
from albert_core.errors import InputError, listed, shown
from albert_core.files import read_json


@dataclass(frozen=True)
class SquadFiles:
    """Reads a file of SQuAD.

    Attributes:
        version: "1.1" or "2.0"; only the second has questions without an answer.
    """

    version: str

    def split_file(self, folder: Path, split: str) -> Path:
        """The path that the file of a split has in the published data."""
        return folder / f"{split}-v{self.version}.json"

    def locate(self, folder: Path, split: str) -> Path:
        """The file of a split that is there."""
        check_split(split)
        return find_split(folder, split, self.split_file(folder, split).name)

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`; there are no labels and no columns."""
        if labels or columns:
            raise InputError(
                f"Files of SQuAD have neither labels nor columns, but these were "
                f"given: {listed([*(labels or ()), *(columns or ())])}. Use the task "
                f"'question-answering' for other files."
            )
        if not path.is_file():
            raise InputError(f"{path} is no file. Give a file of SQuAD.")
        if not path.stat().st_size:
            raise InputError(f"{path} is empty. Get the file again.")
        values = read_json(path, InputError)
        items = [_question(*found, path) for found in _questions(values, path)]
        if not items:
            raise no_examples(path)
        check_ids(path, [item.id for item in items])
        check_places(path, items)
        bare = [item.id for item in items if item.label == ()]
        if bare and self.version == "1.1":
            raise InputError(
                f"{path}: {len(bare)} questions have no answer: {listed(bare)}. Use "
                f"the task 'squad2'."
            )
        items = [
            item
            if item.label is None
            else Example(item.id, item.texts, tuple(map(stripped, item.label)))
            for item in items
        ]
        return Examples(items, (), str(path))


def _questions(
    values: Mapping[str, Any], path: Path
) -> Iterator[tuple[Mapping[str, Any], str, str]]:
    """Every question with its context and its place."""
    for i, article in enumerate(_part(values, "data", list, "the file", path)):
        where = f"article {i}"
        for j, part in enumerate(_part(article, "paragraphs", list, where, path)):
            where = f"paragraph {j} of article {i}"
            context = _part(part, "context", str, where, path)
            for k, question in enumerate(_part(part, "qas", list, where, path)):
                yield question, context, f"question {k} of {where}"


def _question(record: Mapping[str, Any], context: str, where: str, path: Path) -> Any:
    name = _part(record, "id", str, where, path)
    question = _part(record, "question", str, where, path)
    label = None
    if record.get("is_impossible"):
        label = ()  # the plausible answers are no answers
    elif "answers" in record:
        label = read_answers(record["answers"], name, path)
    return Example(name, (question, context), label)


def _part(values: Any, name: str, kind: type[Any], where: str, path: Path) -> Any:
    record = cast(dict[str, Any], values if isinstance(values, dict) else {})
    value = record.get(name)
    if not isinstance(value, kind):
        wanted = {list: "a list", str: "text"}[kind]
        raise InputError(
            f"{path}: {where} has {shown(value)} for {name!r}, where SQuAD has "
            f"{wanted}. Get the file again."
        )
    return value
