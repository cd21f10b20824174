"""What heads do with scores; its twins are in albert_torch and albert_flax."""

import tensorflow as tf
from tensorflow import reshape

from albert_core.losses import IGNORED, MASKED
from albert_core.packing import Packed
from albert_tf.activations import constant, widen
from albert_tf.modules import matmul
from albert_tf.ops import length_of
from albert_tf.shapes import Tensor


def decode(hidden: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """Score every entry of the vocabulary: [batch, seq, vocab]."""
    table, bias = tf.cast(table, hidden.dtype), tf.cast(bias, hidden.dtype)
    return tf.cast(matmul(hidden, table, transpose_b=True), hidden.dtype) + bias


def like(labels: Tensor, logits: Tensor) -> Tensor:
    """Labels as numbers, in the type and shape of the logits."""
    return reshape(tf.cast(labels, logits.dtype), tf.shape(logits))


def is_integer(labels: Tensor) -> bool:
    """Whether labels are class numbers."""
    return not labels.dtype.is_floating


def clip(labels: Tensor, highest: int) -> Tensor:
    """Positions [batch] or [batch, 1] as [batch], from 0 to `highest`."""
    labels = reshape(labels, (-1,))
    return tf.clip_by_value(labels, 0, tf.cast(highest, labels.dtype))


def cross_entropy(logits: Tensor, labels: Tensor, ignored: int = IGNORED) -> Tensor:
    """Mean negative log-likelihood over the labels that are not ignored."""
    rows = widen(reshape(logits, (-1, tf.shape(logits)[-1])))
    labels = reshape(labels, (-1,))
    counted = tf.not_equal(labels, tf.cast(ignored, labels.dtype))
    classes = tf.where(counted, labels, tf.zeros_like(labels))
    each_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, rows)
    counted = tf.cast(counted, each_loss.dtype)
    return tf.reduce_sum(each_loss * counted) / tf.reduce_sum(counted)


def summed_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum of the negative log-likelihood over the labels that are not ignored."""
    rows = widen(reshape(logits, (-1, tf.shape(logits)[-1])))
    labels = reshape(labels, (-1,))
    counted = tf.not_equal(labels, IGNORED)
    classes = tf.where(counted, labels, tf.zeros_like(labels))
    each_loss = tf.nn.sparse_softmax_cross_entropy_with_logits(classes, rows)
    return tf.reduce_sum(each_loss * tf.cast(counted, each_loss.dtype))


def count_right(logits: Tensor, labels: Tensor) -> Tensor:
    """How many labels have the highest score."""
    found = tf.argmax(logits, -1, output_type=labels.dtype)
    right = tf.math.count_nonzero(tf.equal(found, labels))
    return tf.cast(right, widen(logits).dtype)


def mean_squared_error(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of the squared differences."""
    return tf.reduce_mean(tf.square(widen(logits) - widen(labels)))


def binary_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean loss of independent yes-or-no labels."""
    logits, labels = widen(logits), widen(labels)
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(labels, logits))


def is_at(positions: Tensor, length: int) -> Tensor:
    """Whether a token is at a position: [batch, count] to [batch, count, length]."""
    return tf.equal(positions[..., None], tf.range(length, dtype=positions.dtype))


def mix(hidden: Tensor, weights: Tensor) -> Tensor:
    """Sums of tokens [batch, seq, width], by weights [batch, count, seq]."""
    return tf.cast(matmul(tf.cast(weights, hidden.dtype), hidden), hidden.dtype)


def beside(x: Tensor, y: Tensor) -> Tensor:
    """Two tensors joined in the last axis; their other axes are broadcast."""
    shape = tf.broadcast_dynamic_shape(tf.shape(x)[:-1], tf.shape(y)[:-1])
    both = [
        tf.broadcast_to(part, tf.concat([shape, [part.shape[-1]]], 0))
        for part in (x, y)
    ]
    return tf.concat(both, -1)


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
        attention_mask = attention_mask.mask
    if attention_mask is None:
        attention_mask = tf.ones(tf.shape(hidden)[:2])
    text = tf.cast(attention_mask, tf.bool)
    if token_type_ids is not None:
        text = text & tf.equal(token_type_ids, 1)
        after = tf.concat([text[:, 1:], tf.zeros_like(text[:, :1])], 1)
        text = text & after
    text = text | is_at(cls_index, length_of(hidden))[:, 0]
    return tf.cast(~text, widen(hidden).dtype)


def masked_log_softmax(scores: Tensor, p_mask: Tensor) -> Tensor:
    """Log-probabilities of the tokens, almost none where the mask is 1."""
    scores = widen(scores)
    p_mask = tf.cast(p_mask, scores.dtype)
    masked = scores * (1 - p_mask) - constant(MASKED, scores) * p_mask
    return tf.nn.log_softmax(masked)


def top(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The largest of the last axis and their places; of equals the first."""
    if x.shape[-1] is None:
        return tf.math.top_k(x, tf.minimum(count, tf.shape(x)[-1]))
    return tf.math.top_k(x, min(count, x.shape[-1]))


def flatten_beams(x: Tensor) -> Tensor:
    """[batch, starts, ends] to [batch, starts * ends]."""
    shape = tf.shape(x)
    return reshape(x, (shape[0], shape[1] * shape[2]))


def position_loss(log_probs: Tensor, positions: Tensor) -> Tensor:
    """Mean negative log-probability [batch, seq] of positions, [batch] or [batch, 1].

    One outside of the text adds nothing, but counts in the mean.
    """
    right = is_at(reshape(positions, (-1, 1)), length_of(log_probs))[:, 0]
    chosen = tf.where(right, log_probs, tf.zeros_like(log_probs))
    return -tf.reduce_mean(tf.reduce_sum(chosen, -1))
