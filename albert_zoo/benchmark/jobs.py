"""What is timed and what its outputs are judged by, for every task."""

import gc
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_zoo.backends import Arrays
from albert_zoo.benchmark import tasks, truth
from albert_zoo.benchmark.cells import Cell, rank
from albert_zoo.benchmark.measure import Side, Timing, in_turns
from albert_zoo.benchmark.tasks import Subject
from albert_zoo.benchmark.truth import Truth
from albert_zoo.parity import checks
from albert_zoo.parity.case import Case
from albert_zoo.parity.checks import Check

Judge = Callable[[Any], Iterator[Check]]


@dataclass(frozen=True)
class Job:
    """One framework's part of a group of cells.

    Attributes:
        side: What is timed.
        judge: Takes what the last round gave.
    """

    side: Side
    judge: Judge


def forward(subject: Subject, wanted: Truth, mode: str) -> Job:
    """Prediction, as the pipelines do it: compiled where the framework compiles."""

    def run() -> Arrays:
        return subject.predictor.run(wanted.given, tuple(wanted.outputs))

    def judge(found: Arrays) -> Iterator[Check]:
        return wanted.forward(found, mode)

    return Job(Side(run, device_peak=subject.device_peak), judge)


def train(subject: Subject, wanted: Truth, mode: str) -> Job:
    """One step of training, always from the same weights."""

    def run() -> float:
        return subject.step(wanted.given)

    def judge(loss: float) -> Iterator[Check]:
        after, gradients = _weights(subject), subject.gradients()
        subject.reset()
        return wanted.train(loss, gradients, _weights(subject), after, mode)

    return Job(Side(run, subject.reset, subject.device_peak), judge)


def load(framework: str, case: Case, mode: str, device: str | None) -> Job:
    """`from_pretrained`, until all weights are where they are computed with."""
    seen: list[Subject] = []  # its device has a peak that outlives it

    def reset() -> None:
        seen.clear()
        gc.collect()  # models refer to themselves

    def run() -> Subject:
        parts = (framework, case.directory, case.head, mode, device)
        seen[:] = [tasks.load(*parts, **case.options)]
        seen[0].wait()
        return seen[0]

    def judge(subject: Subject) -> Iterator[Check]:
        return truth.loaded(case, subject.model.canonical_arrays(), mode)

    def peak() -> int | None:
        return seen[0].device_peak() if seen else None

    return Job(Side(run, reset, peak), judge)


def measure(
    jobs: Mapping[str, Job | Exception],
    rounds: int,
    task: str,
    mode: str,
    batch: int = 0,
    length: int = 0,
    tokens: int = 0,
) -> list[Cell]:
    """Time jobs in turns, and judge what they gave.

    Args:
        jobs: By framework; an exception where there is none, and so no result.
        rounds: How often each is measured.
        task: See `Cell`, as for what follows.
        mode: The number type.
        batch: Rows.
        length: Tokens of a row.
        tokens: Those of all rows.
    """
    sides = {name: job.side for name, job in jobs.items() if isinstance(job, Job)}
    timings = in_turns(sides, rounds)
    cells: list[Cell] = []
    for name, job in jobs.items():
        if isinstance(job, Job):
            timing = timings[name]
            found = _judged(task, timing, job.judge)
        else:
            timing = Timing(problem=job)
            found = [_unknown(task, job)]
        cells.append(Cell(name, task, mode, batch, length, timing, found, tokens))
    return rank(cells)


def _weights(subject: Subject) -> Arrays:
    """A copy: the arrays of PyTorch change with the model."""
    return {name: np.array(x) for name, x in subject.model.canonical_arrays().items()}


def _judged(task: str, timing: Timing, judge: Judge) -> list[Check]:
    if timing.problem is not None:
        return [_unknown(task, timing.problem)]
    result, timing.result = timing.result, None
    try:
        return list(judge(result))
    except Exception as problem:  # any framework's own
        return [_unknown(task, problem)]


def _unknown(task: str, problem: Exception) -> Check:
    why = f"{type(problem).__name__}: {problem}"
    return Check(task, "", checks.ERROR, why[:500])
