"""`albert-zoo warm-up`: programs of XLA, compiled before they are needed."""

import time
from typing import Any

import click

from albert_zoo.console import Progress


@click.command("warm-up")
@click.argument("model")
@click.option(
    "--framework",
    type=click.Choice(["flax", "tf"]),
    default="flax",
    show_default=True,
    help="Of the run that follows.",
)
@click.option("--task", help="By default what the checkpoint was made for.")
@click.option("--tokenizer", help="Another directory or hub name for the tokenizer.")
@click.option("--dtype", type=click.Choice(["float32", "bfloat16", "float16", "int8"]))
@click.option("--device", help="cpu, cuda, cuda:1 or tpu.")
@click.option("--batch-tokens", type=click.IntRange(1), help="As of `albert-zoo run`.")
def warm_up(model: str, batch_tokens: int | None, **given: Any) -> None:
    """Compile what XLA needs for MODEL, and keep it for `albert-zoo run`.

    PyTorch has nothing to compile, nor has TensorFlow on a processor by Intel, but in
    int8. Programs are kept in ~/.cache/albert-zoo, or where ALBERT_ZOO_CACHE says; 0
    keeps none.

    \b
    Example:
      albert-zoo warm-up albert-nano --task fill-mask
      albert-zoo warm-up my-albert --framework tf
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import programs
    from albert_zoo.pipelines import pipeline

    place = programs.keep(given["framework"])
    start = time.perf_counter()
    options = {name: value for name, value in given.items() if name != "task"}
    ready = pipeline(given["task"], model, batch_tokens=batch_tokens, **options)
    if not ready.predictor.compiles:
        click.echo("Nothing to compile: on this processor TensorFlow takes a graph.")
        return
    with Progress(None) as step:
        count = programs.warm_up(ready, step)
    kept = "nowhere" if place is None else f"in {place}"
    seconds = time.perf_counter() - start
    click.echo(f"{count} shapes in {seconds:.0f} s; kept {kept}")
