"""Steps of training in TensorFlow; its twins are in albert_torch and albert_flax."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from albert_core.int8 import no_gradients
from albert_core.optimization import (
    Moves,
    Optimizer,
    corrections,
    is_adapted,
    moment_names,
    update,
)
from albert_core.packing import pack_if_worth
from albert_core.spelling import KERAS
from albert_core.training import (
    Part,
    added,
    is_pretraining,
    may_leave_padding_out,
    spread,
)
from albert_tf.int8 import is_int8
from albert_tf.modules import table_of
from albert_tf.ops import is_open, length_of
from albert_tf.scoring import count_right, is_at, mix, summed_cross_entropy

Tensor = Any
Figures = dict[str, Tensor]
Arrays = Mapping[str, NDArray[Any]]

MOVES = Moves(tf.sqrt, tf.norm, tf.where)


def pretraining_loss(
    model: Any, inputs: Any, weights: Any, training: bool = False
) -> tuple[Tensor, Figures]:
    """Both losses of pretraining, as Google has them.

    Only masked positions are scored, and nothing is dropped before the sentence order.

    Args:
        model: A `TFAlbertForPreTraining`.
        inputs: `input_ids`, `attention_mask`, `token_type_ids` [batch, seq];
            `masked_lm_positions`, `masked_lm_labels` [batch, predictions];
            `sentence_order_label` [batch].
        weights: See `albert_core.training.Part`.
        training: Whether dropout is on.
    """
    outputs = model.albert(
        input_ids=inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        token_type_ids=inputs["token_type_ids"],
        return_dict=True,
        training=training,
    )
    hidden_states = outputs.last_hidden_state
    length = length_of(inputs["input_ids"])
    places = is_at(inputs["masked_lm_positions"], length)
    table = table_of(model.get_output_embeddings())
    prediction_logits = model.predictions(mix(hidden_states, places), table)
    sop_logits = model.sop_classifier.classifier(outputs.pooler_output)
    tokens, orders = inputs["masked_lm_labels"], inputs["sentence_order_label"]
    masked = summed_cross_entropy(prediction_logits, tokens) * weights["masked"]
    order = summed_cross_entropy(sop_logits, orders) * weights["order"]
    return masked + order, {
        "loss": masked + order,
        "masked_lm_loss": masked,
        "masked_lm_accuracy": count_right(prediction_logits, tokens)
        * weights["masked"],
        "sentence_order_loss": order,
        "sentence_order_accuracy": count_right(sop_logits, orders) * weights["order"],
    }


def task_loss(
    model: Any, inputs: Any, weights: Any, training: bool = False
) -> tuple[Tensor, Figures]:
    """The loss of a head.

    Args:
        model: A model with a head.
        inputs: The arguments of its call.
        weights: See `albert_core.training.Part`.
        training: Whether dropout is on.
    """
    loss = model(**inputs, return_dict=True, training=training).loss
    loss = tf.cast(loss, weights["loss"].dtype) * weights["loss"]
    return loss, {"loss": loss}


class Training:
    """A model that learns, step by step.

    Inside the scope of a `MirroredStrategy` every replica holds the model, and learns
    from its share of a batch; gradients are added up by the strategy.

    Args:
        model: Any with a head, made inside the strategy's scope if there is one; with
            the policy "mixed_bfloat16" it computes in bfloat16. It is trained in place.
        optimizer: How its weights move.
        strategy: The strategy.

    Attributes:
        count: How many steps were taken.

    Raises:
        InputError: The model is in int8.
    """

    def __init__(self, model: Any, optimizer: Optimizer, strategy: Any = None) -> None:
        if is_int8(model):
            raise no_gradients("")
        self.model = model
        self.optimizer = optimizer
        self.count = 0
        self.dtype = tf.as_dtype(model.variable_dtype)
        self.rows = {row.name: row for row in model._parameters_of_schema()}
        self.adapted = {name: is_adapted(row) for name, row in self.rows.items()}
        self.weights = {n: model._variable(row) for n, row in self.rows.items()}
        self.strategy = strategy or tf.distribute.get_strategy()
        self.device = None if strategy else model.weights[0].value.device
        single = self.strategy.num_replicas_in_sync == 1
        self.alone = single and "CPU" in (self.device or "")
        with tf.device(self.device):
            self.first = {n: _zeros(w) for n, w in self.weights.items()}
            self.second = {n: _zeros(w) for n, w in self.weights.items()}
        layers = reversed(list(model._flatten_layers(include_self=False)))
        drops = [x for x in layers if isinstance(x, keras.layers.Dropout) and x.rate]
        self.seeds = [layer.seed_generator.state for layer in drops]
        self._gradients = tf.function(self._spread, reduce_retracing=True)
        self._evaluate = tf.function(self._loss, reduce_retracing=True)
        self._predict = tf.function(self._outputs, reduce_retracing=True)
        self._move = tf.function(self._moved)

    def step(self, parts: Sequence[Part], rate: float, seed: int) -> dict[str, float]:
        """Learn from a batch; where loss or gradients are no numbers, nothing moves.

        Args:
            parts: Of the batch; one after another, so that only one needs memory.
            rate: The learning rate.
            seed: Of what is dropped.

        Returns:
            The loss and other figures of the batch, and the norm of its gradients
            before they were clipped.
        """
        for index, state in enumerate(self.seeds):
            state.assign([seed % 2**32, index * 2**16])
        found: list[Mapping[str, Any]] = []
        gradients: Any = None
        with tf.device(self.device):
            for part in parts:
                one, figures = self._gradients(*self._given(part))
                gradients = one if gradients is None else _sums(gradients, one)
                found.append(figures)
            figures = added(found)
            size = self._move(
                gradients,
                tf.constant(figures["loss"], self.dtype),
                tf.constant(rate, self.dtype),
                tuple(
                    tf.constant(x, self.dtype)
                    for x in corrections(self.optimizer, self.count + 1)
                ),
            )
        figures["gradient_norm"] = float(size)
        self.count += int(np.isfinite(figures["gradient_norm"] + figures["loss"]))
        return figures

    def _spread(self, inputs: Any, shares: Any) -> Any:
        """Gradients and figures of a part, whose rows are spread over the replicas."""
        if self.strategy.num_replicas_in_sync == 1:
            return self._found(inputs, shares)
        found = self.strategy.run(self._found, (inputs, shares))
        return tf.nest.map_structure(
            lambda x: self.strategy.reduce("SUM", x, axis=None), found
        )

    def _found(self, inputs: Any, shares: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, figures = self._loss(inputs, shares, True)
        sources = {name: weight.value for name, weight in self.weights.items()}
        zero = tf.UnconnectedGradients.ZERO
        found: Any = tape.gradient(loss, sources, unconnected_gradients=zero)
        # Dense: a table that is only looked up gets slices.
        return {name: tf.convert_to_tensor(x) for name, x in found.items()}, figures

    def _loss(self, inputs: Any, shares: Any, training: bool = False) -> Any:
        loss: Callable[..., Any] = (
            pretraining_loss if is_pretraining(inputs) else task_loss
        )
        return loss(self.model, inputs, shares, training)

    def _moved(self, gradients: Any, loss: Any, rate: Any, corrected: Any) -> Any:
        size = tf.norm(tf.stack([MOVES.norm(gradients[name]) for name in self.rows]))
        limit = self.optimizer.clip_norm
        scale = 1.0 if limit is None else limit / tf.maximum(size, limit)
        good = tf.math.is_finite(size) & tf.math.is_finite(loss)
        for name, weight in self.weights.items():
            old = weight.value, self.first[name], self.second[name]
            new = update(
                MOVES,
                self.optimizer,
                self.adapted[name],
                tf.convert_to_tensor(weight.value),
                gradients[name] * scale,
                self.first[name],
                self.second[name],
                rate,
                corrected,
            )
            for variable, after in zip(old, new, strict=True):
                variable.assign(tf.where(good, after, variable))
        return size

    def evaluate(self, part: Part) -> dict[str, float]:
        """The figures of a part, without dropout, and without learning."""
        with tf.device(self.device):
            _, figures = self._evaluate(self._inputs(part), self._shares(part))
        return {name: float(x) for name, x in figures.items()}

    def predict(self, inputs: Arrays, wanted: Sequence[str]) -> dict[str, NDArray[Any]]:
        """Some outputs of the model, without dropout."""
        with tf.device(self.device):
            found = self._predict(self._inputs(Part(inputs, {})))
        return {name: found[name].numpy().astype(np.float64) for name in wanted}

    def _outputs(self, inputs: Any) -> Any:
        return dict(self.model(**inputs, return_dict=True, training=False))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The weights, in canonical names and layout."""
        return self._canonical(self.weights)

    def moments(self) -> dict[str, NDArray[Any]]:
        """What the optimizer knows of each weight, in canonical names and layout."""
        both = self._canonical(self.first), self._canonical(self.second)
        return {
            moment: arrays[name]
            for name in self.rows
            for moment, arrays in zip(moment_names(name), both, strict=True)
        }

    def restore(self, arrays: Arrays, moments: Arrays, count: int) -> None:
        """Go on from weights, moments and a number of steps."""
        self.count = count
        for name, row in self.rows.items():
            first, second = moment_names(name)
            self.model._assign(row, arrays[name])
            self.first[name].assign(KERAS.turn(row, moments[first]))
            self.second[name].assign(KERAS.turn(row, moments[second]))

    def _canonical(self, found: Any) -> dict[str, NDArray[Any]]:
        return {
            name: KERAS.turn(row, np.asarray(tf.convert_to_tensor(found[name])))
            for name, row in self.rows.items()
        }

    def _given(self, part: Part) -> Any:
        """Inputs and weights of a part, or of each replica's share of it."""
        count = self.strategy.num_replicas_in_sync
        if count == 1:
            return self._inputs(part), self._shares(part)
        pieces = [(self._inputs(one), self._shares(one)) for one in spread(part, count)]
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: pieces[context.replica_id_in_sync_group]
        )

    def _inputs(self, part: Part) -> dict[str, Any]:
        found: dict[str, Any] = dict(part.inputs)
        # Packed rows are of all texts, and so of one device.
        ours = self.alone and is_open(self.model)
        if ours and may_leave_padding_out(found, self.model.head):
            found["attention_mask"] = pack_if_worth(found["attention_mask"])
        return tf.nest.map_structure(self._tensor, found)

    def _shares(self, part: Part) -> dict[str, Tensor]:
        return {name: tf.constant(x, self.dtype) for name, x in part.weights.items()}

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return tf.constant(array, tf.int32 if array.dtype.kind in "iu" else self.dtype)


def _zeros(weight: Any) -> tf.Variable:
    return tf.Variable(tf.zeros(weight.shape, weight.dtype), trainable=False)


def _sums(one: Any, other: Any) -> Any:
    return {name: one[name] + other[name] for name in one}
