"""int8 in PyTorch: what it is defined to be, where it is, and where it is refused."""

import numpy as np
import pytest

from albert_core import int8
from albert_core.errors import ConfigError, InputError
from albert_core.fast import fast_paths
from albert_core.packing import pack
from albert_core.reference import Reference
from albert_zoo import load_model, predictors
from albert_zoo.backends import flatten
from albert_zoo.parity.budgets import STRUCTURE
from tests.backends.adapters import Model
from tests.backends.test_fast_paths import ODD, off, ragged
from tests.conftest import tiny, weights, write


class Rounded(Reference):
    """The reference with the products of its layers in int8."""

    def dense(self, x, layer):
        name = f"{layer}.weight"
        if not int8.is_product(name):
            return super().dense(x, layer)
        return int8.dense(x, self.weights[name], self.weights[f"{layer}.bias"])


@pytest.fixture
def made(tmp_path):
    return write(tmp_path / "made", tiny(), "ForMaskedLM")


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("fast", [True, False])
def test_it_is_what_it_is_defined_to_be(odd, fast, tmp_path):
    from albert_torch.fused import freeze
    from albert_torch.int8 import quantize

    config = tiny(**ODD[odd])
    path = write(tmp_path / "made", config)
    model = Model("torch", path, attn_implementation="sdpa")
    quantize(model.model)
    freeze(model.model)
    ids, mask = ragged()
    wanted = flatten(
        Rounded(config, weights(config))(input_ids=ids, attention_mask=mask), np.asarray
    )
    given = {"input_ids": ids, "attention_mask": pack(mask) if fast else mask}
    with fast_paths(fast):
        found = model(**given, output_hidden_states=True, output_attentions=False)
    for name in (name for name in found if name.startswith(("last_", "hidden"))):
        assert off(found[name], wanted[name], mask) <= STRUCTURE, name
    if fast and odd != "relative":
        assert not found["last_hidden_state"][mask == 0].any()  # it was the fast path


def test_float32_is_as_near_as_it_can_be(made):
    model = load_model(made, framework="torch", dtype="int8")
    plain = load_model(made, framework="torch")
    ids, mask = ragged()
    mask[3] = 1
    given = {"input_ids": ids, "attention_mask": mask}
    found, wanted = (
        predictors.torch_predictor(m).run(given, ["logits"])["logits"]
        for m in (model, plain)
    )
    assert 1e-4 < off(found, wanted, mask) < 0.1
    layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0].ffn
    assert layer.values.dtype.itemsize == 1


def test_a_row_of_zeros_and_one_of_no_numbers():
    import torch

    from albert_torch.int8 import Int8Linear

    layer = Int8Linear(torch.nn.Linear(3, 2))
    x = torch.tensor([[0.0, 0, 0], [1, 2, float("nan")], [1, 2, 3]])
    found = layer(x)
    assert found[0].equal(layer.bias)
    assert found[1].isnan().all()
    assert found[2].isfinite().all()
    assert layer(x[:0]).shape == (0, 2)


def test_half_precision_goes_through(made):
    model = load_model(made, framework="torch", dtype="int8").bfloat16()
    found = model(torch_ids()).logits
    assert found.dtype.itemsize == 2
    assert found.isfinite().all()


def test_gradients_are_refused_and_not_made_up(made):
    import torch

    model = load_model(made, framework="torch", dtype="int8")
    embeds = torch.randn(1, 4, model.config.embedding_size, requires_grad=True)
    with pytest.raises(
        InputError, match=r"only predicts.*another dtype, or call it un"
    ):
        model(inputs_embeds=embeds)
    with torch.no_grad():
        assert model(inputs_embeds=embeds).logits.isfinite().all()


def test_changed_weights_are_seen(made):
    import torch

    from albert_torch.fused import freeze

    model = load_model(made, framework="torch", dtype="int8")
    freeze(model)
    layer = model.albert.encoder.albert_layer_groups[0].albert_layers[0]
    with torch.no_grad():  # else there is no fast path
        before = model(torch_ids()).logits
        layer.attention.value.scales.mul_(3)
        found = model(torch_ids()).logits
        with fast_paths(False):
            wanted = model(torch_ids()).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, before, atol=1e-3)


def test_processors_that_it_is_not_for(made, monkeypatch, caplog):
    import torch

    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    load_model(made, framework="torch", dtype="int8")
    assert "no AVX512-VNNI, without which int8 is slow" in caplog.text
    product = torch._int_mm
    monkeypatch.setattr(torch, "_int_mm", lambda a, b: product(a, b).clamp(max=32767))
    with pytest.raises(InputError, match=r"Sums of int8 overflow.*Give another dtype"):
        load_model(made, framework="torch", dtype="int8")


def torch_ids():
    import torch

    return torch.from_numpy(ragged()[0]).long()


def test_what_it_cannot_do_is_refused(made, tmp_path):
    import torch

    from albert_torch.int8 import is_int8

    model = load_model(made, framework="torch", dtype="int8")
    assert not any(p.requires_grad for p in model.parameters())
    for refused in (
        lambda: model.save_pretrained(tmp_path / "saved"),
        lambda: model.prune_heads({0: [0]}),
        model.canonical_arrays,
    ):
        with pytest.raises(InputError, match=r"lost its weights to int8.*Take the one"):
            refused()
    assert not (tmp_path / "saved").exists()
    for framework in ("tf", "flax"):
        with pytest.raises(InputError, match=f"not in {framework}.*Give the framework"):
            load_model(made, framework=framework, dtype="int8")
    for odd in ("int4", torch.int16):
        with pytest.raises(ConfigError, match=f"bfloat16, int8, not {odd!r}"):
            load_model(made, framework="torch", dtype=odd)
    assert is_int8(load_model(made, framework="torch", dtype=torch.int8))
    with pytest.raises(InputError, match=r"the model is on meta\. Give device='cpu'"):
        load_model(made, framework="torch", dtype="int8", device_map="meta")
