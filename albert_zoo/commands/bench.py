"""`albert-zoo bench`: how fast the frameworks are, with their outputs judged."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from albert_core import int8
from albert_zoo.commands.parity import installed
from albert_zoo.commands.parity_options import frameworks_option
from albert_zoo.console import Choices, Progress, print_result

MODES = ("float32", "bfloat16", "float16", int8.NAME)
TASKS = ("forward", "train", "load")
SIZES = ("tiny", "base", "large")


class Numbers(click.ParamType):
    """A list of whole numbers from 1, with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        """Split, and refuse what is no such number."""
        words = value if isinstance(value, tuple) else tuple(value.split(","))
        bad = [str(x) for x in words if not str(x).isdecimal() or int(x) < 1]
        if bad:
            self.fail(f"{', '.join(map(repr, bad))} is no whole number from 1")
        return tuple(dict.fromkeys(int(x) for x in words))


@click.command()
@click.argument("checkpoint", required=False)
@frameworks_option
@click.option(
    "--preset",
    "size",
    type=click.Choice(SIZES),
    help="Random weights of this size, in place of a checkpoint; by default base.",
)
@click.option(
    "--dtype",
    "modes",
    type=Choices(MODES),
    default="float32",
    show_default=True,
    help="int8 is for the task forward.",
)
@click.option(
    "--batch",
    "batches",
    type=Numbers(),
    default="1,8",
    show_default=True,
    help="Numbers of rows.",
)
@click.option(
    "--length",
    "lengths",
    type=Numbers(),
    default=(),
    help="Numbers of tokens in a row; by default 32,128 as far as the model takes it.",
)
@click.option(
    "--task",
    "tasks",
    type=Choices(TASKS),
    default=",".join(TASKS),
    show_default=True,
    help="What to time.",
)
@click.option("--device", help="cpu, cuda, cuda:1 or tpu; by default the accelerator.")
@click.option(
    "--rounds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How often each cell is measured.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write all figures to this file; - prints them in place of the table.",
)
def bench(
    checkpoint: str | None,
    size: str | None,
    frameworks: tuple[str, ...] | None,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Compare how fast the frameworks are, and check what they compute meanwhile.

    CHECKPOINT is a checkpoint of any format, or a hub name; without it random weights
    are used. The frameworks take turns in one process. The outputs that were timed are
    compared with a NumPy float64 reference: what is wrong is no result.

    \b
    Examples:
      albert-zoo bench
      albert-zoo bench my-albert --frameworks torch,flax --task forward --device cpu
      albert-zoo bench --preset large --dtype float32,bfloat16 --batch 1,32 --length 512
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.benchmark import grid, report, sample

    if checkpoint and size:
        raise click.UsageError("Give a checkpoint or --preset, not both.")
    if int8.NAME in options["modes"] and options["tasks"] != ("forward",):
        raise click.UsageError("int8 only predicts. Add --task forward.")
    size = size or "base"
    wanted = grid.Grid(frameworks or installed(), **options)
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint or str(sample.write(Path(folder) / "sample", size))
        with Progress(wanted.steps) as step:
            result = grid.bench(path, wanted, step)
    result.checkpoint = checkpoint or f"random weights, {size}"
    print_result(result.to_dict(), json_file, lambda to: report.show(result, to))
    sys.exit(result.exit_code)
