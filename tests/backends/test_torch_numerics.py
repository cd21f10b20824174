"""What PyTorch models compute: number types, attention kernels, dropout, gradients."""

import json
import subprocess
import sys
from math import sqrt
from pathlib import Path

import pytest
import torch
from torch.utils import _pytree as pytree

from albert_torch import (
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForQuestionAnswering,
    AlbertForSequenceClassification,
    AlbertModel,
    BaseModelOutputWithPooling,
)
from albert_zoo.parity.budgets import FLOOR, MODES, STRUCTURE, budget
from tests.backends.torch_models import batch, build, same
from tests.backends.torch_traced import WAYS

ROOT = Path(__file__).parents[2]
DROPOUT = {
    "hidden_dropout_prob": 0.4,
    "attention_probs_dropout_prob": 0.4,
    "classifier_dropout_prob": 0.4,
}
RELATIVE = ("absolute", "relative_key", "relative_key_query")


def padded_rows():
    """The three rows, and one of padding only."""
    made = {k: torch.cat([x, x[:1]]) for k, x in batch().items()}
    made["attention_mask"][3] = 0
    return made


@pytest.mark.parametrize("positions", RELATIVE)
def test_the_fused_kernel_is_exact(positions):
    model = build(AlbertForPreTraining, position_embedding_type=positions).double()
    outputs, gradients = [], []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        model.zero_grad()
        found = model(**padded_rows(), output_hidden_states=True)
        torch.stack(found.hidden_states).square().sum().backward()
        outputs.append(found)
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for a, b in zip(*(out.hidden_states for out in outputs), strict=True):
        assert (a - b).norm() <= STRUCTURE * a.norm()
    largest = max(g.abs().max() for g in gradients[0].values() if g is not None)
    for name, gradient in gradients[0].items():
        if gradient is not None:
            assert same(gradients[1][name], gradient, STRUCTURE * largest), name


@pytest.mark.parametrize("positions", RELATIVE)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("tracked", [True, False])
def test_half_precision_is_close_also_for_rows_of_padding(
    dtype, implementation, positions, tracked
):
    options = {"num_hidden_layers": 2, "position_embedding_type": positions}
    model = build(AlbertModel, attn_implementation=implementation, **options)
    model.to(dtype).double()
    exact = model(**padded_rows())[0]  # of weights that are rounded already
    with torch.set_grad_enabled(tracked):  # which chooses the kernel
        found = model.to(dtype)(**padded_rows())[0]
    assert found.dtype == dtype
    most = budget(str(dtype).removeprefix("torch."), gain=FLOOR * sqrt(4 + 2))
    for row in range(4):
        error = (found[row] - exact[row]).norm()
        assert error <= most * exact[row].norm(), row


def test_autocast_keeps_rows_of_padding_finite():
    model, inputs = build(AlbertForMaskedLM), padded_rows()
    inputs["labels"] = inputs["input_ids"]
    exact = model(**inputs)
    with torch.autocast("cpu", torch.bfloat16):
        found = model(**inputs)
    assert found.logits.dtype == torch.bfloat16
    most = budget("bfloat16", gain=FLOOR * sqrt(12 + 2))
    assert (found.logits - exact.logits).norm() <= most * exact.logits.norm()
    assert abs(found.loss - exact.loss) <= most * exact.loss


@pytest.fixture(scope="module")
def traced():
    """What every other way to run a model is off by, from a process of its own."""
    command = [sys.executable, "-m", "tests.backends.torch_traced"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    gaps = {}
    for line in run.stdout.splitlines():
        gaps |= json.loads(line)
    return gaps, run.stderr


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_compiled_and_exported_models_compute_the_same(way, traced):
    gaps, errors = traced
    assert way in gaps, errors[-3000:]
    assert gaps[way] <= 16 * MODES["float32"].unit


def test_outputs_pass_through_pytrees():
    output = build(AlbertModel)(**batch(), output_hidden_states=True)
    leaves, structure = pytree.tree_flatten(output)
    assert len(leaves) == 2 + 7
    again = pytree.tree_unflatten(leaves, structure)
    assert type(again) is BaseModelOutputWithPooling
    assert list(again) == list(output)
    assert again.hidden_states[3] is output.hidden_states[3]
    paths, _ = pytree.tree_flatten_with_path(output)
    assert pytree.keystr(paths[0][0]) == "['last_hidden_state']"


@pytest.mark.parametrize("dropout", [{}, DROPOUT], ids=["still", "dropout"])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_gradient_checkpointing_gives_the_same_gradients(implementation, dropout):
    model = build(AlbertForPreTraining, attn_implementation=implementation, **dropout)
    model.train()
    inputs = {**batch(), "labels": batch()["input_ids"]}
    inputs["sentence_order_label"] = torch.tensor([0, 1, 1])
    losses, gradients = [], []
    assert not model.is_gradient_checkpointing
    for switch in (None, model.gradient_checkpointing_enable):
        if switch:
            switch(gradient_checkpointing_kwargs={"use_reentrant": False})
            assert model.is_gradient_checkpointing
        torch.manual_seed(3)
        model.zero_grad()
        output = model(**inputs)
        output.loss.backward()
        losses.append(output.loss)
        gradients.append({n: p.grad.clone() for n, p in model.named_parameters()})
    assert same(losses[1], losses[0])
    for name, gradient in gradients[0].items():
        assert same(gradients[1][name], gradient, 16 * MODES["float32"].unit), name


def kept_for_backward(model):
    """Bytes of all distinct tensors that a call keeps, parameters left out."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = model(**batch(23))
    assert output is not None
    return sum(storage.nbytes() for storage in kept.values())


def test_gradient_checkpointing_keeps_less():
    def build_with(layers):
        sizes = {"num_hidden_groups": 1, "inner_group_num": 1}
        return build(AlbertModel, num_hidden_layers=layers, **sizes).train()

    model, half = build_with(24), build_with(12)
    all_of_it = kept_for_backward(model)
    of_layers = all_of_it - kept_for_backward(half)
    for either in (model, half):
        either.gradient_checkpointing_enable()
    inputs = kept_for_backward(model) - kept_for_backward(half)
    assert inputs == 12 * 3 * 23 * 12 * 4  # of a layer its input, and nothing else
    assert inputs < of_layers / 4
    model.eval()  # where nothing is computed again
    assert kept_for_backward(model) > all_of_it / 2
    model.train()
    model.gradient_checkpointing_disable()
    assert kept_for_backward(model) == all_of_it


PLACES = {
    "embeddings.dropout": "hidden_dropout_prob",
    "attention.attention_dropout": "attention_probs_dropout_prob",
    "attention.output_dropout": "hidden_dropout_prob",
    "albert_layers.0.dropout": "hidden_dropout_prob",
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_dropout_acts_in_each_published_place_and_only_in_training(
    place, implementation
):
    model = build(AlbertModel, attn_implementation=implementation)
    still = model(**batch())[0]
    model.train()
    assert same(model(**batch())[0], still)
    found = [m for n, m in model.named_modules() if n.endswith(place)]
    assert found
    for module in found:
        module.p = 0.5
    assert not same(model(**batch())[0], still)
    model.eval()
    assert same(model(**batch())[0], still)


@pytest.mark.parametrize("field", sorted(set(PLACES.values())))
def test_the_configuration_sets_each_dropout(field):
    model = build(AlbertModel, inner_group_num=1, **{field: 0.25})
    rates = {n: m.p for n, m in model.named_modules() if hasattr(m, "p")}
    assert len(rates) == 1 + 3 * 2
    for name, rate in rates.items():
        place = next(p for p in PLACES if name.replace("1", "0").endswith(p))
        assert rate == (0.25 if PLACES[place] == field else 0), name


def test_the_ffn_dropout_drops_what_the_ffn_adds():
    layer = build(AlbertModel).encoder.albert_layer_groups[0].albert_layers[0].train()
    attended = torch.randn(2, 3, 12)
    layer.dropout.p = 1 - 1e-7  # of all of it, so that only the residual is left
    assert same(layer.feed_forward(attended), layer.full_layer_layer_norm(attended))


@pytest.mark.parametrize(("given", "expected"), [(None, 0.3), (0.0, 0.0), (0.2, 0.2)])
def test_classifier_dropout(given, expected):
    options = {"hidden_dropout_prob": 0.3, "classifier_dropout_prob": given}
    model = build(AlbertForSequenceClassification, **options)
    assert model.dropout.p == expected
    assert build(AlbertForPreTraining, **options).sop_classifier.dropout.p == expected
    torch.manual_seed(0)
    model.albert.eval()
    model.dropout.train()
    still = model.classifier(model.albert(**batch())[1])
    assert same(model(**batch()).logits, still) == (expected == 0)


def test_the_seed_decides_initial_weights_and_dropout():
    def made(seed):
        torch.manual_seed(seed)
        model = AlbertForMaskedLM(build(AlbertModel, **DROPOUT).config).train()
        return model, model(**batch()).logits

    (first, a), (second, b), (third, c) = made(1), made(1), made(2)
    for name, parameter in first.named_parameters():
        assert same(second.get_parameter(name), parameter), name
    assert same(a, b)
    assert not same(a, c)
    table = first.get_input_embeddings().weight
    assert not same(third.get_input_embeddings().weight, table)
    assert 0 < table.abs().max() <= 2 * first.config.initializer_range
    torch.manual_seed(1)
    assert not same(first(**batch()).logits, first(**batch()).logits)


def test_modules_on_their_own_have_initial_weights():
    model = build(AlbertModel)
    for module in model.modules():
        if type(module).__name__ in ("Linear", "Embedding"):
            made = type(module)(*module.weight.T.shape)
            assert made.weight.isfinite().all()
            assert 0 < made.weight.abs().max() < 10


def test_the_row_of_padding_gets_no_gradient():
    model = build(AlbertForQuestionAnswering)
    ids = torch.tensor([[0, 7, 0, 9]])
    model(ids).start_logits.square().sum().backward()
    gradient = model.get_input_embeddings().weight.grad
    touched = gradient.abs().sum(1).nonzero().flatten()
    assert touched.tolist() == [7, 9]
    other = build(AlbertForQuestionAnswering, pad_token_id=None)
    other(ids).start_logits.square().sum().backward()
    gradient = other.get_input_embeddings().weight.grad
    assert gradient.abs().sum(1).nonzero().flatten().tolist() == [0, 7, 9]
    # A tied decoder reads the row too, and that gradient is real.
    tied = build(AlbertForMaskedLM)
    tied(ids).logits.square().sum().backward()
    assert tied.get_input_embeddings().weight.grad[0].any()
