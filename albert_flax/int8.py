"""The products of the shared layers in int8, for prediction on a CPU.

`from_pretrained(path, dtype="int8")` makes such a model. docs/performance.md shows what
it is worth, and `albert-zoo parity --dtype int8` what it costs on a checkpoint.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from albert_core.int8 import STEP, check_place, check_sums, is_product, no_gradients


class Int8Linear(nnx.Module):
    """A dense layer whose product is in int8.

    Args:
        layer: The layer as it was; its bias is kept, its kernel is not.
    """

    def __init__(self, layer: nnx.Linear) -> None:
        kernel = layer.kernel[...]
        wide = jnp.promote_types(kernel.dtype, jnp.float32)
        values, scales = quantised(kernel.T.astype(wide))
        self.values = nnx.Variable(values)
        self.scales = nnx.Variable(scales[:, 0])
        self.bias: Any = layer.bias

    def numbers(self) -> Array:
        """What the weight stands for, [out, in]."""
        return self.values[...] * self.scales[...][:, None]

    def __call__(self, x: Array) -> Array:
        """[..., in] to [..., out]."""
        return product(x, self.values[...], self.scales[...], self.bias[...])


def quantised(rows: Array) -> tuple[Array, Array]:
    """See `albert_core.int8.quantised`."""
    steps = jnp.abs(rows).max(-1, keepdims=True) * STEP
    scales = jnp.where(steps == 0, 1, steps)
    return jnp.rint(rows * (1 / scales)).astype(jnp.int8), scales


def _sums(rows: Any, values: Any) -> Array:
    within = (((rows.ndim - 1,), (1,)), ((), ()))
    return jax.lax.dot_general(rows, values, within, preferred_element_type=jnp.int32)


@jax.custom_jvp
def product(x: Array, values: Array, scales: Array, bias: Array) -> Array:
    """A dense layer: x [..., in], a weight [out, in] and its scales, a bias [out].

    Raises:
        InputError: Gradients are wanted, which rounding does not have.
    """
    rows, heights = quantised(x)
    sums = _sums(rows, values)
    return sums.astype(x.dtype) * heights * scales + bias


@product.defjvp
def _refused(primals: Any, tangents: Any) -> Any:
    raise no_gradients("")


def is_int8(model: Any) -> bool:
    """Whether a model has products in int8."""
    return model._rounds


def quantize(model: Any, params: Any = None) -> None:
    """Let a model round the products of all shared layers; its parameters stay.

    Args:
        model: The model.
        params: Its parameters, where it does not hold them.

    Raises:
        InputError: The model is not on a CPU, or the CPU is not exact in int8.
    """
    held = jax.tree.leaves(model._params if params is None else params)
    for device in {device for array in held for device in array.devices()}:
        check_place(device.platform)
    with jax.default_device(jax.devices("cpu")[0]):
        check_sums(_sums)
    model._rounds = True
    model._built = None  # another program


def with_int8(module: Any) -> Any:
    """A module with int8 in place of the products of all shared layers, for good."""
    for path, parent in list(nnx.iter_modules(module)):
        for name, layer in list(nnx.iter_children(parent)):
            weight = ".".join(map(str, (*path, name, "weight")))
            if isinstance(layer, nnx.Linear) and is_product(weight):
                setattr(parent, str(name), Int8Linear(layer))
    return module
