"""A run whose learner is two numbers: what is not arithmetic needs no framework."""

from types import SimpleNamespace

import numpy as np

from albert_core.optimization import Schedule
from albert_zoo.training.folder import RunFolder, State
from albert_zoo.training.loop import Loop, Plan
from tests.conftest import tiny

CONFIG = tiny()


class Learner:
    """Adds rate, seed and data to its weights; a step of bad ones moves nothing.

    Attributes:
        bad: Steps, counted from 0, whose loss is no number.
        before: Is called before every step, with its number.
    """

    def __init__(self, bad=(), before=lambda step: None):
        self.model = SimpleNamespace(config=CONFIG)
        self.weights = np.zeros(2)
        self.count = self.step_number = 0
        self.bad, self.before = bad, before

    def step(self, parts, rate, seed):
        self.before(self.step_number)
        number, self.step_number = self.step_number, self.step_number + 1
        loss = 1.0 / (1 + number)
        if number in self.bad:
            return {"loss": float("nan"), "gradient_norm": 1.0}
        self.weights = self.weights * 0.5 + [rate, seed + parts[0].inputs["labels"][0]]
        self.count += 1
        return {"loss": loss, "gradient_norm": 2.0}

    def arrays(self):
        return {"w": self.weights}

    def moments(self):
        return {"w.adam_m": self.weights + 1, "w.adam_v": self.weights + 2}

    def restore(self, arrays, moments, count):
        assert (moments["w.adam_v"] == arrays["w"] + 2).all()
        self.weights, self.count = np.array(arrays["w"]), count


def batches(used=0, rows=2):
    """Batches each of which says where in the data it is."""
    while True:
        labels = np.arange(used, used + rows)
        yield {"attention_mask": np.ones((rows, 3), int), "labels": labels}
        used += rows


def plan(steps=6, **changes):
    values = {"log_every": 2, "save_every": 2, "keep": 2, **changes}
    return Plan(Schedule(0.5, steps), **values)


def loop(path, learner=None, resume=False, log=None, evaluate=None, **changes):
    """A run in a folder, begun or gone on with, as the commands do it."""
    learner = learner or Learner()
    folder = RunFolder(path, {"command": "test"}, resume)
    if not folder.steps():
        folder.save(CONFIG, learner.arrays(), learner.moments(), State())
    arrays, moments, state = folder.load(folder.steps()[-1])
    learner.restore(arrays, moments, state.count)
    learner.step_number = state.step
    return Loop(learner, folder, plan(**changes), state, log, evaluate)
