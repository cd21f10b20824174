"""Texts without their padding: where their tokens are, and attention text by text."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from albert_core import fast
from albert_core.packing import Packed, begins
from albert_torch import kernels

LONG = 448  # tokens; from there oneDNN takes less time than PyTorch's attention


class Unpadded:
    """What a `Packed` mask leaves.

    The rows that it plans are for XLA; here tokens need none.

    Attributes:
        mask: [batch, seq], 1 for tokens, 0 for padding.
        places: [tokens], where the tokens are among batch * seq.
        lengths: Of each text that has a token, in order.
    """

    def __init__(self, packed: Packed, device: torch.device) -> None:
        self.mask = mask = torch.as_tensor(packed.mask, device=device)
        self.places = mask.flatten().nonzero()[:, 0]
        self.lengths = [length for length in (mask != 0).sum(1).tolist() if length]

    def pack(self, hidden: Tensor) -> Tensor:
        """The tokens of [batch, seq, width], [tokens, width]."""
        return hidden.flatten(0, 1)[self.places]

    def unpack(self, tokens: Tensor) -> Tensor:
        """Tokens where they were, [batch, seq, width], and zeros between them."""
        found = tokens.new_zeros(self.mask.numel(), tokens.shape[-1])
        return found.index_copy(0, self.places, tokens).unflatten(0, self.mask.shape)


def without_padding(mask: Tensor) -> Tensor | Packed:
    """A mask [..., seq] in the form that leaves padding out, where that can be done."""
    rows = mask.flatten(0, -2)
    on_cpu = mask.device.type == "cpu"
    return Packed(rows) if on_cpu and fast.allowed() and begins(rows) else mask


def attend_texts(lengths: Sequence[int], width: int) -> Callable[..., Tensor]:
    """Attention within each text, for query, key and value [tokens, heads * width]."""

    def attend(*parts: Tensor) -> Tensor:
        context = torch.empty_like(parts[0], memory_format=torch.contiguous_format)
        heads = [x.unflatten(-1, (-1, width)).transpose(0, 1) for x in parts]
        start = 0
        for length in lengths:
            text = slice(start, start + length)
            query, key, value = (x[:, text] for x in heads)
            if is_long(length, query):
                found = _head_by_head(query, key, value)
            else:
                found = functional.scaled_dot_product_attention(
                    query[None], key[None], value[None]
                )[0]
            context[text] = found.transpose(0, 1).flatten(1)
            start += length
        return context

    return attend


def is_long(length: int, x: Tensor) -> bool:
    """Whether PyTorch's attention, whose products are MKL's, is not the fastest."""
    return length >= LONG and kernels.leads() and kernels.suits(x, torch.float32)


def _head_by_head(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attention [heads, seq, width] by oneDNN's products."""
    query = query * query.shape[-1] ** -0.5
    key, values = key.contiguous(), value.transpose(1, 2).contiguous()
    found = [
        kernels.linear(kernels.linear(q, k).softmax(-1), v)
        for q, k, v in zip(query.contiguous(), key, values, strict=True)
    ]
    return torch.stack(found)
