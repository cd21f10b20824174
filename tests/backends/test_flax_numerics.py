"""The numbers of Flax models: compiled and eager, in every precision and shape."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albert_flax import modules, ops
from tests.backends.flax_models import (
    ALL,
    batch,
    build,
    close,
    expected,
    ids_of,
    quick_compiles,
)


@pytest.mark.parametrize("head", ALL)
def test_compiled_and_eager_agree(head):
    """With all of XLA's optimizations."""
    groups = {"num_hidden_groups": 2, "inner_group_num": 2} if head == "Model" else {}
    with jax.enable_x64(True):
        model = build(head, "float64", **groups)
        inputs = {k: jnp.asarray(v) for k, v in batch(model).items()}
        wishes = {"output_attentions": True, "output_hidden_states": True}
        found = model(**inputs, **wishes)
        eager = model.module(**inputs, **wishes)
        assert type(found) is type(eager)
        assert list(found) == list(eager)
        assert close(found, eager)
        assert close(found, expected(model, **inputs))


@pytest.fixture
def quick():
    """For what does not look at the last digits."""
    with quick_compiles():
        yield


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_finite_and_near(dtype, quick):
    model = build("ForPreTraining", position_embedding_type="relative_key_query")
    half = build("ForPreTraining", dtype, position_embedding_type="relative_key_query")
    inputs = batch(model)  # its last row is padding only
    assert not inputs["attention_mask"][-1].any()
    found = half(**inputs, output_attentions=True)
    assert found.prediction_logits.dtype == dtype
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(found))
    wanted = model(**inputs).prediction_logits
    assert close(found.prediction_logits.astype(float), wanted, 0.1)
    slope = jax.jit(jax.grad(lambda p: half(**inputs, params=p).loss))
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slope(half.params)))


def test_a_row_of_padding_attends_uniformly(quick):
    for dtype in ("float32", "float16", "bfloat16"):
        model = build(dtype=dtype)
        inputs = batch(model)
        weights = model(**inputs, output_attentions=True).attentions
        length = inputs["input_ids"].shape[1]
        for layer in weights:
            np.testing.assert_allclose(layer[-1].astype(float), 1 / length, 1e-2)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_scores_are_not_rounded_to_half_precision(dtype):
    """A float16 score of 16 times 80 squared would be infinite."""
    with jax.enable_x64(True):
        stream = np.random.default_rng(0)
        query, key = (
            jnp.asarray(stream.normal(80, 1, (1, 4, 1, 16)), dtype) for _ in "qk"
        )
        value = jnp.ones((1, 4, 1, 16), dtype)
        nothing = (None, None, None, modules.Dropout(0.0), True, None)
        _, found = ops.attend(query, key, value, *nothing)
        exact = (x.astype(jnp.float64) for x in (query, key))
        _, wanted = ops.attend(*exact, value.astype(jnp.float64), *nothing)
        assert np.abs(found.astype(jnp.float64) - wanted).max() < 0.01


def test_the_compute_type_is_the_type_of_the_output(quick):
    model = build("ForMaskedLM")
    ids = ids_of(model)
    half = type(model)(model.config, dtype=jnp.bfloat16, _do_init=False)
    half.params = model.params
    assert half(ids).logits.dtype == jnp.bfloat16
    table = np.asarray(model.get_input_embeddings())
    found = half(inputs_embeds=table[ids], head_mask=np.ones(3))
    assert found.logits.dtype == jnp.bfloat16
    assert close(found, half(ids), 0)
    rounded = jax.tree.map(lambda x: np.asarray(x, jnp.bfloat16), model.params)
    wanted = model(ids, params=rounded).logits
    assert wanted.dtype == jnp.float32
    assert close(half(ids).logits.astype(float), wanted, 0.05)


def test_the_size_of_the_program_does_not_grow_with_the_layers():
    def size(layers):
        model = build(num_hidden_layers=layers)
        run = jax.jit(lambda p: model(ids_of(model), params=p).last_hidden_state)
        return len(run.lower(model.params).as_text())

    assert size(24) < 1.01 * size(2)


def test_where_scores_grow_padding_still_gets_nothing(quick):
    model = build()
    model.params = jax.tree.map(lambda x: 30 * np.asarray(x), model.params)
    inputs = batch(model)
    shown = inputs["attention_mask"][1].astype(bool)
    ids = inputs["input_ids"].copy()
    ids[1, ~shown] = 17
    one = model(**inputs).last_hidden_state[1, shown]
    two = model(**{**inputs, "input_ids": ids}).last_hidden_state[1, shown]
    assert close(two, one, 0)
