"""`albert-zoo parity compare`: judges recordings, without any framework."""

import sys
from pathlib import Path

import click

from albert_zoo.commands.conversion_options import json_option
from albert_zoo.commands.parity_options import scale_option
from albert_zoo.commands.parity_outputs import Outputs, output_options
from albert_zoo.console import Progress


@click.command()
@click.argument("recordings", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--checkpoint",
    help="Where the checkpoint is; by default where the first recording found it.",
)
@scale_option
@json_option
@output_options
def compare(
    recordings: tuple[Path, ...],
    checkpoint: str | None,
    scale: float,
    json_file: Path | None,
    html: Path | None,
    junit: Path | None,
    certificate: Path | None,
    signing_key: Path | None,
) -> None:
    """Judge what frameworks have computed, here or on other machines.

    RECORDINGS are folders that `albert-zoo parity record` has written, of one
    checkpoint. Each is judged as `albert-zoo parity` does it, by the NumPy float64
    reference, with the same levels, budgets and verdicts. No framework is needed.

    \b
    Examples:
      albert-zoo parity compare on-tpu on-gpu --checkpoint my-albert
      albert-zoo parity compare on-tpu --report proof.html --certificate proof.json
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.parity import recorded, report

    outputs = Outputs(json_file, html, junit, certificate, signing_key)
    with Progress(len(recordings) + 2) as step:
        result = recorded.compare(recordings, checkpoint, scale, step)
    outputs.write(result.to_dict(), json_file, lambda to: report.show(result, to))
    sys.exit(result.exit_code)
