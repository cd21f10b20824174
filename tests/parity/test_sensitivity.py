"""The parity check fails on planted faults, and at the right stage."""

import importlib

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_zoo.parity import probes
from albert_zoo.parity.budgets import STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.conftest import FRAMEWORKS, tiny, weights, write
from tests.parity.frameworks import first_failure, relative
from tests.parity.test_stages import reference_of

HEAD = "ForPreTraining"
BLOCK = "albert.encoder.albert_layer_groups.{}.albert_layers.{}."
FIRST = BLOCK.format(0, 0)


def swap(arrays, one, other):
    """Exchange two arrays, or two families of them."""
    for name in [n for n in arrays if n.startswith(one)]:
        twin = name.replace(one, other)
        arrays[name], arrays[twin] = arrays[twin], arrays[name]


def edit(name, change):
    """A fault in one array."""

    def fault(arrays):
        arrays[name] = np.ascontiguousarray(change(arrays[name]))

    return fault


ATTENTION = "layer.0.inner.0.attention"
POSITIONS = "albert.embeddings.position_embeddings.weight"
LOWEST = np.finfo(np.float64).min
FEED_FORWARD = "layer.0.inner.0.feed_forward"

# fault -> the stage at which it must show
IN_WEIGHTS = {
    "query and key swapped": (
        lambda a: swap(a, f"{FIRST}attention.query", f"{FIRST}attention.key"),
        ATTENTION,
    ),
    "square kernel transposed": (
        edit(f"{FIRST}attention.value.weight", np.transpose),
        ATTENTION,
    ),
    "heads in another order": (
        edit(f"{FIRST}attention.dense.weight", lambda x: np.roll(x, 4, 1)),
        ATTENTION,
    ),
    "attention bias lost": (
        edit(f"{FIRST}attention.dense.bias", np.zeros_like),
        ATTENTION,
    ),
    "norm scale is one": (
        edit(f"{FIRST}attention.LayerNorm.weight", np.ones_like),
        ATTENTION,
    ),
    "feed-forward bias lost": (edit(f"{FIRST}ffn.bias", np.zeros_like), FEED_FORWARD),
    "feed-forward norm shift lost": (
        edit(f"{FIRST}full_layer_layer_norm.bias", np.zeros_like),
        FEED_FORWARD,
    ),
    "groups swapped": (
        lambda a: swap(a, BLOCK.format(0, 0), BLOCK.format(1, 0)),
        ATTENTION,
    ),
    "inner blocks swapped": (
        lambda a: swap(a, BLOCK.format(1, 0), BLOCK.format(1, 1)),
        "layer.3.inner.0.attention",
    ),
    "segments flipped": (
        edit("albert.embeddings.token_type_embeddings.weight", lambda x: x[::-1]),
        "embeddings",
    ),
    "positions off by one": (
        edit(POSITIONS, lambda x: np.roll(x, 1, 0)),
        "embeddings",
    ),
    "last position wrong": (
        edit(POSITIONS, lambda x: np.concatenate([x[:-1], x[:1]])),
        "embeddings",
    ),
    "projection bias lost": (
        edit("albert.encoder.embedding_hidden_mapping_in.bias", np.zeros_like),
        "projection",
    ),
    "pooler transposed": (edit("albert.pooler.weight", np.transpose), "pooler"),
    "decoder bias doubled": (edit("predictions.bias", lambda x: 2 * x), "predictions"),
    "sentence orders swapped": (
        edit("sop_classifier.classifier.weight", lambda x: x[::-1]),
        "sop_classifier.classifier",
    ),
    "one weight off by its last bit": (
        edit(f"{FIRST}ffn_output.weight", lambda x: x + np.spacing(x) * (x == x.max())),
        FEED_FORWARD,
    ),
}
IN_CONFIG = {
    "wrong epsilon": ({"layer_norm_eps": 1e-9}, "embeddings"),
    "erf gelu": ({"hidden_act": "gelu"}, FEED_FORWARD),
}


def no_tanh(x):
    """A fault: no activation."""
    return x


IN_CODE = {
    "tanh forgotten": ("tanh", lambda old: no_tanh, "pooler"),
    "positions from one": (
        "positions_for",
        lambda old: lambda x: (old(x) + 1) % tiny().max_position_embeddings,
        None,
    ),
    "context off by a billionth": (
        "merge_heads",
        lambda old: lambda x: old(x) * (1 + 1e-9),
        ATTENTION,
    ),
    "scores scaled twice": (
        "attend",
        lambda old: lambda query, *rest: old(query / 2, *rest),
        ATTENTION,
    ),
    "mask ignored": (
        "attend",
        lambda old: lambda q, k, v, bias, *rest: old(q, k, v, None, *rest),
        ATTENTION,
    ),
    "mask inverted": (
        "attend",
        lambda old: lambda q, k, v, bias, *rest: old(q, k, v, LOWEST - bias, *rest),
        ATTENTION,
    ),
}


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A healthy checkpoint and the reference's stages for it."""
    path = write(tmp_path_factory.mktemp("healthy") / "model", tiny(), HEAD)
    reference = reference_of(path, HEAD)
    stages = []
    for inputs in batches(reference.config, HEAD).values():
        reference(**inputs)
        stages += reference.stages
    return path, stages


@pytest.mark.bad_input(66)
@pytest.mark.parametrize("fault", IN_WEIGHTS)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_faults_in_weights_are_caught(framework, fault, healthy, tmp_path):
    plant, stage = IN_WEIGHTS[fault]
    config = AlbertConfig.from_pretrained(healthy[0])
    arrays = weights(config, HEAD)
    plant(arrays)
    checkpoint.save(tmp_path, config, arrays)
    model = probes.load(framework, tmp_path, HEAD)
    assert first_failure(model, healthy[1], STRUCTURE) == stage


@pytest.mark.parametrize("fault", IN_CONFIG)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_faults_in_the_configuration_are_caught(framework, fault, healthy):
    changes, stage = IN_CONFIG[fault]
    model = probes.load(framework, healthy[0], HEAD, **changes)
    assert first_failure(model, healthy[1], STRUCTURE) == stage


@pytest.mark.parametrize("fault", IN_CODE)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_faults_in_code_are_caught(framework, fault, healthy, monkeypatch):
    name, plant, stage = IN_CODE[fault]
    model = probes.load(framework, healthy[0], HEAD)
    assert first_failure(model, healthy[1], STRUCTURE) is None
    layers = importlib.import_module(f"albert_{framework}.layers")
    monkeypatch.setattr(layers, name, plant(getattr(layers, name)))
    if stage is None:  # the reference's stages state their positions
        inputs = batches(tiny(), HEAD)["rows"]
        expected = reference_of(healthy[0], HEAD)(**inputs).prediction_logits
        found = model.outputs(inputs)["prediction_logits"]
        assert not relative(found, expected) <= STRUCTURE
    else:
        assert first_failure(model, healthy[1], STRUCTURE) == stage
