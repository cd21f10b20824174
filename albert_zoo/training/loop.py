"""Steps, one after another: learn, log, judge, keep, and stop where it is time to."""

import errno
import math
import signal
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from albert_core.errors import TrainingError
from albert_core.optimization import Schedule
from albert_core.training import Batch, parts
from albert_zoo.training.folder import RunFolder, State
from albert_zoo.training.learners import in_any, is_out_of_memory, rank_and_size
from albert_zoo.training.logs import Log

SEED_STEP = 1_000_003  # a prime: steps of one seed do not meet those of the next

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        schedule: The learning rate of each step, and how many there are.
        seed: Of the order of the data and of what is dropped.
        parts: How many parts a batch is learnt in, one after another.
        log_every: Steps between records.
        save_every: Steps between checkpoints; there the model is judged too.
        keep: How many of the last checkpoints stay, besides the best.
        judge: The figure that says which checkpoint is best.
        higher: Whether more of it is better.
        patience: Stop after as many judgements that found nothing better; 0 for never.
    """

    schedule: Schedule
    seed: int = 0
    parts: int = 1
    log_every: int = 50
    save_every: int = 1000
    keep: int = 2
    judge: str = "eval_loss"
    higher: bool = False
    patience: int = 0


class Loop:
    """A run of training, in one process of perhaps several.

    Args:
        learner: The framework's `Training`.
        folder: Where checkpoints go.
        plan: What to do.
        state: Where the run is.
        log: Where figures go; None in all processes but the first.
        evaluate: Judges the model; its figures begin with "eval_".
    """

    def __init__(
        self,
        learner: Any,
        folder: RunFolder,
        plan: Plan,
        state: State,
        log: Log | None,
        evaluate: Callable[[Any], Figures] | None = None,
    ) -> None:
        self.learner = learner
        self.folder = folder
        self.plan = plan
        self.state = state
        self.log = log
        self.evaluate = evaluate
        self.rank, self.size = rank_and_size()
        self._since: list[Figures] = []
        self._stopped = False

    def run(self, batches: Iterator[Batch]) -> State:
        """Learn until the last step, or until nothing gets better.

        Args:
            batches: Those that follow on what the state has used.

        Raises:
            TrainingError: The loss is no number. The checkpoint of the last good step
                is written before.
            OSError: A batch does not fit into memory, or the disk is full.
            KeyboardInterrupt: The process was asked to stop. The checkpoint of the
                last step is written before.
        """
        with self._stoppable():
            while not self._is_done():
                self._step(next(batches))
                at_end = self.state.step == self.plan.schedule.total_steps
                if self.state.step % self.plan.log_every == 0 or at_end:
                    self._report()
                if self.state.step % self.plan.save_every == 0 or at_end:
                    self._judge_and_save()
                if in_any(self._stopped):
                    if self.state.step not in self.folder.steps():
                        self._save()
                    raise KeyboardInterrupt
        return self.state

    def _is_done(self) -> bool:
        worse, patience = self.state.worse, self.plan.patience
        at_end = self.state.step >= self.plan.schedule.total_steps
        return at_end or (0 < patience <= worse)

    @contextmanager
    def _stoppable(self) -> Generator[None]:
        """Let Ctrl-C and SIGTERM end the run between steps, and at once if repeated.

        In the middle of a step some weights may have moved and others not.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(*_: Any) -> None:
            if self._stopped:
                raise KeyboardInterrupt
            self._stopped = True

        kept = {
            number: signal.signal(number, stop)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for number, handler in kept.items():
                signal.signal(number, handler)

    def _step(self, batch: Batch) -> None:
        rows = len(next(iter(batch.values())))
        share = rows // self.size
        if rows % self.size:
            raise TrainingError(
                f"A batch of {rows} rows cannot be shared by {self.size} processes. "
                f"Choose a batch size that is a multiple of {self.size}."
            )
        mine = slice(self.rank * share, (self.rank + 1) * share)
        number, start = self.state.step, time.perf_counter()
        seed = (self.plan.seed * SEED_STEP + number) * self.size + self.rank
        rate = self.plan.schedule(number)
        try:
            figures = self.learner.step(
                parts(batch, self.plan.parts, mine), rate, seed % 2**31
            )
        except Exception as problem:
            if is_out_of_memory(problem):
                raise _does_not_fit(batch, self.plan.parts, problem) from problem
            raise
        if not math.isfinite(figures["loss"] + figures["gradient_norm"]):
            self._save()
            raise TrainingError(
                f"Step {number + 1} has a loss of {figures['loss']} and gradients of "
                f"norm {figures['gradient_norm']}: the run cannot go on. The model "
                f"before it is in {self.folder.checkpoint(self.state.step)}. Lower the "
                f"learning rate ({rate:.3g} here), or warm up for longer."
            )
        self.state.step += 1
        self.state.used += rows
        self.state.count = self.learner.count
        taken = time.perf_counter() - start
        self.state.seconds += taken
        tokens = float(batch["attention_mask"].sum())
        self._since.append({**figures, "tokens_per_second": tokens / taken})
        if self.log:
            self.log.advance(self.state.step)

    def _report(self) -> None:
        found, self._since = self._since, []
        if not self.log or not found:
            return
        means = {name: sum(f[name] for f in found) / len(found) for name in found[0]}
        rate = self.plan.schedule(self.state.step - 1)
        seconds = round(self.state.seconds, 1)
        self.log.write(
            self.state.step, {**means, "learning_rate": rate, "seconds": seconds}
        )

    def _judge_and_save(self) -> None:
        if self.evaluate:
            figures = self._evaluated(self.evaluate)
            value, best = figures[self.plan.judge], self.state.best
            # A value that is no number is never the best: nothing would be better.
            better = math.isfinite(value) and (
                best is None or (value > best if self.plan.higher else value < best)
            )
            self.state.worse = 0 if better else self.state.worse + 1
            if better:
                self.state.best, self.state.best_step = value, self.state.step
            if self.log:
                self.log.write(self.state.step, figures)
        self._save()

    def _evaluated(self, evaluate: Callable[[Any], Figures]) -> Figures:
        try:
            return evaluate(self.learner)
        except Exception as problem:
            if is_out_of_memory(problem):
                self._save()
                raise OSError(
                    errno.ENOMEM,
                    f"Judging the model does not fit into memory "
                    f"({_first_line(problem)}). Its checkpoint is written. Go on with "
                    f"more --parts, or lower the batch size or the length",
                ) from problem
            raise

    def _save(self) -> None:
        if self.rank == 0:
            config = self.learner.model.config
            moments = self.learner.moments()
            self.folder.save(config, self.learner.arrays(), moments, self.state)
            self.folder.keep(self.plan.keep, self.state.best_step)


def _does_not_fit(batch: Batch, count: int, problem: Exception) -> OSError:
    rows, length = batch["attention_mask"].shape[0], batch["attention_mask"].shape[-1]
    return OSError(
        errno.ENOMEM,
        f"A batch of {rows} rows of {length} tokens, in {count} "
        f"{'part' if count == 1 else 'parts'}, does not fit into memory "
        f"({_first_line(problem)}). Give more --parts, which changes nothing but what "
        f"dropout drops, or --recompute; or lower --batch-size or the length",
    )


def _first_line(problem: Exception) -> str:
    return str(problem).splitlines()[0][:200] if str(problem) else "out of memory"
