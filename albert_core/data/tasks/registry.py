"""All tasks by name."""

from collections.abc import Mapping
from dataclasses import replace

from albert_core.data.tasks.choices import ChoicesForm
from albert_core.data.tasks.conll import ConllFiles
from albert_core.data.tasks.form import Form
from albert_core.data.tasks.glue import TABLES, GlueFiles
from albert_core.data.tasks.questions import QuestionsForm
from albert_core.data.tasks.race import RaceFiles
from albert_core.data.tasks.sequence import SequenceForm
from albert_core.data.tasks.squad import SquadFiles
from albert_core.data.tasks.tables import TableFiles
from albert_core.data.tasks.task import Files, Task
from albert_core.data.tasks.words import WordsForm
from albert_core.errors import InputError, listed, shown

SEQUENCE = "ForSequenceClassification"
WORDS = "ForTokenClassification"
CHOICE = "ForMultipleChoice"
SPAN = "ForQuestionAnswering"
BEAM = "ForQuestionAnsweringBeam"

CLASSES = "single_label_classification"
# The measures of GLUE by task, the one that chooses first.
MEASURES: Mapping[str, tuple[str, ...]] = {
    "cola": ("matthews", "accuracy"),
    "mrpc": ("accuracy", "f1"),
    "qqp": ("accuracy", "f1"),
    "ax": ("matthews", "accuracy"),
    "sts-b": ("pearson", "spearman", "mse"),
    "regression": ("pearson", "spearman", "mse"),
    "text-classification": ("accuracy", "macro_f1"),
}


def _sequence(name: str, files: Files) -> Task:
    measures = MEASURES.get(name, ("accuracy",))
    numbers = "pearson" in measures
    form = SequenceForm(measures, numbers)
    kind = "regression" if numbers else CLASSES
    return Task(name, SEQUENCE, measures[0], files, form, kind)


def _others() -> list[Task]:
    rows: list[tuple[str, str, str, Files, Form]] = [
        ("squad", SPAN, "f1", SquadFiles("1.1"), QuestionsForm()),
        ("squad2", SPAN, "best_f1", SquadFiles("2.0"), QuestionsForm(True)),
        ("race", CHOICE, "accuracy", RaceFiles(), ChoicesForm()),
        ("ner", WORDS, "f1", ConllFiles(), WordsForm()),
        ("chunking", WORDS, "f1", ConllFiles(), WordsForm()),
    ]
    forms: dict[str, tuple[str, str, Form]] = {
        "token-classification": (WORDS, "f1", WordsForm()),
        "multiple-choice": (CHOICE, "accuracy", ChoicesForm()),
        "question-answering": (SPAN, "f1", QuestionsForm(None)),
    }
    for name, (head, metric, form) in forms.items():
        rows.append((name, head, metric, TableFiles(name), form))
    return [Task(*row) for row in rows]


TASKS: Mapping[str, Task] = {
    task.name: task
    for task in [
        *(_sequence(name, GlueFiles(table)) for name, table in TABLES.items()),
        *(
            _sequence(name, TableFiles(name))
            for name in ("text-classification", "regression")
        ),
        *_others(),
    ]
}


def names() -> tuple[str, ...]:
    """The names of all tasks."""
    return tuple(TASKS)


def find(name: str, head: str | None = None) -> Task:
    """The task of a name.

    Args:
        name: One of `names()`.
        head: Another head than the task's own; that can be "ForQuestionAnsweringBeam"
            for questions. Features and scores are then those of the joint head.

    Raises:
        InputError: There is no such task, or it has no such head.

    Examples:
        ```python
        task = find("rte")
        train = task.read(task.locate("glue/RTE", "train"))
        dev = task.read(task.locate("glue/RTE", "dev"), labels=train.labels)
        features = task.features(train, tokenizer, max_length=512, training=True)
        ```
    """
    if name not in TASKS:
        raise InputError(
            f"There is no task {shown(name)}. The tasks are {listed(names())}."
        )
    task = TASKS[name]
    if head is None or head == task.head:
        return task
    if head == BEAM and isinstance(task.form, QuestionsForm):
        return replace(task, head=BEAM, form=replace(task.form, beam=True))
    heads = [task.head, BEAM] if task.head == SPAN else [task.head]
    raise InputError(
        f"The task {name!r} has no head {shown(head)}. It has {listed(heads)}."
    )
