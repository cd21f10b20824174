"""The folder of a run: settings, log, and checkpoints that are there whole or not.

A checkpoint is a canonical one, which everything that reads models reads, with the
moments of the optimizer and the state of the run beside it. All that is drawn follows
from the seed and the number of the step, so that these are all there is to keep.
"""

import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from albert_core import checkpoint as canonical
from albert_core import folder as folders
from albert_core import safetensors_file
from albert_core.config import AlbertConfig
from albert_core.errors import TrainingError, listed, shown
from albert_core.files import read_json, sync, write_text
from albert_core.optimization import moment_names

SETTINGS, STATE, MOMENTS = "run.json", "state.json", "optimizer.safetensors"
CHECKPOINT = re.compile(r"checkpoint-(\d+)")
UNFINISHED, REPLACED = ".unfinished-", ".replaced-"

Arrays = Mapping[str, NDArray[Any]]


@dataclass
class State:
    """Where a run is.

    Attributes:
        step: Steps taken.
        used: Examples that were learnt from, which is the position in the data.
        count: Updates; fewer than steps where some changed nothing.
        best: The best value of what the run is judged by, None before there is one.
        best_step: Where that was.
        worse: Judgements since then, which found nothing better.
        seconds: Spent on steps, also by earlier processes.
    """

    step: int = 0
    used: int = 0
    count: int = 0
    best: float | None = None
    best_step: int | None = None
    worse: int = 0
    seconds: float = 0.0


class RunFolder:
    """A folder that a run writes to.

    Args:
        path: The folder; it is made.
        settings: What makes the run what it is. A folder of other settings is refused.
        resume: Whether to go on with what is there.
        tokenizer_files: What belongs to every checkpoint: name and content.

    Raises:
        TrainingError: The folder holds a run, and `resume` was not asked for; it holds
            none to go on with; or it is of another run.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        resume: bool,
        tokenizer_files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.path = folders.make(path)
        self.tokenizer_files = tokenizer_files or {}
        self._tidy()
        file, settings = self.path / SETTINGS, json.loads(json.dumps(settings))
        if not file.exists():
            there = [x.name for x in self.path.iterdir() if not x.name.startswith(".")]
            if resume and there:  # otherwise it was killed before the first step
                raise TrainingError(
                    f"{path} holds no run to go on with: there is no {SETTINGS}. Leave "
                    f"--resume out, or give the folder of a run."
                )
            if self.steps():
                raise TrainingError(
                    f"{path} holds checkpoints of something else, as there is no "
                    f"{SETTINGS}. Give another folder."
                )
            write_text(file, json.dumps(settings, indent=2) + "\n")
            return
        if not resume:
            raise TrainingError(
                f"{path} holds a run already. Give --resume to go on with it, or "
                f"another folder."
            )
        self._compare(read_json(file, TrainingError), settings)

    def _tidy(self) -> None:
        """Finish or undo what a killed process has left."""
        for left in self.path.glob(f"{UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        for left in self.path.glob(f"{REPLACED}*"):
            target = self.checkpoint(int(left.name.removeprefix(REPLACED)))
            if target.exists():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.rename(target)

    def _compare(self, found: Mapping[str, Any], given: Mapping[str, Any]) -> None:
        differing = [
            f"{name}: {shown(found.get(name))} there, {shown(given.get(name))} here"
            for name in {**found, **given}
            if found.get(name) != given.get(name)
        ]
        if differing:
            raise TrainingError(
                f"{self.path} is the folder of another run: {'; '.join(differing)}. "
                f"Give the same options to go on, or another folder."
            )

    def steps(self) -> list[int]:
        """The steps of which there is a checkpoint."""
        names = (CHECKPOINT.fullmatch(place.name) for place in self.path.iterdir())
        return sorted(int(name[1]) for name in names if name)

    def checkpoint(self, step: int) -> Path:
        """Where the checkpoint of a step is."""
        return self.path / f"checkpoint-{step}"

    def save(
        self, config: AlbertConfig, arrays: Arrays, moments: Arrays, state: State
    ) -> Path:
        """Write a checkpoint, which is there when all of it is on the disk."""
        place, target = self._fresh(state.step), self.checkpoint(state.step)
        try:
            self._write_model(place, config, arrays)
            safetensors_file.write(place / MOMENTS, moments)
            text = json.dumps(asdict(state), indent=2) + "\n"
            (place / STATE).write_text(text, "utf-8")
            for file in place.iterdir():
                sync(file)
            sync(place)
            old = self.path / f"{REPLACED}{state.step}"
            if target.exists():
                target.rename(old)
            place.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        sync(self.path)
        return target

    def _fresh(self, step: int) -> Path:
        place = self._unfinished(step)
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        return place

    def _unfinished(self, step: int) -> Path:
        return self.path / f"{UNFINISHED}{step}"

    def _write_model(self, place: Path, config: AlbertConfig, arrays: Arrays) -> None:
        canonical.save(place, config, dict(arrays))
        for name, content in self.tokenizer_files.items():
            (place / name).write_bytes(content)

    def load(self, step: int) -> tuple[Arrays, Arrays, State]:
        """Read the checkpoint of a step: weights, moments, state.

        Raises:
            TrainingError: It is damaged.
        """
        place = self.checkpoint(step)
        try:
            values = read_json(place / STATE, TrainingError)
            state = _state(values, step)
            weights = canonical.Checkpoint.open(place)
            arrays = {name: weights[name] for name in weights}
            stored = safetensors_file.read_header(place / MOMENTS)
            moments = {name: array.read() for name, array in stored.items()}
            _check_moments(arrays, moments)
        except ValueError as problem:
            raise TrainingError(
                f"{place} is damaged: {problem} Remove this folder to go on from the "
                f"checkpoint before it."
            ) from problem
        return arrays, moments, state

    def keep(self, last: int, best: int | None) -> None:
        """Remove all checkpoints but the last ones and the best."""
        for step in self.steps()[:-last] if last else []:
            if step != best:
                shutil.rmtree(self.checkpoint(step).rename(self._unfinished(step)))

    def finish(self, step: int, config: AlbertConfig) -> None:
        """Put the model of a step into the folder itself, where users look for it."""
        weights = canonical.Checkpoint.open(self.checkpoint(step))
        self._write_model(self.path, config, {name: weights[name] for name in weights})


def _state(values: Mapping[str, Any], step: int) -> State:
    kinds = {row.name for row in fields(State)}
    wrong = sorted((values.keys() ^ kinds) - {"worse"})
    for name in values.keys() & kinds:
        number = type(values[name]) is int or isinstance(values[name], float)
        if name not in ("best", "best_step") or values[name] is not None:
            whole = name not in ("best", "seconds")
            if not number or (whole and type(values[name]) is not int):
                wrong.append(f"{name} = {shown(values[name])}")
    if wrong or values["step"] != step:
        found = ", ".join(wrong) or f"step = {values['step']}"
        raise TrainingError(f"{STATE} does not fit: {found}.")
    return State(**values)


def _check_moments(arrays: Arrays, moments: Arrays) -> None:
    # An untied decoder's bias stands twice among the weights, and learns once.
    names = arrays.keys() - {"predictions.decoder.bias"}
    wanted = {m: arrays[name].shape for name in names for m in moment_names(name)}
    found = {name: array.shape for name, array in moments.items()}
    wrong = sorted(name for name in wanted if found.get(name) != wanted[name])
    if wrong:
        raise TrainingError(
            f"{MOMENTS} lacks, or has in another shape, {listed(wrong)}."
        )
