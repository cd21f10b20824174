"""The three frameworks' `Training` on small models, in this process."""

from contextlib import contextmanager

import numpy as np

from albert_core import checkpoint
from albert_core.optimization import OPTIMIZERS
from albert_core.training import parts
from albert_zoo.training.learners import Setup, learner
from tests.training.trainer import CASES, config_of, start_of, zeros_of


@contextmanager
def ready(framework):
    """JAX in float64, with quick compiles; TensorFlow without what cannot be undone."""
    if framework == "tf":
        import pytest
        import tensorflow as tf

        with pytest.MonkeyPatch.context() as patch:
            name = "enable_op_determinism"
            patch.setattr(tf.config.experimental, name, lambda: None)
            yield
        return
    if framework == "torch":
        yield
        return
    import jax

    names = ("jax_enable_x64", "jax_disable_most_optimizations")
    for name in names:
        jax.config.update(name, True)
    try:
        yield
    finally:
        for name in names:
            jax.config.update(name, False)


class Learners:
    """A framework's `Training` for each case and way to compute, compiled once."""

    def __init__(self, framework, folder):
        self.framework = framework
        self.folder = folder
        self.made = {}
        self.compiled = {}

    def __call__(self, case, optimizer="lamb", precision="float64", **ways):
        """One that is where every run starts from."""
        changes = ways.pop("changes", {})
        key = (case, optimizer, precision, repr(ways), repr(changes))
        if key not in self.made:
            place = self.folder / str(len(self.made))
            config, head = config_of(case, **changes), CASES[case][0]
            config.architectures = [f"Albert{head}"]
            checkpoint.save(place, config, start_of(case, **changes))
            setup = Setup(self.framework, precision, "cpu", **ways)
            made = learner(setup, place, head, OPTIMIZERS[optimizer])
            if self.framework == "flax":
                self._share(made, key)
            self.made[key] = made
        found, start = self.made[key], start_of(case, **changes)
        found.restore(start, zeros_of(start), 0)
        return found

    def _share(self, made, key):
        """Take over what XLA has compiled already, which is what takes the time."""
        case, optimizer, *ways = key
        # Gradients know nothing of the optimizer, and it nothing of how to compute.
        kept = str(made.kept)
        for name, which in (
            ("_gradients", (case, *ways)),
            ("_move", (case, optimizer, kept)),
        ):
            same = self.compiled.setdefault((name, *which), getattr(made, name))
            setattr(made, name, same)


class Kept:
    """What a `Training` held at one time."""

    def __init__(self, trained):
        self._arrays = {n: np.array(a) for n, a in trained.arrays().items()}
        self._moments = {n: np.array(a) for n, a in trained.moments().items()}

    def arrays(self):
        return self._arrays

    def moments(self):
        return self._moments


def learn(trained, batches, schedule, count=1, seed=0):
    """Take some steps; the figures of each."""
    return [
        trained.step(parts(batch, count), schedule(step), seed + step)
        for step, batch in enumerate(batches)
    ]
