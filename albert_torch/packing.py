"""Texts without their padding: where their tokens are, and attention text by text."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from albert_core.packing import Packed


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


def attend_texts(texts: Unpadded, width: int) -> Callable[..., Tensor]:
    """Attention within each text, for query, key and value [tokens, heads * width]."""

    def attend(*parts: Tensor) -> Tensor:
        context = torch.empty_like(parts[0], memory_format=torch.contiguous_format)
        start = 0
        for length in texts.lengths:
            text = slice(start, start + length)
            query, key, value = (
                x[text].unflatten(-1, (-1, width)).transpose(0, 1)[None] for x in parts
            )
            found = functional.scaled_dot_product_attention(query, key, value)
            context[text] = found[0].transpose(0, 1).flatten(1)
            start += length
        return context

    return attend
