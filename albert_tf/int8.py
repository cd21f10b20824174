"""The products of the shared layers in int8, for prediction on a CPU.

`from_pretrained(path, dtype="int8")` makes such a model. docs/performance.md shows what
it is worth, and `albert-zoo parity --dtype int8` what it costs on a checkpoint.
"""

from typing import Any

import keras
import tensorflow as tf
from tensorflow import reshape

from albert_core.int8 import STEP, check_place, check_sums, is_product, no_gradients
from albert_tf.modules import Linear
from albert_tf.replacing import replace
from albert_tf.shapes import Tensor


class Int8Linear(keras.layers.Layer):
    """A dense layer whose product is in int8.

    Args:
        layer: The layer as it was; its bias is kept, its kernel is not.
    """

    def __init__(self, layer: Linear) -> None:
        super().__init__(autocast=False, trainable=False)
        self.bias: Any = layer.bias
        self.inputs, self.units = layer.inputs, layer.units
        self.numbers_type = layer.variable_dtype

    def build(self, input_shape: Any = None) -> None:
        """Make the variables, which `take` fills."""
        shape, kind = (self.units, self.inputs), self.numbers_type
        self.values: Any = self.add_weight(shape, "zeros", "int8", name="values")
        self.scales: Any = self.add_weight(shape[:1], "ones", kind, name="scales")
        self.built = True

    def take(self, kernel: Any) -> None:
        """Round a kernel, [in, out]."""
        values, scales = quantised(tf.transpose(kernel))
        self.values.assign(values)
        self.scales.assign(scales[:, 0])

    def numbers(self) -> Tensor:
        """What the weight stands for, [out, in]."""
        scales = tf.convert_to_tensor(self.scales)
        return tf.cast(self.values, scales.dtype) * scales[:, None]

    def call(self, x: Any) -> Tensor:
        """[..., in] to [..., out]."""
        x = tf.convert_to_tensor(x)
        held = (self.values, self.scales, self.bias)
        rows = product(reshape(x, (-1, self.inputs)), *map(tf.convert_to_tensor, held))
        return reshape(rows, tf.concat([tf.shape(x)[:-1], [self.units]], 0))


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """See `albert_core.int8.quantised`."""
    steps = tf.reduce_max(tf.abs(rows), -1, keepdims=True) * STEP
    # TensorFlow's XLA leaves what is no number out of a largest one.
    odd = tf.reduce_any(tf.math.is_nan(rows), -1, keepdims=True)
    steps = tf.where(odd, tf.constant(float("nan"), rows.dtype), steps)
    scales = tf.where(steps == 0, tf.ones_like(steps), steps)
    return tf.cast(tf.round(rows * (1 / scales)), tf.int8), scales


def _sums(rows: Any, values: Any) -> Any:
    return tf.matmul(rows, values, transpose_b=True, output_type=tf.int32)


# TensorFlow by itself has nothing fast for int8, but XLA does.
@tf.function(jit_compile=True, reduce_retracing=True)
def _product(x: Any, values: Any, scales: Any, bias: Any) -> Any:
    rows, heights = quantised(x)
    return tf.cast(_sums(rows, values), x.dtype) * heights * scales + bias


def product(x: Tensor, values: Tensor, scales: Tensor, bias: Tensor) -> Tensor:
    """A dense layer: rows x [rows, in], a weight [out, in], its scales, a bias [out].

    Raises:
        InputError: Gradients are wanted, which rounding does not have.
    """

    @tf.custom_gradient
    def run(x: Tensor) -> Any:
        return _product(x, values, scales, bias), lambda slopes: _refused(x)

    return run(x)


def _refused(x: Tensor) -> Tensor:
    if tf.executing_eagerly():
        raise no_gradients("")
    # An export makes a graph of them that nobody runs; XLA drops what is asserted.
    with tf.control_dependencies([tf.debugging.Assert(False, [str(no_gradients(""))])]):
        return tf.fill(tf.shape(x), tf.constant(float("nan"), x.dtype))


def is_int8(model: keras.Model) -> bool:
    """Whether a model has products in int8."""
    return any(isinstance(layer, Int8Linear) for layer in model._flatten_layers())


def quantize(model: Any) -> None:
    """Put int8 in place of the products of all shared layers, for good.

    Raises:
        InputError: The model is not on a CPU, or the CPU is not exact in int8.
    """
    place = model.weights[0].value.device
    check_place(place.rpartition("/")[2])
    with tf.device(place):
        check_sums(tf.function(_sums, jit_compile=True))
    for row in model._parameters_of_schema():
        if is_product(row.name):
            parent, _, name = row.layer.rpartition(".")
            before = model._find(row.layer)
            after = Int8Linear(before)
            with tf.device(place):
                replace(model._find(parent), name, after)
                after.take(before.kernel)
    model.trainable = False
