"""Fast paths give what the plain ones give, and step aside where they would not."""

import copy
import pickle
import platform
from typing import Any

import numpy as np
import pytest

from albert_core import processor
from albert_core.errors import InputError
from albert_core.fast import fast_paths
from albert_core.packing import pack
from albert_core.reference import Reference
from albert_zoo import predictors
from albert_zoo.backends import flatten
from albert_zoo.parity.budgets import STRUCTURE
from tests.backends.adapters import Model, class_of
from tests.conftest import FRAMEWORKS, tiny, weights, write

ODD = {
    "usual": {},
    "groups": {"num_hidden_groups": 2, "inner_group_num": 2, "num_hidden_layers": 4},
    "one head": {"num_attention_heads": 1},
    "square": {"embedding_size": 8, "hidden_size": 8, "num_attention_heads": 2},
    "relative": {"position_embedding_type": "relative_key_query"},
    "pruned": {"pruned_heads": {"0": [1]}},
    "erf": {"hidden_act": "gelu"},
    "swish": {"hidden_act": "silu"},
}
HEADS = {
    "ForPreTraining": ("prediction_logits", "sop_logits"),
    "ForTokenClassification": ("logits",),
    "ForQuestionAnswering": ("start_logits", "end_logits"),
    "ForMultipleChoice": ("logits",),
}


# Elsewhere PyTorch keeps its own products.
IS_X86 = platform.machine() in ("x86_64", "AMD64")
ON_X86 = pytest.mark.skipif(not IS_X86, reason="oneDNN is for x86")


@pytest.fixture(params=["AMD", "Intel"])
def maker(request, monkeypatch):
    """Who made the processor, which decides about products."""
    monkeypatch.setattr(processor, "is_intel", lambda: request.param == "Intel")
    return request.param


def ragged(rows=6, length=9, seed=0):
    """Ids and masks: holes, a whole text, one of one token, one of none."""
    rng = np.random.default_rng(seed)
    mask = (rng.random((rows, length)) < 0.6).astype(np.int32)
    mask[:, 0] = 1
    mask[1], mask[2, 1:], mask[3] = 1, 0, 0
    return rng.integers(1, 31, (rows, length)).astype(np.int32), mask


def off(found, expected, mask):
    found, expected = (np.asarray(x)[mask != 0] for x in (found, expected))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def cases(all_of, quick):
    """Of each framework; where it compiles, not all in every run."""
    for framework in FRAMEWORKS:
        for one in all_of:
            late = framework != "torch" and one not in quick
            marks = [pytest.mark.nightly] if late else []
            yield pytest.param(framework, one, marks=marks)


@pytest.mark.parametrize(("framework", "odd"), list(cases(ODD, ["groups"])))
def test_texts_without_padding_have_the_same_numbers(framework, odd, tmp_path):
    config = tiny(**ODD[odd])
    path = write(tmp_path / "made", config)
    model = Model(framework, path, attn_implementation="sdpa")
    ids, mask = ragged()
    wanted = flatten(
        Reference(config, weights(config))(input_ids=ids, attention_mask=mask),
        np.asarray,
    )
    given = {"input_ids": ids, "attention_mask": pack(mask)}
    found = model(**given, output_hidden_states=True, output_attentions=False)
    for name in found:
        if name.startswith(("last_hidden", "hidden")):
            assert off(found[name], wanted[name], mask) <= STRUCTURE, name
    if framework != "torch" or odd != "relative":
        assert not found["last_hidden_state"][mask == 0].any()  # it was the fast path
    first = mask[:, 0]
    assert off(found["pooler_output"], wanted["pooler_output"], first) <= STRUCTURE
    # Where probabilities are asked for, nothing is left out.
    found = model(**given, output_attentions=True)
    name = "attentions.1"
    assert off(found[name], wanted[name], np.ones(len(ids))) <= STRUCTURE


@pytest.mark.parametrize(
    ("framework", "head"), list(cases(HEADS, ["ForPreTraining", "ForMultipleChoice"]))
)
def test_predictors_leave_padding_out_of_every_head(framework, head, tmp_path):
    config = tiny()
    path = write(tmp_path / "made", config, head)
    model = class_of(framework, head).from_pretrained(path)
    predictor = getattr(predictors, f"{framework}_predictor")(model)
    ids, mask = ragged(8)
    mask = -np.sort(-mask)  # at the ends: holes take as much room as tokens
    mask[3, :2] = 1
    inputs = {"input_ids": ids, "attention_mask": mask}
    if head == "ForMultipleChoice":
        inputs = {name: x.reshape(4, 2, -1) for name, x in inputs.items()}
    with fast_paths(False):
        plain = predictor.run(inputs, HEADS[head])
    found = predictor.run(inputs, HEADS[head])
    of_tokens = head not in ("ForMultipleChoice",)
    for name in HEADS[head]:
        known = (
            mask if of_tokens and name != "sop_logits" else np.ones(len(plain[name]))
        )
        assert off(found[name], plain[name], known) < 2e-6
        if of_tokens and name != "sop_logits":
            left_out = (found[name] != plain[name])[mask == 0]
            assert left_out.any()  # it was the fast path
            again = predictor.run(inputs, HEADS[head], True)[name]
            assert np.allclose(again, plain[name], rtol=1e-5, atol=1e-5)
    with fast_paths(True):  # texts that begin with padding are no matter for it
        inputs["attention_mask"] = np.flip(inputs["attention_mask"], -1).copy()
        found = predictor.run(inputs, HEADS[head])
    with fast_paths(False):
        plain = predictor.run(inputs, HEADS[head])
    for name in HEADS[head]:
        assert np.allclose(found[name], plain[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_predictors_refuse_ids_that_a_program_would_take(framework, tmp_path):
    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of(framework, "Model").from_pretrained(path)
    predictor = getattr(predictors, f"{framework}_predictor")(model)
    config, ids = model.config, np.ones((1, 4), np.int32)
    longest = config.max_position_embeddings
    for name, given, said in (
        ("input_ids", ids * config.vocab_size, f"vocab_size is {config.vocab_size}"),
        ("token_type_ids", -ids, "token_type_ids holds -1"),
        ("input_ids", np.ones((1, longest + 1), np.int32), "Truncate or split"),
    ):
        with pytest.raises(InputError, match=said):
            predictor.run({"input_ids": ids, name: given}, ("last_hidden_state",))


def test_the_maker_of_the_processor_decides_whether_tensorflow_compiles(
    maker, tmp_path, monkeypatch
):
    import tensorflow as tf

    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of("tf", "Model").from_pretrained(path)
    asked, own = [], tf.function
    monkeypatch.setattr(
        tf, "function", lambda *x, **y: asked.append(y["jit_compile"]) or own(*x, **y)
    )
    predictor = predictors.tf_predictor(model)
    ids, mask = ragged()
    inputs = {"input_ids": ids, "attention_mask": mask}
    found = predictor.run(inputs, ("last_hidden_state",))["last_hidden_state"]
    assert predictor.compiles == (maker == "AMD")
    assert asked == [maker == "AMD"]
    with fast_paths(False):
        wanted = predictor.run(inputs, ("last_hidden_state",))["last_hidden_state"]
    assert off(found, wanted, mask) < 2e-6


def test_tensorflow_predicts_without_xla_where_it_must(tmp_path, caplog, monkeypatch):
    import tensorflow as tf

    monkeypatch.setattr(processor, "is_intel", lambda: False)
    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    model = class_of("tf", "Model").from_pretrained(path)
    layer = model.encoder.albert_layer_groups[0].albert_layers[0]
    own = layer.activation
    layer.activation = lambda x: tf.ensure_shape(
        tf.numpy_function(lambda y: y, [own(x)], x.dtype), x.shape
    )
    predictor = predictors.tf_predictor(model)
    ids, mask = ragged()
    inputs = {"input_ids": ids, "attention_mask": mask}
    found = predictor.run(inputs, ("last_hidden_state",))["last_hidden_state"]
    assert "XLA cannot compile this model" in caplog.text
    caplog.clear()
    predictor.run(inputs, ("last_hidden_state",))
    assert not caplog.text
    layer.activation = own
    with fast_paths(False):
        wanted = predictors.tf_predictor(model).run(inputs, ("last_hidden_state",))
    assert off(found, wanted["last_hidden_state"], mask) < 2e-6


# What only PyTorch has


@pytest.fixture
def model(tmp_path):
    """A float32 model in evaluation mode, and ids."""
    import torch

    from albert_torch import AlbertModel

    path = write(tmp_path / "made", tiny(num_hidden_layers=2))
    return AlbertModel.from_pretrained(path).eval(), torch.from_numpy(
        ragged()[0]
    ).long()


def hidden(model, ids):
    import torch

    with torch.no_grad():
        return model(ids).last_hidden_state


def test_changes_of_a_frozen_model_are_seen(model):
    import torch

    from albert_torch import fused

    one, ids = model
    fused.freeze(one)
    first = hidden(one, ids)
    weight = one.encoder.albert_layer_groups[0].albert_layers[0].attention.query.weight
    with torch.no_grad():
        weight.mul_(1.5)
    with fast_paths(False):
        wanted = hidden(one, ids)
    assert torch.allclose(hidden(one, ids), wanted, atol=1e-5)
    assert not torch.allclose(first, wanted, atol=1e-3)
    other = copy.deepcopy(one)
    one.load_state_dict({k: v * 0.5 for k, v in one.state_dict().items()})
    with fast_paths(False):
        wanted = hidden(one, ids)
    assert torch.allclose(hidden(one, ids), wanted, atol=1e-5)
    assert not torch.allclose(hidden(other, ids), wanted, atol=1e-3)
    assert hidden(one.double(), ids).dtype == torch.float64
    assert torch.isfinite(hidden(one.bfloat16(), ids)).all()


def _hook(layer):
    return layer.ffn.register_forward_hook(lambda *_: _[2] + 1)


def _exchange(layer):
    from torch import nn

    class Doubled(nn.Linear):
        def forward(self, x):
            return super().forward(x) * 2

    other = Doubled(layer.ffn.in_features, layer.ffn.out_features)
    other.load_state_dict(layer.ffn.state_dict())
    layer.ffn = other


def _replace(layer):
    forward = layer.ffn.forward
    layer.ffn.forward = lambda x: forward(x) * 2


def _parametrize(layer):
    from torch import nn
    from torch.nn.utils import parametrize

    class Doubled(nn.Module):
        def forward(self, x):
            return x * 2

    parametrize.register_parametrization(layer.ffn, "weight", Doubled())


def _hook_everywhere(layer):
    from torch.nn.modules.module import register_module_forward_hook

    return register_module_forward_hook(
        lambda module, _, found: found + 1 if module is layer.ffn else found
    )


def _adapt(layer):
    from torch import nn

    layer.dropout = nn.Sequential(layer.dropout, nn.Tanh())


def _wrap(layer):
    from torch import nn

    layer.ffn = nn.Sequential(layer.ffn, nn.Tanh())


def _activate(layer):
    import torch

    layer.activation = torch.relu


def _lose_a_bias(layer):
    layer.attention.value.bias = None


def _feed(layer):
    layer.feed_forward = lambda attended: attended * 2


def _drop(layer):
    layer.dropout.p = 1.0
    layer.dropout.train()


CHANGES = [_hook, _exchange, _replace, _parametrize, _hook_everywhere, _adapt, _wrap]
CHANGES += [_activate, _lose_a_bias, _feed, _drop]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_put_into_a_layer_is_not_passed_over(model, change):
    import torch

    from albert_torch import fused

    one, ids = model
    fused.freeze(one)
    before = hidden(one, ids)
    handle = change(one.encoder.albert_layer_groups[0].albert_layers[0])
    with fast_paths(False):
        wanted = hidden(one, ids)
    found = hidden(one, ids)
    if handle is not None:
        handle.remove()
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(before, wanted, atol=1e-3)


@pytest.mark.parametrize(
    "change", [None, "activated", "normed", "then changed in place"]
)
def test_products_have_the_gradients_of_pytorch(change, maker):
    import torch

    from albert_torch.activations import gelu_new
    from albert_torch.kernels import linear, norm

    def gradients(product):
        torch.manual_seed(0)
        x = torch.randn(2, 5, 7, requires_grad=True)
        weight, bias = torch.randn(3, 7, requires_grad=True), torch.randn(3)
        bias.requires_grad_()
        given = before(x)
        y = product(given, weight, bias)
        wanted = (x, weight, bias, *scales[change == "normed"])
        first = torch.autograd.grad((y**3).sum(), wanted, create_graph=True)
        # given is x itself where nothing was done to it
        asked = (x, weight, given, *scales[change == "normed"])
        second = torch.autograd.grad(sum(g.square().sum() for g in first), asked)
        return [y, *first, *second]

    def before(x):
        if change is None:
            return x
        if change == "normed":
            return norm(x * 2, *scales[True], 1e-12)
        activated = gelu_new(x * 2)
        return activated if change == "activated" else activated.mul_(3)

    slopes = torch.linspace(0.5, 2, 7).requires_grad_()
    scales = ((), (slopes, torch.linspace(-1, 1, 7).requires_grad_()))
    ours = gradients(linear)
    with fast_paths(False):
        theirs = gradients(torch.nn.functional.linear)
    for one, other in zip(ours, theirs, strict=True):
        largest = float(other.detach().abs().max())
        assert torch.allclose(one, other, rtol=1e-5, atol=1e-6 * largest)


def test_activations_take_what_they_always_took():
    import torch

    from albert_torch.activations import ACTIVATIONS
    from albert_torch.kernels import linear

    with torch.inference_mode():
        made = torch.randn(4, 7)
    weight = torch.randn(3, 7, requires_grad=True)
    assert linear(made, weight.detach()).shape == (4, 3)
    for name in ("gelu", "gelu_new"):
        assert linear(ACTIVATIONS[name](made), weight).requires_grad
        reused = made.clone()  # nothing learns before it, and so nothing keeps it
        activated = ACTIVATIONS[name](reused).requires_grad_()
        found = linear(activated, weight).sum()
        reused.zero_()
        (grad,) = torch.autograd.grad(found, weight)
        assert torch.allclose(grad, activated.detach().sum(0).expand(3, 7), atol=1e-5)
    for name, activation in ACTIVATIONS.items():
        assert pickle.loads(pickle.dumps(activation)) is activation, name
        learns = activation(torch.randn(4, 7, requires_grad=True) * 1)
        if not learns.is_leaf:
            assert not linear(learns.detach_(), weight.detach()).requires_grad


@ON_X86
def test_the_maker_of_the_processor_decides_who_multiplies(maker, monkeypatch):
    import torch

    from albert_torch import kernels

    called, own = [], torch.nn.functional.linear
    monkeypatch.setattr(
        kernels.functional, "linear", lambda *x: called.append(x) or own(*x)
    )
    x, weight = torch.randn(4, 7), torch.randn(3, 7)
    kernels.linear(x, weight)
    assert len(called) == (maker == "Intel")
    kernels.linear(x, kernels.ordered(weight))  # in oneDNN's order it is oneDNN's
    assert len(called) == (maker == "Intel")


@ON_X86
def test_a_scale_that_changes_before_its_gradients_is_noticed():
    import torch

    from albert_torch.kernels import linear, norm

    x, scale = torch.randn(4, 7, requires_grad=True), torch.ones(7, requires_grad=True)
    weight = torch.randn(3, 7, requires_grad=True)
    loss = linear(norm(x * 1, scale, torch.zeros(7), 1e-12), weight).sum()
    with torch.no_grad():
        scale.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        torch.autograd.grad(loss, weight)  # for which nothing needs the norm's own


@ON_X86
def test_activations_and_norms_are_not_kept_for_their_gradients(model):
    import torch

    one, ids = model
    kept: dict[int, int] = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        held.append(tensor)  # so that no two stand at one address
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    sizes = []
    for on in (True, False):
        held: list[Any] = []
        kept.clear()
        with (
            fast_paths(on),
            torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x),
        ):
            one(ids)
        sizes.append(sum(kept.values()))
    config = one.config
    layers = config.num_hidden_layers * config.inner_group_num
    spared = layers * (config.intermediate_size + 2 * config.hidden_size)
    spared += config.embedding_size - config.hidden_size  # no layer follows the last
    assert sizes[1] - sizes[0] == ids.numel() * spared * 4


@ON_X86
@pytest.mark.parametrize("padded", [False, True])
def test_long_texts_attend_head_by_head(model, padded, maker, monkeypatch):
    import torch

    from albert_core.packing import Packed
    from albert_torch import packing

    one, ids = model
    mask = torch.from_numpy(ragged()[1]) if padded else torch.ones_like(ids)
    with fast_paths(False):
        wanted = one(ids, attention_mask=mask).last_hidden_state.detach()
    monkeypatch.setattr(packing, "LONG", 4)
    taken, own = [], packing._head_by_head
    monkeypatch.setattr(
        packing, "_head_by_head", lambda q, *x: taken.append(q.shape[1]) or own(q, *x)
    )
    with torch.no_grad():
        found = one(ids, attention_mask=Packed(mask)).last_hidden_state
    lengths = [n for n in mask.sum(1).tolist() if n >= 4]
    times = one.config.num_hidden_layers * one.config.inner_group_num
    assert taken == (lengths * times if maker == "AMD" else [])
    assert off(found, wanted, mask.numpy()) < 2e-6


@pytest.mark.filterwarnings("ignore:`torch.jit.script`:DeprecationWarning")  # its own
def test_products_step_aside():
    import torch
    from torch.nn import functional

    from albert_torch.kernels import linear, suits

    x, weight = torch.randn(4, 7), torch.randn(3, 7)
    assert suits(x, torch.float32) == IS_X86
    with fast_paths(False):
        assert not suits(x, torch.float32)
    assert not suits(x.double(), torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert linear(x, weight).dtype == torch.bfloat16
    assert linear(x[:0], weight).shape == (0, 3)
    with pytest.raises(RuntimeError, match="dtype"):
        linear(x, weight.double())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        linear(x[:, :5], weight)
    jacobian = torch.func.jacrev(lambda w: linear(x, w))(weight)
    assert jacobian.shape == (4, 3, 3, 7)
    assert torch.func.jacrev(lambda b: linear(x, weight, b))(torch.ones(3)).any()
    assert torch.func.vmap(lambda w: linear(x, weight) @ w)(torch.ones(2, 3)).any()
    _, moved = torch.func.jvp(lambda w: linear(x, w), (weight,), (weight,))
    assert torch.allclose(moved, functional.linear(x, weight), atol=1e-5)
