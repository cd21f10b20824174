"""What PyTorch spells differently; its twins are in albert_tf and albert_flax."""

from math import sqrt
from typing import Any

import torch
from torch import Tensor, einsum, exp, nn, tanh
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from albert_core import inputs, packing
from albert_core.config import AlbertConfig
from albert_core.packing import Packed
from albert_torch import fused
from albert_torch.kernels import can_read
from albert_torch.packing import Unpadded

__all__ = ["einsum", "exp", "tanh"]


def check_inputs(
    config: AlbertConfig,
    input_ids: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
) -> None:
    """Refuse inputs that do not fit the model, before a look-up fails obscurely.

    Raises:
        InputError: What does not fit, and what would.
    """
    inputs.check_one_given(input_ids, inputs_embeds)
    tokens = inputs_embeds if input_ids is None else input_ids
    inputs.check_length(config, tokens.shape[1])  # pyright: ignore
    if inputs_embeds is not None:
        inputs.check_width(config, inputs_embeds.shape[-1])
    ids = {
        "input_ids": input_ids,
        "token_type_ids": token_type_ids,
        "position_ids": position_ids,
    }
    for name, values in ids.items():
        if values is None or values.numel() == 0 or not can_read(values):
            continue
        low, high = values.aminmax()
        if values.device.type == "cpu":
            inputs.check_range(config, name, int(low), int(high))
        else:  # without waiting for the device
            size = getattr(config, inputs.TABLES[name])
            fits = (low >= 0) & (high < size)
            message = f"{name} holds an id outside 0 to {size - 1}"
            torch._assert_async(fits, message)  # pyright: ignore


def zeros_for(embedded: Tensor) -> Tensor:
    """Segment 0 for every token of [batch, seq, width]."""
    return torch.zeros(embedded.shape[:2], dtype=torch.long, device=embedded.device)


def positions_for(embedded: Tensor) -> Tensor:
    """Positions from 0, [1, seq], for the tokens of [batch, seq, width]."""
    return torch.arange(embedded.shape[1], device=embedded.device)[None]


def steps_for(query: Tensor, longest: int) -> Tensor:
    """Row of the distance table for every pair of positions, [seq, seq]."""
    positions = torch.arange(query.shape[1], device=query.device)
    return positions[:, None] - positions[None] + longest - 1


def mask_to_bias(
    mask: Tensor | Packed | None, embedded: Tensor
) -> Tensor | Unpadded | None:
    """Turn a mask [batch, seq] into what is added to scores [batch, heads, seq, seq].

    The lowest number swallows every score, so that a row without any real token attends
    uniformly. None stands for a mask that hides nothing: attention is faster without.
    """
    if mask is None:
        return None
    if isinstance(mask, Packed):
        packing.check(mask, embedded.shape[:2])
        if can_read(embedded):
            texts = Unpadded(mask, embedded.device)
            return None if len(texts.places) == texts.mask.numel() else texts
        mask = torch.as_tensor(mask.mask, device=embedded.device)
    if can_read(mask) and bool((mask == 1).all()):
        return None
    dtype = torch.promote_types(embedded.dtype, torch.float32)
    lowest = torch.finfo(dtype).min
    return (1.0 - mask.to(dtype))[:, None, None, :] * lowest


def spread_head_mask(
    head_mask: Tensor | None, config: AlbertConfig, embedded: Tensor
) -> Tensor | None:
    """Turn a head mask [heads] or [layers, heads] into [layers, heads]."""
    if head_mask is None:
        return None
    shape = (config.num_hidden_layers, config.num_attention_heads)
    return head_mask.to(embedded.dtype).expand(shape)


def pick_heads(row: Tensor | None, heads: tuple[int, ...]) -> Tensor | None:
    """The entries of a head mask for the heads that pruning left."""
    return None if row is None else row[list(heads)]


def split_heads(x: Tensor, width: int) -> Tensor:
    """[batch, seq, heads * width] to [batch, seq, heads, width]."""
    return x.unflatten(-1, (-1, width))


def merge_heads(x: Tensor) -> Tensor:
    """[batch, seq, heads, width] to [batch, seq, heads * width]."""
    return x.flatten(-2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Any,
    relative: Tensor | None,
    head_mask: Tensor | None,
    dropout: nn.Dropout,
    output_attentions: bool,
    implementation: str | None,
) -> tuple[Tensor, Tensor | None]:
    """Attention over [batch, seq, heads, width].

    The fused kernel serves every call that neither masks heads nor asks for the
    probabilities, which it does not have.

    Args:
        query: [batch, seq, heads, width]; key and value too.
        key: See query.
        value: See query.
        bias: In place of the scores where it is not 0, [batch, 1, 1, seq].
        relative: Position scores, [batch, heads, seq, seq].
        head_mask: [heads], 1 to keep a head.
        dropout: For the probabilities.
        output_attentions: Return the probabilities.
        implementation: "eager" never takes the fused kernel.
    """
    if isinstance(bias, Unpadded):  # its tokens, [1, tokens, heads, width]
        parts = (x.split(bias.lengths, 1) for x in (query, key, value))
        rest: Any = (None, None, head_mask, dropout, False, implementation)
        found = [attend(q, k, v, *rest)[0] for q, k, v in zip(*parts, strict=True)]
        return torch.cat(found, 1), None
    if implementation != "eager" and head_mask is None and not output_attentions:
        return _attend_fused(query, key, value, bias, relative, dropout), None
    scores = einsum("bqhd,bkhd->bhqk", query, key) / sqrt(query.shape[-1])
    if relative is not None:
        scores = scores + relative
    if bias is not None:
        # Not added: a row of padding has no scores, and so no gradient for them.
        scores = torch.where(bias == 0, scores, bias)
    wide = torch.promote_types(scores.dtype, torch.float32)
    weights = dropout(torch.softmax(scores, -1, dtype=wide).to(value.dtype))
    if head_mask is not None:
        weights = weights * head_mask[:, None, None]
    context = einsum("bhqk,bkhd->bqhd", weights, value)
    return context, weights if output_attentions else None


def _attend_fused(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    relative: Tensor | None = None,
    dropout: nn.Dropout | None = None,
) -> Tensor:
    query, key, value = (x.transpose(1, 2) for x in (query, key, value))
    if bias is not None:
        # The kernel's gradients are wrong, by a factor of the length, where the lowest
        # number stands in all of a row; there nothing stands, and there are no scores.
        empty = (bias != 0).all(-1, keepdim=True)
        if not (empty.is_cpu and can_read(empty)) or empty.any():
            query, bias = query.masked_fill(empty, 0), bias.masked_fill(empty, 0)
            relative = None if relative is None else relative.masked_fill(empty, 0)
    mask = bias if relative is None else relative if bias is None else bias + relative
    context = functional.scaled_dot_product_attention(
        query,
        key,
        value,
        # In half precision the lowest float32 is -inf, of which no row is full.
        attn_mask=None if mask is None else mask.to(query.dtype),
        dropout_p=dropout.p if dropout and dropout.training else 0.0,
    )
    return context.transpose(1, 2)


def is_open(model: nn.Module) -> bool:
    """Whether nobody but this library sees the mask of a model, and its padding."""
    parts = packing.parts_outside_layers(model, nn.Module.children)
    return packing.is_all_ours(parts) and not fused.is_watched(parts)


def repeat(
    group: nn.Module,
    times: int,
    hidden: Tensor,
    bias: Tensor | Unpadded | None,
    head_mask: Tensor | None,
    output_attentions: bool,
    output_hidden_states: bool,
    recompute: bool,
) -> tuple[Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Run a group of layers several times, its output being its next input.

    Args:
        group: Takes and returns [batch, seq, hidden], and attention probabilities.
        times: Number of layers that share the group.
        hidden: [batch, seq, hidden].
        bias: See `attend`.
        head_mask: [times, heads].
        output_attentions: Return the probabilities of every call.
        output_hidden_states: Return the output of every call.
        recompute: Keep only the calls' inputs for the backward pass.

    Returns:
        The last output, all outputs, all probabilities.
    """
    plain = fused.is_plain(group, hidden, output_attentions)
    if plain and fused.can_run(group, hidden, head_mask):
        parts = (group, times, hidden, bias, _attend_fused, output_hidden_states)
        return *fused.run(*parts), ()
    texts = bias if isinstance(bias, Unpadded) else None
    if texts and not (plain and texts.lengths):
        bias, texts = mask_to_bias(texts.mask, hidden), None
    hidden = texts.pack(hidden)[None] if texts else hidden

    def whole(hidden: Tensor) -> Tensor:
        return texts.unpack(hidden[0]) if texts else hidden

    states: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()
    for index in range(times):
        row = None if head_mask is None else head_mask[index]
        inputs_of_call = (hidden, bias, row, output_attentions)
        if recompute and group.training:
            hidden, weights = checkpoint(group, *inputs_of_call, use_reentrant=False)
        else:
            hidden, weights = group(*inputs_of_call)
        states = (*states, whole(hidden)) if output_hidden_states else ()
        attentions = (*attentions, *weights) if output_attentions else ()
    return (states[-1] if states else whole(hidden)), states, attentions


def flatten_choices(x: Tensor | None) -> Tensor | None:
    """[batch, choices, ...] to [batch * choices, ...]."""
    if x is None or isinstance(x, Packed):  # a packed mask is flat by itself
        return x
    return x.flatten(0, 1)


def choices_of(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> int:
    """The number of choices in [batch, choices, ...]."""
    inputs.check_one_given(input_ids, inputs_embeds)
    given = inputs_embeds if input_ids is None else input_ids
    return length_of(given)  # pyright: ignore


def length_of(x: Tensor) -> int:
    """The second size of a tensor."""
    return x.shape[1]


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same numbers in another shape."""
    return x.reshape(shape)
