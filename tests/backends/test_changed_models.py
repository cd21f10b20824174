"""Fast paths of models that users have changed: parts of their own, hooks, weights."""

import copy
import functools
import sys
import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tensorflow as tf
import torch

from albert_core import processor
from albert_core.fast import fast_paths
from albert_core.packing import Packed, pack
from albert_torch import fused
from albert_zoo import predictors
from tests.backends.adapters import class_of
from tests.backends.test_fast_paths import hidden, maker, model, off, ragged
from tests.conftest import FRAMEWORKS, tiny, write

__all__ = ["maker", "model"]  # fixtures

FIRST = {"torch": 0, "tf": 0, "flax": "0"}
LARGEST = {
    "torch": lambda x: x.amax(1, keepdim=True),
    "tf": lambda x: tf.reduce_max(x, 1, keepdims=True),
    "flax": lambda x: x.max(1, keepdims=True),
}
LAST = ("last_hidden_state",)


def predictor_of(framework, model):
    return getattr(predictors, f"{framework}_predictor")(model)


def given():
    ids, mask = ragged()
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_texts_do_not_share_rows_in_layers_of_others(framework, tmp_path):
    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of(framework, "Model").from_pretrained(path)
    called = model.module if framework == "flax" else model
    if framework == "torch":
        called.eval()
    layer = called.encoder.albert_layer_groups[FIRST[framework]]
    layer = layer.albert_layers[FIRST[framework]]

    class Mine(type(layer)):
        def feed_forward(self, attended):
            return super().feed_forward(attended) + LARGEST[framework](attended)

    layer.__class__ = Mine
    ids, mask = ragged()
    kinds = {"torch": torch.from_numpy, "tf": tf.constant, "flax": jnp.asarray}
    as_array = kinds[framework]
    masks = Packed(*map(as_array, pack(mask))), as_array(mask)
    found, plain = (
        called(as_array(ids), x, return_dict=True).last_hidden_state for x in masks
    )
    if framework == "torch":
        found, plain = found.detach(), plain.detach()
    assert off(found, plain, mask) < 2e-6


def mine(framework, kind, seen):
    """A class whose own call tells what kind of mask it was given."""
    name = {"torch": "forward", "tf": "call", "flax": "__call__"}[framework]

    def call(self, input_ids=None, attention_mask=None, *rest, **more):
        seen.append(type(attention_mask).__name__)
        return getattr(kind, name)(self, input_ids, attention_mask, *rest, **more)

    return type("Mine", (kind,), {name: call})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_encoder_of_others_gets_the_mask_as_it_was(framework, tmp_path):
    path, seen = write(tmp_path / "made", tiny(), "ForMaskedLM"), []
    kind = class_of(framework, "ForMaskedLM")
    if framework == "flax":

        class Module(kind.module_class):
            def __init__(self, *arguments, **options):
                super().__init__(*arguments, **options)
                self.albert.__class__ = mine(framework, type(self.albert), seen)

        model = type("Whole", (kind,), {"module_class": Module}).from_pretrained(path)
    else:
        model = kind.from_pretrained(path)
        model.albert.__class__ = mine(framework, type(model.albert), seen)
    predictor_of(framework, model).run(given(), ("logits",))
    assert seen
    assert "Packed" not in seen


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_pool_of_others_gets_padding_as_it_was(framework, tmp_path):
    path, kind = write(tmp_path / "made", tiny()), class_of(framework, "Model")
    own = kind.module_class if framework == "flax" else kind
    largest = LARGEST[framework]

    class Mine(own):
        def pool(self, hidden_states):
            return largest(hidden_states)[:, 0]

    if framework == "flax":
        Mine = type("Whole", (kind,), {"module_class": Mine})
    predictor = predictor_of(framework, Mine.from_pretrained(path))
    found = predictor.run(given(), ("pooler_output",), True)["pooler_output"]
    with fast_paths(False):
        plain = predictor_of(framework, Mine.from_pretrained(path))
        plain = plain.run(given(), ("pooler_output",))["pooler_output"]
    assert np.abs(found - plain).max() < 1e-5
    found = predictor.run(given(), ("pooler_output",))["pooler_output"]
    assert np.abs(found - plain).max() < 1e-5


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_text_without_tokens_has_the_outputs_that_it_has_alone(framework, tmp_path):
    """Of a head that pools: there is no first token, and something stands there."""
    path = write(tmp_path / "made", tiny(), "ForSequenceClassification")
    model = class_of(framework, "ForSequenceClassification").from_pretrained(path)
    assert not given()["attention_mask"].any(1).all()
    found = predictor_of(framework, model).run(given(), ("logits",))["logits"]
    with fast_paths(False):
        plain = predictor_of(framework, model).run(given(), ("logits",))["logits"]
    assert np.abs(found - plain).max() < 1e-5


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("change", ["weights", "heads"])
def test_predictors_see_what_a_model_became(framework, change, tmp_path):
    config = tiny(num_hidden_layers=2)
    model = class_of(framework, "Model").from_pretrained(
        write(tmp_path / "made", config)
    )
    predictor = predictor_of(framework, model)
    before = predictor.run(given(), LAST)["last_hidden_state"]
    if change == "heads":
        model.prune_heads({0: [1]})
    elif framework == "flax":
        model.params = _halved(model.params)
    elif framework == "tf":
        model.set_weights([x / 2 for x in model.get_weights()])
    else:
        model.load_state_dict({k: x / 2 for k, x in model.state_dict().items()})
    found = predictor.run(given(), LAST)["last_hidden_state"]
    with fast_paths(False):
        wanted = predictor_of(framework, model).run(given(), LAST)["last_hidden_state"]
    mask = given()["attention_mask"]
    assert off(found, wanted, mask) < 2e-6
    assert off(before, wanted, mask) > 0.01


def _halved(params):
    if isinstance(params, dict):
        return {name: _halved(x) for name, x in params.items()}
    return params / 2


def test_new_numbers_compile_nothing_in_jax(tmp_path):
    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of("flax", "Model").from_pretrained(path)
    predictor = predictors.flax_predictor(model)
    predictor.run(given(), LAST)
    model.params = _halved(model.params)
    seen = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: seen.append(event)
    )
    predictor.run(given(), LAST)
    assert not [event for event in seen if "backend_compile" in event]
    predictor.run({name: x[:, :4] for name, x in given().items()}, LAST)
    assert [event for event in seen if "backend_compile" in event]


# What only PyTorch has


def _wrap(model):
    old = model.forward

    @functools.wraps(old)
    def forward(*arguments, attention_mask, **more):
        assert attention_mask.sum() > 0  # which `Packed` has not
        return old(*arguments, attention_mask=attention_mask, **more)

    model.forward = forward


def _look_around(model):
    class Around(torch.nn.Linear):
        def forward(self, hidden):
            return super().forward(hidden) + hidden.amax(1, keepdim=True)[..., :1]

    model.classifier = Around(model.config.hidden_size, 2)


def _hook(model):
    model.classifier.register_forward_hook(
        lambda module, given, found: found + given[0].amax(1, keepdim=True)[..., :1]
    )


@pytest.mark.parametrize("change", [_wrap, _look_around, _hook])
def test_what_looks_at_masks_or_padding_finds_them(change, tmp_path):
    head = "ForTokenClassification"
    path = write(tmp_path / "made", tiny(), head)
    model = class_of("torch", head).from_pretrained(path).eval()
    change(model)
    found = predictors.torch_predictor(model).run(given(), ("logits",))["logits"]
    with fast_paths(False):
        plain = predictors.torch_predictor(model).run(given(), ("logits",))["logits"]
    assert off(found, plain, given()["attention_mask"]) < 2e-6


def test_optimizers_step_while_others_freeze(model):
    one, _ = model
    optimizer = torch.optim.SGD(one.parameters(), lr=0.0)
    group = one.encoder.albert_layer_groups[0]
    copies = [copy.copy(group) for _ in range(2000)]
    for each in copies[:500]:
        fused.freeze(each)
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    freezing = threading.Thread(target=lambda: [*map(fused.freeze, copies[500:])])
    try:
        freezing.start()
        while freezing.is_alive():
            optimizer.step()
    finally:
        sys.setswitchinterval(before)
        freezing.join()


def test_hooks_of_a_model_and_its_encoder_are_called(tmp_path):
    path = write(tmp_path / "made", tiny(), "ForMaskedLM")
    model = class_of("torch", "ForMaskedLM").from_pretrained(path)
    predictor = predictors.torch_predictor(model)
    wanted = {"positions": np.zeros((6, 1), int), **given()}
    plain = predictor.run(wanted, ("logits",))["logits"]
    seen = []
    hooks = [
        model.register_forward_hook(lambda *_: seen.append("whole")),
        model.albert.register_forward_pre_hook(
            lambda *x: seen.append(type(x[2]["attention_mask"]).__name__),
            with_kwargs=True,
        ),
    ]
    found = predictor.run(wanted, ("logits",))["logits"]
    assert seen == ["Tensor", "whole"]
    known = given()["attention_mask"][:, 0] != 0
    assert np.abs(found - plain)[known].max() < 1e-5
    for hook in hooks:
        hook.remove()
    predictor.run(wanted, ("logits",))
    assert len(seen) == 2


@pytest.mark.parametrize("kind", ["AdamW", "SGD"])
def test_steps_of_fused_optimizers_are_seen(kind, model):
    one, ids = model
    predictor = predictors.torch_predictor(one)
    inputs = {"input_ids": ids.numpy()}
    before = predictor.run(inputs, LAST)["last_hidden_state"]
    optimizer = getattr(torch.optim, kind)(one.parameters(), lr=0.1, fused=True)
    one(ids).last_hidden_state.square().sum().backward()
    optimizer.step()
    found = predictor.run(inputs, LAST)["last_hidden_state"]
    with fast_paths(False):
        wanted = hidden(one, ids).numpy()
    every = np.ones(ids.shape)
    assert off(found, wanted, every) < 2e-6
    assert off(before, wanted, every) > 0.01


@pytest.mark.parametrize("frozen", [True, False])
def test_biases_may_lie_anyhow(frozen, model, maker):
    one, ids = model
    layer = one.encoder.albert_layer_groups[0].albert_layers[0]
    attention = layer.attention
    for part in (attention.query, attention.dense, layer.ffn, layer.ffn_output):
        spread = torch.stack([part.bias.detach() + 1, torch.zeros_like(part.bias)], 1)
        part.bias = torch.nn.Parameter(spread[:, 0])
        assert not part.bias.is_contiguous()
    if frozen:
        predictors.torch_predictor(one)
    with fast_paths(False):
        wanted = hidden(one, ids)
    assert torch.allclose(hidden(one, ids), wanted, atol=1e-5)
    assert torch.allclose(one(ids).last_hidden_state, wanted, atol=1e-5)


@pytest.mark.parametrize("activation", ["relu", "gelu", "gelu_new"])
def test_activations_do_not_hide_what_is_no_number(activation, tmp_path, monkeypatch):
    monkeypatch.setattr(processor, "is_intel", lambda: False)
    path = write(tmp_path / "made", tiny(hidden_act=activation))
    model = class_of("torch", "Model").from_pretrained(path)
    layer = model.encoder.albert_layer_groups[0].albert_layers[0]
    layer.ffn.bias.detach()[0] = np.nan
    found = predictors.torch_predictor(model).run(given(), LAST)
    known = given()["attention_mask"] != 0
    assert np.isnan(found["last_hidden_state"][known]).all()
