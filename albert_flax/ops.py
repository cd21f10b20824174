"""What JAX spells differently; its twins are in albert_torch and albert_tf."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from math import sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.core import Tracer
from jax.numpy import einsum, exp, reshape, tanh

from albert_core import fast, inputs, packing
from albert_core.config import AlbertConfig
from albert_core.losses import IGNORED, MASKED
from albert_core.packing import Packed

__all__ = ["einsum", "exp", "reshape", "tanh"]

Module = nnx.Module

# What `post_init` puts initial values into; drawing others first would take time.
_zeros = nnx.initializers.zeros_init()


def Modules(modules: list[nnx.Module]) -> nnx.Dict:
    """A list of modules, under the keys "0", "1", ... of Hugging Face's trees."""
    return nnx.Dict({str(index): module for index, module in enumerate(modules)})


class Linear(nnx.Linear):
    """A dense layer whose values come from `post_init` or from outside."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(
            inputs, outputs, use_bias=bias, kernel_init=_zeros, rngs=nnx.Rngs(0)
        )


class Embedding(nnx.Embed):
    """A table whose values come from `post_init` or from outside.

    The row of padding gets no gradient.
    """

    def __init__(self, rows: int, width: int, padding: int | None = None) -> None:
        super().__init__(rows, width, embedding_init=_zeros, rngs=nnx.Rngs(0))
        self.padding = padding

    def __call__(self, ids: Any) -> Array:
        """Look ids up."""
        rows = self.embedding[...][ids]
        if self.padding is None:
            return rows
        padded = (ids == self.padding)[..., None]
        return jnp.where(padded, jax.lax.stop_gradient(rows), rows)


class LayerNorm(nnx.LayerNorm):
    """A layer norm over the last axis, its variance from the centred values."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__(
            width, epsilon=epsilon, use_fast_variance=False, rngs=nnx.Rngs(0)
        )


# The keys that dropout draws from while a call trains; none while it does not.
_keys: ContextVar[Iterator[Array] | None] = ContextVar("keys", default=None)


@contextmanager
def dropout_keys(key: Array | None) -> Iterator[None]:
    """Turn dropout on, drawing from a key, or off for None."""
    keys = None if key is None else (jax.random.fold_in(key, i) for i in count())
    token = _keys.set(keys)
    try:
        yield
    finally:
        _keys.reset(token)


class Dropout(nnx.Module):
    """Dropout that is on inside `dropout_keys`."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, x: Array) -> Array:
        """Drop in training, keep all otherwise."""
        keys = _keys.get()
        if keys is None or self.rate == 0:
            return x
        kept = jax.random.bernoulli(next(keys), 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), 0)


def vector(size: int) -> nnx.Param:
    """A bias that stands alone."""
    return nnx.Param(jnp.zeros(size))


def each(modules: nnx.Dict) -> Iterable[Any]:
    """The modules of a list, in order."""
    return modules.values()


def table_of(embedding: nnx.Embed | nnx.Linear) -> Array:
    """The weights of an embedding, or of a decoder, [rows, width]."""
    if isinstance(embedding, nnx.Linear):
        return embedding.kernel[...].T
    return embedding.embedding[...]


def widen(x: Array) -> Array:
    """Half precision as float32: it cannot hold a mask, nor the sum of a batch."""
    return x.astype(jnp.promote_types(x.dtype, jnp.float32))


def gelu(x: Array) -> Array:
    """The exact gelu."""
    return jax.nn.gelu(x, approximate=False)


def gelu_new(x: Array) -> Array:
    """The tanh form of gelu, as Google computes it."""
    return jax.nn.gelu(x, approximate=True)


def quick_gelu(x: Array) -> Array:
    """The sigmoid approximation of gelu."""
    return x * jax.nn.sigmoid(1.702 * x)


def linear(x: Array) -> Array:
    """No activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": quick_gelu,
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    "swish": jax.nn.silu,
    "tanh": tanh,
    "linear": linear,
}


def activation(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `hidden_act` names, or is."""
    return name if callable(name) else ACTIVATIONS[name]


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
    return reshape(x, (*x.shape[:2], -1, width))


def merge_heads(x: Array) -> Array:
    """[batch, seq, heads, width] to [batch, seq, heads * width]."""
    return reshape(x, (*x.shape[:2], -1))


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
    wide = widen(query).dtype
    scores = einsum("bhqd,bhkd->bhqk", query, key, preferred_element_type=wide)
    scores = scores / sqrt(query.shape[-1])
    if relative is not None:
        scores = scores + relative
    if bias is not None:
        # Not added: a row of padding has no scores, and so no gradient for them.
        scores = jnp.where(bias == 0, scores, bias)
    weights = dropout(jax.nn.softmax(scores, -1).astype(value.dtype))
    if head_mask is not None:
        weights = weights * head_mask[:, None, None]
    context = einsum("bhqk,bhkd->bhqd", weights, value).transpose(0, 2, 1, 3)
    return context, weights if output_attentions else None


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
        if output_attentions or not fast.allowed():
            return repeat(group, times, hidden, mask_to_bias(bias.mask, hidden), *flags)
        rows = _pack(hidden, bias)
        last, every, _ = repeat(group, times, rows, _within(bias, rows), *flags)
        return _unpack(last, bias), tuple(_unpack(x, bias) for x in every), ()
    keys = _keys.get()
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


def decode(hidden: Array, table: Array, bias: nnx.Param) -> Array:
    """Score every entry of the vocabulary: [batch, seq, vocab]."""
    return hidden @ table.T + bias[...]


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


def like(labels: Array, logits: Array) -> Array:
    """Labels as numbers, in the shape of the logits."""
    return reshape(labels.astype(widen(logits).dtype), logits.shape)


def is_integer(labels: Array) -> bool:
    """Whether labels are class numbers."""
    return not jnp.issubdtype(labels.dtype, jnp.floating)


def clip(labels: Array, highest: int) -> Array:
    """Positions [batch] or [batch, 1] as [batch], from 0 to `highest`."""
    return jnp.clip(reshape(labels, -1), 0, highest)


def cross_entropy(logits: Array, labels: Array, ignored: int = IGNORED) -> Array:
    """Mean negative log-likelihood over the labels that are not ignored.

    It is NaN when all are, and when a label is no class.
    """
    rows = jax.nn.log_softmax(widen(reshape(logits, (-1, logits.shape[-1]))), -1)
    labels = reshape(labels, -1)
    counted = labels != ignored
    # A label below 0 would count from the end; one too large is filled with NaN.
    classes = jnp.where(labels < 0, rows.shape[-1], labels)[:, None]
    chosen = jnp.take_along_axis(rows, classes, -1, mode="fill")[:, 0]
    return -jnp.where(counted, chosen, 0).sum() / counted.sum()


def summed_cross_entropy(logits: Array, labels: Array) -> Array:
    """Sum of the negative log-likelihood over the labels that are not ignored."""
    rows = jax.nn.log_softmax(widen(reshape(logits, (-1, logits.shape[-1]))), -1)
    labels = reshape(labels, -1)
    counted = labels != IGNORED
    classes = jnp.where(counted, labels, 0)[:, None]
    chosen = jnp.take_along_axis(rows, classes, -1)[:, 0]
    return -jnp.where(counted, chosen, 0).sum()


def count_right(logits: Array, labels: Array) -> Array:
    """How many labels have the highest score."""
    return (logits.argmax(-1) == labels).sum()


def mean_squared_error(logits: Array, labels: Array) -> Array:
    """Mean of the squared differences."""
    return jnp.square(widen(logits) - labels).mean()


def binary_cross_entropy(logits: Array, labels: Array) -> Array:
    """Mean loss of independent yes-or-no labels."""
    logits = widen(logits)
    yes, no = jax.nn.log_sigmoid(logits), jax.nn.log_sigmoid(-logits)
    return -(labels * yes + (1 - labels) * no).mean()


def is_at(positions: Array, length: int) -> Array:
    """Whether a token is at a position: [batch, count] to [batch, count, length]."""
    return positions[..., None] == jnp.arange(length)


def mix(hidden: Array, weights: Array) -> Array:
    """Sums of tokens [batch, seq, width], by weights [batch, count, seq]."""
    return jnp.matmul(weights.astype(hidden.dtype), hidden)


def beside(x: Array, y: Array) -> Array:
    """Two tensors joined in the last axis; their other axes are broadcast."""
    shape = jnp.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    both = [jnp.broadcast_to(part, (*shape, part.shape[-1])) for part in (x, y)]
    return jnp.concatenate(both, -1)


def default_p_mask(
    hidden: Array,
    attention_mask: Array | None,
    token_type_ids: Array | None,
    cls_index: Array,
) -> Array:
    """Where an answer cannot begin or end, [batch, seq], from the other inputs.

    Open are [CLS] at `cls_index` [batch, 1] and the text: with `token_type_ids` the
    second segment without its last token, which is [SEP], else all but padding.
    """
    if isinstance(attention_mask, Packed):
        attention_mask = attention_mask.mask
    if attention_mask is None:
        attention_mask = jnp.ones(hidden.shape[:2])
    text = attention_mask != 0
    if token_type_ids is not None:
        text = text & (token_type_ids == 1)
        after = jnp.concatenate([text[:, 1:], jnp.zeros_like(text[:, :1])], 1)
        text = text & after
    text = text | is_at(cls_index, length_of(hidden))[:, 0]
    return (~text).astype(widen(hidden).dtype)


def masked_log_softmax(scores: Array, p_mask: Array) -> Array:
    """Log-probabilities of the tokens, almost none where the mask is 1."""
    scores = widen(scores)
    p_mask = p_mask.astype(scores.dtype)
    return jax.nn.log_softmax(scores * (1 - p_mask) - MASKED * p_mask, -1)


def top(x: Array, count: int) -> tuple[Array, Array]:
    """The largest of the last axis and their places; of equals the first."""
    return jax.lax.top_k(x, min(count, x.shape[-1]))


def flatten_beams(x: Array) -> Array:
    """[batch, starts, ends] to [batch, starts * ends]."""
    return reshape(x, (x.shape[0], -1))


def position_loss(log_probs: Array, positions: Array) -> Array:
    """Mean negative log-probability [batch, seq] of positions, [batch] or [batch, 1].

    One outside of the text adds nothing, but counts in the mean.
    """
    right = is_at(reshape(positions, (-1, 1)), length_of(log_probs))[:, 0]
    return -jnp.where(right, log_probs, 0).sum(-1).mean()
