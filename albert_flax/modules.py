"""Layers of Flax, made alike; their twins are in albert_torch and albert_tf."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from itertools import count
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from albert_flax.activations import widen

Module = nnx.Module

# What `post_init` puts initial values into; drawing others first would take time.
_zeros = nnx.initializers.zeros_init()


def Modules(modules: list[nnx.Module]) -> nnx.Dict:
    """A list of modules, under the keys "0", "1", ... of Hugging Face's trees."""
    return nnx.Dict({str(index): module for index, module in enumerate(modules)})


def product(equation: str, x: Array, y: Array) -> Array:
    """A product as `jnp.einsum` has it, in the type of its factors.

    XLA has nothing fast on a CPU for one of half precision that it is to round as well;
    so the sums stay float32, and are rounded behind it.
    """
    if widen(x).dtype == x.dtype:
        return jnp.einsum(equation, x, y)
    return _rounded(equation, x, y)


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _rounded(equation: str, x: Array, y: Array) -> Array:
    wide = widen(x).dtype
    return jnp.einsum(equation, x, y, preferred_element_type=wide).astype(x.dtype)


@_rounded.defjvp
def _changes(equation: str, factors: Any, changes: Any) -> tuple[Array, Array]:
    # By itself JAX would multiply in float32 for gradients.
    (x, y), (of_x, of_y) = factors, changes
    change = jnp.einsum(equation, of_x, y) + jnp.einsum(equation, x, of_y)
    return _rounded(equation, x, y), change


def _dense(x: Array, kernel: Array, *which: Any, **options: Any) -> Array:
    if widen(x).dtype == x.dtype:
        return jax.lax.dot_general(x, kernel, *which, **options)
    return product("...i,io->...o", x, kernel)


class Linear(nnx.Linear):
    """A dense layer whose values come from `post_init` or from outside."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(
            inputs,
            outputs,
            use_bias=bias,
            kernel_init=_zeros,
            dot_general=_dense,
            rngs=nnx.Rngs(0),
        )


class Embedding(nnx.Embed):
    """A table whose values come from `post_init` or from outside.

    The row of padding gets no gradient.
    """

    def __init__(self, rows: int, width: int, padding: int | None = None) -> None:
        super().__init__(rows, width, embedding_init=_zeros, rngs=nnx.Rngs(0))
        self.padding = padding

    def __call__(self, ids: Any) -> Array:
        """Look ids up."""
        rows = self.embedding[...][ids]
        if self.padding is None:
            return rows
        padded = (ids == self.padding)[..., None]
        return jnp.where(padded, jax.lax.stop_gradient(rows), rows)


class LayerNorm(nnx.LayerNorm):
    """A layer norm over the last axis, its variance from the centred values."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__(
            width, epsilon=epsilon, use_fast_variance=False, rngs=nnx.Rngs(0)
        )


# The keys that dropout draws from while a call trains; none while it does not.
dropping: ContextVar[Iterator[Array] | None] = ContextVar("dropping", default=None)


@contextmanager
def dropout_keys(key: Array | None) -> Iterator[None]:
    """Turn dropout on, drawing from a key, or off for None."""
    keys = None if key is None else (jax.random.fold_in(key, i) for i in count())
    token = dropping.set(keys)
    try:
        yield
    finally:
        dropping.reset(token)


class Dropout(nnx.Module):
    """Dropout that is on inside `dropout_keys`."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, x: Array) -> Array:
        """Drop in training, keep all otherwise."""
        keys = dropping.get()
        if keys is None or self.rate == 0:
            return x
        kept = jax.random.bernoulli(next(keys), 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), 0)


def vector(size: int) -> nnx.Param:
    """A bias that stands alone."""
    return nnx.Param(jnp.zeros(size))


def each(modules: nnx.Dict) -> Iterable[Any]:
    """The modules of a list, in order."""
    return modules.values()


def table_of(embedding: nnx.Embed | nnx.Linear) -> Array:
    """The weights of an embedding, or of a decoder, [rows, width]."""
    if isinstance(embedding, nnx.Linear):
        return embedding.kernel[...].T
    return embedding.embedding[...]
