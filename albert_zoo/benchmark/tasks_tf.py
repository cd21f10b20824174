"""A TensorFlow model to time; its twins are tasks_torch.py and tasks_flax.py."""

from functools import cached_property
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from albert_core.spelling import KERAS
from albert_zoo.backends import Arrays
from albert_zoo.benchmark.tasks import RATE, Inputs
from albert_zoo.predictors import Predictor, tf_predictor


class Subject:
    """See `tasks.Subject`; a step is one graph, for every shape."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.rows = {p.name: p for p in model._parameters_of_schema()}
        self.start: dict[str, Any] = {}
        self.device: str = model.weights[0].value.device
        self.kind = self.device.rpartition("device:")[2]  # such as GPU:0
        self.optimizer: Any = keras.optimizers.SGD(RATE)
        self.found: dict[str, Any] = {}
        self.graph: Any = None
        # As the predictor has it; float32 is float32 in the other frameworks.
        tf.config.experimental.enable_tensor_float_32_execution(False)

    @cached_property
    def named(self) -> dict[str, Any]:
        """The variables, which a model in int8 does not have."""
        return {name: self.model._variable(p) for name, p in self.rows.items()}

    @cached_property
    def predictor(self) -> Predictor:
        """See `tasks.Subject`."""
        return tf_predictor(self.model)

    def step(self, inputs: Inputs) -> float:
        """See `tasks.Subject`."""
        with tf.device(self.device):
            given = {name: self._tensor(x) for name, x in inputs.items()}
            if self.graph is None:
                specs = {
                    name: tf.TensorSpec([None] * x.ndim, x.dtype, name)
                    for name, x in given.items()
                }
                self.graph = tf.function(self._step, input_signature=[specs])
            loss, self.found = self.graph(given)
        self.wait()
        return float(loss)

    def reset(self) -> None:
        """See `tasks.Subject`."""
        self.found = {}
        if not self.optimizer.built:
            self.optimizer.build(list(self.named.values()))
        for name, variable in self.named.items():
            if name not in self.start:
                self.start[name] = tf.identity(variable.value)
            variable.assign(self.start[name])

    def gradients(self) -> Arrays:
        """See `tasks.Subject`."""
        return {
            name: KERAS.turn(self.rows[name], tf.cast(x, tf.float64).numpy())
            for name, x in self.found.items()
        }

    def wait(self) -> None:
        """See `tasks.Subject`."""
        tf.test.experimental.sync_devices()

    def settings(self) -> dict[str, str]:
        """See `tasks.Subject`."""
        threads = tf.config.threading.get_intra_op_parallelism_threads()
        return {"device": self.kind, "threads": str(threads or "all")}

    def device_peak(self) -> int | None:
        """See `measure.Side`."""
        if not self.kind.startswith("GPU"):
            return None
        most = tf.config.experimental.get_memory_info(self.kind)["peak"]
        tf.config.experimental.reset_memory_stats(self.kind)
        return most

    def _step(self, inputs: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = self.model(inputs, training=False).loss
        sources = {name: variable.value for name, variable in self.named.items()}
        zero = tf.UnconnectedGradients.ZERO
        found: Any = tape.gradient(loss, sources, unconnected_gradients=zero)
        # Dense, as the others have them: a table that is only looked up gets slices.
        found = {name: tf.convert_to_tensor(x) for name, x in found.items()}
        self.optimizer.apply([found[name] for name in self.named])
        return loss, found

    def _tensor(self, array: NDArray[Any]) -> Any:
        whole = array.dtype.kind in "iu"
        return tf.constant(array, tf.int32 if whole else self.model.variable_dtype)
