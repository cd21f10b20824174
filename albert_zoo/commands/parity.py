"""`albert-zoo parity`: the proof that the frameworks agree."""

import sys
from pathlib import Path
from typing import Any

import click

from albert_core.errors import MissingPackageError
from albert_core.hub import BUNDLED
from albert_zoo.commands.default_group import DefaultGroup
from albert_zoo.commands.parity_compare import compare
from albert_zoo.commands.parity_options import (
    frameworks_option,
    levels_option,
    modes_option,
    scale_option,
    texts_option,
)
from albert_zoo.commands.parity_outputs import Outputs, output_options
from albert_zoo.commands.parity_record import record
from albert_zoo.commands.parity_selftest import run_selftest, selftest_options
from albert_zoo.commands.parity_verify import verify
from albert_zoo.console import Progress


@click.group(cls=DefaultGroup, default="prove")
def parity() -> None:
    """Prove that the frameworks compute the same numbers from a checkpoint."""


parity.add_command(record)
parity.add_command(compare)
parity.add_command(verify)


@parity.command("prove", hidden=True)
@click.argument("checkpoint", required=False)
@frameworks_option
@modes_option
@levels_option
@texts_option
@scale_option
@click.option(
    "--device",
    help="Where to compute, such as cpu or cuda:1; by default each framework's choice.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write all figures to this file; - prints them in place of the table.",
)
@output_options
@selftest_options
def prove(
    checkpoint: str | None,
    frameworks: tuple[str, ...] | None,
    json_file: Path | None,
    texts: Path | None,
    html: Path | None,
    junit: Path | None,
    certificate: Path | None,
    signing_key: Path | None,
    tests_itself: bool,
    few: bool,
    **options: Any,
) -> None:
    """Prove that the frameworks compute the same numbers from a checkpoint.

    CHECKPOINT is a checkpoint of any format, or a hub name; without it the small model
    that comes with the package is proved. Every framework runs it on inputs that can
    see faults, and is judged, level by level, by a NumPy float64 reference.

    \b
    Examples:
      albert-zoo parity
      albert-zoo parity my-albert --frameworks torch,flax --dtype float32
      albert-zoo parity my-albert --level free,gradients --budget-scale 2
      albert-zoo parity my-albert --report proof.html --certificate proof.json
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.parity import proof, report
    from albert_zoo.parity.inputs import maker

    outputs = Outputs(json_file, html, junit, certificate, signing_key)
    frameworks = frameworks or installed()
    findings = run_selftest(frameworks, few) if tests_itself else None
    path = checkpoint or BUNDLED
    make = maker(path, texts)
    steps = proof.steps(frameworks, options["modes"], options["levels"])
    with Progress(steps) as step:
        result = proof.prove(path, frameworks, progress=step, make=make, **options)
    figures = {**result.to_dict(), "selftest": findings}
    outputs.write(figures, json_file, lambda to: report.show(result, to))
    sys.exit(result.exit_code)


def installed() -> tuple[str, ...]:
    """The frameworks that are there.

    Raises:
        MissingPackageError: None is.
    """
    from albert_zoo import backends

    known = backends.BACKENDS.values()
    found = tuple(b.name for b in known if backends.is_installed(b))
    if not found:
        raise MissingPackageError(
            "There is no framework to compare. Install one or more: "
            "pip install 'albert-zoo[all]', or [torch], [tf], [flax]."
        )
    return found
