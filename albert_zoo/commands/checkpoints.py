"""`albert-zoo hash`, `diff` and `inspect`: what checkpoints of any format hold."""

import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from albert_zoo.commands.conversion_options import config_option, json_option, opened
from albert_zoo.console import CHECK_FAILED, Progress, print_result


@click.command("hash")
@click.argument("sources", nargs=-1, required=True)
@click.option("--tensors", is_flag=True, help="Show the hash of every array, too.")
@json_option
def hash_command(
    sources: tuple[str, ...], tensors: bool, json_file: Path | None
) -> None:
    """Print the canonical SHA-256 of checkpoints, each of any format.

    The same weights have the same one in every format. With several SOURCES that are
    not all the same, the exit code is 1.

    \b
    Examples:
      albert-zoo hash my-albert my-albert/tf_model.h5 albert_base/model.ckpt-best
      albert-zoo hash my-albert --tensors
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import conversion_report as report
    from conversion import hashing

    checkpoints = [opened(source) for source in sources]
    with Progress(sum(map(len, checkpoints))) as step:
        found = [hashing.digests(one, step) for one in checkpoints]
    results = [
        {
            "source": source,
            "format": checkpoint.store.name,
            "sha256": hashing.whole(digests),
            "arrays": {name: one.to_dict() for name, one in sorted(digests.items())},
        }
        for source, checkpoint, digests in zip(sources, checkpoints, found, strict=True)
    ]

    def show(console: Any) -> None:
        for result, digests in zip(results, found, strict=True):
            line = f"{result['sha256']}  {report.text(result['source'])}"
            console.print(line, soft_wrap=True, highlight=False)
            if tensors:
                report.show_digests(digests, console)

    print_result({"checkpoints": results}, json_file, show)
    if len({result["sha256"] for result in results}) > 1:
        sys.exit(CHECK_FAILED)


@click.command()
@click.argument("first")
@click.argument("second")
@json_option
def diff(first: str, second: str, json_file: Path | None) -> None:
    """Compare two checkpoints, of any formats, array by array.

    Says of every array whether it is the same bit by bit, only in one of the two, of
    another shape or number type, or by how much it differs. The exit code is 1 when
    anything does.

    \b
    Example:
      albert-zoo diff my-albert fine-tuned
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import conversion_report as report
    from conversion.difference import SAME, compare

    one, other = opened(first), opened(second)
    with Progress(len(set(one) | set(other))) as step:
        rows = compare(one, other, step)
    same = all(row.verdict == SAME for row in rows)
    result = {"same": same, "arrays": [asdict(row) for row in rows]}
    print_result(result, json_file, partial(report.show_difference, rows))
    if not same:
        sys.exit(CHECK_FAILED)


@click.command()
@click.argument("source")
@config_option
@json_option
def inspect(source: str, config_file: Path | None, json_file: Path | None) -> None:
    """Tell what a checkpoint is and whether it is whole.

    Shows format, head, configuration, number types and sizes, and everything that is
    missing, of another shape, or no part of ALBERT. The exit code is 1 when it is not
    a whole ALBERT.

    \b
    Example:
      albert-zoo inspect albert_base/model.ckpt-best
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import conversion_report as report
    from conversion.inspection import inspected

    found = inspected(opened(source, config_file))
    print_result(found.to_dict(), json_file, partial(report.show_inspection, found))
    if found.problems:
        sys.exit(CHECK_FAILED)
