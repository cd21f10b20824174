"""Activations; their twins are in albert_torch and albert_tf."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.numpy import tanh


def widen(x: Array) -> Array:
    """Half precision as float32: it cannot hold a mask, nor the sum of a batch."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def gelu(x: Array) -> Array:
    """The exact gelu."""
    return jax.nn.gelu(x, approximate=False)


def gelu_new(x: Array) -> Array:
    """The tanh form of gelu, as Google computes it."""
    return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: Array) -> Array:
    """The sigmoid approximation of gelu."""
    return x * jax.nn.sigmoid(1.702 * x)


def linear(x: Array) -> Array:
    """No activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": quick_gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": tanh,
    "linear": linear,
}


def activation(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `hidden_act` names, or is."""
    return name if callable(name) else ACTIVATIONS[name]
