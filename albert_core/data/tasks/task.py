"""A task: how its files are read, made into features, and predictions judged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from albert_core.data.tasks.examples import Examples
from albert_core.data.tasks.files import check_split
from albert_core.data.tasks.form import Feature, Form, Lengths, Output
from albert_core.tokenization import Tokenizer


class Files(Protocol):
    """How the files of a task are found and read."""

    def split_file(self, folder: Path, split: str) -> Path:
        """See `Task.split_file`."""
        ...

    def locate(self, folder: Path, split: str) -> Path:
        """See `Task.locate`."""
        ...

    def read(
        self,
        path: Path,
        labels: Sequence[str] | None,
        columns: Mapping[str, str] | None,
    ) -> Examples:
        """See `Task.read`."""
        ...


@dataclass(frozen=True)
class Task:
    """What a model is fine-tuned on.

    Attributes:
        name: As `find` takes it.
        head: The model class, a key of `albert_core.schema.HEADS`.
        metric: The score that chooses the best checkpoint; more is better.
        files: How its files are read.
        form: How features are made and outputs judged.
        problem_type: That of the configuration of a sequence classifier, or None.
    """

    name: str
    head: str
    metric: str
    files: Files
    form: Form
    problem_type: str | None = None

    def split_file(self, directory: str | Path, split: str) -> Path:
        """The path that the published data have for a split, there or not.

        Args:
            directory: The folder of the task.
            split: "train", "dev" or "test".

        Raises:
            InputError: There is no such split.
        """
        check_split(split)
        return self.files.split_file(Path(directory), split)

    def locate(self, directory: str | Path, split: str) -> Path:
        """The file, or for RACE the folder, of a split that is there.

        Args:
            directory: The folder of the task, or for GLUE and RACE the one above.
            split: "train", "dev" or "test".

        Raises:
            InputError: There is none; the message tells what is there.
        """
        check_split(split)
        return self.files.locate(Path(directory), split)

    def read(
        self,
        path: str | Path,
        labels: Sequence[str] | None = None,
        columns: Mapping[str, str] | None = None,
    ) -> Examples:
        """Read a file.

        Args:
            path: The file; for RACE also a folder.
            labels: The classes in order; by default the task's own, or else all that
                the file has, sorted. Give those of the training file for any other.
            columns: From the fields of the task to the names of columns; for CoNLL to
                their numbers.

        Raises:
            InputError: The file cannot be used; the message names all that is wrong.
        """
        return self.files.read(Path(path), labels, columns)

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        max_length: int,
        training: bool = False,
        doc_stride: int = 128,
        max_query_length: int = 64,
    ) -> list[Feature]:
        """Make the inputs of a model, not yet padded: `albert_core.data.batching.pad`.

        Args:
            examples: What `read` gave.
            tokenizer: The model's.
            max_length: The most tokens of a row.
            training: Whether examples must have labels, and answers become positions.
                Other labels are there whenever they are known.
            doc_stride: How far apart two windows over a long context begin.
            max_query_length: The most tokens of a question on a long context.

        Returns:
            A feature for each example, and for each window over a context.

        Raises:
            InputError: A length does not fit, or an example to train on has no label.
        """
        if training:
            examples.known()
        lengths = Lengths(max_length, doc_stride, max_query_length)
        return self.form.features(examples, tokenizer, lengths, training)

    def score(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> dict[str, float]:
        """Judge the outputs of a model by the task's official measures.

        Args:
            examples: What `read` gave.
            features: What `features` made of them, in the same order.
            outputs: For each feature the arrays of the head by name, without the batch;
                what is beyond the length of the feature is padding.

        Returns:
            Scores by name, `metric` among them. They go to 1, those of SQuAD to 100.

        Raises:
            InputError: An example has no label, or the three do not fit together.
        """
        return self.form.score(examples, features, outputs)

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """What a model says of each example, as records for JSON.

        Args:
            examples: As in `score`; labels are not needed.
            features: As in `score`.
            outputs: As in `score`.

        Returns:
            For each example its "id" and what the head says.

        Raises:
            InputError: The three do not fit together.
        """
        return self.form.predictions(examples, features, outputs)
