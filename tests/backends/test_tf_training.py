"""Learning with TensorFlow: losses, metrics, dropout, and computing layers again."""

import gc
import weakref
from collections import Counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from albert_core.errors import InputError
from albert_tf import activations
from tests.backends.tf_models import (
    NO_DROPOUT,
    ONE_LAYER,
    TRAINED,
    batch,
    build,
    expected,
    flat,
    gradients,
    labels,
    off,
)

OUTPUTS = {
    "ForPreTraining": ("prediction_logits", "sop_logits"),
    "ForQuestionAnswering": ("start_logits", "end_logits"),
    "ForQuestionAnsweringBeam": ("start_positions", "end_positions", "cls_logits"),
}


def compiled(model, rate=0.0, eager=True, **options):
    model.compile(keras.optimizers.SGD(rate), run_eagerly=eager, **options)
    return model


def rows(*data):
    return tf.data.Dataset.from_tensor_slices(data[0] if len(data) == 1 else data)


def loss_of(history):
    (loss,) = history.history["loss"]
    return loss


# The model's own loss

FORMS = {
    "labels_among_inputs": lambda m, x, y: m.fit({**x, **y}, verbose=0),
    "targets_by_label": lambda m, x, y: m.fit(x, y, verbose=0),
    "targets_by_output": lambda m, x, y: m.fit(
        x,
        dict(zip(OUTPUTS.get(m.head, ("logits",)), y.values(), strict=True)),
        verbose=0,
    ),
    "targets_in_order": lambda m, x, y: m.fit(
        x, tuple(y.values()) if len(y) > 1 else y["labels"], verbose=0
    ),
    "inputs_in_order": lambda m, x, y: m.fit(list(x.values()), y, verbose=0),
    "dataset_of_dicts": lambda m, x, y: m.fit(
        rows({**x, **y}).batch(2), verbose=0, shuffle=False
    ),
    "dataset_of_pairs": lambda m, x, y: m.fit(
        rows(x, y).batch(2), verbose=0, shuffle=False
    ),
    "batch": lambda m, x, y: m.train_on_batch({**x, **y}),
}


@pytest.mark.parametrize("head", TRAINED)
def test_fit_takes_the_model_s_own_loss(head):
    model = compiled(build(head, "float32", **ONE_LAYER, **NO_DROPOUT))
    x, y = batch(head), labels(head)
    wanted = expected(model, **x, **y).loss
    for name, fit in FORMS.items():
        found = fit(model, x, y)
        found = found if name == "batch" else loss_of(found)
        assert found == pytest.approx(wanted, rel=1e-5), name
    assert model.evaluate({**x, **y}, verbose=0) == pytest.approx(wanted, rel=1e-5)
    assert model.evaluate(x, y, verbose=0) == pytest.approx(wanted, rel=1e-5)


def test_fit_takes_ids_alone():
    model = compiled(build("ForMaskedLM", "float32", **NO_DROPOUT))
    ids, y = batch()["input_ids"], labels("ForMaskedLM")["labels"]
    wanted = expected(model, input_ids=ids, labels=y).loss
    assert loss_of(model.fit(ids, y, verbose=0)) == pytest.approx(wanted, rel=1e-5)


PROBLEMS = {
    "regression": ({"num_labels": 1}, np.array([0.5, -2.0])),
    "regression_columns": ({"num_labels": 1}, np.array([[0.5], [-2.0]])),
    "regressions": ({"problem_type": "regression"}, np.arange(8.0).reshape(2, 4)),
    "flags": ({}, np.array([[0.0, 1, 1, 0], [1, 0, 0, 0]])),
}


@pytest.mark.parametrize("name", PROBLEMS)
def test_fit_knows_every_problem_type(name):
    changes, y = PROBLEMS[name]
    model = build("ForSequenceClassification", "float32", **NO_DROPOUT, **changes)
    wanted = expected(model, **batch(), labels=y).loss
    found = compiled(model).fit({**batch(), "labels": y}, verbose=0)
    assert loss_of(found) == pytest.approx(wanted, rel=1e-5)


def test_a_graph_learns():
    model = build("ForPreTraining", "float32", **ONE_LAYER)
    compiled(model, rate=0.2, eager=False)
    data = {**batch(), **labels("ForPreTraining")}
    before = model.evaluate(data, verbose=0)
    history = model.fit(data, epochs=15, verbose=0).history["loss"]
    assert np.isfinite(history).all()
    assert model.evaluate(data, verbose=0) < 0.7 * before


def test_a_step_of_fit_is_the_gradient():
    model = build("ForTokenClassification", **ONE_LAYER, **NO_DROPOUT)
    data = {**batch(), **labels("ForTokenClassification")}
    loss, slopes = gradients(model, data)
    before = [v.numpy() for v in model.trainable_weights]
    model.compile(keras.optimizers.SGD(0.5))
    assert loss_of(model.fit(data, verbose=0)) == pytest.approx(float(loss), rel=1e-6)
    wanted = [w - 0.5 * g.numpy() for w, g in zip(before, slopes, strict=True)]
    assert off([v.value for v in model.trainable_weights], wanted) < 1e-12


def test_several_steps_in_one_call():
    model = build("ForMaskedLM", "float32", **ONE_LAYER)
    data = {**batch(), **labels("ForMaskedLM")}
    one = compiled(model).fit(data, batch_size=1, verbose=0)
    compiled(model, eager=False, steps_per_execution=2)
    two = model.fit(data, batch_size=1, verbose=0)
    assert loss_of(two) == pytest.approx(loss_of(one), rel=1e-5)


def test_weights_of_a_regularizer_count():
    model = compiled(build("ForMaskedLM", "float32", **NO_DROPOUT))
    data = {**batch(), **labels("ForMaskedLM")}
    before = model.evaluate(data, verbose=0)
    kernel = model.predictions.dense.kernel
    kernel.regularizer = keras.regularizers.L2(1.0)
    wanted = before + np.square(kernel.numpy()).sum()
    assert model.evaluate(data, verbose=0) == pytest.approx(wanted, rel=1e-5)


# A compiled loss, and metrics


def sparse():
    return keras.losses.SparseCategoricalCrossentropy(
        from_logits=True, ignore_class=-100
    )


def test_the_joint_head_learns_by_its_own_loss_alone():
    head = "ForQuestionAnsweringBeam"
    model = build(head, "float32", **ONE_LAYER, **NO_DROPOUT)
    x, y = batch(head), labels(head)
    compiled(model, metrics={"cls_logits": [keras.metrics.BinaryAccuracy(threshold=0)]})
    found = model.evaluate(x, y, verbose=0, return_dict=True)
    output = model(**x, **y)
    assert found["loss"] == pytest.approx(float(output.loss), rel=1e-5)
    right = ((output.cls_logits.numpy() > 0) == y["is_impossible"]).mean()
    assert found["binary_accuracy"] == pytest.approx(right)
    compiled(model, loss=keras.losses.BinaryCrossentropy(from_logits=True))
    message = "learns from start_positions and end_positions by its own loss alone"
    with pytest.raises(InputError, match=message):
        model.evaluate(x, y, verbose=0)


@pytest.mark.parametrize(
    "head", [head for head in TRAINED if head != "ForQuestionAnsweringBeam"]
)
def test_a_compiled_loss_and_its_metrics(head):
    names = OUTPUTS.get(head, ("logits",))
    metrics = {n: ["sparse_categorical_accuracy"] for n in names}
    model = build(head, "float32", **ONE_LAYER, **NO_DROPOUT)
    x, y = batch(head), labels(head)
    if head == "ForQuestionAnswering":
        y["start_positions"][1] = 4
    if len(names) == 1:
        metrics = metrics["logits"]
    compiled(model, loss=sparse(), metrics=metrics)
    output = model(**x, **y)
    targets = tuple(y.values()) if len(y) > 1 else y["labels"]
    for data in ((x, y), (x, targets), ({**x, **y},)):
        found = model.evaluate(*data, verbose=0, return_dict=True)
        wanted = float(output.loss) * (2 if head == "ForQuestionAnswering" else 1)
        if not any((label == -100).any() for label in y.values()):
            assert found["loss"] == pytest.approx(wanted, rel=1e-5)
        for name, label in zip(names, y.values(), strict=True):
            key = "sparse_categorical_accuracy"
            key = key if len(names) == 1 else f"{name}_{key}"
            right = (output[name].numpy().argmax(-1) == label).mean()
            assert found[key] == pytest.approx(right)
    assert model.fit(*data, verbose=0).history.keys() == found.keys()


def test_metrics_beside_the_model_s_own_loss():
    model = build("ForSequenceClassification", "float32", **ONE_LAYER, **NO_DROPOUT)
    x, y = batch(), labels("ForSequenceClassification")
    compiled(model, eager=False, metrics=["accuracy"])
    output = model(**x, **y)
    right = (output.logits.numpy().argmax(-1) == y["labels"]).mean()
    for data in ((x, y), ({**x, **y},)):
        found = model.evaluate(*data, verbose=0, return_dict=True)
        assert found["accuracy"] == pytest.approx(right)
        assert found["loss"] == pytest.approx(float(output.loss), rel=1e-5)


def test_weights_of_samples_are_the_compiled_loss_s():
    model = build("ForSequenceClassification", "float32", **NO_DROPOUT)
    x, y = batch(), labels("ForSequenceClassification")["labels"]
    compiled(model, loss=sparse())
    each = [
        model.evaluate({k: v[i : i + 1] for k, v in x.items()}, y[i : i + 1], verbose=0)
        for i in range(2)
    ]
    weight = np.array([1.0, 3.0])
    found = model.fit(x, y, sample_weight=weight, verbose=0)
    assert loss_of(found) == pytest.approx((each[0] + 3 * each[1]) / 2, rel=1e-5)


MISTAKES = {
    "nothing": (lambda m, x, y: m.fit(x, verbose=0), "nothing to learn from.*labels"),
    "two": (lambda m, x, y: m.fit(x, (y, y), verbose=0), "learns from labels, but"),
    "name": (lambda m, x, y: m.fit(x, {"label": y}, verbose=0), "learns from labels"),
    "weights": (
        lambda m, x, y: m.fit(x, y, sample_weight=np.ones(2), verbose=0),
        "takes no sample_weight or class_weight. Give compile",
    ),
    "classes": (
        lambda m, x, y: m.fit(x, y, class_weight={0: 1.0, 1: 2.0, 3: 1.0}, verbose=0),
        "takes no sample_weight or class_weight",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_in_fit(name):
    model = compiled(build("ForSequenceClassification", "float32"))
    fit, message = MISTAKES[name]
    with pytest.raises(InputError, match=message):
        fit(model, batch(), labels("ForSequenceClassification")["labels"])


def test_a_model_without_head_or_names_does_not_fit():
    model = compiled(build("Model", "float32"))
    with pytest.raises(InputError, match="TFAlbertModel has nothing to learn from"):
        model.fit(batch(), verbose=0)
    with pytest.raises(InputError, match="TFAlbertModel learns from no label"):
        model.fit(batch(), np.ones(2), verbose=0)
    model = compiled(build("ForMaskedLM", "float32", return_dict=False))
    with pytest.raises(InputError, match=r"returned a tuple. Set config.return_dict"):
        model.fit({**batch(), **labels("ForMaskedLM")}, verbose=0)


# Predicting


@pytest.mark.parametrize("head", ["Model", *TRAINED])
def test_predict(head):
    model = compiled(build(head, "float32"))
    wanted = model(batch(head))
    for data in (batch(head), {**batch(head), **labels(head)}):
        for size in (1, 2):
            found = model.predict(data, batch_size=size, verbose=0)
            assert type(found) is type(wanted)
            assert all(isinstance(x, np.ndarray) for x in found.values())
            assert off(found, wanted) < 1e-5


def test_predict_in_a_graph_with_all_outputs():
    changes = {"output_hidden_states": True, "output_attentions": True}
    model = compiled(build("ForQuestionAnswering", "float32", **changes), eager=False)
    found = model.predict(batch(), batch_size=1, verbose=0)
    assert len(found.hidden_states) == 3
    assert off(found, model(batch())) < 1e-5
    data = rows({**batch(), **labels("ForQuestionAnswering")}).batch(2)
    assert off(model.predict(data, verbose=0), found) < 1e-5
    assert off(model.predict_on_batch(batch()), found) < 1e-5


def test_predict_tuples():
    model = compiled(build("ForMaskedLM", "float32", return_dict=False))
    (found,) = model.predict(batch(), verbose=0)
    assert off(found, model(batch())[0]) < 1e-5


# Dropout

RATES = {
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.2,
    "classifier_dropout_prob": 0.4,
}


@pytest.fixture
def drops(monkeypatch):
    """Every use of dropout: its rate, and the size of what it drops from."""
    seen = Counter()
    drop = tf.nn.experimental.stateless_dropout

    def spy(x, rate, seed, **options):
        seen[rate, tuple(x.shape)[1:]] += 1
        return drop(x, rate, seed, **options)

    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", spy)
    return seen


@pytest.mark.parametrize("again", [False, True])
def test_dropout_is_where_it_was_published(again, drops):
    model = build("ForSequenceClassification", "float32", **RATES)
    if again:
        model.gradient_checkpointing_enable()
    everywhere = {
        (0.3, (7, 5)): 1,  # the embeddings
        (0.2, (3, 7, 7)): 2,  # attention probabilities
        (0.3, (7, 12)): 4,  # attention and feed-forward outputs
        (0.4, (12,)): 1,  # before the classifier
    }
    inputs = {**batch(), **labels("ForSequenceClassification")}
    for call in (
        lambda: model(inputs, training=True),
        lambda: tf.function(model)(**inputs, training=True),
        lambda: compiled(model).fit(inputs, verbose=0),
    ):
        call()
        found, times = Counter(drops), min(drops.values(), default=0)
        assert times >= 1
        if not again:
            assert found == {place: n * times for place, n in everywhere.items()}
        assert found.keys() == everywhere.keys()
        drops.clear()
    for call in (
        lambda: model(inputs),
        lambda: model(inputs, training=False),
        lambda: tf.function(model)(**inputs),
        lambda: model.predict(inputs, verbose=0),
        lambda: model.evaluate(inputs, verbose=0),
    ):
        call()
        assert not drops


def test_dropout_changes_with_every_call():
    model = build("ForSequenceClassification", **RATES)
    call = tf.function(lambda x: model(x, training=True).logits)
    ids = tf.constant(batch()["input_ids"])
    assert off(call(ids), call(ids)) > 0.01


# Computing layers again


def seeds(model):
    """The state of every dropout, to be put back."""
    drops = [x for x in model._flatten_layers() if getattr(x, "rate", 0) > 0]
    return [
        (drop.seed_generator.state, drop.seed_generator.state.numpy()) for drop in drops
    ]


ONE_GROUP = {"num_hidden_layers": 2, "num_hidden_groups": 1}


@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_computed_again_the_gradients_are_the_same(how, monkeypatch):
    size = ONE_LAYER if how == "xla" else ONE_GROUP  # it compiles slowly
    model = build("ForSequenceClassification", **size, **RATES)
    inputs = {**batch(), **labels("ForSequenceClassification")}
    inputs = {name: tf.constant(x) for name, x in inputs.items()}
    states = seeds(model)

    def slopes():
        for state, value in states:
            state.assign(value)
        call = tf.function(gradients, jit_compile=how == "xla")
        found = (gradients if how == "eager" else call)(model, inputs, training=True)
        return np.concatenate([x.ravel() for x in flat(found)])

    model.gradient_checkpointing_enable()
    again = slopes()
    # The same dropout, but kept for the backward pass.
    monkeypatch.setattr(tf, "recompute_grad", lambda function: function)
    assert off(again, slopes()) < 1e-12
    if how == "eager":
        model.gradient_checkpointing_disable()
        assert off(again, slopes()) > 1e-3  # other draws


def test_computed_again_without_dropout_nothing_changes():
    model = build("ForPreTraining", **ONE_GROUP, **NO_DROPOUT)
    inputs = {**batch(), **labels("ForPreTraining")}
    for training in (False, True):
        plain = gradients(model, inputs, training)
        model.gradient_checkpointing_enable()
        assert model.is_gradient_checkpointing
        assert off(gradients(model, inputs, training), plain) < 1e-12
        model.gradient_checkpointing_disable()
        assert not model.is_gradient_checkpointing


def test_no_two_drops_are_alike_and_each_comes_back(monkeypatch):
    model = build("ForMaskedLM", num_hidden_layers=3, num_hidden_groups=1, **RATES)
    model.gradient_checkpointing_enable()
    seen = []
    drop = tf.nn.experimental.stateless_dropout

    def spy(x, rate, seed, **options):
        dropped = drop(x, rate, seed, **options)
        seen.append((tuple(np.asarray(seed)), (dropped.numpy() == 0).tobytes()))
        return dropped

    monkeypatch.setattr(tf.nn.experimental, "stateless_dropout", spy)
    gradients(model, {**batch(), **labels("ForMaskedLM")}, training=True)
    forward, backward = seen[:10], seen[10:]  # the embeddings, and three times three
    assert len({seed for seed, _ in forward}) == 10
    assert sorted(forward[1:]) == sorted(backward)


def test_a_head_mask_has_a_gradient_when_computed_again():
    model = build("ForMaskedLM")
    inputs = {**batch(), **labels("ForMaskedLM")}
    slopes = []
    for enable in (
        model.gradient_checkpointing_disable,
        model.gradient_checkpointing_enable,
    ):
        enable()
        mask = tf.ones((2, 3), tf.float64)
        with tf.GradientTape() as tape:
            tape.watch(mask)
            loss = model(**inputs, head_mask=mask).loss
        slopes.append(tape.gradient(loss, mask))
    assert off(slopes[1], slopes[0]) < 1e-12
    assert np.abs(slopes[0]).min() > 1e-6


@pytest.mark.parametrize("asked", ["output_hidden_states", "output_attentions"])
def test_computed_again_all_outputs_are_there(asked):
    model = build("ForMaskedLM")
    wanted = model(batch(), **{asked: True})
    model.gradient_checkpointing_enable()
    assert off(model(batch(), **{asked: True}), wanted) < 1e-12


def test_computed_again_nothing_is_kept():
    model = build("ForMaskedLM", num_hidden_layers=4, num_hidden_groups=1)
    (block,) = model.albert.encoder.albert_layer_groups[0].albert_layers
    made = []

    def spy(x):
        y = activations.gelu_new(x)
        made.append(weakref.ref(y))
        return y

    block.activation = spy
    alive = {}
    for again in (False, True):
        model.base_model.encoder.gradient_checkpointing = again
        made.clear()
        with tf.GradientTape() as tape:
            loss = model({**batch(), **labels("ForMaskedLM")}).loss
        gc.collect()
        alive[again] = sum(ref() is not None for ref in made)
        tape.gradient(loss, model.trainable_weights)
    assert alive == {False: 4, True: 0}


@pytest.mark.parametrize("dtype", ["mixed_float16", "mixed_bfloat16"])
def test_mixed_precision_learns(dtype):
    model = build("ForSequenceClassification", dtype, **RATES)
    model.gradient_checkpointing_enable()
    model.compile("adam", run_eagerly=True)
    data = {**batch(), **labels("ForSequenceClassification")}
    before = flat(model.get_weights())
    history = model.fit(data, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert all(np.isfinite(x).all() for x in flat(model.get_weights()))
    assert off(model.get_weights(), before) > 1e-4
    scaled = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (dtype == "mixed_float16")


def test_what_weight_decay_leaves_out():
    model = build("ForPreTraining", "float32")
    optimizer = keras.optimizers.AdamW(1.0, weight_decay=0.5)
    left_out = ["LayerNorm", "layer_norm", "bias"]
    optimizer.exclude_from_weight_decay(var_names=left_out)
    optimizer.build(model.trainable_weights)
    before = [v.numpy() for v in model.trainable_weights]
    zeros = [tf.zeros_like(v) for v in model.trainable_weights]
    optimizer.apply_gradients(zip(zeros, model.trainable_weights, strict=True))
    for variable, value in zip(model.trainable_weights, before, strict=True):
        kept = any(name in variable.path for name in left_out)
        wanted = value if kept else value * 0.5
        np.testing.assert_allclose(
            variable.numpy(), wanted, 1e-6, err_msg=variable.path
        )
