"""What heads do with scores; its twins are in albert_tf and albert_flax."""

import torch
from torch import Tensor
from torch.nn import functional

from albert_core.losses import IGNORED, MASKED
from albert_core.packing import Packed
from albert_torch import kernels
from albert_torch.activations import widen
from albert_torch.ops import length_of, reshape


def decode(hidden: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """Score every entry of the vocabulary: [batch, seq, vocab]."""
    return kernels.linear(hidden, table, bias)


def like(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels as numbers, in the type and shape of the logits."""
    return labels.to(logits.dtype).reshape(logits.shape)


def is_integer(labels: Tensor) -> bool:
    """Whether labels are class numbers."""
    return not labels.is_floating_point()


def clip(labels: Tensor, highest: int) -> Tensor:
    """Positions [batch] or [batch, 1] as [batch], from 0 to `highest`."""
    return labels.reshape(-1).clamp(0, highest)


def cross_entropy(logits: Tensor, labels: Tensor, ignored: int = IGNORED) -> Tensor:
    """Mean negative log-likelihood over the labels that are not ignored."""
    rows = logits.reshape(-1, logits.shape[-1])
    return functional.cross_entropy(
        rows, labels.reshape(-1).long(), ignore_index=ignored
    )


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the negative log-likelihood over the labels that are not ignored."""
    rows = widen(logits.reshape(-1, logits.shape[-1]))
    return functional.cross_entropy(
        rows, labels.reshape(-1).long(), ignore_index=IGNORED, reduction="sum"
    )


def count_right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many labels have the highest score."""
    return (logits.argmax(-1) == labels).sum()


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of the squared differences."""
    return functional.mse_loss(logits, labels)


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of independent yes-or-no labels."""
    return functional.binary_cross_entropy_with_logits(logits, labels)


def is_at(positions: Tensor, length: int) -> Tensor:
    """Whether a token is at a position: [batch, count] to [batch, count, length]."""
    return positions[..., None] == torch.arange(length, device=positions.device)


def mix(hidden: Tensor, weights: Tensor) -> Tensor:
    """Sums of tokens [batch, seq, width], by weights [batch, count, seq]."""
    return torch.matmul(weights.to(hidden.dtype), hidden)


def beside(x: Tensor, y: Tensor) -> Tensor:
    """Two tensors joined in the last axis; their other axes are broadcast."""
    shape = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    both = [part.expand(*shape, part.shape[-1]) for part in (x, y)]
    return torch.cat(both, -1)


def default_p_mask(
    hidden: Tensor,
    attention_mask: Tensor | None,
    token_type_ids: Tensor | None,
    cls_index: Tensor,
) -> Tensor:
    """Where an answer cannot begin or end, [batch, seq], from the other inputs.

    Open are [CLS] at `cls_index` [batch, 1] and the text: with `token_type_ids` the
    second segment without its last token, which is [SEP], else all but padding.
    """
    if isinstance(attention_mask, Packed):
        attention_mask = torch.as_tensor(attention_mask.mask, device=hidden.device)
    if attention_mask is None:
        attention_mask = torch.ones(hidden.shape[:2], device=hidden.device)
    text = attention_mask != 0
    if token_type_ids is not None:
        text = text & (token_type_ids == 1)
        after = torch.cat([text[:, 1:], torch.zeros_like(text[:, :1])], 1)
        text = text & after
    text = text | is_at(cls_index, length_of(hidden))[:, 0]
    return (~text).to(widen(hidden).dtype)


def masked_log_softmax(scores: Tensor, p_mask: Tensor) -> Tensor:
    """Log-probabilities of the tokens, almost none where the mask is 1."""
    scores = widen(scores)
    p_mask = p_mask.to(scores.dtype)
    return functional.log_softmax(scores * (1 - p_mask) - MASKED * p_mask, -1)


def top(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of the last axis and their places; of equals the first."""
    # Not `topk`, which takes any of equals.
    values, places = torch.sort(x, dim=-1, descending=True, stable=True)
    return values[..., :count], places[..., :count]


def flatten_beams(x: Tensor) -> Tensor:
    """[batch, starts, ends] to [batch, starts * ends]."""
    return x.flatten(1)


def position_loss(log_probs: Tensor, positions: Tensor) -> Tensor:
    """Mean negative log-probability [batch, seq] of positions, [batch] or [batch, 1].

    One outside of the text adds nothing, but counts in the mean.
    """
    right = is_at(reshape(positions, (-1, 1)), length_of(log_probs))[:, 0]
    return -torch.where(right, log_probs, 0).sum(-1).mean()
