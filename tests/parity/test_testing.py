"""What we offer other people's tests: the plugin, and `assert_parity`."""

import subprocess
import sys

import numpy as np
import pytest

from albert_core.errors import CheckpointError, InputError
from albert_zoo.testing import assert_parity
from tests.conftest import FRAMEWORKS
from tests.parity.recordings import SMALL


@pytest.fixture
def path(make_checkpoint):
    """A small checkpoint of a masked language model, which has dropout in training."""
    return make_checkpoint("ForMaskedLM", hidden_dropout_prob=0.3, **SMALL)


@pytest.fixture
def model(path):
    """It in PyTorch."""
    return torch_model(path)


def torch_model(path, **options):
    from albert_torch import AlbertForMaskedLM

    return AlbertForMaskedLM.from_pretrained(path, **options)


def test_the_plugin_gives_frameworks_and_the_function(albert_frameworks, albert_parity):
    assert albert_frameworks == FRAMEWORKS
    assert albert_parity is assert_parity


def test_the_plugin_loads_nothing_before_it_is_asked():
    code = (
        "import sys, pytest; before = set(sys.modules); "
        "import albert_zoo.pytest_plugin; print(sorted(set(sys.modules) - before))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout == "['albert_zoo', 'albert_zoo.pytest_plugin']\n"


THEIRS = """
from albert_torch import AlbertForMaskedLM

def test_same(albert_parity, albert_frameworks):
    assert "torch" in albert_frameworks
    albert_parity(AlbertForMaskedLM.from_pretrained({path!r}), {path!r})

def test_other(albert_parity):
    model = AlbertForMaskedLM.from_pretrained({path!r})
    model.predictions.bias.data[0] += 1
    albert_parity(model, {path!r})
"""


def test_it_serves_a_strict_project_of_somebody_else(path, tmp_path):
    project = tmp_path / "theirs"
    project.mkdir()
    (project / "test_theirs.py").write_text(THEIRS.format(path=str(path)))
    strict = ["-W", "error", "--strict-markers", "--strict-config", "-n", "1"]
    command = [sys.executable, "-m", "pytest", *strict, "-q", str(project)]
    shown = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=False
    )
    assert "1 failed, 1 passed" in shown.stdout, shown.stdout + shown.stderr
    assert "the first difference is in predictions" in shown.stdout
    assert "albert_zoo/testing.py" not in shown.stdout  # the failure is in their line


def test_the_same_weights_agree_in_two_frameworks(path):
    from albert_tf import TFAlbertForMaskedLM

    other = TFAlbertForMaskedLM.from_pretrained(path)
    assert_parity(torch_model(path), other)
    assert_parity(other, path)


def test_the_same_weights_agree_in_flax(make_checkpoint):
    from albert_flax import FlaxAlbertModel

    path = make_checkpoint(**SMALL)
    model = FlaxAlbertModel.from_pretrained(path)
    inputs = {"input_ids": np.array([[2, 9, 3]])}
    assert_parity(model, path, inputs)


def test_number_types_are_judged_by_their_own_budgets(path, model):
    for dtype in ("float64", "bfloat16"):
        assert_parity(model, torch_model(path, dtype=dtype))


def test_another_number_is_found_and_told(path, model):
    model.albert.pooler = None  # not there in the other one, either
    other = torch_model(path)
    other.predictions.dense.weight.data[0, 0] += 1e-3
    with pytest.raises(AssertionError) as failed:
        assert_parity(model, other)
    message = str(failed.value)
    assert message.startswith(
        "AlbertForMaskedLM (PyTorch, float32) and AlbertForMaskedLM (PyTorch, float32)"
        " differ:\n"
    )
    assert message.count("PASS") == 1
    assert "the first difference is in predictions" in message
    assert "bytes predictions.dense.weight: FAIL (1 of 60 numbers differ)" in message


def test_a_likely_cause_is_told(path, model):
    other = torch_model(path, layer_norm_eps=1e-3)
    with pytest.raises(AssertionError, match=r"layer_norm_eps in the configuration"):
        assert_parity(model, other)


def test_a_user_s_inputs_are_used_with_and_without_labels(path, model):
    ids = [[2, 5, 7, 3]]
    assert_parity(model, path, {"input_ids": ids})
    assert_parity(model, path, {"input_ids": np.array(ids), "labels": np.array(ids)})
    other = torch_model(path)
    other.albert.embeddings.position_embeddings.weight.data[4:] += 1
    with pytest.raises(AssertionError):
        assert_parity(model, other, {"input_ids": ids})  # the weights are compared
    with pytest.raises(InputError, match="input_ids"):
        assert_parity(model, path, {"input_ids": [[99]]})
    with pytest.raises(InputError, match="The input input_ids holds <U1, not numbers"):
        assert_parity(model, path, {"input_ids": [["a"]]})


def test_a_model_is_left_as_it_was(path, model):
    import torch

    model.train()
    model.predictions.eval()
    model.predictions.bias.grad = torch.ones(31)
    torch.set_float32_matmul_precision("high")
    try:
        assert_parity(model, path)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert model.training
    assert model.albert.training
    assert not model.predictions.training
    assert model.predictions.bias.grad.sum() == 31


def test_a_subclass_is_judged_as_what_it_is_derived_from(path, model):
    from albert_torch import AlbertForMaskedLM

    class Mine(AlbertForMaskedLM):
        def forward(self, *arguments, **options):
            found = super().forward(*arguments, **options)
            found.logits = found.logits * (1 + 1e-3)
            return found

    with pytest.raises(AssertionError, match="free logits: FAIL"):
        assert_parity(model, Mine.from_pretrained(path))


def test_a_scale_multiplies_every_budget(path, model):
    assert_parity(model, path, scale=10)
    with pytest.raises(AssertionError, match="All budgets were multiplied with 1e-06"):
        assert_parity(model, path, scale=1e-6)


def test_another_head_is_told(make_checkpoint, model):
    from albert_torch import AlbertModel

    other = AlbertModel.from_pretrained(make_checkpoint(name="other", **SMALL))
    with pytest.raises(AssertionError, match=r"One is AlbertForMaskedLM .* AlbertMod"):
        assert_parity(model, other)


def test_what_is_no_model_of_ours_is_refused(tmp_path, model):
    with pytest.raises(InputError, match="is no model of albert_torch, albert_tf or"):
        assert_parity(object(), model)
    with pytest.raises(CheckpointError, match="nowhere does not exist"):
        assert_parity(model, tmp_path / "nowhere")
