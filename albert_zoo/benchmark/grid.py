"""All cells that are asked for, one group after another."""

import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from albert_core.errors import InputError
from albert_zoo import backends, models
from albert_zoo.benchmark import jobs, tasks, truth
from albert_zoo.benchmark.cells import Cell, Result
from albert_zoo.benchmark.jobs import Job
from albert_zoo.benchmark.measure import Timing
from albert_zoo.benchmark.tasks import Subject
from albert_zoo.parity import checks
from albert_zoo.parity.case import Case, open_case
from albert_zoo.parity.checks import Check

LENGTHS = (32, 128)  # as far as the model takes them, where none are asked for
# All frameworks are to fit on an accelerator together.
SHARED = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
Models = Mapping[str, Subject | Exception]


@dataclass(frozen=True)
class Grid:
    """What is asked for.

    Attributes:
        frameworks: Keys of `backends.BACKENDS`.
        modes: Number types, keys of `budgets.MODES`.
        batches: Numbers of rows.
        lengths: Tokens in a row; none for those of `LENGTHS` that the model takes.
        tasks: Of forward, train and load.
        rounds: How often each cell is measured.
        device: As `models.place` has it.
    """

    frameworks: Sequence[str]
    modes: Sequence[str]
    batches: Sequence[int]
    lengths: Sequence[int]
    tasks: Sequence[str]
    rounds: int
    device: str | None = None

    @property
    def steps(self) -> int:
        """How often `bench` tells its progress, at most."""
        shapes = len(self.batches) * len(self.lengths or LENGTHS)
        each = sum(1 if task == "load" else shapes for task in self.tasks)
        return len(self.frameworks) + len(self.modes) * each


def bench(path: str | Path, grid: Grid, progress: Callable[[str], None]) -> Result:
    """Measure all cells of a grid on one checkpoint.

    Args:
        path: A checkpoint of any format, or a hub name.
        grid: What to measure.
        progress: Told what comes next.

    Raises:
        AlbertError: The checkpoint cannot be used, a length is too long for it, there
            is no such device, or int8 is wanted on one that is no CPU.
        MissingPackageError: A framework is not installed.
    """
    environment = _machine()
    for name, value in SHARED.items():
        os.environ.setdefault(name, value)
    for name in grid.frameworks:
        progress(f"start {name}")
        backends.require(backends.BACKENDS[name])
        models.place(name, grid.device)  # refuses what is no device
    case = open_case(path, lambda config, head: {})
    _check_lengths(case, grid)
    result = Result(str(path), case.head, grid.rounds, environment=environment)
    for name in grid.frameworks:
        result.settings[name] = backends.versions(backends.BACKENDS[name])
    for mode in grid.modes:
        result.cells += _cells(case, grid, mode, result.settings, progress)
    return result


def _cells(
    case: Case,
    grid: Grid,
    mode: str,
    settings: dict[str, dict[str, str]],
    progress: Callable[[str], None],
) -> Iterator[Cell]:
    """The cells of one number type."""
    if "load" in grid.tasks:
        progress(f"{mode}: load")
        known = {
            name: jobs.load(name, case, mode, grid.device) for name in grid.frameworks
        }
        yield from jobs.measure(known, grid.rounds, "load", mode)
    computed = [task for task in grid.tasks if task != "load"]
    subjects = _subjects(case, grid, mode) if computed else {}
    for name, subject in subjects.items():
        if not isinstance(subject, Exception):
            settings[name] |= subject.settings()
    for task in computed:
        for length in _lengths(case, grid):
            for batch in grid.batches:
                progress(f"{mode}: {task}, {batch} x {length}")
                yield from _group(case, grid, mode, task, batch, length, subjects)


def _group(
    case: Case,
    grid: Grid,
    mode: str,
    task: str,
    batch: int,
    length: int,
    subjects: Models,
) -> list[Cell]:
    """The cells of one task and shape, a framework each."""
    if task == "train" and not case.learns:
        why = Check(task, "", checks.SKIPPED, f"Albert{case.head} has no loss")
        parts = (task, mode, batch, length, Timing(), [why])
        return [Cell(name, *parts) for name in subjects]
    know, make = {
        "forward": (truth.forward, jobs.forward),
        "train": (truth.train, jobs.train),
    }[task]
    wanted = know(case, batch, length)
    made: dict[str, Job | Exception] = {}
    for name, subject in subjects.items():
        if isinstance(subject, Exception):
            made[name] = subject
        else:
            made[name] = make(subject, wanted, mode)
    tokens = int(wanted.given["input_ids"].size)
    return jobs.measure(made, grid.rounds, task, mode, batch, length, tokens)


def _subjects(case: Case, grid: Grid, mode: str) -> Models:
    """The models of a number type, or why there is none."""
    found: dict[str, Subject | Exception] = {}
    for name in grid.frameworks:
        parts = (name, case.directory, case.head, mode, grid.device)
        try:
            found[name] = tasks.load(*parts, **case.options)
        except Exception as problem:  # any framework's own
            found[name] = problem.with_traceback(None)
    return found


def _check_lengths(case: Case, grid: Grid) -> None:
    most = case.config.max_position_embeddings
    if over := [str(length) for length in grid.lengths if length > most]:
        raise InputError(
            f"--length asks for {', '.join(over)} tokens in a row, but this model has "
            f"positions for {most}. Give {most} or fewer."
        )


def _lengths(case: Case, grid: Grid) -> Sequence[int]:
    most = case.config.max_position_embeddings
    return grid.lengths or [n for n in LENGTHS if n <= most] or [most]


def _machine() -> dict[str, str]:
    """Where it is measured, and how many processes ran there before it began."""
    load = getattr(os, "getloadavg", lambda: None)()
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "cores": str(os.cpu_count()),
        "load": "unknown" if load is None else f"{load[0]:.2f}",
        "numpy": np.__version__,
        "albert-zoo": version("albert-zoo"),
    }
