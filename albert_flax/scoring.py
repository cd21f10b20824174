"""What heads do with scores; its twins are in albert_torch and albert_tf."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.numpy import reshape

from albert_core.losses import IGNORED, MASKED
from albert_core.packing import Packed
from albert_flax.activations import widen
from albert_flax.modules import product
from albert_flax.ops import length_of


def decode(hidden: Array, table: Array, bias: nnx.Param) -> Array:
    """Score every entry of the vocabulary: [batch, seq, vocab]."""
    return product("bsh,vh->bsv", hidden, table) + bias[...]


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
    return product("bcs,bsh->bch", weights.astype(hidden.dtype), hidden)


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
