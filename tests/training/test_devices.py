"""The same step on several devices: in float64 the numbers of one."""

import sys

import numpy as np
import pytest

from albert_core.optimization import OPTIMIZERS
from tests.training.on_devices import MORE, RUNS, batches_of
from tests.training.processes import run, torchrun
from tests.training.trainer import SAME_NUMBERS, SCHEDULE, Trainer, apart

SCRIPT = ["-m", "tests.training.on_devices"]


class Found:
    """What a process has written."""

    def __init__(self, path):
        with np.load(path) as stored:
            self.held = dict(stored)

    def arrays(self):
        return {n: a for n, a in self.held.items() if not n.endswith(("_m", "_v"))}

    def moments(self):
        return {n: a for n, a in self.held.items() if n.endswith(("_m", "_v"))}


def check(folder, runs, ranks=1):
    for name, (case, optimizer, _) in runs.items():
        wanted = Trainer(case, OPTIMIZERS[optimizer])
        for step, batch in enumerate(batches_of(case)):
            wanted.step(batch, SCHEDULE(step))
        for rank in range(ranks):
            found = Found(folder / f"{name}-{rank}.npz")
            assert apart(found, wanted).max() < SAME_NUMBERS, name


@pytest.mark.slow
def test_jax_on_eight_devices(tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    run([sys.executable, *SCRIPT, "flax", 8, tmp_path], environment=flags)
    check(tmp_path, RUNS)
    said = (tmp_path / "refused.txt").read_text()
    assert said.startswith("A part of 9 rows cannot be spread over 8 devices. Choose a")


@pytest.mark.slow
def test_tensorflow_on_two_devices(tmp_path):
    run([sys.executable, *SCRIPT, "tf", 2, tmp_path])
    check(tmp_path, RUNS)
    said = (tmp_path / "refused.txt").read_text()
    assert said.startswith("A part of 3 rows cannot be spread over 2 devices. Choose a")


@pytest.mark.slow
def test_pytorch_in_two_processes(tmp_path):
    run([*torchrun(2), *SCRIPT, "torch", 2, tmp_path])
    check(tmp_path, RUNS | MORE, ranks=2)
