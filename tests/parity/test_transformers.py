"""Live comparison with transformers 5 in PyTorch, in the same process, in float64.

Not compared, because transformers 5 differs or cannot: relative positions and head
masks (it has none), rows of padding only (undefined there under sdpa), attention
probabilities under sdpa (it returns none), and training with dropout after the
feed-forward (it creates that dropout but never calls it).
"""

import numpy as np
import pytest
import torch
import transformers

import albert_torch
from albert_core.schema import BASE
from albert_zoo.parity.budgets import GRADIENT_FLOOR, STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.conftest import THEIRS, tiny, write

transformers.utils.logging.set_verbosity_error()

CONFIGS = {
    "groups": {},
    "one_inner": {"inner_group_num": 1},
    "same_size": {"embedding_size": 12},
    "eps": {"layer_norm_eps": 1e-3},
    "untied": {"tie_word_embeddings": False},
}
CONFIGS |= {
    act: {"hidden_act": act, "num_hidden_layers": 2}
    for act in ("gelu", "relu", "silu", "swish", "quick_gelu", "tanh", "linear")
}
CASES = [(name, "ForPreTraining") for name in CONFIGS]
CASES += [("groups", head) for head in THEIRS if head != "ForPreTraining"]
LABELS = {
    "single_label_classification": np.array([3, 0, 1, 2, 1], np.int32),
    "regression": np.linspace(-2, 2, 20).reshape(5, 4),
    "multi_label_classification": np.tile([0.0, 1.0, 1.0, 0.0, 1.0], 4).reshape(5, 4),
}


def theirs_from(folder, head, attention):
    """Their model of a checkpoint, which must hold exactly its parameters."""
    model, info = getattr(transformers, f"Albert{head}").from_pretrained(
        folder,
        attn_implementation=attention,
        dtype=torch.float64,
        output_loading_info=True,
    )
    for key in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        assert not info[key], (key, info[key])
    return model


def ours_from(folder, head, attention):
    """Our model of a checkpoint, which must hold exactly its parameters."""
    model, info = getattr(albert_torch, f"Albert{head}").from_pretrained(
        folder,
        attn_implementation=attention,
        dtype=torch.float64,
        output_loading_info=True,
    )
    assert not any(info.values()), info
    return model


def tensors(inputs):
    return {
        k: torch.from_numpy(v).to(torch.float64 if v.dtype.kind == "f" else torch.long)
        for k, v in inputs.items()
    }


def rows_with_tokens(config, head):
    """The rows of the main batch that hold a token."""
    made = batches(config, head)["rows"]
    return tensors({k: v[:-1] for k, v in made.items()})


def error(found, expected):
    """Relative Frobenius error; a NaN is an error."""
    assert found.shape == expected.shape
    found, expected = found.detach(), expected.detach()
    off = torch.linalg.norm(found - expected)
    return float(torch.nan_to_num(off / (torch.linalg.norm(expected) or 1.0), nan=9.0))


def assert_same(ours, theirs, inputs, attention):
    """Every output, hidden state, probability and gradient is the same."""
    asked = {"output_hidden_states": True, "output_attentions": attention == "eager"}
    found, expected = ours(**inputs, **asked), theirs(**inputs, **asked)
    inner = ours.config.inner_group_num
    states = found.pop("hidden_states")
    assert len(states) == ours.config.num_hidden_layers + 1
    for ours_of, theirs_of in zip(states, expected.hidden_states[::inner], strict=True):
        assert error(ours_of, theirs_of) <= STRUCTURE
    for name in [k for k in expected if k not in ("hidden_states", "attentions")]:
        assert error(found[name], expected[name]) <= STRUCTURE, name
    if attention == "eager":
        for a, b in zip(found.attentions, expected.attentions, strict=True):
            assert error(a, b) <= STRUCTURE
    if "loss" not in expected:
        return
    found.loss.backward()
    expected.loss.backward()
    wanted = dict(theirs.named_parameters())
    if ours.config.has_own_decoder:  # theirs decodes with a bias of the decoder's own
        wanted["predictions.bias"] = wanted.pop("predictions.decoder.bias")
    assert dict(ours.named_parameters()).keys() == wanted.keys()
    for name, parameter in ours.named_parameters():
        a, b = parameter.grad, wanted[name].grad
        assert (a is None) == (b is None), name
        if a is not None:
            # A small gradient is what is left of larger terms, and has their rounding.
            size = max(float(b.abs().max()), GRADIENT_FLOOR)
            assert float((a - b).abs().max()) <= STRUCTURE * size, name


@pytest.mark.parametrize(("name", "head"), CASES, ids=str)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_their_checkpoints_load_here_and_compute_the_same(
    name, head, attention, tmp_path
):
    fields = tiny(initializer_range=0.3, **CONFIGS[name]).to_dict()
    if head in ("ForPreTraining", "ForQuestionAnswering"):  # theirs follow num_labels
        del fields["id2label"], fields["label2id"]
    torch.manual_seed(0)
    model_class = getattr(transformers, f"Albert{head}")
    made = model_class(transformers.AlbertConfig(**fields)).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    made.save_pretrained(tmp_path)
    theirs = theirs_from(tmp_path, head, attention)
    ours = ours_from(tmp_path, head, attention)
    inputs = rows_with_tokens(ours.config, head)
    assert_same(ours, theirs, inputs, attention)


@pytest.mark.parametrize(("name", "head"), CASES, ids=str)
def test_our_checkpoints_load_there_and_compute_the_same(name, head, tmp_path):
    labels = 2 if head in ("ForPreTraining", "ForQuestionAnswering") else 4
    config = tiny(**{"num_labels": labels, **CONFIGS[name]})
    first = ours_from(write(tmp_path / "made", config, head), head, "sdpa")
    first.save_pretrained(tmp_path / "saved", max_shard_size="4KB")
    assert (tmp_path / "saved" / "model.safetensors.index.json").exists()
    ours = ours_from(tmp_path / "saved", head, "sdpa")
    theirs = theirs_from(tmp_path / "saved", head, "sdpa")
    assert_same(ours, theirs, rows_with_tokens(config, head), "sdpa")


@pytest.mark.parametrize("problem", [*LABELS, "not named"])
def test_the_losses_of_every_problem_are_theirs(problem, tmp_path):
    head = "ForSequenceClassification"
    if problem in LABELS:
        config, labels = tiny(problem_type=problem), LABELS[problem]
    else:
        config, labels = tiny(num_labels=1), np.linspace(-1, 1, 5)
    write(tmp_path, config, head)
    ours = ours_from(tmp_path, head, "sdpa")
    theirs = theirs_from(tmp_path, head, "sdpa")
    inputs = rows_with_tokens(config, "Model")
    assert_same(ours, theirs, {**inputs, **tensors({"labels": labels})}, "sdpa")
    assert ours.config.problem_type == theirs.config.problem_type


@pytest.mark.parametrize("head", THEIRS)
def test_state_dicts_have_their_keys_and_load_both_ways(head, tmp_path):
    labels = 2 if head in ("ForPreTraining", "ForQuestionAnswering") else 4
    config = tiny(num_labels=labels)
    ours = ours_from(write(tmp_path, config, head), head, "sdpa")
    fresh = transformers.AlbertConfig.from_pretrained(tmp_path)
    theirs = getattr(transformers, f"Albert{head}")(fresh).double().eval()
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    inputs = rows_with_tokens(config, head)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    assert error(ours(**inputs)[0], theirs(**inputs)[0]) <= STRUCTURE
    again = getattr(albert_torch, f"Albert{head}")(config).double().eval()
    assert error(again(**inputs)[0], theirs(**inputs)[0]) > STRUCTURE
    again.load_state_dict(theirs.state_dict(), strict=True)
    assert error(again(**inputs)[0], theirs(**inputs)[0]) <= STRUCTURE


def test_training_without_dropout_and_embeddings_as_inputs_are_theirs(tmp_path):
    config = tiny(classifier_dropout_prob=0.0, num_labels=2)
    write(tmp_path, config, "ForPreTraining")
    ours = ours_from(tmp_path, "ForPreTraining", "sdpa").train()
    theirs = theirs_from(tmp_path, "ForPreTraining", "sdpa").train()
    inputs = rows_with_tokens(config, "ForPreTraining")
    inputs["position_ids"] = torch.arange(23)[None].flip(1).expand(5, -1)
    ids = inputs.pop("input_ids")
    inputs["inputs_embeds"] = ours.get_input_embeddings()(ids).detach()
    assert_same(ours, theirs, inputs, "sdpa")


def test_a_base_model_without_pooler_is_theirs(tmp_path):
    config = tiny()
    write(tmp_path, config, BASE, pools=False)
    ours = albert_torch.AlbertModel.from_pretrained(
        tmp_path, add_pooling_layer=False, dtype=torch.float64
    )
    theirs = transformers.AlbertModel.from_pretrained(
        tmp_path, add_pooling_layer=False, dtype=torch.float64
    )
    assert_same(ours, theirs, rows_with_tokens(config, BASE), "sdpa")
