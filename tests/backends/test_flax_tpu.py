"""Programs for TPUs, made where there is none; and eight devices, simulated."""

import re

import jax
import numpy as np
import pytest

from albert_core import schema
from tests.backends.flax_models import batch, build
from tests.backends.test_flax_processes import run
from tests.conftest import tiny, write

RATES = {
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "classifier_dropout_prob": 0.1,
}
CALLS = re.compile(r"custom_call @(\w+)")
PRODUCTS = re.compile(r"dot_general .*: \((.*?)\) ->")


def lowered(function, *arguments):
    """The program of a function for TPUs, as text."""
    made = jax.export.export(jax.jit(function), platforms=["tpu"])(*arguments)
    assert made.platforms == ("tpu",)
    assert made.serialize()  # which nothing can be that calls Python
    text = made.mlir_module()
    assert not CALLS.findall(text)
    assert "f64" not in text  # which a TPU does not have
    return text


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("head", list(schema.HEADS))
def test_every_head_is_a_program_for_tpus(head, dtype):
    model = build(head, dtype, **RATES)
    inputs = batch(model)
    plain = {k: x for k, x in inputs.items() if k not in model._program.labels}

    def forward(params, inputs):
        return model(**inputs, params=params)

    def learn(params, inputs, key):
        def loss(params):
            given = {**inputs, "params": params, "dropout_rng": key, "train": True}
            found = model(**given)
            return found.pooler_output.sum() if head == "Model" else found.loss

        return jax.value_and_grad(loss)(params)

    products = PRODUCTS.findall(lowered(forward, model.params, plain))
    other = {"float32": "bf16", "bfloat16": "f32"}[dtype]
    assert products
    assert not [types for types in products if f"x{other}>" in types]
    assert PRODUCTS.findall(lowered(learn, model.params, inputs, jax.random.key(0)))


@pytest.mark.parametrize("stop", [jax.debug.print, jax.pure_callback])
def test_what_calls_python_is_no_program_for_tpus(stop):
    def function(x):
        return stop("{}", x) if stop is jax.debug.print else stop(np.sin, x, x)

    with pytest.raises((ValueError, NotImplementedError)):
        lowered(function, np.float32(1))


# Rows spread over the devices, the parameters on each, judged by the reference.
EIGHT_DEVICES = """
import sys, jax, numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
import albert_flax
from albert_zoo.backends import flatten
from albert_zoo.parity import inputs
from albert_zoo.parity.budgets import budget
from albert_zoo.parity.case import open_case
from albert_zoo.parity.gains import size_of

mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Auto,))
everywhere = NamedSharding(mesh, PartitionSpec())
spread = NamedSharding(mesh, PartitionSpec("rows"))

def computed(model, inputs):
    def loss(params, inputs):
        found = model(**inputs, params=params)
        return found.loss, found

    (_, found), slope = jax.jit(jax.value_and_grad(loss, has_aux=True))(
        model.params, inputs
    )
    assert all(x.sharding.is_fully_replicated for x in jax.tree.leaves(slope))
    outputs = {f"free {name}": x for name, x in found.items()}
    slopes = model.canonical_arrays(slope)
    return outputs | {f"gradients {name}": x for name, x in slopes.items()}


for path in sys.argv[1:]:
    case = open_case(path, lambda *which: {"rows": inputs.batch(*which, 16, 7)})
    load = getattr(albert_flax, f"FlaxAlbert{case.head}").from_pretrained
    given = case.batches["rows"]
    rows = {name: jax.device_put(x, spread) for name, x in given.items()}
    one = computed(load(path), given)
    model = load(path, device_map=everywhere)
    many = computed(model, rows)
    gains = case.gains | {"free loss": case.gains["loss loss"]}
    assert one.keys() == many.keys()
    for name, found in many.items():
        expected = case.places[name]
        size = np.linalg.norm(expected)
        if name.startswith("gradients"):
            size = size_of(name, case.places)
        elif found.ndim:
            assert found.sharding.is_equivalent_to(spread, found.ndim), found.sharding
            assert len(found.addressable_shards) == 8
        most = budget("float32", gains[name]) * size
        for other in (one[name], expected):
            away = np.linalg.norm(np.ravel(found) - np.ravel(other))
            assert away <= most, (name, away, most)

# The same for eight chips that are not here.
step = jax.jit(
    lambda params, inputs: model(**inputs, params=params).loss,
    in_shardings=(everywhere, spread),
)
for_chips = jax.export.export(step, platforms=["tpu"])(model.params, rows)
assert for_chips.nr_devices == 8
assert "callback" not in for_chips.mlir_module()
"""
DEVICES = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}


def test_eight_devices_compute_what_one_does(tmp_path):
    """Also where rows are flattened before they are computed with."""
    sizes = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}
    heads = ("ForPreTraining", "ForMultipleChoice")
    paths = [write(tmp_path / head, tiny(**sizes), head) for head in heads]
    run(EIGHT_DEVICES, *paths, **DEVICES)
