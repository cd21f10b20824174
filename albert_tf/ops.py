"""What TensorFlow spells differently; its twins are in albert_torch and albert_flax."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import count
from math import pi, sqrt
from typing import Any

import keras
import tensorflow as tf
from tensorflow import reshape, tanh

from albert_core import fast, inputs, packing
from albert_core.config import AlbertConfig
from albert_core.losses import IGNORED, MASKED
from albert_core.packing import Packed
from albert_tf.shapes import Tensor

__all__ = ["reshape", "tanh"]

Modules = list
einsum: Callable[..., Any] = tf.einsum
exp: Callable[..., Any] = tf.exp


class Named:
    """Layers that are named after their attributes, and built when they are made.

    So a variable's path is its Hugging Face name, and weights can be loaded before the
    first call.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, keras.layers.Layer) and not value.built:
            value.name = name
        elif isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, keras.layers.Layer) and not item.built:
                    item.name = f"{name}_._{index}"
        super().__setattr__(name, value)

    def build(self, input_shape: Any = None) -> None:
        """Build all layers inside; their sizes are known from the configuration."""
        whole: Any = self
        for layer in whole._flatten_layers(include_self=False, recursive=False):
            if not layer.built:
                layer.build()
        self.built = True


class Module(Named, keras.layers.Layer):
    """A layer made of layers, which cast for themselves."""

    def __init__(self) -> None:
        super().__init__(autocast=False)
        self._allow_non_tensor_positional_args = True


@contextmanager
def unlocked(layer: keras.layers.Layer) -> Iterator[None]:
    """Let a built layer change what it holds; Keras does the same for its adapters."""
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()


class Linear(keras.layers.Dense):
    """A dense layer whose values come from `post_init` or from a checkpoint."""

    def __init__(self, inputs: int, outputs: int, bias: bool = True) -> None:
        super().__init__(outputs, use_bias=bias, kernel_initializer="zeros")
        self.inputs = inputs

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        super().build((None, self.inputs))

    def call(self, inputs: Any, training: Any = None) -> Tensor:
        """[..., in] to [..., out] as one product of rows; Keras takes 20 operations."""
        x = tf.convert_to_tensor(inputs)
        rows: Any = tf.matmul(reshape(x, (-1, self.inputs)), self.kernel)
        if self.bias is not None:
            rows = tf.nn.bias_add(rows, self.bias)
        if self.activation is not None:
            rows = self.activation(rows)
        if x.shape.rank == 2:
            return rows
        return reshape(rows, tf.concat([tf.shape(x)[:-1], [self.units]], 0))


class Embedding(keras.layers.Embedding):
    """A table whose values come from `post_init` or from a checkpoint.

    The row of padding gets no gradient.
    """

    def __init__(self, rows: int, width: int, padding: int | None = None) -> None:
        super().__init__(rows, width, embeddings_initializer="zeros")
        self.padding = padding

    def call(self, ids: Any) -> Tensor:
        """Look ids up."""
        ids = tf.convert_to_tensor(ids)
        rows: Any = super().call(ids)
        if self.padding is None:
            return rows
        padded = tf.equal(ids, tf.cast(self.padding, ids.dtype))
        return tf.where(tf.expand_dims(padded, -1), tf.stop_gradient(rows), rows)


class LayerNorm(keras.layers.LayerNormalization):
    """A layer norm over the last axis."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__(epsilon=epsilon)
        self.width = width

    def build(self, input_shape: Any = None) -> None:
        """Make the variables."""
        super().build((None, self.width))
        # Optimizers know what to leave out of weight decay by its name, not its path.
        variables: Any = (self.gamma, self.beta)
        for variable in variables:
            variable._name = f"{self.name}_{variable.name}"


# Set while a group runs whose outputs will be computed again: (training, seeds).
_replayed: ContextVar[tuple[bool, Iterator[Tensor]] | None] = ContextVar(
    "replayed", default=None
)


# Set while a program is made that holds the shared layer once.
_compact: ContextVar[bool] = ContextVar("compact", default=False)


class Dropout(keras.layers.Dropout):
    """Dropout that, computed again for the backward pass, drops the same again."""

    def call(self, x: Any, training: bool | None = None) -> Tensor:
        """Drop in training, keep all otherwise."""
        replayed = _replayed.get()
        if replayed is None:
            return super().call(x, bool(training))
        training, seeds = replayed
        if not training or self.rate == 0:
            return x
        return tf.nn.experimental.stateless_dropout(x, self.rate, next(seeds))


def vector(module: keras.layers.Layer, size: int) -> Any:
    """A bias that stands alone."""
    return module.add_weight(shape=(size,), initializer="zeros", name="bias")


def each(modules: list) -> Iterable[Any]:
    """The modules of a list, in order."""
    return modules


def table_of(embedding: keras.layers.Embedding) -> Tensor:
    """The weights of an embedding, [rows, width]."""
    return tf.convert_to_tensor(embedding.embeddings)


def constant(value: float, x: Tensor) -> Tensor:
    """A number in the type of x; TensorFlow rounds Python's through float32."""
    return tf.constant(value, x.dtype)


def widen(x: Tensor) -> Tensor:
    """Half precision as float32: it cannot hold a mask, nor the sum of a batch."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def gelu(x: Tensor) -> Tensor:
    """The exact gelu; TensorFlow's own is good to 5e-9 only, even in float64."""
    return constant(0.5, x) * x * (1 + tf.math.erf(x * constant(sqrt(0.5), x)))


def gelu_new(x: Tensor) -> Tensor:
    """The tanh form of gelu, as Google computes it."""
    scale, half = sqrt(2 / pi), constant(0.5, x)
    slope = constant(scale, x) + constant(scale * 0.044715, x) * x * x
    return x * (half + half * tanh(x * slope))


def quick_gelu(x: Tensor) -> Tensor:
    """The sigmoid approximation of gelu."""
    return x * tf.sigmoid(constant(1.702, x) * x)


def linear(x: Tensor) -> Tensor:
    """No activation."""
    return x


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": quick_gelu,
    "relu": tf.nn.relu,
    "silu": tf.nn.silu,
    "swish": tf.nn.silu,
    "tanh": tanh,
    "linear": linear,
}


def activation(name: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function that `hidden_act` names, or is."""
    return name if callable(name) else ACTIVATIONS[name]


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
    scores = einsum("bhqd,bhkd->bhqk", query, key) / sqrt(query.shape[-1])
    if relative is not None:
        scores = scores + relative
    scores = widen(scores)
    if bias is not None:
        # Not added: a row of padding has no scores, and so no gradient for them.
        scores = tf.where(tf.equal(bias, 0), scores, bias)
    weights = dropout(tf.cast(tf.nn.softmax(scores), value.dtype))
    if head_mask is not None:
        weights = weights * head_mask[:, None, None]
    context = tf.transpose(einsum("bhqk,bhkd->bhqd", weights, value), (0, 2, 1, 3))
    return context, weights if output_attentions else None


@contextmanager
def compact() -> Iterator[None]:
    """Make programs of XLA, of predictions, that hold the shared layer once."""
    token = _compact.set(True)
    try:
        yield
    finally:
        _compact.reset(token)


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
        if output_attentions or not fast.allowed():
            return repeat(group, times, hidden, mask_to_bias(bias.mask, hidden), *flags)
        rows = _pack(hidden, bias)
        last, every, _ = repeat(group, times, rows, _within(bias, rows), *flags)
        return _unpack(last, bias), tuple(_unpack(x, bias) for x in every), ()
    asked = output_attentions or output_hidden_states or head_mask is not None
    if _compact.get() and not asked:
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
        token = _replayed.set((training, seeds))
        try:
            return group(**dict(zip(given, values, strict=True)))[0]
        finally:
            _replayed.reset(token)

    return tf.recompute_grad(call)(*given.values())


def decode(hidden: Tensor, table: Tensor, bias: Tensor) -> Tensor:
    """Score every entry of the vocabulary: [batch, seq, vocab]."""
    table, bias = tf.cast(table, hidden.dtype), tf.cast(bias, hidden.dtype)
    return tf.matmul(hidden, table, transpose_b=True) + bias


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
    return tf.matmul(tf.cast(weights, hidden.dtype), hidden)


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
