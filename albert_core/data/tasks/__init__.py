"""The tasks that a model is fine-tuned on: GLUE, SQuAD, RACE, CoNLL and one's own."""

from albert_core.data.tasks.examples import Example, Examples
from albert_core.data.tasks.registry import find, names
from albert_core.data.tasks.task import Task

__all__ = ["Example", "Examples", "Task", "find", "names"]
