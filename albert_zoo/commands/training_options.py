"""The options that the commands of training share, made from what they set."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import click

from albert_zoo.console import FRAMEWORKS

FOLDER = click.Path(file_okay=False, path_type=Path)


def recipe_values(*left_out: str) -> Callable[[Any], Any]:
    """Give a command an option for each field of a recipe, but for some."""
    from albert_zoo.training.option_fields import HELP, Options

    def add(command: Any) -> Any:
        for row in reversed(fields(Options)):
            if row.name not in left_out:
                flag = f"--{row.name.replace('_', '-')}"
                kind = type(row.default)
                option = click.option(flag, type=kind, help=HELP[row.name])
                command = option(command)
        return command

    return add


def computing(command: Any) -> Any:
    """Give a command the options of where it computes."""
    options = [
        click.option("--framework", type=click.Choice(FRAMEWORKS)),
        click.option("--device", help="cpu, cuda, cuda:1, tpu, or a number."),
        click.option(
            "--devices",
            type=click.IntRange(1),
            default=1,
            show_default=True,
            help="Spread batches over several, in TensorFlow and JAX; for PyTorch "
            "start albert-zoo with torchrun.",
        ),
        click.option(
            "--recompute", is_flag=True, help="Need less memory, and more time."
        ),
        click.option(
            "--attention",
            type=click.Choice(["eager", "sdpa"]),
            help="PyTorch: eager is faster on short texts and a CPU.",
        ),
        click.option(
            "--resume", is_flag=True, help="Go on with the run in the output folder."
        ),
        click.option(
            "--plot",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Draw the curves into this file (.png, .svg, .pdf) at the end.",
        ),
        click.option("--quiet", is_flag=True, help="Nothing on the terminal."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def values_of(given: dict[str, Any]) -> dict[str, Any]:
    """The options of `recipe_values` among all that was given."""
    from albert_zoo.training.option_fields import HELP

    return {name: given[name] for name in HELP.keys() & given.keys()}


def setup_of(given: dict[str, Any], precision: str) -> Any:
    """Take the options of `computing` out of all that was given."""
    from albert_zoo import models
    from albert_zoo.training.learners import Setup

    framework = given.pop("framework") or models.default_framework()
    names = ("device", "devices", "recompute", "attention")
    return Setup(framework, precision, **{name: given.pop(name) for name in names})
