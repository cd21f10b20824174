"""The products of the shared layers in int8, for prediction on a CPU.

`from_pretrained(path, dtype="int8")` makes such a model. docs/performance.md shows what
it is worth, and `albert-zoo parity --dtype int8` what it costs on a checkpoint.
"""

import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from albert_core.int8 import STEP, check_place, check_sums, is_product, no_gradients

logger = logging.getLogger("albert_zoo")


class Int8(NamedTuple):
    """A weight in whole numbers.

    Attributes:
        values: int8, [out, in].
        scales: What a row is to be times, [out].
    """

    values: Tensor
    scales: Tensor

    def numbers(self) -> Tensor:
        """What the weight stands for, [out, in]."""
        return self.values * self.scales[:, None]


class Int8Linear(nn.Module):
    """A dense layer whose product is in int8.

    Args:
        layer: The layer as it was; its bias is kept, its weight is not.
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        values, scales = quantised(layer.weight.detach())
        self.register_buffer("values", values)
        self.register_buffer("scales", scales[:, 0])
        self.bias = layer.bias
        self.train(layer.training)

    @property
    def weight(self) -> Int8:
        """Whole numbers and their scales."""
        return Int8(self.values, self.scales)  # pyright: ignore

    def forward(self, x: Tensor) -> Tensor:
        """[..., in] to [..., out]."""
        return product(x, self.weight, self.bias)


def quantised(rows: Tensor) -> tuple[Tensor, Tensor]:
    """See `albert_core.int8.quantised`."""
    largest = torch.maximum(rows.amax(-1, keepdim=True), -rows.amin(-1, keepdim=True))
    steps = largest * STEP
    scales = torch.where(steps == 0, 1, steps)
    return (rows * (1 / scales)).round_().to(torch.int8), scales


def _sums(rows: Tensor, values: Tensor) -> Tensor:
    return torch._int_mm(rows, values.t())  # pyright: ignore


def product(x: Tensor, weight: Int8, bias: Tensor) -> Tensor:
    """A dense layer: x [..., in], a weight [out, in], a bias [out].

    Raises:
        InputError: Gradients are wanted, which rounding does not have.
    """
    if torch.is_grad_enabled() and x.requires_grad:
        raise no_gradients(", or call it under torch.no_grad()")
    wide = x.to(torch.promote_types(x.dtype, torch.float32)).flatten(0, -2)
    values, scales = quantised(wide)
    sums = _sums(values, weight.values)
    # In place, as memory that is new takes longer than the numbers.
    found = sums.to(wide.dtype).mul_(scales).mul_(weight.scales).add_(bias)
    return found.to(x.dtype).view(*x.shape[:-1], len(weight.scales))


def joined(weights: Sequence[Int8]) -> Int8:
    """Several weights of one input as one."""
    values, scales = zip(*weights, strict=True)
    return Int8(torch.cat(values), torch.cat(scales))


def rounded(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Names and whole numbers of the weights that are in int8."""
    for path, module in model.named_modules():
        if isinstance(module, Int8Linear):
            yield f"{path}.weight", module.weight.values


def is_int8(model: nn.Module) -> bool:
    """Whether a model has products in int8."""
    return any(rounded(model))


def quantize(model: nn.Module) -> None:
    """Put int8 in place of the products of all shared layers, for good.

    Raises:
        InputError: The model is not on a CPU, or the CPU is not exact in int8.
    """
    check_place(str(next(model.parameters()).device))
    check_sums(lambda a, b: _sums(torch.from_numpy(a), torch.from_numpy(b)))
    _warn_if_slow()
    for path, layer in list(model.named_modules()):
        if isinstance(layer, nn.Linear) and is_product(f"{path}.weight"):
            model.set_submodule(path, Int8Linear(layer))
    model.requires_grad_(False)


def _warn_if_slow() -> None:
    if not getattr(torch.cpu, "_is_vnni_supported", lambda: True)():
        logger.warning(
            "This processor has no AVX512-VNNI, without which int8 is slow. Another "
            "dtype is likely to be faster."
        )
