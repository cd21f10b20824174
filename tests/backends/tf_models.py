"""Small TensorFlow models for the tests of albert_tf; their calls check all shapes."""

import inspect
from typing import Any

import beartype
import jaxtyping
import keras
import numpy as np
import pytest
import tensorflow as tf

import albert_tf
from albert_core.reference import Reference
from albert_core.schema import HEADS
from albert_core.spelling import KERAS
from albert_tf import beam, heads, layers
from tests.conftest import tiny, weights

ALL = list(HEADS)
TRAINED = [head for head in ALL if head != "Model"]
# Each layer has weights of its own, so that one block of two shows what is mixed up.
SHALLOW = {"num_hidden_layers": 2, "num_hidden_groups": 2, "inner_group_num": 1}
ONE_LAYER = {"num_hidden_layers": 1, "num_hidden_groups": 1}
NO_DROPOUT = {"classifier_dropout_prob": 0.0}

# Keras variables do not know NumPy 2's argument `copy`, with which h5py reads them.
ignore_keras_variables = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


def check_shapes():
    """Check annotated shapes in every call of a layer or model from now on."""
    for module in (layers, heads, beam):
        for _, found in inspect.getmembers(module, inspect.isclass):
            if found.__module__ == module.__name__ and "call" in vars(found):
                checked = jaxtyping.jaxtyped(typechecker=beartype.beartype)(found.call)
                found.call = checked


check_shapes()


def class_of(head):
    """The model class of a head."""
    return getattr(albert_tf, f"TFAlbert{head}")


def build(head="Model", dtype: Any = "float64", pools: Any = None, **changes: Any):
    """A small model none of whose weights is special."""
    config = tiny(**{**SHALLOW, **changes})
    options = {} if pools is None else {"add_pooling_layer": pools}
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    model = class_of(head)(config, **options)
    keras.config.set_dtype_policy(before)
    values = weights(config, head, pools=pools)
    for parameter in model._parameters_of_schema():
        value = KERAS.turn(parameter, values[parameter.name])
        model._variable(parameter).assign(value)
    return model


def batch(head="Model", length=7):
    """Ids with padding on either side, its mask, and two segments."""
    stream = np.random.default_rng(length)
    shape = (2, 3, length) if head == "ForMultipleChoice" else (2, length)
    mask = np.ones(shape, np.int32)
    mask[0, ..., length - 2 :] = mask[1, ..., :1] = 0
    segments = np.zeros(shape, np.int32)
    segments[..., length // 2 :] = 1
    return {
        "input_ids": stream.integers(5, 31, shape, np.int32),
        "attention_mask": mask,
        "token_type_ids": segments,
    }


def labels(head, length=7):
    """Labels of a batch, some of which count for nothing."""
    words = np.tile(np.arange(length, dtype=np.int32), (2, 1))
    return {
        "ForPreTraining": {
            "labels": np.where(words < 2, -100, words),
            "sentence_order_label": np.array([1, 0], np.int32),
        },
        "ForMaskedLM": {"labels": np.where(words < 2, -100, words)},
        "ForSequenceClassification": {"labels": np.array([3, 1], np.int32)},
        "ForMultipleChoice": {"labels": np.array([2, 0], np.int32)},
        "ForTokenClassification": {"labels": np.where(words < 2, -100, words % 4)},
        "ForQuestionAnswering": {
            "start_positions": np.array([1, 40], np.int32),
            "end_positions": np.array([3, 2], np.int32),
        },
        "ForQuestionAnsweringBeam": {
            "start_positions": np.array([4, 40], np.int32),
            "end_positions": np.array([4, 0], np.int32),
            "is_impossible": np.array([0, 1], np.int32),
        },
    }.get(head, {})


def expected(model, **inputs):
    """What the reference computes from a model's weights, but not of its layers."""
    pools = model.base_model.pooler is not None
    arrays = model.canonical_arrays()
    output = Reference(model.config, arrays, model.head, pools)(**inputs)
    del output["hidden_states"], output["attentions"]
    return output


def flat(output):
    """Every array of an output, in order."""
    return [np.asarray(x).astype(np.float64) for x in keras.tree.flatten(output)]


def off(found, wanted):
    """Largest difference of two outputs, relative to the largest number; NaN is inf."""
    found, wanted = flat(found), flat(wanted)
    assert [x.shape for x in found] == [x.shape for x in wanted]
    worst = max(
        np.abs(a - b).max(initial=0) / (np.abs(b).max(initial=0) or 1)
        for a, b in zip(found, wanted, strict=True)
    )
    return np.nan_to_num(worst, nan=np.inf)


def gradients(model, inputs, training=False):
    """The loss and its gradient by every weight, sparse ones filled up."""
    with tf.GradientTape() as tape:
        loss = model(**inputs, training=training).loss
    found = tape.gradient(loss, model.trainable_weights)
    return loss, [tf.convert_to_tensor(x) for x in found]
