"""What a run says: on the terminal, in a file of records, to TensorBoard, as curves."""

import json
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from albert_core.errors import MissingPackageError
from albert_core.files import write_text

LOG = "log.jsonl"


class Log:
    """The records of a run, one a line of a JSON file.

    Args:
        folder: Of the run.
        step: Where the run goes on; later records of a killed process are dropped.
        total: Steps of the whole run.
        tensorboard: Whether to write for TensorBoard as well, where it is installed.
        quiet: Whether to leave the terminal alone.
    """

    def __init__(
        self,
        folder: Path,
        step: int = 0,
        total: int = 0,
        tensorboard: bool = True,
        quiet: bool = False,
    ) -> None:
        self.path = folder / LOG
        kept = [row for row in records(folder) if row["step"] <= step]
        write_text(self.path, "".join(json.dumps(row) + "\n" for row in kept))
        self.board: Any = None
        if tensorboard and find_spec("tensorboard") is not None:
            self.board = _board(folder)
        self.bar = None if quiet else _Bar(total, step)

    def __enter__(self) -> "Log":
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar:
            self.bar.stop()
        if self.board:
            self.board.close()

    def write(self, step: int, figures: Mapping[str, Any]) -> None:
        """Add a record."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **figures}) + "\n")
        for name, value in figures.items() if self.board else ():
            if isinstance(value, int | float):
                self.board.add_scalar(name, value, step)
        if self.bar:
            self.bar.say(step, figures)

    def advance(self, step: int) -> None:
        """Move the bar on."""
        if self.bar:
            self.bar.advance(step)


class _Bar:
    """A progress line on a terminal; elsewhere a plain line for every record."""

    def __init__(self, total: int, step: int) -> None:
        from rich import progress
        from rich.console import Console

        self.console = Console(stderr=True)
        self.total = total
        self.bar = progress.Progress(
            "{task.description}",
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TimeElapsedColumn(),
            progress.TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        self.task = self.bar.add_task("training", total=total, completed=step)

    def start(self) -> None:
        self.bar.start()

    def stop(self) -> None:
        self.bar.stop()

    def advance(self, step: int) -> None:
        self.bar.update(self.task, completed=step)

    def say(self, step: int, figures: Mapping[str, Any]) -> None:
        text = "  ".join(
            f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in figures.items()
        )
        self.console.print(
            f"step {step}/{self.total}  {text}", markup=False, soft_wrap=True
        )


def _board(folder: Path) -> Any:
    from tensorboard.summary import Writer  # pyright: ignore

    return Writer(str(folder / "tensorboard"))


def records(folder: Path) -> list[dict[str, Any]]:
    """The records of a run; a last line that was cut off by a kill is left out."""
    path = folder / LOG
    found: list[dict[str, Any]] = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else ():
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def plot(folder: Path, target: Path) -> None:
    """Draw the curves of a run: one axis for each figure, training and held out.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise MissingPackageError(
            "Curves are drawn with matplotlib. Install it with "
            "pip install 'albert-zoo[report]'"
        )
    from matplotlib.figure import Figure

    rows = [
        {name: x for name, x in row.items() if isinstance(x, int | float)}
        for row in records(folder)
    ]
    skipped = {"step", "seconds", "tokens_per_second", "epoch"}
    names = [
        name
        for name in dict.fromkeys(key for row in rows for key in row)
        if name not in skipped and not name.startswith("eval_")
    ]
    names += [
        name.removeprefix("eval_")
        for name in dict.fromkeys(key for row in rows for key in row)
        if name.startswith("eval_") and name.removeprefix("eval_") not in names
    ]
    across = 2
    down = max(1, -(-len(names) // across))
    figure = Figure(figsize=(5 * across, 2.6 * down), layout="constrained")
    for place, name in enumerate(names, 1):
        axis = figure.add_subplot(down, across, place)
        for key, label in ((name, "training"), (f"eval_{name}", "held out")):
            points = [(row["step"], row[key]) for row in rows if key in row]
            if points:
                axis.plot(*zip(*points, strict=True), label=label)
        axis.set_title(name.replace("_", " "), fontsize=10)
        axis.set_xlabel("step")
        axis.legend()
    figure.savefig(target)
