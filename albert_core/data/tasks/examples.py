"""What a task's files hold, before a tokenizer has seen it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, overload

from albert_core.errors import InputError, listed, shown


@dataclass(frozen=True)
class Example:
    """One text, pair, sentence or question with its label.

    Attributes:
        id: What the file calls it, or its number there.
        texts: A text or a pair; the words of a sentence; the context and the question
            of a multiple choice; the question and the context of an answer.
        label: A class number, a float, or a choice's number; the tag numbers of the
            words; the right answers as (text, first character). None if not known.
        choices: The choices of a multiple choice.
        group: The part of the data it is of, "middle" or "high" in RACE.
    """

    id: str
    texts: tuple[str, ...]
    label: Any = None
    choices: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Examples(Sequence[Example]):
    """The examples of a file, and what their labels are called.

    Attributes:
        items: The examples.
        labels: The names of the classes in order; empty for numbers and answers.
        source: Where they are from, for messages.
        skipped: Rows that were left out, as in the original: short ones of QQP.
    """

    items: list[Example]
    labels: tuple[str, ...] = ()
    source: str = "these examples"
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.items)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> list[Example]: ...
    def __getitem__(self, index: int | slice) -> Example | list[Example]:
        return self.items[index]

    def known(self) -> list[Any]:
        """The label of every example.

        Raises:
            InputError: An example has none, as those of a test set.
        """
        if bare := [item.id for item in self.items if item.label is None]:
            raise InputError(
                f"{len(bare)} of {len(self)} examples of {self.source} have no label: "
                f"{listed(bare)}. Use a file with labels, such as dev."
            )
        return [item.label for item in self.items]


@dataclass
class Labels:
    """Numbers for the names of classes, known before or collected while reading.

    Attributes:
        path: The file that is read.
        fixed: The names in order; None to collect them.
        tags: Whether they are tags of words; then each kind gets both of its tags.
    """

    path: Path
    fixed: Sequence[str] | None
    tags: bool = False
    _first: dict[str, int] = field(default_factory=dict[str, int])

    def see(self, name: str, line: int) -> None:
        """Note a name and where it stands."""
        self._first.setdefault(name, line)

    def settle(self) -> tuple[str, ...]:
        """The names in order: those that were given, or all that were seen, sorted.

        Raises:
            InputError: A name was seen that is not among those given, or given twice.
        """
        if self.fixed is None:
            return tuple(sorted(_both(self._first) if self.tags else self._first))
        fixed = tuple(self.fixed)
        if len({*fixed}) < len(fixed):
            twice = sorted({name for name in fixed if fixed.count(name) > 1})
            raise InputError(f"labels names {listed(twice)} twice. Name each once.")
        unknown = {n: line for n, line in self._first.items() if n not in {*fixed}}
        if unknown:
            found = ", ".join(
                f"{shown(name)} (line {line})"
                for name, line in [*unknown.items()][:100]
            )
            more = f" and {len(unknown) - 100} more" if len(unknown) > 100 else ""
            raise InputError(
                f"{self.path} holds {len(unknown)} unknown labels, each with the line "
                f"where it is first: {found}{more}. The known ones are "
                f"{listed(fixed)}. Correct the file, or name the right columns or "
                f"labels."
            )
        return fixed


def is_tag(name: str) -> bool:
    """Whether a name is "O", or "B-" or "I-" with a kind."""
    return name == "O" or (name[:2] in ("B-", "I-") and len(name) > 2)


def _both(names: Collection[str]) -> set[str]:
    """Tags with "B-" and "I-" for every kind, and "O", if all are such tags.

    The training file of CoNLL 2000 has B-LST alone, and its test file I-LST too; that
    of CoNLL 2003 has almost no B-.
    """
    if not all(map(is_tag, names)):
        return {*names}
    kinds = {name[2:] for name in names if name != "O"}
    return {"O", *(f"{end}-{kind}" for end in "BI" for kind in kinds)}


def collected(
    path: Path,
    items: list[Example],
    lines: Sequence[int],
    labels: Sequence[str] | None,
    skipped: int = 0,
    tags: bool = False,
) -> Examples:
    """Examples with class numbers in place of the names that a file holds.

    Args:
        path: The file.
        items: Their labels are names, tuples of names, or None.
        lines: Where each stands in the file.
        labels: The known names; None to take those of the file.
        skipped: See `Examples`.
        tags: See `Labels`.

    Raises:
        InputError: There are no examples, or one has a label that is not known.
    """
    if not items:
        raise no_examples(path)
    names = Labels(path, labels, tags)
    for item, line in zip(items, lines, strict=True):
        if isinstance(item.label, str):
            names.see(item.label, line)
        elif item.label is not None:
            for place, name in enumerate(item.label):
                names.see(name, line + place)
    known = names.settle()
    numbers = {name: number for number, name in enumerate(known)}
    result = [_numbered(item, numbers) for item in items]
    return Examples(result, known, str(path), skipped)


def _numbered(item: Example, numbers: dict[str, int]) -> Example:
    label = item.label
    if isinstance(label, str):
        label = numbers[label]
    elif label is not None:
        label = [numbers[name] for name in label]
    return Example(item.id, item.texts, label, item.choices, item.group)


def no_examples(path: Path) -> InputError:
    """The error of a file without examples."""
    return InputError(f"{path} holds no examples. Give a file with one at least.")
