"""Fine-tuning: a pretrained encoder and a head learn a task."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from albert_core.data.batching import batches
from albert_core.data.tasks import Examples, Task
from albert_core.data.tasks.form import Feature
from albert_core.errors import InputError
from albert_core.files import write_text
from albert_core.tokenization import load_tokenizer
from albert_core.training import Batch
from albert_zoo.training.folder import State
from albert_zoo.training.judging import LENGTHS, outputs_of, padded
from albert_zoo.training.learners import Setup
from albert_zoo.training.loop import Figures
from albert_zoo.training.option_fields import Options
from albert_zoo.training.running import Work, carry_out, files_of
from albert_zoo.training.start import fresh, pretrained

SCORES = "scores.json"


@dataclass(frozen=True)
class Job:
    """What to fine-tune.

    Attributes:
        task: The task.
        train: Its file to learn from; of RACE a folder.
        dev: Its file to judge by.
        model: A checkpoint of any format, or a hub name.
        output: The folder of the run.
        options: How to train.
        tokenizer: By default the model's.
        columns: Where the fields of the task are in the files.
        fields: Of the configuration, such as dropout.
        untrained: Draw all weights anew, to see what pretraining is worth.
    """

    task: Task
    train: Path
    dev: Path
    model: str
    output: Path
    options: Options
    tokenizer: str | None = None
    columns: Mapping[str, str] | None = None
    fields: Mapping[str, Any] = field(default_factory=dict[str, Any])
    untrained: bool = False


def finetune(
    job: Job, setup: Setup, resume: bool = False, quiet: bool = False
) -> tuple[State, dict[str, float]]:
    """Fine-tune a model; the best of its checkpoints is what the folder holds.

    Returns:
        Where the run ended, and the scores of the best checkpoint.

    Raises:
        InputError: The files do not fit the task, or the model does not.
        TrainingError: The folder is that of another run, or the loss is no number.
    """
    task, options = job.task, job.options
    tokenizer: Any = load_tokenizer(job.tokenizer or job.model)
    train = task.read(job.train, None, job.columns)
    dev = task.read(job.dev, train.labels or None, job.columns)
    fields = {**job.fields, **labels_of(task, train)}
    config, arrays = pretrained(job.model, task.head, options.seed, **fields)
    config.architectures = [f"Albert{task.head}"]
    check_length(options.max_length, config.max_position_embeddings)
    features = task.features(train, tokenizer, options.max_length, training=True)
    held = task.features(dev, tokenizer, options.max_length)
    epoch = steps_of_epoch(features, options)
    total = options.steps or max(1, round(options.epochs * epoch))
    files = files_of(tokenizer)

    def start() -> dict[str, Any]:
        return fresh(config, task.head, options.seed) if job.untrained else arrays

    def judge(one: Any) -> Figures:
        found = outputs_of(one.predict, held, task.head, config.pad_token_id or 0)
        scores = task.score(dev, held, found)
        return {f"eval_{name}": value for name, value in scores.items()}

    work = Work(
        output=job.output,
        head=task.head,
        config=config,
        start=start,
        files=files,
        settings={
            "command": "finetune",
            "task": task.name,
            "files": [_fingerprint(job.train), _fingerprint(job.dev)],
            "tokenizer": hashlib.sha256(b"".join(files.values())).hexdigest(),
            "start": None if job.untrained else job.model,
        },
        options=options,
        schedule=options.schedule(total),
        epoch=epoch,
        stream=lambda used: in_epochs(features, options, used),
        metric=task.metric,
        judge=judge,
    )
    state, scores = carry_out(work, setup, resume, quiet)
    if scores:
        write_text(job.output / SCORES, json.dumps(scores, indent=2) + "\n")
    return state, scores


def in_epochs(
    features: list[Feature], options: Options, used: int = 0
) -> Iterator[Batch]:
    """Endless batches, each epoch in an order of its own.

    Args:
        features: Of the task.
        options: With a `max_tokens`, features of similar length are together, and an
            epoch ends with a batch; otherwise all batches are of one size.
        used: How many features to pass over: those of an earlier run.
    """
    epoch, passed = divmod(used, len(features))
    held: list[int] = []
    while True:
        key = f"{options.seed}:{epoch}"
        if options.max_tokens:
            number = Random(key).randrange(2**32)
            for chosen in batches(features, options.max_tokens, number, LENGTHS):
                if passed <= 0:
                    yield padded([features[i] for i in chosen])
                passed -= len(chosen)
        else:
            order = list(range(len(features)))
            Random(key).shuffle(order)
            held += order[passed:]
        epoch, passed = epoch + 1, 0
        while len(held) >= options.batch_size:
            chosen, held = held[: options.batch_size], held[options.batch_size :]
            yield padded([features[i] for i in chosen])


def steps_of_epoch(features: list[Feature], options: Options) -> int:
    """How many steps go once through the features."""
    if options.max_tokens:
        return len(batches(features, options.max_tokens, None, LENGTHS))
    return max(1, round(len(features) / options.batch_size))


def labels_of(task: Task, train: Examples) -> dict[str, Any]:
    """What the configuration says of the labels of a task."""
    fields: dict[str, Any] = {"finetuning_task": task.name}
    if task.problem_type is not None:
        fields["problem_type"] = task.problem_type
    if task.problem_type == "regression":
        return {**fields, "num_labels": 1}
    if not train.labels or task.head == "ForMultipleChoice":
        return fields
    names = dict(enumerate(train.labels))
    return {
        **fields,
        "id2label": names,
        "label2id": {name: number for number, name in names.items()},
    }


def check_length(length: int, positions: int) -> None:
    """Refuse examples that are longer than a model's table of positions.

    Raises:
        InputError: As said.
    """
    if length > positions:
        raise InputError(
            f"--max-length {length} is more than the {positions} positions of the "
            f"model. Give {positions} or less."
        )


def _fingerprint(path: Path) -> str:
    """What tells the content of a file, or of all files of a folder, from others."""
    files = (
        sorted(x for x in path.rglob("*") if x.is_file()) if path.is_dir() else [path]
    )
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            found.update(hashlib.file_digest(stream, "sha256").digest())
    return found.hexdigest()
