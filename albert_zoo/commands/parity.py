"""`albert-zoo parity`: the proof that the frameworks agree."""

import sys
import tempfile
from pathlib import Path

import click

from albert_core.errors import MissingPackageError
from albert_zoo.console import (
    CHECK_FAILED,
    FRAMEWORKS,
    OK,
    Choices,
    Progress,
    print_result,
)

DTYPES = ("float64", "float32")


@click.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--frameworks",
    type=Choices(FRAMEWORKS),
    help="Those to compare; by default every one that is installed.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=Choices(DTYPES),
    default=",".join(DTYPES),
    show_default=True,
    help="Number types to compute in.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write all figures to this file; - prints them in place of the table.",
)
def parity(
    checkpoint: str | None,
    frameworks: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Prove that the frameworks compute the same numbers from a checkpoint.

    CHECKPOINT is a directory with config.json and model.safetensors, or a hub name;
    without it a small one is made. Every framework runs it on inputs that can see
    faults, and is judged by a NumPy float64 reference.

    \b
    Examples:
      albert-zoo parity
      albert-zoo parity my-albert --frameworks torch,flax --dtype float32
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import backends
    from albert_zoo.parity import proof, report

    if frameworks is None:
        known = backends.BACKENDS.values()
        frameworks = tuple(b.name for b in known if backends.is_installed(b))
    if not frameworks:
        raise MissingPackageError(
            "There is no framework to compare. Install one or more: "
            "pip install 'albert-zoo[all]', or [torch], [tf], [flax]."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint or str(proof.write_sample(Path(folder) / "sample"))
        with Progress(proof.steps(frameworks, dtypes)) as step:
            result = proof.prove(path, frameworks, dtypes, step)
    result.checkpoint = checkpoint or "a small sample"
    print_result(result.to_dict(), json_file, lambda to: report.show(result, to))
    sys.exit(OK if result.passed else CHECK_FAILED)
