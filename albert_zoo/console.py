"""What every command shares: exit codes, progress, results, and safe text."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import click

OK, CHECK_FAILED, USAGE, BAD_INPUT, MISSING, ENVIRONMENT, INCONCLUSIVE = range(7)

FRAMEWORKS = ("torch", "tf", "flax")


class Choices(click.ParamType):
    """A list of words with commas between them."""

    name = "list"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """What --help shows."""
        return "[" + ",".join(self.known) + "]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """Split, and refuse words that are not known."""
        words = value if isinstance(value, tuple) else tuple(value.split(","))
        unknown = [word for word in words if word not in self.known]
        if unknown:
            self.fail(f"{', '.join(unknown)} is not among {', '.join(self.known)}")
        return tuple(dict.fromkeys(words))


class Progress:
    """A progress bar on a terminal's error stream; nothing elsewhere.

    Args:
        total: How many steps there are, None if nobody knows.
    """

    def __init__(self, total: int | None) -> None:
        from rich import progress
        from rich.console import Console

        console = Console(stderr=True)
        shown = console.is_terminal
        self.bar = progress.Progress(console=console, transient=True, disable=not shown)
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Any:
        self.bar.start()
        return self._step

    def _step(self, description: str) -> None:
        self.bar.update(self.task, description=description, advance=1)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def print_result(result: dict[str, Any], json_file: Path | None, show: Any) -> None:
    """Show a result as a table, or as JSON where that was asked for.

    Args:
        result: What --json writes.
        json_file: Where to; None for nowhere, "-" for the output in place of the table.
        show: Prints the table to the console that it is given.
    """
    text = json.dumps(_strict(result), indent=2, allow_nan=False) + "\n"
    if json_file == Path("-"):
        click.echo(text, nl=False)
        return
    if json_file is not None:
        json_file.write_text(text, "utf-8")
    from rich.console import Console

    # Wide enough for the table where no terminal says how wide it is.
    width = None if sys.stdout.isatty() else 120
    show(Console(width=width))


def _strict(value: Any) -> Any:
    """What JSON can hold: it has no NaN and no infinity, only null."""
    if isinstance(value, dict):
        return {name: _strict(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def printable(text: str) -> str:
    """Text without the control characters that a hostile file could send a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)
