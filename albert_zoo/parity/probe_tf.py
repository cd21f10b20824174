"""A TensorFlow model to look at; its twins are probe_torch.py and probe_flax.py."""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

import albert_tf
from albert_core.config import AlbertConfig
from albert_core.int8 import is_product
from albert_core.reference import Stage
from albert_core.spelling import KERAS
from albert_tf import ops
from albert_tf.int8 import Int8Linear
from albert_zoo.backends import Arrays, flatten
from albert_zoo.parity.budgets import Mode
from albert_zoo.parity.padding import without_padding
from albert_zoo.parity.probes import ASKED, Inputs, call, cast, loaded, number


class TFProbe:
    """See `probes.Probe`."""

    def __init__(self, model: Any, mode: Mode) -> None:
        self.model = model
        self.mode = mode

    @property
    def config(self) -> AlbertConfig:
        """See `probes.Probe`."""
        return self.model.config

    def outputs(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        return flatten(self._run(inputs, **ASKED), self._array)

    def packed(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`; as a program of XLA where there is padding."""
        self._set()
        given = dict(cast(without_padding(inputs), self.mode))
        # A program takes a second to compile, and others would show no more.
        run = self.model if np.all(inputs.get("attention_mask", 1)) else self._program
        with ops.compact():
            found = run(tf.nest.map_structure(tf.constant, given))
        return flatten(found, self._array)

    def stage(self, stage: Stage) -> NDArray[Any]:
        """See `probes.Probe`."""
        self._set()
        tensors = [self._tensor(x) for x in stage.inputs]
        return self._array(call(self.model, stage, tensors))

    def gradients(self, inputs: Inputs) -> tuple[float, Arrays]:
        """See `probes.Probe`."""
        schema_of = {p.name: p for p in self.model._parameters_of_schema()}
        variables = {k: self.model._variable(p).value for k, p in schema_of.items()}
        with tf.GradientTape() as tape:
            loss = self._run(inputs).loss
        zero = tf.UnconnectedGradients.ZERO
        found: Any = tape.gradient(loss, variables, unconnected_gradients=zero)
        return float(loss), {
            name: KERAS.turn(schema_of[name], self._array(tf.convert_to_tensor(g)))
            for name, g in found.items()
        }

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """See `probes.Probe`."""
        for parameter in self.model._parameters_of_schema():
            layer = self.model._find(parameter.layer)
            if isinstance(layer, Int8Linear) and is_product(parameter.name):
                yield parameter.name, self._array(layer.numbers())
            else:
                array = self._array(self.model._variable(parameter).value)
                yield parameter.name, KERAS.turn(parameter, array)

    def switches(self) -> dict[str, str]:
        """See `probes.Probe`."""
        tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
        device = self.model.weights[0].value.device
        return {"device": device.rpartition("/")[2], "tensor_float_32": str(tf32)}

    @cached_property
    def _program(self) -> Any:
        def run(given: Any) -> dict[str, Any]:
            return dict(self.model(given))

        return tf.function(run, jit_compile=True, reduce_retracing=True)

    def _run(self, inputs: Inputs, **options: Any) -> Any:
        self._set()
        return self.model(dict(cast(inputs, self.mode)), **options)

    def _set(self) -> None:
        strict = self.mode.matmul == "highest"
        tf.config.experimental.enable_tensor_float_32_execution(not strict)

    def _tensor(self, x: Any) -> Any:
        if x is None or x.dtype.kind in "iu":
            return None if x is None else tf.constant(x)
        return tf.constant(number(x, self.mode))

    def _array(self, x: Any) -> NDArray[Any]:
        wide = tf.cast(x, tf.float32) if x.dtype == tf.bfloat16 else x
        return np.asarray(wide)


def load(path: Path, head: str, mode: Mode, **options: Any) -> TFProbe:
    """See `probes.load`."""
    options = {"dtype": mode.dtype, **options}
    model_class = getattr(albert_tf, f"TFAlbert{head}")
    return TFProbe(loaded(model_class, path, **options), mode)
