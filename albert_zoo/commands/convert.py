"""`albert-zoo convert`: a checkpoint in another format, proved to be the same."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from albert_zoo.commands.conversion_options import (
    LazyChoice,
    config_option,
    dtypes,
    formats,
    json_option,
)
from albert_zoo.console import CHECK_FAILED, Progress, print_result, printable


def _bytes(context: click.Context, option: click.Parameter, value: str) -> int:
    """A size such as "200MB", or a number of bytes."""
    from albert_core.errors import ConfigError
    from albert_core.sharding import to_bytes

    try:
        return to_bytes(int(value) if value.isdecimal() else value)
    except ConfigError as problem:
        raise click.BadParameter(str(problem)) from problem


@click.command()
@click.argument("source")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--to", required=True, type=LazyChoice(formats), help="The format.")
@click.option(
    "--dtype",
    type=LazyChoice(dtypes),
    help="Number type of the result; by default that of the source.",
)
@click.option(
    "--saturate",
    is_flag=True,
    help="Turn numbers beyond the largest of --dtype into the largest.",
)
@click.option(
    "--max-shard-size",
    callback=_bytes,
    default="5GB",
    show_default=True,
    help="Size of a file at most, where the format can have several.",
)
@click.option(
    "--include",
    multiple=True,
    metavar="PATTERN",
    help="Convert only arrays such as 'embeddings.*'; may be given several times.",
)
@click.option("--drop-head", is_flag=True, help="Leave the heads out.")
@click.option(
    "--allow-unused", is_flag=True, help="Leave out arrays that are no part of ALBERT."
)
@click.option(
    "--allow-trailing",
    is_flag=True,
    help="Leave bytes behind the last array of a safetensors file alone.",
)
@click.option(
    "--salvage", is_flag=True, help="Leave out arrays whose checksum is wrong."
)
@click.option(
    "--resize-vocab",
    is_flag=True,
    help="Cut or pad the tables of words to the vocab_size of the configuration.",
)
@click.option(
    "--reject-nonfinite", is_flag=True, help="Refuse weights that are NaN or infinite."
)
@click.option(
    "--verify-siblings",
    is_flag=True,
    help="Refuse a folder whose other weights are not the same.",
)
@config_option
@click.option("--overwrite", is_flag=True, help="Replace an existing target.")
@click.option("--resume", is_flag=True, help="Go on where a killed process stopped.")
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Read the result back and compare it, before it takes its place.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be done.")
@json_option
def convert(
    source: str,
    target: Path,
    to: str,
    config_file: Path | None,
    saturate: bool,
    resume: bool,
    verify: bool,
    dry_run: bool,
    json_file: Path | None,
    **options: Any,
) -> None:
    """Convert a checkpoint to another format, and prove that it is the same.

    SOURCE is a folder, a file of weights, the prefix of a TensorFlow checkpoint, or a
    hub name. TARGET is a folder; it appears when all of it is complete. The tokenizer
    and the configuration come along. No framework is needed.

    \b
    Examples:
      albert-zoo convert albert_base/model.ckpt-best my-albert --to safetensors
      albert-zoo convert my-albert my-albert-tf --to tensorflow-h5 --dry-run
    """  # noqa: D301  (click reads the backspace)
    from albert_core.config import AlbertConfig
    from albert_zoo import conversion_report as report
    from conversion.convert import NotTheSameError, prepare, run
    from conversion.target import TargetError

    config = AlbertConfig.from_pretrained(config_file) if config_file else None
    try:
        plan = prepare(source, target, to, config=config, **options)
        if dry_run:
            print_result(plan.to_dict(), json_file, partial(report.show_plan, plan))
            return
        with interrupted_by_signals(), Progress(plan.steps(verify)) as step:
            result = run(
                plan, target, saturate=saturate, resume=resume, verify=verify, step=step
            )
    except TargetError as problem:
        raise click.UsageError(printable(str(problem))) from problem
    except NotTheSameError as problem:
        click.echo(f"albert-zoo: {printable(str(problem))}", err=True)
        sys.exit(CHECK_FAILED)
    print_result(
        result.to_dict(), json_file, partial(report.show_result, result, target)
    )


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Let the signal that ends a process clean up, as Ctrl-C does."""

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
