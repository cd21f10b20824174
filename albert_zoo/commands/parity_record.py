"""`albert-zoo parity record`: what one framework computes, for judging elsewhere."""

from pathlib import Path
from typing import Any

import click

from albert_zoo.commands.parity_options import MODES, texts_option
from albert_zoo.console import FRAMEWORKS, Progress


@click.command()
@click.argument("checkpoint")
@click.argument("out", type=click.Path(path_type=Path))
@click.option(
    "--framework",
    type=click.Choice(FRAMEWORKS),
    required=True,
    help="What computes; only this one needs to be installed.",
)
@click.option(
    "--dtype",
    "mode",
    type=click.Choice(MODES),
    default="float32",
    show_default=True,
    help="The number type to compute in; tf32 and tpu-default are float32 with less "
    "exact products.",
)
@click.option(
    "--device",
    help="Where to compute, such as cpu or cuda:1; by default the framework's choice.",
)
@texts_option
@click.option("--overwrite", is_flag=True, help="Replace the recording OUT.")
def record(checkpoint: str, out: Path, texts: Path | None, **options: Any) -> None:
    """Write down all that one framework computes from a checkpoint.

    CHECKPOINT is a checkpoint of any format, or a hub name. The folder OUT holds the
    outputs, every call of a part of the model, the loss and the gradients. It appears
    when it is complete. `albert-zoo parity compare` judges it on any machine.

    \b
    Example:
      albert-zoo parity record my-albert on-tpu --framework flax --dtype tpu-default
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.parity import recorder
    from albert_zoo.parity.inputs import maker

    make = maker(checkpoint, texts)
    with Progress(None) as step:
        found = recorder.record(checkpoint, out, make=make, progress=step, **options)
    title = f"Albert{found.head}, {found.framework}, {found.mode}"
    click.echo(f"Recorded {title} in {out}: {len(found.files)} files.")
