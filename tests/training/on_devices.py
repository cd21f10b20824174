"""Steps on several devices, run by `test_devices` in a process of its own.

It writes weights and moments of every case into a folder, and what it refuses.
"""

import sys
from pathlib import Path

import numpy as np

from albert_core.errors import InputError
from albert_core.training import parts
from albert_zoo.training.learners import Setup, join, rank_and_size
from tests.training.frameworks import Learners, ready
from tests.training.trainer import SCHEDULE, batch_of

STEPS = 3
# name -> case, optimizer, parts of a batch
RUNS = {
    "pretraining": ("pretraining", "lamb", 1),
    "tokens": ("tokens", "adamw", 1),
}
# One process a device: cheap enough for all.
MORE = {
    "parts": ("pretraining", "lamb", 2),
    "recomputed": ("pretraining", "lamb", 2),
    "span": ("span", "google-adamw", 1),
}


def batches_of(case):
    """Batches some devices of which have no label that counts."""
    batches = [batch_of(case, step) for step in range(STEPS)]
    if case == "tokens":
        for batch in batches:
            batch["labels"][4:] = -100
    return batches


def run(framework, count, folder):
    """Learn on so many devices, and write what was learnt."""
    rank, size = rank_and_size()
    make = Learners(framework, folder / f"start-{rank}")
    ways = {"devices": count} if framework != "torch" else {}
    for name, (case, optimizer, cuts) in (
        RUNS | (MORE if framework == "torch" else {})
    ).items():
        more = {"recompute": True} if name == "recomputed" else {}
        trained = make(case, optimizer, **ways, **more)
        for step, batch in enumerate(batches_of(case)):
            rows = len(batch["input_ids"]) // size
            mine = slice(rank * rows, (rank + 1) * rows)
            trained.step(parts(batch, cuts, mine), SCHEDULE(step), step)
        found = {**trained.arrays(), **trained.moments()}
        np.savez(folder / f"{name}-{rank}.npz", **found)
    if framework == "torch":
        return
    trained = make("pretraining", "lamb", **ways)
    try:
        trained.step(parts(batch_of("pretraining", rows=count + 1)), 0.1, 0)
    except InputError as problem:
        (folder / "refused.txt").write_text(str(problem))


if __name__ == "__main__":
    name, devices, place = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    if name == "tf":
        import tensorflow as tf

        one = tf.config.LogicalDeviceConfiguration()
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [one] * devices
        )
    join(Setup(name))
    with ready(name):
        run(name, devices, place)
