"""Half precision where XLA multiplies: what it is to round, and what it finds."""

import os
import re
import subprocess
import sys
from math import sqrt

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

from albert_core import processor
from albert_core.reference import Reference
from albert_flax.modules import product
from albert_tf.ops import compact
from albert_zoo import predictors
from albert_zoo.parity.budgets import FLOOR, budget
from tests.backends.adapters import class_of
from tests.backends.test_fast_paths import IS_X86, ODD, off, ragged
from tests.conftest import FRAMEWORKS, tiny, weights, write

HALVES = ("float16", "bfloat16")
NANO = "albert-nano"
TYPES = [*HALVES, "float32"]
RELATIVE = {"num_hidden_layers": 2, **ODD["relative"]}
# The type of what a product gives, in the text of a program.
IN_JAX = re.compile(r"dot_general.*-> tensor<[^>]*x(\w+)>")
IN_TENSORFLOW = re.compile(r" = (\w+)\[\S* dot\(")


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("head", ["ForPreTraining", "ForQuestionAnswering"])
def test_jax_leaves_the_sums_of_all_products_in_float32(head, dtype, tmp_path):
    path = write(tmp_path / "made", tiny(**RELATIVE), head)
    model = class_of("flax", head).from_pretrained(path, dtype=dtype)
    ids, mask = map(jnp.asarray, ragged())

    def run(params):
        return model(ids, mask, params=params).to_tuple()

    found = IN_JAX.findall(jax.jit(run).lower(model.params).as_text())
    assert len(found) > 10
    assert set(found) == {"f32"}


@pytest.mark.parametrize("dtype", TYPES)
def test_tensorflow_leaves_the_sums_of_xla_in_float32(dtype, tmp_path):
    path = write(tmp_path / "made", tiny(**RELATIVE), "ForPreTraining")
    model = class_of("tf", "ForPreTraining").from_pretrained(path, dtype=dtype)

    def run(ids, mask):
        with compact():
            return model(ids, mask).prediction_logits

    program = tf.function(run, jit_compile=True)
    given = map(tf.constant, ragged())
    text = program.experimental_get_compiler_ir(*given)(stage="hlo")
    found = IN_TENSORFLOW.findall(text)
    assert len(found) > 10
    assert set(found) == {"f32"}


@pytest.mark.parametrize("framework", ["tf", "flax"])
def test_programs_of_half_precision_are_near(framework, tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "is_intel", lambda: True)
    config = tiny(**RELATIVE)
    path = write(tmp_path / "made", config)
    ids, mask = ragged()
    exact = Reference(config, weights(config))(input_ids=ids, attention_mask=mask)
    for dtype in HALVES:
        most = budget(dtype, gain=FLOOR * sqrt(2 + 2))  # layers, and what is around
        model = class_of(framework, "Model").from_pretrained(path, dtype=dtype)
        predictor = getattr(predictors, f"{framework}_predictor")(model)
        assert predictor.compiles
        inputs = {"input_ids": ids, "attention_mask": mask}
        for padding in (False, True):
            found = predictor.run(inputs, ("last_hidden_state",), padding)
            apart = off(found["last_hidden_state"], exact.last_hidden_state, mask)
            assert 0 < apart < most, (dtype, apart / most)


@pytest.mark.skipif(not IS_X86, reason="the instructions of x86")
def test_pytorch_predicts_in_bfloat16_on_processors_without_it():
    """oneDNN refuses it there, and PyTorch's own products take it."""
    code = f"""
import torch
from albert_zoo import pipeline
assert not torch.ops.mkldnn._is_mkldnn_bf16_supported()
fill = pipeline("fill-mask", {NANO!r}, framework="torch", dtype="bfloat16", device=-1)
print(fill("The old [MASK] sat down.")[0]["token_str"])
"""
    shown = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
    )
    assert shown.stdout.strip() in ("man", "woman", "lady", "girl"), shown.stderr


@pytest.mark.parametrize("dtype", HALVES)
def test_gradients_in_jax_are_of_half_precision_too(dtype):
    stream = np.random.default_rng(0)
    x, y = (jnp.asarray(stream.normal(size=(4, 4)), dtype) for _ in "xy")

    def total(x, y):
        return jnp.square(product("ri,io->ro", x, y).astype(jnp.float32)).sum()

    slopes = jax.jit(jax.grad(total, (0, 1)))
    factors = re.findall(r"dot_general.*: \((.*)\) ->", slopes.lower(x, y).as_text())
    assert len(factors) == 3
    assert not any("f32" in both for both in factors)
    left, right = (np.asarray(z, float) for z in (x, y))
    wanted = 2 * left @ right @ right.T, 2 * left.T @ left @ right
    most = budget(dtype, FLOOR, back=True)
    for slope, exact in zip(slopes(x, y), wanted, strict=True):
        apart = np.asarray(slope, float) - exact
        assert np.linalg.norm(apart) < most * np.linalg.norm(exact)
    ones = jnp.ones_like(x)
    _, forward = jax.jvp(total, (x, y), (ones, ones))
    exact = sum(each.sum() for each in wanted)
    assert abs(forward - exact) < most * abs(exact)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_layer_by_itself_takes_a_bias_of_its_type(framework, dtype, tmp_path):
    """As `albert-zoo parity` calls it."""
    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of(framework, "Model").from_pretrained(path, dtype=dtype)
    as_array = {
        "torch": lambda x: torch.from_numpy(x).to(getattr(torch, dtype)),
        "tf": lambda x: tf.cast(x, dtype),
        "flax": lambda x: jnp.asarray(x, dtype),
    }[framework]
    hidden = as_array(np.random.default_rng(0).normal(size=(1, 4, 12)))
    bias = as_array(np.array([0, 0, 0, -30000.0])[None, None, None])
    layer = model.module if framework == "flax" else model
    attention = layer.encoder.albert_layer_groups
    attention = attention["0" if framework == "flax" else 0].albert_layers
    attention = attention["0" if framework == "flax" else 0].attention
    _, weights_of = attention(hidden, bias, None, True)
    if framework == "torch":
        weights_of = weights_of.detach().float()
    assert not np.asarray(weights_of, float)[..., 3].any()
