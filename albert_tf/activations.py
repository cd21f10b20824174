"""Activations; their twins are in albert_torch and albert_flax."""

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import tensorflow as tf
from tensorflow import tanh

from albert_tf.shapes import Tensor


def constant(value: float, x: Tensor) -> Tensor:
    """A number in the type of x; TensorFlow rounds Python's through float32."""
    return tf.constant(value, x.dtype)


def widen(x: Tensor) -> Tensor:
    """Half precision as float32: it cannot hold a mask, nor the sum of a batch."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def gelu(x: Tensor) -> Tensor:
    """The exact gelu; TensorFlow's own is good to 5e-9 only, even in float64."""
    return constant(0.5, x) * x * (1 + tf.math.erf(x * constant(sqrt(0.5), x)))


def gelu_new(x: Tensor) -> Tensor:
    """The tanh form of gelu, as Google computes it."""
    scale, half = sqrt(2 / pi), constant(0.5, x)
    slope = constant(scale, x) + constant(scale * 0.044715, x) * x * x
    return x * (half + half * tanh(x * slope))


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of gelu."""
    return x * tf.sigmoid(constant(1.702, x) * x)


def linear(x: Tensor) -> Tensor:
    """No activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": quick_gelu,
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "swish": tf.nn.silu,
    "tanh": tanh,
    "linear": linear,
}


def activation(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `hidden_act` names, or is."""
    return name if callable(name) else ACTIVATIONS[name]
