"""Checkpoints for the tests of pipelines, written once."""

import functools

import pytest

from albert_zoo.models import TASKS
from albert_zoo.pipelines import pipeline
from tests.pipelines.models import LABELS, write_model


@pytest.fixture(scope="session")
def path_of(tmp_path_factory):
    """A function that gives the checkpoint of a task."""
    folder = tmp_path_factory.mktemp("models")

    @functools.cache
    def path_of(task):
        changes = {
            "token-classification": {"id2label": LABELS},
            "zero-shot-classification": {
                "id2label": {0: "entailment", 1: "neutral", 2: "contradiction"},
                "num_labels": 3,
            },
        }
        return write_model(folder / task, TASKS[task], **changes.get(task, {}))

    return path_of


@pytest.fixture(scope="session")
def ready(path_of):
    """A function that gives the pipeline of a task in a framework."""

    @functools.cache
    def ready(task, framework="torch"):
        return pipeline(task, path_of(task), framework=framework)

    return ready
