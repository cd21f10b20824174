"""Small PyTorch models for the tests of albert_torch."""

from typing import Any

import torch

from tests.conftest import tiny


def shaken(model, seed=0, spread=0.3):
    """Move every weight of a model, so that none is special, and end training."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.add_(spread * noise.to(parameter.dtype))
    return model.eval()


def build(model_class, seed: Any = 0, **changes):
    """A small model none of whose weights is special."""
    return shaken(model_class(tiny(**changes)), seed)


def batch(length=9):
    """Three rows: full, padded on the right, and padded on the left."""
    generator = torch.Generator().manual_seed(length)
    mask = torch.ones(3, length, dtype=torch.long)
    mask[1, length * 2 // 3 :] = 0
    mask[2, : length // 3] = 0
    return {
        "input_ids": torch.randint(5, 31, (3, length), generator=generator),
        "attention_mask": mask,
        "token_type_ids": (torch.arange(length) >= length // 2).long().expand(3, -1),
    }


def same(found, expected, bound=0.0):
    """Whether two tensors have the same shape and, up to a bound, the same numbers."""
    if found.shape != expected.shape or found.dtype != expected.dtype:
        return False
    return bool((found - expected).abs().max() <= bound)
