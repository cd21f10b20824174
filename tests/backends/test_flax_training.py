"""Training Flax models: dropout and its keys, gradients, and JAX's transformations."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albert_flax import FlaxAlbertForPreTrainingOutput, dropout_keys, modules
from tests.backends.flax_models import (
    batch,
    build,
    close,
    flat,
    ids_of,
    quick_compiles,
)

RATES = {
    "hidden_dropout_prob": 0.3,
    "attention_probs_dropout_prob": 0.4,
    "classifier_dropout_prob": 0.5,
}
# Two groups of two blocks, the first group called twice.
DEEP = {"num_hidden_layers": 3, "num_hidden_groups": 2, "inner_group_num": 2}


@pytest.fixture(autouse=True)
def quick():
    """Nothing here looks at speed or at the last digits."""
    with quick_compiles():
        yield


@pytest.fixture
def dropped(monkeypatch):
    """What the dropouts do while models run: (rate, input, output) of every one."""
    seen = []
    call = modules.Dropout.__call__

    def spied(self, x):
        y = call(self, x)
        jax.debug.callback(
            lambda x, y: seen.append((self.rate, np.array(x), np.array(y))), x, y
        )
        return y

    monkeypatch.setattr(modules.Dropout, "__call__", spied)
    return seen


def test_dropout_is_on_in_its_places_in_training_only(dropped):
    model = build("ForTokenClassification", **DEEP, **RATES)
    ids = ids_of(model)
    b, s, h, n, e = *ids.shape, 12, 3, 5
    model(ids)
    jax.effects_barrier()
    assert all(np.array_equal(x, y) for _, x, y in dropped)
    dropped.clear()
    model(ids, train=True, dropout_rng=jax.random.key(0))
    jax.effects_barrier()
    blocks = 3 * 2
    places = [(0.3, (b, s, e)), (0.5, (b, s, h))]
    places += blocks * [(0.4, (b, n, s, s)), (0.3, (b, s, h)), (0.3, (b, s, h))]
    assert sorted((rate, x.shape) for rate, x, _ in dropped) == sorted(places)
    masks = {}
    for rate, x, y in dropped:
        kept = y != 0
        np.testing.assert_allclose(y[kept], x[kept] / (1 - rate), rtol=1e-5)
        # 70 numbers or more: five deviations from the mean.
        assert abs((~kept).mean() - rate) < 5 * (rate * (1 - rate) / kept.size) ** 0.5
        masks.setdefault(x.shape, []).append(kept)
    for same_shape in masks.values():
        patterns = {kept.tobytes() for kept in same_shape}
        assert len(patterns) == len(same_shape)  # none drops what another drops


def test_a_key_decides_all_of_it():
    model = build("ForSequenceClassification", **RATES)
    ids = ids_of(model)

    def run(key, **more):
        return model(ids, train=True, dropout_rng=key, **more)

    first = run(jax.random.key(1))
    assert close(run(jax.random.key(1)), first, 0)
    assert close(run(jax.random.PRNGKey(1)), first, 0)  # the older kind of key
    assert not close(run(jax.random.key(2)), first, 1e-2)
    assert not close(model(ids), first, 1e-2)
    assert close(model(ids, dropout_rng=jax.random.key(1)), model(ids), 0)
    with dropout_keys(jax.random.key(1)):
        assert close(model.module(jnp.asarray(ids)), first, 1e-5)
    assert close(model.module(jnp.asarray(ids)), model(ids), 1e-5)


def test_a_changed_rate_counts():
    model = build("ForMaskedLM")
    ids, key = ids_of(model), jax.random.key(0)
    assert close(model(ids, train=True, dropout_rng=key), model(ids), 0)
    model.config.hidden_dropout_prob = 0.5
    assert not close(model(ids, train=True, dropout_rng=key), model(ids), 0.1)


def test_threads_do_not_share_their_keys():
    models = [build("ForMaskedLM", **RATES) for _ in range(3)]
    ids = ids_of(models[0])

    def run(i, found):
        key = None if i == 0 else jax.random.key(i)
        found[i] = models[i](ids, train=key is not None, dropout_rng=key).logits

    found, wanted = [None] * 3, [None] * 3
    start = threading.Barrier(3)
    threads = [
        threading.Thread(target=lambda i=i: (start.wait(), run(i, found)))
        for i in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i in range(3):
        run(i, wanted)
    assert all(np.array_equal(*pair) for pair in zip(found, wanted, strict=True))


def test_gradients_are_a_tree_like_the_parameters_and_the_slope_of_the_loss():
    with jax.enable_x64(True):
        model = build("ForPreTraining", "float64", tie_word_embeddings=False)
        inputs = batch(model)
        # Padding is looked up without a gradient; another test looks at that.
        inputs["input_ids"] = np.maximum(inputs["input_ids"], 1)

        def loss(params):
            return model(**inputs, params=params).loss

        value, found = jax.value_and_grad(loss)(model.params)
        assert value == model(**inputs).loss
        assert jax.tree.structure(found) == jax.tree.structure(model.params)
        assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(found))
        stream = np.random.default_rng(0)
        step = jax.tree.map(lambda x: stream.standard_normal(x.shape), model.params)

        def moved(by):
            return loss(jax.tree.map(lambda x, d: x + by * d, model.params, step))

        slope = (moved(1e-6) - moved(-1e-6)) / 2e-6
        assert abs(flat(found) @ flat(step) - slope) < 1e-7 * abs(slope)


def test_gradients_have_the_type_of_their_parameters():
    model = build("ForMaskedLM")
    ids = ids_of(model)
    params = model.to_bf16(model.params)
    found = jax.grad(lambda p: model(ids, labels=ids, params=p).loss)(params)
    assert {x.dtype for x in jax.tree.leaves(found)} == {np.dtype("bfloat16")}


def test_padding_has_no_gradient():
    model = build("ForTokenClassification")
    ids = np.array([[5, 0, 0, 6]])
    found = jax.grad(lambda p: model(ids, labels=ids % 4, params=p).loss)(model.params)
    table = found["albert"]["embeddings"]["word_embeddings"]["embedding"]
    assert np.abs(table).sum(1).nonzero()[0].tolist() == [5, 6]


def test_recomputing_gives_the_same_gradients_for_less_memory():
    inputs = {"train": True, "dropout_rng": jax.random.key(3)}
    with jax.enable_x64(True):
        model = build("ForMaskedLM", "float64", **{**RATES, "num_hidden_layers": 12})
        ids = ids_of(model, 4, 23)

        def step():
            loss = jax.value_and_grad(
                lambda p: model(ids, labels=ids, params=p, **inputs).loss
            )
            compiled = jax.jit(loss).lower(model.params).compile()
            memory = compiled.memory_analysis().temp_size_in_bytes
            return compiled(model.params), memory

        kept, kept_memory = step()
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={})
        again, memory = step()
        assert close(again, kept, 1e-12)
        assert memory < kept_memory / 2


def test_recomputing_is_switched():
    model = build("ForMaskedLM")
    assert not model.is_gradient_checkpointing
    model.gradient_checkpointing_enable()
    assert model.is_gradient_checkpointing
    assert model.module.albert.encoder.gradient_checkpointing
    model.gradient_checkpointing_disable()
    assert not model.is_gradient_checkpointing
    assert not model.module.albert.encoder.gradient_checkpointing
    model.enable_gradient_checkpointing()
    assert model.is_gradient_checkpointing


def test_a_step_under_the_caller_s_jit():
    model = build("ForSequenceClassification", **RATES)
    inputs = batch(model)

    @jax.jit
    def step(params, inputs, key):
        def loss(params):
            return model(**inputs, params=params, dropout_rng=key, train=True).loss

        value, slope = jax.value_and_grad(loss)(params)
        return value, jax.tree.map(lambda p, s: p - 0.02 * s, params, slope)

    params, losses = model.params, []
    for key in jax.random.split(jax.random.key(0), 30):
        value, params = step(params, inputs, key)
        losses.append(value)
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert model.config.problem_type == "single_label_classification"
    wanted = model(**inputs, params=params)
    model.params = params
    assert close(model(**inputs), wanted, 0)


def test_ids_cannot_be_checked_under_the_caller_s_jit():
    model = build()
    found = jax.jit(lambda ids: model(ids).last_hidden_state)(np.array([[5, 99]]))
    assert close(found, model(np.array([[5, 30]])).last_hidden_state, 1e-5)


def test_mapping_over_models_and_over_rows():
    models = [build("ForMaskedLM"), build("ForMaskedLM")]
    models[1].params = jax.tree.map(lambda x: 1.5 * x, models[1].params)
    model, ids = models[0], ids_of(models[0], 3)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *(m.params for m in models))
    found = jax.jit(jax.vmap(lambda p: model(ids, params=p).logits))(stacked)
    assert close(found, jnp.stack([m(ids).logits for m in models]), 1e-5)
    slope = jax.grad(lambda p, ids: model(ids, labels=ids, params=p).loss)
    whole = jax.jit(slope)(model.params, ids)
    each = jax.vmap(slope, in_axes=(None, 0))
    slopes = jax.jit(each)(model.params, ids[:, None])
    assert close(jax.tree.map(lambda x: x.mean(0), slopes), whole, 1e-5)


def test_gradients_reach_embeddings_that_are_given():
    model = build("ForMaskedLM")
    ids = ids_of(model)
    table = model.get_input_embeddings()

    def loss(embedded):
        return model(inputs_embeds=embedded, labels=ids).loss

    found = jax.grad(loss)(table[ids])
    assert found.shape == (2, 7, 5)
    assert all(np.abs(found).max(-1).ravel() > 0)


def test_the_forward_exports_for_all_platforms_and_lengths():
    model = build("ForPreTraining", **DEEP)
    length, rows = jax.export.symbolic_shape("s, b", constraints=["s <= 23"])
    ids = jax.ShapeDtypeStruct((rows, length), jnp.int32)

    def run(params, ids, mask):
        return model(ids, mask, params=params, output_hidden_states=True)

    platforms = ("tpu", "cuda", "cpu")
    exported = jax.export.export(jax.jit(run), platforms=platforms)(
        model.params, ids, ids
    )
    again = jax.export.deserialize(exported.serialize())
    assert again.platforms == platforms
    ids = ids_of(model, 3, 9)
    found = again.call(model.params, ids, np.ones_like(ids))
    assert type(found) is FlaxAlbertForPreTrainingOutput
    assert close(found, run(model.params, ids, np.ones_like(ids)), 1e-5)
