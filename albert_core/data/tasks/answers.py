"""The right answers to a question, and whether they stand where a file says."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from albert_core.data.tasks.examples import Example
from albert_core.errors import InputError, listed, shown

# The text of an answer and its first character in the context.
Answer = tuple[str, int]


def right_answers(
    answers: Any, context: str, name: str, path: Path
) -> tuple[Answer, ...]:
    """The answers of a record, without white space around them.

    Args:
        answers: [{"text": ..., "answer_start": ...}, ...], or as Hugging Face's data
            sets have them {"text": [...], "answer_start": [...]}.
        context: What they are a part of.
        name: The id of the question.
        path: The file.

    Raises:
        InputError: They are something else, or an answer stands elsewhere.
    """
    found = read_answers(answers, name, path)
    check_places(path, [Example(name, ("", context), found)])
    return tuple(map(stripped, found))


def read_answers(answers: Any, name: str, path: Path) -> tuple[Answer, ...]:
    """The answers of a record as they are written."""
    given: object = answers
    pairs: list[tuple[Any, Any]] = []
    columns = ("text", "answer_start")
    if isinstance(answers, Mapping):
        both: list[Any] = [cast(Any, answers).get(column) for column in columns]
        if all(isinstance(x, list) for x in both) and len(both[0]) == len(both[1]):
            pairs = list(zip(*both, strict=True))
        else:
            pairs = [(None, None)]
    elif isinstance(answers, list):
        for answer in cast(list[Any], answers):
            answer = cast(Any, answer if isinstance(answer, Mapping) else {})
            pairs.append((answer.get("text"), answer.get("answer_start")))
    else:
        pairs = [(None, None)]
    result: list[Answer] = []
    for text, start in pairs:
        if isinstance(start, str) and start.isdecimal():  # from a csv file
            start = int(start)
        if not isinstance(text, str) or type(start) is not int:
            raise InputError(
                f"{path}: the answers of question {shown(name)} are {shown(given)}. "
                f"Give a list of objects with 'text' and 'answer_start', a number."
            )
        result.append((text, start))
    return tuple(result)


def check_places(path: Path, items: Sequence[Example]) -> None:
    """Refuse answers that the context has not at their place.

    Args:
        path: The file.
        items: Their labels are answers as they are written, or None.

    Raises:
        InputError: As said; it names all the questions.
    """
    wrong: dict[str, tuple[Answer, str]] = {}
    for item in items:
        for text, start in item.label or ():
            there = item.texts[1][max(start, 0) : max(start, 0) + len(text)]
            if start < 0 or there != text or not text.strip():
                wrong.setdefault(item.id, ((text, start), there))
    if wrong:
        (text, start), there = next(iter(wrong.values()))
        raise InputError(
            f"{path}: the answers of {len(wrong)} questions do not stand in the "
            f"context at their answer_start: {listed([*wrong])}. The first is "
            f"{shown(text)} at character {start}, where the context has "
            f"{shown(there)}. Correct answer_start; it counts characters, not bytes."
        )


def stripped(answer: Answer) -> Answer:
    """An answer without white space around it."""
    text, start = answer
    return text.strip(), start + len(text) - len(text.lstrip())


def check_ids(path: Path, names: Sequence[str]) -> None:
    """Refuse a file that gives two questions one id.

    Raises:
        InputError: As said.
    """
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"{path} gives {len(twice)} ids to several questions: {listed(twice)}. "
            f"Give each question its own."
        )
