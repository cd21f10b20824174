"""The functions of the reference and their derivatives, in NumPy float64."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]
_erf: Callable[[F64], F64] = np.vectorize(math.erf, otypes=[np.float64])


def gelu_new(x: F64) -> F64:
    """The tanh form of gelu (Hendrycks and Gimpel 2016), as Google computes it."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu(x: F64) -> F64:
    """The exact gelu: x times the normal distribution function."""
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def sigmoid(x: F64) -> F64:
    """The logistic function."""
    return 0.5 * (1 + np.tanh(0.5 * x))  # no overflow at either end


ACTIVATIONS: Mapping[str, Callable[[F64], F64]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": lambda x: x * sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def _gelu_new_slope(x: F64) -> F64:
    scale = math.sqrt(2 / math.pi)
    bend = np.tanh(scale * (x + 0.044715 * x**3))
    inner = scale * (1 + 3 * 0.044715 * x**2)
    return 0.5 * (1 + bend) + 0.5 * x * (1 - bend**2) * inner


def _gelu_slope(x: F64) -> F64:
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    return 0.5 * (1 + _erf(x / math.sqrt(2))) + x * density


def _swish_slope(x: F64, scale: float = 1.0) -> F64:
    gate = sigmoid(scale * x)
    return gate + scale * x * gate * (1 - gate)


# The slope of each of `ACTIVATIONS`; that of relu is 0 at 0, as in the frameworks.
DERIVATIVES: Mapping[str, Callable[[F64], F64]] = {
    "gelu": _gelu_slope,
    "gelu_new": _gelu_new_slope,
    "gelu_pytorch_tanh": _gelu_new_slope,
    "quick_gelu": lambda x: _swish_slope(x, 1.702),
    "relu": lambda x: (x > 0).astype(np.float64),
    "silu": _swish_slope,
    "swish": _swish_slope,
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
    "linear": np.ones_like,
}


def softmax(x: F64) -> F64:
    """Softmax over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def softmax_gradient(grad: F64, weights: F64) -> F64:
    """The gradient of x, from that of `weights`, which are softmax(x)."""
    return weights * (grad - (grad * weights).sum(-1, keepdims=True))


def log_softmax(x: F64) -> F64:
    """Logarithm of the softmax over the last axis."""
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def log_softmax_gradient(grad: F64, logs: F64) -> F64:
    """The gradient of x, from that of `logs`, which are log_softmax(x)."""
    return grad - np.exp(logs) * grad.sum(-1, keepdims=True)


def mask_to_bias(mask: NDArray[Any]) -> F64:
    """Turn a mask [batch, seq] into what is added to scores [batch, heads, seq, seq].

    The lowest number swallows every score, so that padding gets no weight beside a real
    token, and a row without any real token attends uniformly.
    """
    lowest = np.finfo(np.float64).min
    return (1.0 - mask.astype(np.float64))[:, None, None, :] * lowest
