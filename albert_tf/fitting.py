"""How Keras' `fit`, `evaluate` and `predict` read batches, and what `fit` learns by."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from albert_core import schema
from albert_core.errors import InputError
from albert_core.int8 import no_gradients
from albert_core.outputs import ModelOutput
from albert_tf.int8 import is_int8

# The labels that each head takes, in the order in which `fit` may give them, and the
# output that each one judges; None where only the model's own loss can.
LABELS: dict[str, dict[str, str | None]] = {
    schema.BASE: {},
    "ForPreTraining": {
        "labels": "prediction_logits",
        "sentence_order_label": "sop_logits",
    },
    "ForQuestionAnswering": {
        "start_positions": "start_logits",
        "end_positions": "end_logits",
    },
    "ForQuestionAnsweringBeam": {
        "start_positions": None,
        "end_positions": None,
        "is_impossible": "cls_logits",
    },
}


class TFFitting(keras.Model):
    """What of `TFAlbertPreTrainedModel` learns from batches and judges them."""

    head: str

    @property
    def _labels(self) -> dict[str, str | None]:
        """Each label that the head takes, and the output that it judges."""
        return LABELS.get(self.head, {"labels": "logits"})

    def _targets(self, x: Any, y: Any) -> dict[str, Any]:
        """Targets by the names of their labels; they may also be among the inputs."""
        labels = self._labels
        if y is None:
            return {name: x[name] for name in labels if name in x}
        if not isinstance(y, Mapping):
            y = y if isinstance(y, tuple | list) else (y,)
            names = labels if len(y) == len(labels) else range(len(y))
            y = dict(zip(names, y, strict=True))
        found = {name: y.get(name, y.get(output)) for name, output in labels.items()}
        if len(y) != len(labels) or any(target is None for target in found.values()):
            wanted = " and ".join(labels) or "no label"
            raise InputError(
                f"{type(self).__name__} learns from {wanted}, but was given other "
                f"targets. Give a dict that names them."
            )
        return found

    def _unpacked(self, data: Any) -> tuple[dict[str, Any], dict[str, Any], Any]:
        """A batch as inputs by name, targets by name, and sample weights."""
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        if not isinstance(x, Mapping):
            x = x if isinstance(x, tuple | list) else (x,)
            x = dict(zip(self.call_signature_parameters, x, strict=False))
        y = self._targets(x, y)
        return {name: x[name] for name in x if name not in y}, y, weight

    def _for_step(self, data: Any) -> tuple[Any, Any, Any]:
        """A batch with its targets where its loss looks for them."""
        x, y, weight = self._unpacked(data)
        if self._compile_loss is None:
            return {**x, **y}, None, weight
        return x, y or None, weight

    def train_step(self, data: Any) -> Any:
        """Learn from a batch, by the model's own loss unless `compile` names one.

        Raises:
            InputError: The model is in int8.
        """
        if is_int8(self):
            raise no_gradients("")
        return super().train_step(self._for_step(data))

    def test_step(self, data: Any) -> Any:
        """Judge a batch, by the model's own loss unless `compile` names one."""
        return super().test_step(self._for_step(data))

    def predict_step(self, data: Any) -> Any:
        """Run a batch; targets are left out, also those among the inputs."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        x, _, _ = self._unpacked((x,))
        return super().predict_step((x,))

    def _judged(self, x: Any, y: Any, y_pred: Any) -> tuple[Any, Any]:
        """Targets and outputs in the form that compiled losses and metrics take."""
        if not isinstance(y_pred, ModelOutput):
            raise InputError(
                f"fit and evaluate read named outputs, but the call returned a "
                f"{type(y_pred).__name__}. Set config.return_dict to True."
            )
        targets = self._targets(x, y)
        if self._labels.keys() == targets.keys() == {"labels"}:
            return targets["labels"], y_pred.logits
        names = {label: self._labels[label] for label in targets}
        judged = {label: output for label, output in names.items() if output}
        return (
            {output: targets[label] for label, output in judged.items()},
            {output: y_pred[output] for output in judged.values()},
        )

    def _check_all_judged(self) -> None:
        """Refuse a compiled loss where it would leave labels out."""
        if left := [label for label, output in self._labels.items() if not output]:
            raise InputError(
                f"{type(self).__name__} learns from {' and '.join(left)} by its own "
                f"loss alone. Give compile() no loss."
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """The compiled loss, or else the model's own, by the labels.

        Raises:
            InputError: There is nothing to learn from, samples have weights, which
                the model's own loss does not take, or only that loss will do.
        """
        target, output = self._judged(x, y, y_pred)
        if self._compile_loss is not None:
            self._check_all_judged()
            return super().compute_loss(x, target, output, sample_weight, training)
        if y_pred.get("loss") is None:
            raise InputError(
                f"{type(self).__name__} has nothing to learn from. Give it "
                f"{' and '.join(self._labels) or 'a head'}."
            )
        if sample_weight is not None:
            raise InputError(
                "The model's own loss takes no sample_weight or class_weight. Give "
                "compile() a loss, such as "
                "SparseCategoricalCrossentropy(from_logits=True)."
            )
        # Replicas add their gradients up.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        own = y_pred.loss / tf.cast(replicas, y_pred.loss.dtype)
        return own + sum(tf.reduce_sum(loss) for loss in self.losses)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> Any:
        """The compiled metrics, of the outputs that the labels judge."""
        target, output = self._judged(x, y, y_pred)
        return super().compute_metrics(x, target, output, sample_weight)
