"""What the commands over tasks share: the task, its files, and its columns."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

PATH = click.Path(exists=True, path_type=Path)


def _pairs(_: Any, __: Any, given: Sequence[str]) -> dict[str, str] | None:
    """Fields and names of columns, as --column has them."""
    pairs = [text.partition("=") for text in given]
    if wrong := [name for name, sign, _ in pairs if not sign]:
        raise click.UsageError(
            f"--column takes FIELD=NAME, such as text=review, not {', '.join(wrong)}."
        )
    return {name: value for name, _, value in pairs} or None


def add(command: Any) -> Any:
    """Give a command the options of a task."""
    options = [
        click.option("--task", required=True, help="See `albert-zoo finetune --help`."),
        click.option(
            "--column",
            "columns",
            multiple=True,
            metavar="FIELD=NAME",
            callback=_pairs,
            help="Where a field of the task is in a csv, tsv or jsonl file; repeat it.",
        ),
        click.option("--joint", is_flag=True, help="SQuAD: the joint head, Google's."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def found(name: str, joint: bool) -> Any:
    """The task of a name.

    Raises:
        InputError: There is none, or it has no joint head.
    """
    from albert_core.data.tasks import find

    return find(name, "ForQuestionAnsweringBeam" if joint else None)


def table(title: str, scores: dict[str, float]) -> Any:
    """Scores as a table."""
    from rich.table import Table

    shown = Table(title=title)
    shown.add_column("measure")
    shown.add_column("value", justify="right")
    for name, value in scores.items():
        shown.add_row(name, f"{value:.4f}")
    return shown
