"""`albert-zoo evaluate` and `predict`: a fine-tuned model on files of its task."""

import json
from pathlib import Path
from typing import Any

import click

from albert_zoo.commands import task_data
from albert_zoo.console import FRAMEWORKS, Progress, print_result

FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)


def _loading(command: Any) -> Any:
    options = [
        click.option("--model", required=True, help="A checkpoint or a hub name."),
        click.option("--tokenizer", help="Another directory or hub name."),
        click.option("--framework", type=click.Choice(FRAMEWORKS)),
        click.option("--max-length", default=128, show_default=True, help="Tokens."),
        click.option("--device", help="cpu, cuda, cuda:1, tpu, or a number."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@click.command()
@click.argument("data", type=task_data.PATH)
@task_data.add
@click.option(
    "--split",
    type=click.Choice(["train", "dev", "test"]),
    default="dev",
    show_default=True,
    help="Which file of a folder.",
)
@_loading
@click.option("--json", "json_file", type=FILE, help="Write the scores; - prints them.")
def evaluate(
    data: Path,
    task: str,
    columns: dict[str, str] | None,
    joint: bool,
    split: str,
    json_file: Path | None,
    **given: Any,
) -> None:
    """Judge a fine-tuned model; DATA is a file of its task, or the folder with it.

    The task "pretraining" judges a pretrained one on a folder of instances.

    \b
    Examples:
      albert-zoo evaluate glue/RTE --task rte --model my-rte
      albert-zoo evaluate my-held-out --task pretraining --model my-run
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import models
    from albert_zoo.training.evaluate import Judge
    from albert_zoo.training.learners import Setup
    from albert_zoo.training.pretrain import evaluate as pretraining_scores

    framework = models.framework_named(given.pop("framework"))
    if task == "pretraining":
        setup = Setup(framework, device=given["device"])
        file = data
        count, scores = pretraining_scores(given["model"], data, setup)
    else:
        wanted = task_data.found(task, joint)
        file = wanted.locate(data, split) if data.is_dir() else data
        judge = Judge(wanted, framework=framework, **given)
        examples = judge.read(file, columns)
        count = len(examples)
        with Progress(None) as step:
            scores = judge.scores(examples, step)
    result = {
        "task": task,
        "file": str(file),
        "framework": framework,
        "examples": count,
        "scores": scores,
    }
    show = task_data.table(f"{task}, {count} examples", scores)
    print_result(result, json_file, lambda to: to.print(show))


@click.command()
@click.argument("data", type=task_data.PATH)
@task_data.add
@_loading
@click.option("--output", type=FILE, default="-", show_default=True)
def predict(
    data: Path,
    task: str,
    columns: dict[str, str] | None,
    joint: bool,
    output: Path,
    **given: Any,
) -> None:
    """Write what a fine-tuned model says of each example of DATA, a JSON line each.

    Labels are not needed. For texts that are in no file of a task there is
    `albert-zoo run`.

    \b
    Example:
      albert-zoo predict glue/RTE/test.tsv --task rte --model my-rte --output said.jsonl
    """  # noqa: D301  (click reads the backspace)
    from albert_core.files import write_text
    from albert_zoo.training.evaluate import Judge

    wanted = task_data.found(task, joint)
    judge = Judge(wanted, **given)
    file = wanted.locate(data, "test") if data.is_dir() else data
    with Progress(None) as step:
        examples = judge.read(file, columns)
        rows = judge.predictions(examples, step)
    text = "".join(json.dumps(row) + "\n" for row in rows)
    if output == Path("-"):
        click.echo(text, nl=False)
    else:
        write_text(output, text)
