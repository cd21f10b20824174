"""TensorFlow models as graphs, inside Keras models, in files, and on two devices."""

import copy
import pickle
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.backends.tf_models import (
    ALL,
    ONE_LAYER,
    batch,
    build,
    class_of,
    ignore_keras_variables,
    labels,
    off,
)
from tests.conftest import tiny

IDS = tf.TensorSpec((None, None), tf.int32)


def tensors(inputs):
    return {name: tf.constant(x) for name, x in inputs.items()}


@pytest.mark.parametrize("head", ALL)
def test_a_graph_and_xla_compute_the_same(head):
    model = build(head, **({} if head == "Model" else ONE_LAYER))
    inputs = tensors({**batch(head), **labels(head)})

    def call(**inputs):
        return model(**inputs, output_attentions=True, output_hidden_states=True)

    eager = call(**inputs)
    assert off(tf.function(call)(**inputs), eager) < 1e-12
    compiled = tf.function(call, jit_compile=True)(**inputs)
    assert off(compiled, eager) < 1e-12
    assert type(compiled) is type(eager)


def test_one_trace_serves_every_size():
    model = build("ForPreTraining", position_embedding_type="relative_key_query")
    traces = []

    @tf.function(input_signature=[IDS, IDS])
    def call(input_ids, attention_mask):
        traces.append(1)
        return model(input_ids, attention_mask, output_hidden_states=True)

    for length in (1, 7, 23):
        ids, mask, _ = batch(length=length).values()
        for rows in (1, 2):
            found = call(ids[:rows], mask[:rows])
            wanted = model(ids[:rows], mask[:rows], output_hidden_states=True)
            assert off(found, wanted) < 1e-12
    assert len(traces) == 1


def test_choices_of_any_number():
    model = build("ForMultipleChoice")
    spec = tf.TensorSpec((None, None, None), tf.int32)
    call = tf.function(lambda ids: model(ids), input_signature=[spec])
    ids = batch("ForMultipleChoice")["input_ids"]
    for some in (ids, ids[:1], ids[:, :2], ids[..., :4]):
        assert off(call(some), model(some)) < 1e-12


WRONG = {
    "high_id": {"input_ids": [[31]]},
    "low_id": {"input_ids": [[-1]]},
    "segment": {"input_ids": [[5]], "token_type_ids": [[2]]},
    "position": {"input_ids": [[5]], "position_ids": [[23]]},
    "too_long": {"input_ids": [[5] * 24]},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_ids_are_refused_when_a_graph_runs(name):
    positions = "relative_key" if name == "too_long" else "absolute"
    model = build(**ONE_LAYER, position_embedding_type=positions)
    inputs = {key: np.array(x, np.int32) for key, x in WRONG[name].items()}
    spec = dict.fromkeys(inputs, IDS)
    call = tf.function(lambda x: model(x), input_signature=[spec])
    call({key: np.array([[1]], np.int32) for key in inputs})
    with pytest.raises(tf.errors.InvalidArgumentError):
        call(inputs)
    # On a GPU a look-up outside its table is no error, so the graph has to check.
    operations = call.get_concrete_function().graph.get_operations()
    asserts = [op for op in operations if op.type == "Assert"]
    said = str([tf.get_static_value(x) for op in asserts for x in op.inputs[1:]])
    (wrong,) = set(inputs) - {"input_ids"} or {"input_ids"}
    long = name == "too_long"
    assert ("is longer than" if long else f"{wrong} holds an id outside 0 to") in said


def test_what_is_known_before_is_refused_before():
    model = build()
    # AutoGraph raises an error of its own, which quotes ours.
    with pytest.raises(Exception, match=r"(?s)InputError.*has 24 tokens"):
        tf.function(model).get_concrete_function(tf.TensorSpec((None, 24), tf.int32))
    with pytest.raises(Exception, match=r"(?s)InputError.*this call gives both"):
        tf.function(lambda x: model(x, inputs_embeds=tf.zeros((1, 2, 5))))([[5, 6]])


# Inside Keras


@pytest.mark.parametrize("head", ALL)
def test_inside_a_functional_model(head):
    model = build(head, **ONE_LAYER)
    given = batch(head)
    symbols = {
        name: keras.Input((*x.shape[1:-1], None), dtype="int32", name=name)
        for name, x in given.items()
    }
    output = model(symbols)
    whole = keras.Model(symbols, output)
    assert type(output) is type(whole(given)) is type(model(given))
    assert off(whole(given), model(given)) < 1e-12
    assert [v.path for v in whole.weights] == [v.path for v in model.weights]


@ignore_keras_variables
def test_two_in_a_functional_model_and_its_file(tmp_path):
    ids = keras.Input((None,), dtype="int32")
    first, second = build(), build(pools=False)
    second.name = "other"
    pooled = first(ids).pooler_output
    states = second(input_ids=ids, attention_mask=ids).last_hidden_state
    whole = keras.Model(ids, [keras.layers.Dense(2)(pooled), states])
    whole.save(tmp_path / "whole.keras")
    again = keras.saving.load_model(tmp_path / "whole.keras")
    given = batch()["input_ids"]
    assert off(again(given), whole(given)) == 0


def test_inside_a_model_of_the_user_s_own():
    class Mine(keras.Model):
        def __init__(self):
            super().__init__()
            self.albert = build(dtype="float32")
            self.dense = keras.layers.Dense(2)

        def call(self, inputs, training=None):
            return self.dense(self.albert(inputs, training=training).pooler_output)

    model = Mine()
    model.compile("sgd", loss="mse", run_eagerly=True)
    before = model.albert.weights[0].numpy()
    model.fit(batch(), np.ones((2, 2)), verbose=0)
    assert not np.array_equal(before, model.albert.weights[0].numpy())


# Files and copies


@ignore_keras_variables
@pytest.mark.parametrize(
    ("head", "options"),
    [
        ("ForPreTraining", {"tie_word_embeddings": False}),
        ("Model", {"pools": False, "pruned_heads": {0: [1]}}),
        ("ForMultipleChoice", {"dtype": "float32"}),
    ],
)
def test_keras_files(head, options, tmp_path):
    model = build(head, **options)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert type(again) is type(model)
    assert again.config.to_dict() == model.config.to_dict()
    assert again.dtype_policy == model.dtype_policy
    assert off(again(batch(head)), model(batch(head))) == 0
    model.save_weights(tmp_path / "model.weights.h5")
    fresh = type(model).from_config(model.get_config())
    assert off(fresh(batch(head)), model(batch(head))) > 0.01
    fresh.load_weights(tmp_path / "model.weights.h5")
    assert off(fresh(batch(head)), model(batch(head))) == 0


@ignore_keras_variables
def test_copies():
    model = build("ForMaskedLM")
    exact = model(batch())
    copies = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    clone = keras.models.clone_model(model)
    for made in copies:
        assert off(made(batch()), exact) == 0
    assert clone.config.to_dict() == model.config.to_dict()
    model.get_input_embeddings().embeddings.assign(np.zeros((31, 5)))
    for made in copies:
        assert off(made(batch()), exact) == 0


@pytest.mark.parametrize("head", ["ForPreTraining", "ForMultipleChoice"])
def test_an_exported_model_serves_other_sizes(head, tmp_path):
    model = build(head, **ONE_LAYER)
    model.export(tmp_path, verbose=False)
    served = tf.saved_model.load(tmp_path)
    for length in (3, 7):
        inputs = tensors(batch(head, length))
        wanted = dict(model(inputs))
        assert off(served.serve(inputs), wanted) < 1e-12
        assert off(served.signatures["serving_default"](**inputs), wanted) < 1e-12


def test_export_takes_the_user_s_own_signature(tmp_path):
    model = build("ForMaskedLM", **ONE_LAYER)
    model.export(tmp_path, verbose=False, input_signature=[{"input_ids": IDS}])
    ids = batch()["input_ids"]
    served = tf.saved_model.load(tmp_path)
    found = served.serve({"input_ids": tf.constant(ids)})
    assert off(found, dict(model(ids))) < 1e-12


def test_a_subclass_may_add_layers():
    class Mine(class_of("Model")):
        def __init__(self, config):
            super().__init__(config)
            self.extra = keras.layers.Dense(2)

        def call(self, *args, **kwargs):
            return self.extra(super().call(*args, **kwargs).pooler_output)

    class InOne(Mine):
        def call(self, inputs):
            return super().call(**inputs)

    assert InOne(tiny())(batch()).shape == (2, 2)
    model = Mine(tiny())
    assert model(batch()).shape == (2, 2)
    assert Mine(tiny())(*batch().values()).shape == (2, 2)
    assert [v.path for v in model.weights][-2:] == [
        "albert/extra/kernel",
        "albert/extra/bias",
    ]


# Two devices, which have to be made before TensorFlow starts.
TWO_DEVICES = """
    import keras, numpy as np, tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    half = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [half, half])
    from tests.backends.tf_models import (
        NO_DROPOUT, ONE_LAYER, batch, build, labels, off
    )

    head = "ForSequenceClassification"
    options = {**ONE_LAYER, **NO_DROPOUT}
    rows = {**batch(), **labels(head)}
    data = tf.data.Dataset.from_tensor_slices(rows).batch(2)
    strategy = tf.distribute.MirroredStrategy(["/CPU:0", "/CPU:1"])
    assert strategy.num_replicas_in_sync == 2
    with strategy.scope():
        model = build(head, "float32", **options)
        model.compile(keras.optimizers.SGD(0.1))
    single = build(head, "float32", **options)
    single.compile(keras.optimizers.SGD(0.1))
    losses = [
        m.fit(data, verbose=0, shuffle=False).history["loss"] for m in (model, single)
    ]
    assert off(*losses) < 1e-6, losses
    found, wanted = (m.canonical_arrays() for m in (model, single))
    worst = max(off(found[name], wanted[name]) for name in wanted)
    assert worst < 1e-6, worst
    model.prune_heads({0: [1]})
    model.resize_token_embeddings(40)
    single.prune_heads({0: [1]})
    print("done", off(model(batch()), single(batch())) < 1e-5)
"""


def test_two_devices_learn_what_one_learns():
    script = textwrap.dedent(TWO_DEVICES)
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.endswith("done True\n"), done.stderr[-3000:]
