"""A Flax model to time; its twins are tasks_torch.py and tasks_tf.py."""

from functools import cached_property
from typing import Any

import jax

from albert_zoo.backends import Arrays
from albert_zoo.benchmark.tasks import RATE, Inputs
from albert_zoo.predictors import Predictor, flax_predictor


class Subject:
    """See `tasks.Subject`; a step is one program, compiled for each shape."""

    def __init__(self, model: Any) -> None:
        self.model = model
        # They are loaded as float32, and would be cast in every step.
        dtype = model.dtype
        model.params = jax.tree.map(lambda array: array.astype(dtype), model.params)
        self.start = model.params
        self.found: Any = None
        self.program = jax.jit(self._step)
        self.device = next(iter(jax.tree.leaves(self.start)[0].devices()))

    @cached_property
    def predictor(self) -> Predictor:
        """See `tasks.Subject`."""
        return flax_predictor(self.model)

    def step(self, inputs: Inputs) -> float:
        """See `tasks.Subject`."""
        given = {
            name: array if array.dtype.kind in "iu" else array.astype(self.model.dtype)
            for name, array in inputs.items()
        }
        with jax.default_matmul_precision("highest"):
            loss, self.found, moved = self.program(self.start, given)
        self.model.params = moved
        self.wait()
        return float(loss)

    def reset(self) -> None:
        """See `tasks.Subject`."""
        self.found = None
        self.model.params = self.start

    def gradients(self) -> Arrays:
        """See `tasks.Subject`."""
        return self.model.canonical_arrays(self.found)

    def wait(self) -> None:
        """See `tasks.Subject`."""
        jax.block_until_ready(self.model.params)

    def settings(self) -> dict[str, str]:
        """See `tasks.Subject`."""
        device = self.device
        return {"device": f"{device.platform}:{device.id} {device.device_kind}"}

    def device_peak(self) -> int | None:
        """See `measure.Side`; JAX counts from the start of the process."""
        return (self.device.memory_stats() or {}).get("peak_bytes_in_use")

    def _step(self, params: Any, inputs: Any) -> Any:
        def loss(params: Any) -> Any:
            return self.model(**inputs, params=params).loss

        value, found = jax.value_and_grad(loss)(params)
        moved = jax.tree.map(lambda p, g: p - RATE * g, params, found)
        return value, found, moved
