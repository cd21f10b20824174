"""Dense layers through oneDNN, which PyTorch itself leaves to MKL in float32.

On some processors oneDNN takes half of the time; docs/performance.md shows what it is
worth. The machine decides, never a measurement: runs repeat to the byte.
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

from albert_core import fast
from albert_torch import int8
from albert_torch.int8 import Int8

Activation = Callable[[Tensor], Tensor]
_PLAIN = (Tensor, Parameter)
# What an activation gave: its input, itself, and how often the result had been changed.
_made_of: Any = WeakTensorKeyDictionary()

# Activations that oneDNN computes at the end of a product; `ops` knows another.
ENDS: dict[Any, tuple[str, str]] = {
    functional.gelu: ("gelu", "none"),
    functional.relu: ("relu", ""),
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


def suits(x: Tensor, *dtypes: torch.dtype) -> bool:
    """Whether oneDNN can take a tensor in place of PyTorch's own choice."""
    return (
        can_read(x)
        and x.device.type == "cpu"
        and x.dtype in dtypes
        and type(x) in _PLAIN
        and fast.allowed()
        and _has_onednn()
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
    rows = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        found = _Product.apply(rows, weight, bias, *_source(x))
    else:
        found = _dense(rows, weight, bias)
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
    x: Tensor, weight: Tensor, bias: Tensor | None, end: tuple[str, str] = ("none", "")
) -> Tensor:
    name, algorithm = end
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, name, [], algorithm)


def cheap(activation: Activation) -> Activation:
    """Let the product behind an activation compute it again, in place of keeping it.

    Half of what a layer keeps for its gradients is before and after the activation.
    """

    @wraps(activation)
    def activated(x: Tensor) -> Tensor:
        found = activation(x)
        # The activation keeps an input that learns, and sees to it that it stays.
        if torch.is_grad_enabled() and x.requires_grad and suits(x, torch.float32):
            _made_of[found] = (x, activation, found._version)
        return found

    return activated


def _source(x: Tensor) -> tuple[Tensor | None, Callable[[Tensor], Tensor] | None]:
    """What x was made of, and what makes it again; None if that is not known."""
    before, activation, version = _made_of.get(x, (None, None, 0))
    if activation is None or version != x._version or not x.requires_grad:
        return None, None
    alive = ref(x)

    def again(before: Tensor) -> Tensor:
        # Whoever asks for gradients of the result itself holds it.
        held = alive()
        same = held is not None and held._version == version
        return held if same else activation(before)  # pyright: ignore

    return before, again


class _Product(torch.autograd.Function):
    """The product of `linear`, and its gradients, which are products as well."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        before: Tensor | None,
        again: Activation | None,
    ) -> Tensor:
        ctx.again = again
        ctx.save_for_backward(x if before is None else before, weight)
        return _dense(x, weight, bias)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # pyright: ignore
        (grad,) = grads
        x, weight = ctx.saved_tensors
        if ctx.again is not None:
            x = ctx.again(x).reshape(-1, weight.shape[1])
        for_x, for_weight, for_bias, *_ = ctx.needs_input_grad
        return (
            linear(grad, weight.t()) if for_x else None,
            linear(grad.t(), x.t()) if for_weight else None,
            grad.sum(0) if for_bias else None,
            None,
            None,
        )
