"""Layers of Keras, made alike; their twins are in albert_torch and albert_flax."""

from collections.abc import Iterable, Iterator
from contextvars import ContextVar
from typing import Any

import keras
import tensorflow as tf
from tensorflow import reshape

from albert_tf.shapes import Tensor

Modules = list

# Set while a program of XLA is made that predicts.
compiling: ContextVar[bool] = ContextVar("compiling", default=False)


def matmul(x: Any, y: Any, transpose_b: bool = False) -> Tensor:
    """A product; of half precision XLA leaves the sums in float32.

    It has nothing fast on a CPU for one that is to be rounded as well. TensorFlow
    without XLA has nothing else.
    """
    x = tf.convert_to_tensor(x)
    by_xla = compiling.get() and not tf.executing_eagerly()
    sums = tf.float32 if by_xla and x.dtype.size < 4 else None
    return tf.matmul(x, y, transpose_b=transpose_b, output_type=sums)


class Named:
    """Layers that are named after their attributes, and built when they are made.

    So a variable's path is its Hugging Face name, and weights can be loaded before the
    first call.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, keras.layers.Layer) and not value.built:
            value.name = name
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, keras.layers.Layer) and not item.built:
                    item.name = f"{name}_._{index}"
        super().__setattr__(name, value)

    def build(self, input_shape: Any = None) -> None:
        """Build all layers inside; their sizes are known from the configuration."""
        whole: Any = self
        for layer in whole._flatten_layers(include_self=False, recursive=False):
            if not layer.built:
                layer.build()
        self.built = True


class Module(Named, keras.layers.Layer):
    """A layer made of layers, which cast for themselves."""

    def __init__(self) -> None:
        super().__init__(autocast=False)
        self._allow_non_tensor_positional_args = True


class Linear(keras.layers.Dense):
    """A dense layer whose values come from `post_init` or from a checkpoint."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(outputs, use_bias=bias, kernel_initializer="zeros")
        self.inputs = inputs

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        super().build((None, self.inputs))

    def call(self, inputs: Any, training: Any = None) -> Tensor:
        """[..., in] to [..., out] as one product of rows; Keras takes 20 operations."""
        x = tf.convert_to_tensor(inputs)
        sums = matmul(reshape(x, (-1, self.inputs)), self.kernel)
        rows: Any = tf.cast(sums, x.dtype)
        if self.bias is not None:
            rows = tf.nn.bias_add(rows, self.bias)
        if self.activation is not None:
            rows = self.activation(rows)
        if x.shape.rank == 2:
            return rows
        return reshape(rows, tf.concat([tf.shape(x)[:-1], [self.units]], 0))


class Embedding(keras.layers.Embedding):
    """A table whose values come from `post_init` or from a checkpoint.

    The row of padding gets no gradient.
    """

    def __init__(self, rows: int, width: int, padding: int | None = None) -> None:
        super().__init__(rows, width, embeddings_initializer="zeros")
        self.padding = padding

    def call(self, ids: Any) -> Tensor:
        """Look ids up."""
        ids = tf.convert_to_tensor(ids)
        rows: Any = super().call(ids)
        if self.padding is None:
            return rows
        padded = tf.equal(ids, tf.cast(self.padding, ids.dtype))
        return tf.where(tf.expand_dims(padded, -1), tf.stop_gradient(rows), rows)


class LayerNorm(keras.layers.LayerNormalization):
    """A layer norm over the last axis."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__(epsilon=epsilon)
        self.width = width

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        super().build((None, self.width))
        # Optimizers know what to leave out of weight decay by its name, not its path.
        variables: Any = (self.gamma, self.beta)
        for variable in variables:
            variable._name = f"{self.name}_{variable.name}"


# Set while a group runs whose outputs will be computed again: (training, seeds).
replaying: ContextVar[tuple[bool, Iterator[Tensor]] | None] = ContextVar(
    "replaying", default=None
)


class Dropout(keras.layers.Dropout):
    """Dropout that, computed again for the backward pass, drops the same again."""

    def call(self, x: Any, training: bool | None = None) -> Tensor:
        """Drop in training, keep all otherwise."""
        replayed = replaying.get()
        if replayed is None:
            return super().call(x, bool(training))
        training, seeds = replayed
        if not training or self.rate == 0:
            return x
        return tf.nn.experimental.stateless_dropout(x, self.rate, next(seeds))


def vector(module: keras.layers.Layer, size: int) -> Any:
    """A bias that stands alone."""
    return module.add_weight(shape=(size,), initializer="zeros", name="bias")


def each(modules: list) -> Iterable[Any]:
    """The modules of a list, in order."""
    return modules


def table_of(embedding: keras.layers.Embedding) -> Tensor:
    """The weights of an embedding, [rows, width]."""
    return tf.convert_to_tensor(embedding.embeddings)
