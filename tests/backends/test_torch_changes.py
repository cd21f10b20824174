"""Changing PyTorch models: vocabulary, heads, ties, copies, and what they count."""

import copy
import inspect
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import albert_torch
from albert_core import schema
from albert_core.errors import ConfigError, InputError
from albert_core.presets import PRESETS
from albert_core.reference import Reference
from albert_torch import AlbertForMaskedLM, AlbertForPreTraining, AlbertModel
from albert_zoo.parity.budgets import STRUCTURE
from tests.backends.torch_models import batch, build, same
from tests.conftest import tiny

HEADS = {head: getattr(albert_torch, f"Albert{head}") for head in schema.HEADS}
DECODERS = [AlbertForMaskedLM, AlbertForPreTraining]
TIED = pytest.mark.parametrize("tied", [True, False], ids=["tied", "untied"])


def exact(model, **inputs):
    """The first output of the reference for a model's weights."""
    reference = Reference(model.config, model.canonical_arrays(), model.head)
    found = reference(**{k: v.numpy() for k, v in inputs.items()})
    return torch.from_numpy(found[0])


def assert_computes_its_weights(model):
    """The model is what the reference makes of its weights, and trains."""
    model.double().eval()
    wanted = exact(model, **batch())
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        found = model(**batch())[0]
        assert (found - wanted).norm() <= STRUCTURE * wanted.norm()
    model.zero_grad()
    model(**batch())[0].square().sum().backward()
    assert all(
        p.grad is not None and p.grad.shape == p.shape
        for n, p in model.named_parameters()
        if not n.startswith(("sop_", "albert.pooler", "pooler"))
    )


@TIED
@pytest.mark.parametrize("model_class", DECODERS)
@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [(40, None, 40), (33, 8, 40), (None, 16, 32), (11, None, 11), (31, None, 31)],
)
def test_another_vocabulary(model_class, tied, size, multiple, expected, tmp_path):
    model = build(model_class, tie_word_embeddings=tied)
    before = copy.deepcopy(model)
    table = model.resize_token_embeddings(size, pad_to_multiple_of=multiple)
    assert table is model.get_input_embeddings()
    assert model.config.vocab_size == expected
    assert (table.num_embeddings, table.padding_idx) == (expected, 0)
    decoder = model.get_output_embeddings()
    assert decoder.out_features == expected
    assert decoder.bias is model.predictions.bias
    assert (decoder.weight is table.weight) == tied
    kept = min(31, expected)
    for name, new in model.named_parameters():
        old = before.get_parameter(name)
        if schema.base_name(name) in (
            "embeddings.word_embeddings.weight",
            "predictions.decoder.weight",
            "predictions.bias",
        ):
            assert new.shape == (expected, *old.shape[1:])
            assert same(new[:kept], old[:kept])
            close = 1e-3 if new.ndim > 1 else 1e-6
            mean = old.mean(0, keepdim=True).expand(new[kept:].shape)
            assert kept == expected or same(new[kept:], mean, close)
        else:
            assert same(new, old), name
    count = sum(p.size for p in schema.parameters(model.config, model.head))
    assert model.num_parameters() == count
    model.save_pretrained(tmp_path)
    found = model_class.from_pretrained(tmp_path)
    assert same(found(**few())[0], model(**few())[0])
    assert found(**few())[0].shape == (3, 9, expected)
    if expected >= 31:
        assert_computes_its_weights(model)


def few():
    """Rows whose ids are in every vocabulary."""
    made = batch()
    made["input_ids"] = made["input_ids"] % 11
    return made


def test_new_rows_may_start_as_initial_weights():
    torch.manual_seed(0)
    model = build(AlbertModel)
    model.resize_token_embeddings(431, mean_resizing=False)
    new = model.get_input_embeddings().weight[31:]
    assert abs(new.std() / model.config.initializer_range - 1) < 0.1
    assert abs(new.mean()) < 0.1 * model.config.initializer_range


def test_frozen_tables_stay_frozen_and_keep_their_type():
    model = build(AlbertForMaskedLM).bfloat16()
    model.get_input_embeddings().requires_grad_(False)
    model.resize_token_embeddings(40)
    assert not model.get_input_embeddings().weight.requires_grad
    assert model.predictions.bias.requires_grad
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert model(**batch()).logits.isfinite().all()


@pytest.mark.parametrize(
    ("size", "multiple", "message"),
    [
        (0, None, "new_num_tokens must be an integer from 1"),
        (3.5, None, "new_num_tokens must be an integer from 1 to .*, not 3.5"),
        (40, -8, "pad_to_multiple_of must be an integer from 1 to .*, not -8"),
        (20, None, "A vocabulary of 20 has no entry 24, which is pad_token_id"),
    ],
)
def test_vocabularies_that_cannot_be(size, multiple, message):
    model = build(AlbertForMaskedLM, pad_token_id=24)
    with pytest.raises(ConfigError, match=message):
        model.resize_token_embeddings(size, pad_to_multiple_of=multiple)
    assert model.config.vocab_size == model(**batch()).logits.shape[-1] == 31


@TIED
def test_other_word_embeddings(tied):
    model = build(AlbertForMaskedLM, tie_word_embeddings=tied)
    old = model(**batch()).logits
    table = nn.Embedding(31, 5)
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is table
    assert model.albert.embeddings.word_embeddings is table
    assert (model.get_output_embeddings().weight is table.weight) == tied
    assert not same(model(**batch()).logits, old)
    assert_computes_its_weights(model)
    assert build(AlbertModel).get_output_embeddings() is None
    message = r"\(40, 5\), but the model's is \(31, 5\).*resize_token_embeddings"
    with pytest.raises(InputError, match=message):
        model.set_input_embeddings(nn.Embedding(40, 5))


@pytest.mark.parametrize("head", HEADS)
def test_pruning_is_what_silencing_the_heads_is(head, tmp_path):
    model = build(HEADS[head]).double()
    inputs = batch()
    if head == "ForMultipleChoice":
        inputs = {k: x[None] for k, x in inputs.items()}
    # Of every block the same heads, so that one mask fits the layers of all of them.
    mask = torch.tensor([1.0, 0, 1])
    wanted = model(**inputs, head_mask=mask)
    full = model.num_parameters()
    model.prune_heads({block: [1] for block in range(4)})
    found = model(**inputs)
    for name in wanted:
        error = (found[name] - wanted[name]).double().norm()
        assert error <= STRUCTURE * wanted[name].double().norm()
    # A third of query, key, value and dense goes, but not the bias of dense.
    assert full - model.num_parameters() == 4 * (4 * 4 * 12 + 3 * 4)
    assert model.config.pruned_heads == {block: [1] for block in range(4)}
    model.save_pretrained(tmp_path)
    again = HEADS[head].from_pretrained(tmp_path, dtype=torch.float64)
    assert same(again(**inputs)[0], model(**inputs)[0])
    assert again.config.pruned_heads == model.config.pruned_heads


def test_pruning_again_counts_heads_as_they_were(tmp_path):
    model = build(AlbertModel).double()
    block = model.encoder.albert_layer_groups[1].albert_layers[0]
    rows = block.attention.query.weight.detach().clone()
    model.prune_heads({2: [0]})
    block = model.encoder.albert_layer_groups[1].albert_layers[0]
    assert same(block.attention.query.weight, rows[4:])
    model.prune_heads({2: [2], 0: [1]})
    block = model.encoder.albert_layer_groups[1].albert_layers[0]
    assert same(block.attention.query.weight, rows[4:8])
    assert model.config.pruned_heads == {0: [1], 2: [0, 2]}
    assert_computes_its_weights(model)
    for silenced in (torch.tensor([0.5, 0.25, 2]), torch.rand(6, 3).double()):
        reference = Reference(model.config, model.canonical_arrays())
        inputs = {k: v.numpy() for k, v in batch().items()}
        wanted = reference(**inputs, head_mask=silenced.numpy())[0]
        found = model(**batch(), head_mask=silenced)[0].detach().numpy()
        error = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert error <= STRUCTURE


def test_pruning_keeps_mode_type_and_frozen_weights():
    model = build(AlbertModel).bfloat16().train()
    model.encoder.requires_grad_(False)
    model.prune_heads({0: [0]})
    assert all(module.training for module in model.modules())
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}
    assert not any(p.requires_grad for p in model.encoder.parameters())
    assert all(
        m.config is model.config for m in model.modules() if hasattr(m, "config")
    )
    model.set_attn_implementation("eager")
    assert model(**batch())[0].isfinite().all()


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({0: [3]}, r"\[3\]"),
        ({4: [0]}, "pruned_heads"),
        ({1: [0, 1, 2]}, "cuts all 3 heads of block 1"),
    ],
)
def test_heads_that_cannot_be_pruned(heads, message):
    model = build(AlbertModel)
    before = model(**batch())[0]
    with pytest.raises(ConfigError, match=message):
        model.prune_heads(heads)
    assert model.config.pruned_heads == {}
    assert same(model(**batch())[0], before)


@TIED
@pytest.mark.parametrize("head", HEADS)
def test_counts_are_the_schema_s(head, tied):
    model = HEADS[head](tiny(tie_word_embeddings=tied))
    wanted = schema.parameters(model.config, head)
    assert model.num_parameters() == sum(p.size for p in wanted)
    tables = [p for p in wanted if p.kind == "embedding" and "_embeddings" in p.name]
    rest = sum(p.size for p in wanted) - sum(p.size for p in tables)
    assert model.num_parameters(exclude_embeddings=True) == rest
    model.base_model.encoder.requires_grad_(False)
    frozen = sum(p.size for p in wanted if "encoder." in p.name)
    assert model.num_parameters(only_trainable=True) == (
        model.num_parameters() - frozen
    )
    assert {n: tuple(p.shape) for n, p in model.named_parameters()} == {
        p.name: p.shape for p in wanted
    }


@pytest.mark.parametrize("name", PRESETS)
def test_released_models_have_their_parameters(name):
    preset = PRESETS[name]
    with torch.device("meta"):
        model = AlbertModel(preset.config)
    assert model.num_parameters() == preset.parameters


@pytest.mark.parametrize("model_class", HEADS.values())
def test_copies_and_pickles(model_class):
    model = build(model_class)
    inputs = {k: x[None] for k, x in batch().items()}
    if model_class is not HEADS["ForMultipleChoice"]:
        inputs = batch()
    wanted = model(**inputs)
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert same(other(**inputs)[0], wanted[0])
        assert other.num_parameters() == model.num_parameters()
        assert other.config is not model.config
        assert all(
            m.config is other.config for m in other.modules() if hasattr(m, "config")
        )
        with torch.no_grad():
            other.get_input_embeddings().weight.add_(torch.randn(31, 5))
        assert not same(other(**inputs)[0], wanted[0])
        assert same(model(**inputs)[0], wanted[0])
        other.load_state_dict(model.state_dict())
        assert same(other(**inputs)[0], wanted[0])
    with torch.no_grad():
        wanted = model(**inputs)
    for output in (pickle.loads(pickle.dumps(wanted)), copy.deepcopy(wanted)):
        assert type(output) is type(wanted)
        assert list(output) == list(wanted)
        assert same(output[0], wanted[0])


def test_positional_arguments_are_in_hugging_face_s_order():
    order = ["input_ids", "attention_mask", "token_type_ids", "position_ids"]
    order += ["head_mask", "inputs_embeds"]
    flags = ["output_attentions", "output_hidden_states", "return_dict"]
    labels = {"ForPreTraining": ["labels", "sentence_order_label"], "Model": []}
    labels["ForQuestionAnswering"] = ["start_positions", "end_positions"]
    labels["ForQuestionAnsweringBeam"] = [
        *("start_positions", "end_positions"),
        *("is_impossible", "cls_index", "p_mask"),
    ]
    for head, model_class in HEADS.items():
        found = list(inspect.signature(model_class.forward).parameters)[1:]
        assert found == order + labels.get(head, ["labels"]) + flags
