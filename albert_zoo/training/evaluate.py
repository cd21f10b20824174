"""A fine-tuned model on a file of its task: scores, or what it says."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from albert_core.data.tasks import Examples, Task
from albert_core.data.tasks.form import Feature
from albert_core.errors import InputError, listed
from albert_core.tokenization import load_tokenizer
from albert_zoo import models
from albert_zoo.backends import BACKENDS
from albert_zoo.training.finetune import check_length
from albert_zoo.training.judging import Arrays, outputs_of

Step = Callable[[str], None]


class Judge:
    """A model that is ready to be judged, or to predict.

    Args:
        task: What it was trained for.
        model: Its checkpoint, or a hub name.
        tokenizer: By default the model's.
        framework: By default the first that is installed.
        max_length: Tokens of an example.
        **options: Of `models.load_model`.

    Raises:
        CheckpointError: The checkpoint lacks weights that the task needs.
        InputError: `max_length` is more than the model's positions.
    """

    def __init__(
        self,
        task: Task,
        model: str,
        tokenizer: str | None = None,
        framework: str | None = None,
        max_length: int = 128,
        **options: Any,
    ) -> None:
        self.task = task
        self.max_length = max_length
        self.framework = models.framework_named(framework)
        self.tokenizer: Any = load_tokenizer(tokenizer or model)
        loaded = models.class_of(self.framework, task.head)
        directory = models.resolved(model)
        models.check_head(directory, task.head)
        self.model = loaded.from_pretrained(
            directory,
            device_map=models.place(self.framework, options.pop("device", None)),
            **options,
        )
        self.config = self.model.config
        check_length(max_length, self.config.max_position_embeddings)
        self.run = BACKENDS[self.framework].predictor(self.model).run

    def labels(self) -> tuple[str, ...] | None:
        """The labels that the model knows, in the order of its scores."""
        named = self.task.head in (
            "ForSequenceClassification",
            "ForTokenClassification",
        )
        if not named or self.task.problem_type == "regression":
            return None
        return tuple(self.config.id2label[i] for i in range(self.config.num_labels))

    def read(self, path: Path, columns: Mapping[str, str] | None = None) -> Examples:
        """Read a file of the task, with the labels of the model.

        Raises:
            InputError: The file does not fit, or has labels that the model does not.
        """
        known = self.labels()
        examples = self.task.read(path, known, columns)
        if known is not None and examples.labels and examples.labels != known:
            raise InputError(
                f"The task {self.task.name} has the labels {listed(examples.labels)}, "
                f"the model {listed(known)}. Give the model of this task."
            )
        return examples

    def outputs(
        self, examples: Examples, step: Step = lambda _: None
    ) -> tuple[list[Feature], list[Arrays]]:
        """Features of examples, and what the model says of each."""
        features = self.task.features(examples, self.tokenizer, self.max_length)
        pad = self.config.pad_token_id or 0
        return features, outputs_of(self.run, features, self.task.head, pad, step)

    def scores(
        self, examples: Examples, step: Step = lambda _: None
    ) -> dict[str, float]:
        """The official measures of the task."""
        features, found = self.outputs(examples, step)
        return self.task.score(examples, features, found)

    def predictions(
        self, examples: Examples, step: Step = lambda _: None
    ) -> list[dict[str, Any]]:
        """A record for each example."""
        features, found = self.outputs(examples, step)
        return self.task.predictions(examples, features, found)
