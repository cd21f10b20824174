"""`albert-zoo parity compare`: judges recordings, without any framework."""

import sys
from pathlib import Path

import click

from albert_zoo.commands.conversion_options import json_option
from albert_zoo.console import Progress, print_result


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    help="Where the checkpoint is; by default where the first recording found it.",
)
@json_option
def compare(
    recordings: tuple[Path, ...], checkpoint: str | None, json_file: Path | None
) -> None:
    """Judge what frameworks have computed, here or on other machines.

    RECORDINGS are folders that `albert-zoo parity record` has written, of one
    checkpoint. Each is judged as `albert-zoo parity` does it, by the NumPy float64
    reference, with the same levels, budgets and verdicts. No framework is needed.

    \b
    Example:
      albert-zoo parity compare on-tpu on-gpu --checkpoint my-albert
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.parity import recorded, report

    with Progress(len(recordings) + 2) as step:
        result = recorded.compare(recordings, checkpoint, progress=step)
    print_result(result.to_dict(), json_file, lambda to: report.show(result, to))
    sys.exit(result.exit_code)
