"""What TensorFlow spells differently; its twins are in albert_torch and albert_flax."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from math import sqrt
from typing import Any

import keras
import tensorflow as tf
from tensorflow import reshape, tanh

from albert_core import fast, inputs, packing
from albert_core.config import AlbertConfig
from albert_core.packing import Packed
from albert_tf.activations import widen
from albert_tf.modules import Dropout, compiling, matmul, replaying
from albert_tf.shapes import Tensor

__all__ = ["reshape", "tanh"]

exp: Callable[..., Any] = tf.exp


def einsum(equation: str, x: Tensor, y: Tensor) -> Tensor:
    """A product whose sums are float32 at least, and stay so."""
    return tf.einsum(equation, widen(x), widen(y))


def check_inputs(
    config: AlbertConfig,
    input_ids: Tensor | None,
    token_type_ids: Tensor | None,
    position_ids: Tensor | None,
    inputs_embeds: Tensor | None,
) -> None:
    """Refuse inputs that do not fit the model, before a look-up fails obscurely.

    Raises:
        InputError: What does not fit, and what would. Inside a `tf.function` what is
            known only when it runs raises `tf.errors.InvalidArgumentError` then; XLA
            (`jit_compile=True`) drops these checks.
    """
    inputs.check_one_given(input_ids, inputs_embeds)
    tokens: Any = inputs_embeds if input_ids is None else input_ids
    inputs.check_length(config, tokens.shape[1])
    if inputs_embeds is not None:
        inputs.check_width(config, inputs_embeds.shape[-1])
    ids = {
        "input_ids": input_ids,
        "token_type_ids": token_type_ids,
        "position_ids": position_ids,
    }
    ids = {name: values for name, values in ids.items() if values is not None}
    if not tf.executing_eagerly():
        _check_when_run(config, tokens, ids)
        return
    for name, values in ids.items():
        if tf.size(values) > 0:
            low, high = tf.reduce_min(values), tf.reduce_max(values)
            inputs.check_range(config, name, int(low), int(high))


def _check_when_run(
    config: AlbertConfig, tokens: Tensor, ids: dict[str, Tensor]
) -> None:
    """Refuse in a graph what is known only when it runs."""
    longest = config.max_position_embeddings
    message = f"The sequence is longer than max_position_embeddings, {longest}"
    tf.debugging.assert_less_equal(tf.shape(tokens)[1], longest, message)
    for name, values in ids.items():
        size = getattr(config, inputs.TABLES[name])
        message = f"{name} holds an id outside 0 to {size - 1}"
        tf.debugging.assert_non_negative(values, message)
        tf.debugging.assert_less(values, tf.cast(size, values.dtype), message)


def zeros_for(embedded: Tensor) -> Tensor:
    """Segment 0 for every token of [batch, seq, width]."""
    return tf.zeros(tf.shape(embedded)[:2], tf.int32)


def positions_for(embedded: Tensor) -> Tensor:
    """Positions from 0, [1, seq], for the tokens of [batch, seq, width]."""
    return tf.range(tf.shape(embedded)[1])[None]


def steps_for(query: Tensor, longest: int) -> Tensor:
    """Row of the distance table for every pair of positions, [seq, seq]."""
    positions = tf.range(tf.shape(query)[1])
    return positions[:, None] - positions[None] + longest - 1


def mask_to_bias(
    mask: Tensor | Packed | None, embedded: Tensor
) -> Tensor | Packed | None:
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
    return (1 - tf.cast(mask, dtype))[:, None, None, :] * tf.constant(dtype.min, dtype)


def _within(packed: Packed, hidden: Tensor) -> Tensor:
    """What keeps each token to its own text, [rows, 1, width, width]."""
    other = packed.text[:, None, :, None] != packed.text[:, None, None, :]
    dtype = widen(hidden).dtype
    return tf.cast(other, dtype) * tf.constant(dtype.min, dtype)


def _pack(hidden: Tensor, packed: Packed) -> Tensor:
    """[texts, width, hidden] to [rows, width, hidden]."""
    return tf.gather(reshape(hidden, (-1, hidden.shape[-1])), packed.take)


def _unpack(hidden: Tensor, packed: Packed) -> Tensor:
    """[rows, width, hidden] to [texts, width, hidden], zeros at padding."""
    found = tf.gather(reshape(hidden, (-1, hidden.shape[-1])), packed.back)
    return tf.where(packed.mask[..., None] != 0, found, tf.zeros((), found.dtype))


def spread_head_mask(
    head_mask: Tensor | None, config: AlbertConfig, embedded: Tensor
) -> Tensor | None:
    """Turn a head mask [heads] or [layers, heads] into [layers, heads]."""
    if head_mask is None:
        return None
    shape = (config.num_hidden_layers, config.num_attention_heads)
    return tf.broadcast_to(tf.cast(head_mask, embedded.dtype), shape)


def pick_heads(row: Tensor | None, heads: tuple[int, ...]) -> Tensor | None:
    """The entries of a head mask for the heads that pruning left."""
    return None if row is None else tf.gather(row, heads)


def split_heads(x: Tensor, width: int) -> Tensor:
    """[batch, seq, heads * width] to [batch, seq, heads, width]."""
    shape = tf.shape(x)
    return reshape(x, (shape[0], shape[1], x.shape[-1] // width, width))


def merge_heads(x: Tensor) -> Tensor:
    """[batch, seq, heads, width] to [batch, seq, heads * width]."""
    shape = tf.shape(x)
    return reshape(x, (shape[0], shape[1], x.shape[-2] * x.shape[-1]))


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Any,
    relative: Tensor | None,
    head_mask: Tensor | None,
    dropout: Dropout,
    output_attentions: bool,
    implementation: str | None,
) -> tuple[Tensor, Tensor | None]:
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
        implementation: TensorFlow has one only.
    """
    # XLA is slower where it has to bring the heads forward by itself.
    query, key, value = (tf.transpose(x, (0, 2, 1, 3)) for x in (query, key, value))
    scores = widen(matmul(query, key, transpose_b=True)) / sqrt(query.shape[-1])
    if relative is not None:
        scores = scores + relative
    if bias is not None:
        # Not added: a row of padding has no scores, and so no gradient for them.
        scores = tf.where(tf.equal(bias, 0), scores, tf.cast(bias, scores.dtype))
    weights = dropout(tf.cast(tf.nn.softmax(scores), value.dtype))
    if head_mask is not None:
        weights = weights * head_mask[:, None, None]
    context = tf.cast(matmul(weights, value), value.dtype)
    return tf.transpose(context, (0, 2, 1, 3)), weights if output_attentions else None


@contextmanager
def compact() -> Iterator[None]:
    """Make programs of XLA, of predictions, that hold the shared layer once.

    Sums of half precision stay float32 in them, see `modules.matmul`.
    """
    token = compiling.set(True)
    try:
        yield
    finally:
        compiling.reset(token)


def _is_ours(group: keras.layers.Layer) -> bool:
    """Whether all layers of a group keep the texts of a row apart."""
    return packing.is_all_ours(group._flatten_layers())


def is_open(model: keras.Model) -> bool:
    """Whether nobody but this library sees the mask of a model, and its padding."""

    def children(part: Any) -> Any:
        return part._flatten_layers(include_self=False, recursive=False)

    return packing.is_all_ours(packing.parts_outside_layers(model, children))


def repeat(
    group: keras.layers.Layer,
    times: int,
    hidden: Tensor,
    bias: Tensor | Packed | None,
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
    if isinstance(bias, Packed):
        flags = (head_mask, output_attentions, output_hidden_states, recompute)
        # Probabilities stand by text.
        if output_attentions or not (fast.allowed() and _is_ours(group)):
            return repeat(group, times, hidden, mask_to_bias(bias.mask, hidden), *flags)
        rows = _pack(hidden, bias)
        last, every, _ = repeat(group, times, rows, _within(bias, rows), *flags)
        return _unpack(last, bias), tuple(_unpack(x, bias) for x in every), ()
    asked = output_attentions or output_hidden_states or head_mask is not None
    if compiling.get() and not asked:
        return _looped(group, times, hidden, bias), (), ()
    states: tuple[Tensor, ...] = ()
    attentions: tuple[Tensor, ...] = ()
    for index in range(times):
        row = None if head_mask is None else head_mask[index]
        # Probabilities are an output, so there is nothing to gain where they are asked.
        if recompute and not output_attentions:
            hidden, weights = _recomputed(group, hidden, bias, row), ()
        else:
            hidden, weights = group(hidden, bias, row, output_attentions)
        states = (*states, hidden) if output_hidden_states else ()
        attentions = (*attentions, *weights) if output_attentions else ()
    return hidden, states, attentions


def _looped(
    group: keras.layers.Layer, times: int, hidden: Tensor, bias: Tensor | None
) -> Tensor:
    """Call a group several times; XLA, which unrolls nothing, compiles it once."""

    def call(index: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return index + 1, group(hidden, bias, None, False)[0]

    return tf.while_loop(lambda index, _: index < times, call, (0, hidden))[1]


def _recomputed(
    group: keras.layers.Layer, hidden: Tensor, bias: Tensor | None, row: Tensor | None
) -> Tensor:
    """Call a group, and keep only what goes in for the backward pass."""
    training = bool(group._get_call_context().get_value("training"))
    layers = reversed(list(group._flatten_layers()))  # in the order of their calls
    drops = [x for x in layers if getattr(x, "rate", 0) > 0]
    seed: Any = drops[0].seed_generator.next() if drops and training else None
    given = {"hidden_states": hidden, "bias": bias, "head_mask": row}
    given = {name: value for name, value in given.items() if value is not None}

    def call(*values: Tensor) -> Tensor:
        # The generator counts its second number on by one with every call of the
        # group; so `training.Training` sets it for the drops of a step.
        seeds = (tf.add(tf.cast(seed, tf.int32), [0, i * 2**16]) for i in count())
        token = replaying.set((training, seeds))
        try:
            return group(**dict(zip(given, values, strict=True)))[0]
        finally:
            replaying.reset(token)

    return tf.recompute_grad(call)(*given.values())


def flatten_choices(x: Tensor | None) -> Tensor | None:
    """[batch, choices, ...] to [batch * choices, ...]."""
    if x is None or isinstance(x, Packed):  # a packed mask is flat by itself
        return x
    return reshape(x, tf.concat([[-1], tf.shape(x)[2:]], 0))


def choices_of(input_ids: Tensor | None, inputs_embeds: Tensor | None) -> Any:
    """The number of choices in [batch, choices, ...]."""
    inputs.check_one_given(input_ids, inputs_embeds)
    given = inputs_embeds if input_ids is None else input_ids
    return length_of(given)


def length_of(x: Tensor) -> Any:
    """The second size of a tensor."""
    return tf.shape(x)[1] if x.shape[1] is None else x.shape[1]
