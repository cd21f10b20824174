"""`albert-zoo pretrain`: masked words and sentence order, in any framework."""

from pathlib import Path
from typing import Any

import click

from albert_zoo.commands import training_options
from albert_zoo.commands.training_options import FOLDER


@click.command()
@click.argument("data", type=FOLDER)
@click.option("--output", type=FOLDER, required=True, help="The folder of the run.")
@click.option(
    "--recipe",
    default="pretrain",
    show_default=True,
    help="A recipe by its name, or a TOML file; options below change its values.",
)
@click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="A config.json."
)
@click.option("--preset", help="The sizes of a released model, such as albert-base-v2.")
@click.option("--model", help="Begin with the weights of this checkpoint or hub name.")
@click.option("--tokenizer", help="Saved with the model; it must be that of the data.")
@click.option("--held-out", type=FOLDER, help="Instances to judge the model on.")
@training_options.recipe_values("max_length", "max_tokens")
@training_options.computing
def pretrain(
    data: Path,
    output: Path,
    recipe: str,
    config: Path | None,
    preset: str | None,
    model: str | None,
    tokenizer: str | None,
    held_out: Path | None,
    **given: Any,
) -> None:
    """Pretrain an ALBERT on DATA, a folder that `albert-zoo data create` has made.

    The output folder holds the last checkpoints and the best, log.jsonl, and at the end
    the model itself. A run that was stopped goes on with --resume, from the same
    numbers, in any framework.

    \b
    Examples:
      albert-zoo pretrain my-data --output my-run --recipe albert-nano
      albert-zoo pretrain my-data --output my-run --recipe albert-nano --resume
      torchrun --nproc-per-node 8 -m albert_zoo pretrain my-data --output my-run
    """  # noqa: D301  (click reads the backspace)
    from albert_core.presets import preset as released
    from albert_zoo.training import logs, recipes
    from albert_zoo.training.pretrain import Job
    from albert_zoo.training.pretrain import pretrain as run

    chosen = recipes.read(recipe)
    plot, resume, quiet = (given.pop(name) for name in ("plot", "resume", "quiet"))
    if sum(x is not None for x in (config, preset, model)) > 1:
        raise click.UsageError("Give one of --config, --preset and --model.")
    options = chosen.options(training_options.values_of(given))
    if not (model or config or preset or chosen.model):
        raise click.UsageError(
            f"The recipe {recipe} is for a model of any size. Say which with --config, "
            f"--preset or --model."
        )
    setup = training_options.setup_of(given, options.precision)
    fields = {} if model else dict(chosen.model)
    if config is not None:
        fields = _fields(config)
    if preset is not None:
        fields = released(preset).config.to_dict()
    job = Job(
        data,
        output,
        options,
        fields,
        model,
        tokenizer,
        held_out,
        chosen.data_recipe({}).masking,
    )
    state = run(job, setup, resume, quiet)
    if plot is not None:
        logs.plot(output, plot)
    click.echo(f"{output} holds the model after {state.step} steps", err=True)


def _fields(path: Path) -> dict[str, Any]:
    from albert_core.config import AlbertConfig

    return AlbertConfig.from_pretrained(
        path.parent if path.is_file() else path
    ).to_dict()
