"""Dense layers through oneDNN, which PyTorch itself leaves to MKL in float32.

On the AMD processor that was measured oneDNN takes half of the time; on the Intel one
MKL is faster, but for weights in oneDNN's own order. docs/performance.md shows what it
is worth. The maker decides, never a measurement: runs repeat to the byte.
"""

import platform
from collections.abc import Callable, Sequence
from functools import cache, wraps
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter, functional
from torch.utils.weak import WeakTensorKeyDictionary

from albert_core import fast, processor
from albert_torch import int8
from albert_torch.int8 import Int8

Activation = Callable[[Tensor], Tensor]
_PLAIN = (Tensor, Parameter)
# What a function gave: its inputs, itself, and how often the result had been changed.
_made_of: Any = WeakTensorKeyDictionary()

PLAIN = ("none", "")  # nothing at the end of a product
# Activations that oneDNN computes at the end of a product; `activations` adds its own.
# Not relu, which would hide NaN there.
ENDS: dict[Any, tuple[str, str]] = {
    functional.gelu: ("gelu", "none"),
}


def can_read(x: Tensor) -> bool:
    """Whether Python may look at the numbers of a tensor in the middle of a call."""
    traced = torch.jit.is_tracing()  # pyright: ignore
    if torch.compiler.is_compiling() or traced or x.is_meta:
        return False
    return not torch._C._are_functorch_transforms_active()  # pyright: ignore


@cache
def _has_onednn() -> bool:
    if platform.machine() not in ("x86_64", "AMD64"):
        return False  # elsewhere PyTorch chooses well by itself
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_linear_pointwise"
    )


@cache
def _has_bfloat16() -> bool:
    """Whether oneDNN multiplies bfloat16 on this processor, as with AVX512."""
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()


def leads() -> bool:
    """Whether oneDNN is the faster even for weights in the order of PyTorch."""
    return not processor.is_intel()


def suits(x: Tensor, *dtypes: torch.dtype) -> bool:
    """Whether oneDNN can take a tensor in place of PyTorch's own choice."""
    return (
        can_read(x)
        and x.device.type == "cpu"
        and x.dtype in dtypes
        and type(x) in _PLAIN
        and fast.allowed()
        and _has_onednn()
        and (x.dtype != torch.bfloat16 or _has_bfloat16())
        and torch.backends.mkldnn.enabled  # pyright: ignore
        and not torch.is_autocast_enabled("cpu")
        and forward_ad._current_level < 0  # pyright: ignore
    )


def is_plain(weight: Tensor | None, x: Tensor) -> bool:
    """Whether a weight is nothing but numbers, of the type and at the place of x."""
    return weight is None or (
        type(weight) in _PLAIN and weight.dtype == x.dtype and weight.device == x.device
    )


def linear(x: Tensor, weight: Any, bias: Tensor | None = None) -> Tensor:
    """A dense layer: x [..., in], a weight [out, in] that `ordered` may have made."""
    if isinstance(weight, Int8):
        return int8.product(x, weight, bias)  # pyright: ignore
    if not can_read(x):
        return functional.linear(x, weight, bias)
    if weight.is_mkldnn:
        return _dense(x, weight, bias)
    if (
        x.numel() == 0
        or x.shape[-1] != weight.shape[1]
        or not (is_plain(weight, x) and is_plain(bias, x))
        or not suits(x, torch.float32)
    ):
        return functional.linear(x, weight, bias)
    if torch.is_grad_enabled():
        again, of = _source(x)
        found = _Product.apply(_rows(x), weight, bias, again, *of)
    else:
        found = _dense(_rows(x), weight, bias)
    return found.view(*x.shape[:-1], weight.shape[0])  # pyright: ignore


def activated(
    x: Tensor, weight: Any, bias: Tensor, activation: Callable[[Tensor], Tensor]
) -> Tensor:
    """The activation of `linear`, in one pass where there is one.

    Without gradients, and for weights that `is_plain` or `ordered` has made.
    """
    if isinstance(weight, Int8):
        return activation(int8.product(x, weight, bias))
    if activation in ENDS and suits(x, torch.float32, torch.bfloat16):
        return _dense(x, weight, bias, ENDS[activation])
    return activation(linear(x, weight, bias))


def ordered(weight: Any) -> Any:
    """A copy of a weight in the order that oneDNN reads fastest."""
    if isinstance(weight, Int8):
        return weight
    return torch.ops.mkldnn._reorder_linear_weight(weight.detach())


def joined(weights: Sequence[Any]) -> Any:
    """Several weights of one input as one."""
    if all(isinstance(weight, Int8) for weight in weights):
        return int8.joined(weights)
    return torch.cat(weights).detach()  # pyright: ignore


def _dense(
    x: Tensor, weight: Tensor, bias: Tensor | None, end: tuple[str, str] = PLAIN
) -> Tensor:
    if end is PLAIN and not weight.is_mkldnn and not leads():
        return functional.linear(x, weight, bias)
    name, algorithm = end
    if bias is not None:
        bias = bias.contiguous()  # as oneDNN takes it to be
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)


def cheap(activation: Activation) -> Activation:
    """Let the product behind an activation compute it again, in place of keeping it.

    Half of what a layer keeps for its gradients is before and after the activation.
    """

    @wraps(activation)
    def activated(x: Tensor) -> Tensor:
        return _remembered(activation(x), activation, x)

    return activated


def norm(x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
    """A layer norm over the last axis, which products behind it compute again."""

    def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return functional.layer_norm(x, weight.shape, weight, bias, epsilon)

    return _remembered(normed(x, weight, bias), normed, x, weight, bias)


def _remembered(found: Tensor, made: Callable[..., Tensor], *of: Tensor) -> Tensor:
    """Note what a tensor was made of, where that learns.

    So it is kept for gradients in any case, and PyTorch sees to it that it stays.
    """
    x = of[0]
    if torch.is_grad_enabled() and x.requires_grad and suits(x, torch.float32):
        _made_of[found] = (of, made, found._version)
    return found


def _source(x: Tensor) -> tuple[Callable[..., Tensor] | None, tuple[Tensor, ...]]:
    """What makes x again, and of what; if that is not known, None and x itself."""
    of, made, version = _made_of.get(x, ((), None, 0))
    if made is None or version != x._version or not x.requires_grad:
        return None, (x,)
    alive = ref(x)

    def again(*of: Tensor) -> Tensor:
        # Whoever asks for gradients of the result itself holds it.
        held = alive()
        same = held is not None and held._version == version
        return held if same else made(*of)  # pyright: ignore

    return again, of


class _Product(torch.autograd.Function):
    """The product of `linear`, and its gradients, which are products as well."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        again: Callable[..., Tensor] | None,
        *of: Tensor,
    ) -> Tensor:
        ctx.again = again
        ctx.save_for_backward(weight, *of)
        return _dense(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # pyright: ignore
        (grad,) = grads
        weight, *of = ctx.saved_tensors
        x = of[0] if ctx.again is None else ctx.again(*of)
        for_x, for_weight, for_bias, *_ = ctx.needs_input_grad
        return (
            linear(grad, weight.t()) if for_x else None,
            linear(grad.t(), _rows(x).t()) if for_weight else None,
            grad.sum(0) if for_bias else None,
            None,
            *(None for _ in of),
        )


def _rows(x: Tensor) -> Tensor:
    return x.reshape(-1, x.shape[-1])
