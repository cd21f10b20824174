"""Layers of PyTorch, made alike; their twins are in albert_tf and albert_flax."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from albert_torch import kernels
from albert_torch.pretrained import is_filled_later

Module = nn.Module
Modules = nn.ModuleList


class Linear(nn.Linear):
    """A dense layer whose values come from `post_init` or from a checkpoint."""

    def reset_parameters(self) -> None:
        """Leave memory that will be filled untouched: loading holds one copy then."""
        if not is_filled_later():
            super().reset_parameters()

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore
        """[..., in] to [..., out]."""
        return kernels.linear(x, self.weight, self.bias)


class Embedding(nn.Embedding):
    """A table whose values come from `post_init` or from a checkpoint.

    The row of padding gets no gradient.
    """

    def __init__(self, rows: int, width: int, padding: int | None = None) -> None:
        super().__init__(rows, width, padding_idx=padding)

    def reset_parameters(self) -> None:
        """Leave memory that will be filled untouched: loading holds one copy then."""
        if not is_filled_later():
            super().reset_parameters()


class LayerNorm(nn.LayerNorm):
    """A layer norm over the last axis."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__(width, eps=epsilon)

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore
        """[..., width] to the same."""
        return kernels.norm(x, self.weight, self.bias, self.eps)


Dropout = nn.Dropout


def vector(size: int) -> nn.Parameter:
    """A bias that stands alone."""
    return nn.Parameter(torch.zeros(size))


def each(modules: nn.ModuleList) -> Iterable[Any]:
    """The modules of a list, in order."""
    return modules


def table_of(embedding: nn.Embedding) -> Tensor:
    """The weights of an embedding, [rows, width]."""
    return embedding.weight
