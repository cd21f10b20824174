"""`albert-zoo finetune`: a pretrained model learns a task, in any framework."""

from pathlib import Path
from typing import Any

import click

from albert_zoo.commands import task_data, training_options
from albert_zoo.commands.training_options import FOLDER
from albert_zoo.console import print_result


@click.command()
@click.argument("data", type=task_data.PATH, required=False)
@task_data.add
@click.option("--train", type=task_data.PATH, help="The file to learn from.")
@click.option("--dev", type=task_data.PATH, help="The file to judge by.")
@click.option("--model", required=True, help="A checkpoint directory or a hub name.")
@click.option("--tokenizer", help="Another directory or hub name for the tokenizer.")
@click.option("--output", type=FOLDER, required=True, help="The folder of the run.")
@click.option(
    "--recipe",
    help="A recipe by its name, or a TOML file; by default that of the task, else "
    "finetune. Options below change its values.",
)
@click.option("--untrained", is_flag=True, help="Draw all weights anew, to compare.")
@training_options.recipe_values("masking", "positions", "eval_rows")
@training_options.computing
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the scores to this file; - prints them in place of the table.",
)
def finetune(
    data: Path | None,
    task: str,
    columns: dict[str, str] | None,
    joint: bool,
    train: Path | None,
    dev: Path | None,
    model: str,
    tokenizer: str | None,
    output: Path,
    recipe: str | None,
    untrained: bool,
    json_file: Path | None,
    **given: Any,
) -> None:
    """Fine-tune a model on a task; DATA is a folder with its train and dev files.

    Tasks are those of GLUE (cola, sst-2, mrpc, sts-b, qqp, mnli, qnli, rte, wnli),
    squad, squad2, race, ner and chunking (columns of words and tags), and over csv, tsv
    or jsonl files of your own text-classification, regression, token-classification,
    multiple-choice and question-answering. The best checkpoint by the measure of the
    task becomes the model in the output folder.

    \b
    Examples:
      albert-zoo finetune glue/RTE --task rte --model my-albert --output my-rte
      albert-zoo finetune --task text-classification --train a.csv --dev b.csv \\
        --column text=review --column label=stars --model my-albert --output my-stars
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.training import logs, recipes
    from albert_zoo.training.finetune import Job
    from albert_zoo.training.finetune import finetune as run

    wanted = task_data.found(task, joint)
    if (data is None) == (train is None or dev is None):
        raise click.UsageError("Give the folder DATA, or both --train and --dev.")
    if data is not None:
        train = train or wanted.locate(data, "train")
        dev = dev or wanted.locate(data, "dev")
    name = recipe or (task if task in recipes.names() else "finetune")
    chosen = recipes.read(name)
    plot, resume, quiet = (given.pop(name) for name in ("plot", "resume", "quiet"))
    options = chosen.options(training_options.values_of(given))
    setup = training_options.setup_of(given, options.precision)
    job = Job(
        wanted,
        train,  # pyright: ignore[reportArgumentType]  (given, or found above)
        dev,  # pyright: ignore[reportArgumentType]
        model,
        output,
        options,
        tokenizer,
        columns,
        chosen.model,
        untrained,
    )
    state, scores = run(job, setup, resume, quiet)
    if plot is not None:
        logs.plot(output, plot)
    if scores:
        best = state.best_step or state.step
        title = f"{task}, dev, best of {state.step} steps at step {best}"
        result = {"task": task, "step": best, "scores": scores}
        show = task_data.table(title, scores)
        print_result(result, json_file, lambda to: to.print(show))
