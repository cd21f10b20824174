"""A run from its folder to its model, whatever it is that is learnt."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from albert_core.config import AlbertConfig
from albert_core.optimization import Schedule, moment_names
from albert_core.training import Batch
from albert_zoo.training.folder import RunFolder, State
from albert_zoo.training.learners import Setup, join, learner, rank_and_size, wait
from albert_zoo.training.logs import Log, records
from albert_zoo.training.loop import Figures, Loop, Plan
from albert_zoo.training.option_fields import FREE, Options


@dataclass(frozen=True)
class Work:
    """What a run does.

    Attributes:
        output: Its folder.
        head: The head that learns, a key of `schema.HEADS`.
        config: Of the model.
        start: Gives the weights that the run begins with.
        files: What is saved with every checkpoint: name and content.
        settings: What makes the run what it is, besides model and options.
        options: How to train.
        schedule: The learning rate of each step.
        epoch: How many steps go once through the data.
        stream: Gives the batches behind a number of examples.
        metric: The figure that the best checkpoint is chosen by; more is better.
        judge: Gives the figures of a learner; None if there is nothing to judge by.
    """

    output: Path
    head: str
    config: AlbertConfig
    start: Callable[[], dict[str, Any]]
    files: Mapping[str, bytes]
    settings: Mapping[str, Any]
    options: Options
    schedule: Schedule
    epoch: int
    stream: Callable[[int], Iterator[Batch]]
    metric: str
    judge: Callable[[Any], Figures] | None


def carry_out(
    work: Work, setup: Setup, resume: bool = False, quiet: bool = False
) -> tuple[State, dict[str, float]]:
    """Train from the first step, or from where the run was, to the model.

    Returns:
        Where the run ended, and the figures of the checkpoint that became the model;
        none if nothing judges, or in other processes than the first.

    Raises:
        TrainingError: The folder is that of another run, or the loss is no number.
    """
    options = work.options
    folder = _opened(work, setup, resume)
    step = folder.steps()[-1]
    trained = learner(setup, folder.checkpoint(step), work.head, options.arithmetic())
    arrays, moments, state = folder.load(step)
    trained.restore(arrays, moments, state.count)
    plan = Plan(
        work.schedule,
        options.seed,
        options.parts,
        options.log_every,
        options.save_every or work.epoch,
        options.keep,
        f"eval_{work.metric}",
        True,
        options.patience,
    )
    first = rank_and_size()[0] == 0
    total = work.schedule.total_steps
    log = Log(work.output, step, total, quiet=quiet) if first else None
    loop = Loop(trained, folder, plan, state, log, work.judge)
    stream = work.stream(state.used)
    if log is None:
        return loop.run(stream), {}
    with log:
        state = loop.run(stream)
    best = state.best_step or state.step
    folder.finish(best, work.config)
    judged = [row for row in records(work.output) if row["step"] == best]
    return state, {
        name.removeprefix("eval_"): value
        for row in judged
        for name, value in row.items()
        if name.startswith("eval_")
    }


def _opened(work: Work, setup: Setup, resume: bool) -> RunFolder:
    """The folder of a run; the first of all processes writes the first checkpoint."""
    values = asdict(work.options)
    settings = {
        **work.settings,
        "model": work.config.to_dict(),
        "training": {name: x for name, x in values.items() if name not in FREE},
    }
    join(setup)
    if rank_and_size()[0] != 0:
        wait()
        return RunFolder(work.output, settings, True, work.files)
    folder = RunFolder(work.output, settings, resume, work.files)
    if not folder.steps():
        arrays = work.start()
        moments = {
            moment: np.zeros_like(array)
            for name, array in arrays.items()
            for moment in moment_names(name)
        }
        folder.save(work.config, arrays, moments, State())
    wait()
    return folder


def files_of(tokenizer: Any) -> dict[str, bytes]:
    """The files that a tokenizer is saved as: name and content."""
    with TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}
