"""What JAX spells differently; its twins are in albert_torch and albert_tf."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer
from jax.numpy import exp, reshape, tanh

from albert_core import fast, inputs, packing
from albert_core.config import AlbertConfig
from albert_core.packing import Packed
from albert_flax.activations import widen
from albert_flax.modules import Dropout, dropout_keys, dropping, product

__all__ = ["exp", "reshape", "tanh"]


def einsum(equation: str, x: Array, y: Array) -> Array:
    """A product whose sums are float32 at least, and stay so."""
    return jnp.einsum(equation, x, y, preferred_element_type=widen(x).dtype)


def can_read(x: Any) -> bool:
    """Whether Python may look at the numbers of an array in the middle of a call."""
    return not isinstance(x, Tracer) and getattr(x, "is_fully_addressable", True)


def check_inputs(
    config: AlbertConfig,
    input_ids: Array | None,
    token_type_ids: Array | None,
    position_ids: Array | None,
    inputs_embeds: Array | None,
) -> None:
    """Refuse inputs that do not fit the model, before a look-up clamps them silently.

    Raises:
        InputError: What does not fit, and what would. Inside a `jax.jit` of the
            caller's ids cannot be looked at; those outside a table look up its end.
    """
    inputs.check_one_given(input_ids, inputs_embeds)
    tokens = inputs_embeds if input_ids is None else input_ids
    length = tokens.shape[1]  # pyright: ignore
    # It is no number where `jax.export` leaves it open.
    inputs.check_length(config, length if isinstance(length, int) else None)
    if inputs_embeds is not None:
        inputs.check_width(config, inputs_embeds.shape[-1])
    check_ids(config, input_ids, token_type_ids, position_ids)


def check_ids(
    config: AlbertConfig,
    input_ids: Array | None,
    token_type_ids: Array | None,
    position_ids: Array | None,
) -> None:
    """Refuse ids outside the tables that they look up.

    Raises:
        InputError: The id and the table.
    """
    ids = {
        "input_ids": input_ids,
        "token_type_ids": token_type_ids,
        "position_ids": position_ids,
    }
    known = {k: x for k, x in ids.items() if x is not None and can_read(x)}
    inputs.check_arrays(config, known)


def zeros_for(embedded: Array) -> Array:
    """Segment 0 for every token of [batch, seq, width]."""
    return jnp.zeros(embedded.shape[:2], jnp.int32)


def positions_for(embedded: Array) -> Array:
    """Positions from 0, [1, seq], for the tokens of [batch, seq, width]."""
    return jnp.arange(embedded.shape[1])[None]


def steps_for(query: Array, longest: int) -> Array:
    """Row of the distance table for every pair of positions, [seq, seq]."""
    positions = jnp.arange(query.shape[1])
    return positions[:, None] - positions[None] + longest - 1


def mask_to_bias(mask: Array | Packed | None, embedded: Array) -> Array | Packed | None:
    """Turn a mask [batch, seq] into what is added to scores [batch, heads, seq, seq].

    The lowest number swallows every score, so that a row without any real token attends
    uniformly.
    """
    if isinstance(mask, Packed):  # until `repeat`
        packing.check(mask, embedded.shape[:2], rows=True)
        return mask
    if mask is None:
        return None
    dtype = widen(embedded).dtype
    lowest = jnp.finfo(dtype).min
    return (1 - mask.astype(dtype))[:, None, None, :] * lowest


def _within(packed: Packed, hidden: Array) -> Array:
    """What keeps each token to its own text, [rows, 1, width, width]."""
    other = packed.text[:, None, :, None] != packed.text[:, None, None, :]
    dtype = widen(hidden).dtype
    return other.astype(dtype) * jnp.finfo(dtype).min


def _pack(hidden: Array, packed: Packed) -> Array:
    """[texts, width, hidden] to [rows, width, hidden]."""
    return reshape(hidden, (-1, hidden.shape[-1]))[packed.take]


def _unpack(hidden: Array, packed: Packed) -> Array:
    """[rows, width, hidden] to [texts, width, hidden], zeros at padding."""
    found = reshape(hidden, (-1, hidden.shape[-1]))[packed.back]
    return jnp.where(packed.mask[..., None] != 0, found, 0)


def spread_head_mask(
    head_mask: Array | None, config: AlbertConfig, embedded: Array
) -> Array | None:
    """Turn a head mask [heads] or [layers, heads] into [layers, heads]."""
    if head_mask is None:
        return None
    shape = (config.num_hidden_layers, config.num_attention_heads)
    return jnp.broadcast_to(head_mask.astype(embedded.dtype), shape)


def pick_heads(row: Array | None, heads: tuple[int, ...]) -> Array | None:
    """The entries of a head mask for the heads that pruning left."""
    return None if row is None else row[np.array(heads)]


def split_heads(x: Array, width: int) -> Array:
    """[batch, seq, heads * width] to [batch, seq, heads, width]."""
    # Not by -1, which has no size where there are no rows.
    return reshape(x, (*x.shape[:2], x.shape[2] // width, width))


def merge_heads(x: Array) -> Array:
    """[batch, seq, heads, width] to [batch, seq, heads * width]."""
    return reshape(x, (*x.shape[:2], x.shape[2] * x.shape[3]))


def attend(
    query: Array,
    key: Array,
    value: Array,
    bias: Any,
    relative: Array | None,
    head_mask: Array | None,
    dropout: Dropout,
    output_attentions: bool,
    implementation: str | None,
) -> tuple[Array, Array | None]:
    """Attention over [batch, seq, heads, width].

    Args:
        query: [batch, seq, heads, width]; key and value too.
        key: See query.
        value: See query.
        bias: In place of the scores where it is not 0, [batch, 1, 1, seq], or of rows
            with several texts [batch, 1, seq, seq].
        relative: Position scores, [batch, heads, seq, seq].
        head_mask: [heads], 1 to keep a head.
        dropout: For the probabilities.
        output_attentions: Return the probabilities.
        implementation: JAX has one only, which XLA fuses.
    """
    # XLA is slower where it has to bring the heads forward by itself.
    query, key, value = (x.transpose(0, 2, 1, 3) for x in (query, key, value))
    # Half precision would round the scores, and float16 overflow.
    scores = einsum("bhqd,bhkd->bhqk", query, key) / sqrt(query.shape[-1])
    if relative is not None:
        scores = scores + relative
    if bias is not None:
        # Not added: a row of padding has no scores, and so no gradient for them.
        scores = jnp.where(bias == 0, scores, bias)
    weights = dropout(jax.nn.softmax(scores, -1).astype(value.dtype))
    if head_mask is not None:
        weights = weights * head_mask[:, None, None]
    context = product("bhqk,bhkd->bhqd", weights, value).transpose(0, 2, 1, 3)
    return context, weights if output_attentions else None


def _is_ours(group: Any) -> bool:
    """Whether all layers of a group keep the texts of a row apart."""
    return packing.is_all_ours(x for _, x in nnx.iter_modules(group))


def is_open(model: nnx.Module) -> bool:
    """Whether nobody but this library sees the mask of a model, and its padding."""

    def children(part: Any) -> Any:
        return (x for x in vars(part).values() if isinstance(x, nnx.Module))

    return packing.is_all_ours(packing.parts_outside_layers(model, children))


def repeat(
    group: Callable[..., Any],
    times: int,
    hidden: Array,
    bias: Array | Packed | None,
    head_mask: Array | None,
    output_attentions: bool,
    output_hidden_states: bool,
    recompute: bool,
) -> tuple[Array, tuple[Array, ...], tuple[Array, ...]]:
    """Run a group of layers several times, its output being its next input.

    The group is compiled once, however often it runs.

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
    if isinstance(bias, Packed):
        flags = (head_mask, output_attentions, output_hidden_states, recompute)
        # Probabilities stand by text.
        if output_attentions or not (fast.allowed() and _is_ours(group)):
            return repeat(group, times, hidden, mask_to_bias(bias.mask, hidden), *flags)
        rows = _pack(hidden, bias)
        last, every, _ = repeat(group, times, rows, _within(bias, rows), *flags)
        return _unpack(last, bias), tuple(_unpack(x, bias) for x in every), ()
    keys = dropping.get()
    key = None if keys is None else jax.random.split(next(keys), times)

    def call(hidden: Array, step: tuple[Array | None, Array | None]) -> Any:
        key, row = step
        with dropout_keys(key):
            hidden, weights = group(hidden, bias, row, output_attentions)
        return hidden, (hidden if output_hidden_states else None, weights)

    body = jax.checkpoint(call, prevent_cse=False) if recompute else call
    hidden, (states, weights) = jax.lax.scan(body, hidden, (key, head_mask), times)
    every = range(times)
    all_states = tuple(states[i] for i in every) if output_hidden_states else ()
    attentions = tuple(x[i] for i in every for x in weights if output_attentions)
    return hidden, all_states, attentions


def flatten_choices(x: Array | None) -> Array | None:
    """[batch, choices, ...] to [batch * choices, ...]."""
    if x is None or isinstance(x, Packed):  # a packed mask is flat by itself
        return x
    return reshape(x, (-1, *x.shape[2:]))


def choices_of(input_ids: Array | None, inputs_embeds: Array | None) -> int:
    """The number of choices in [batch, choices, ...]."""
    inputs.check_one_given(input_ids, inputs_embeds)
    given = inputs_embeds if input_ids is None else input_ids
    return length_of(given)  # pyright: ignore


def length_of(x: Array) -> int:
    """The second size of a tensor."""
    return x.shape[1]
