"""Activations; their twins are in albert_tf and albert_flax."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, tanh
from torch.nn import functional

from albert_torch import kernels


@kernels.cheap
def gelu_new(x: Tensor) -> Tensor:
    """The tanh form of gelu, as Google computes it."""
    return functional.gelu(x, approximate="tanh")


@kernels.cheap
def gelu(x: Tensor) -> Tensor:
    """The exact gelu."""
    return functional.gelu(x)


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of gelu."""
    return x * torch.sigmoid(1.702 * x)


def linear(x: Tensor) -> Tensor:
    """No activation."""
    return x


kernels.ENDS |= {gelu: ("gelu", "none"), gelu_new: ("gelu", "tanh")}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": quick_gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "swish": functional.silu,
    "tanh": tanh,
    "linear": linear,
}


def activation(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `hidden_act` names, or is."""
    return name if callable(name) else ACTIVATIONS[name]


def widen(x: Tensor) -> Tensor:
    """Half precision as float32: it cannot hold a mask, nor the sum of a batch."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
