"""int8: what it is defined to be, where it is, and where it is refused."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest

from albert_core import int8
from albert_core.errors import ConfigError, InputError
from albert_core.fast import fast_paths
from albert_core.optimization import OPTIMIZERS
from albert_core.packing import pack
from albert_core.reference import Reference
from albert_zoo import load_model, predictors
from albert_zoo.backends import flatten
from albert_zoo.parity.budgets import STRUCTURE
from albert_zoo.parity.probes import part_of
from tests.backends.adapters import Model
from tests.backends.test_fast_paths import ODD, cases, off, ragged
from tests.conftest import FRAMEWORKS, tiny, weights, write


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


BLOCK = "encoder.albert_layer_groups.0.albert_layers.0"


def quantize(model, framework):
    import_module(f"albert_{framework}.int8").quantize(model)


@pytest.mark.parametrize(("framework", "odd"), list(cases(ODD, ["groups"])))
@pytest.mark.parametrize("fast", [True, False])
def test_it_is_what_it_is_defined_to_be(framework, odd, fast, tmp_path):
    config = tiny(**ODD[odd])
    path = write(tmp_path / "made", config)
    model = Model(framework, path, attn_implementation="sdpa")
    quantize(model.model, framework)
    if framework == "torch":
        from albert_torch.fused import freeze

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
    if fast and (framework != "torch" or odd != "relative"):
        assert not found["last_hidden_state"][mask == 0].any()  # it was the fast path


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_float32_is_as_near_as_it_can_be(framework, made):
    ids, mask = ragged()
    mask[3] = 1
    given = {"input_ids": ids, "attention_mask": mask}
    predictor = getattr(predictors, f"{framework}_predictor")
    plain, model = (
        load_model(made, framework=framework, dtype=dtype) for dtype in (None, "int8")
    )
    wanted = predictor(plain).run(given, ["logits"])["logits"]
    found = predictor(model).run(given, ["logits"])["logits"]
    assert 1e-4 < off(found, wanted, mask) < 0.1
    again = model(**{k: tensor_of(framework, x) for k, x in given.items()}).logits
    assert off(np.asarray(again), found, mask) < 1e-2  # in other numbers of rows


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_rows_are_rounded_alike_to_the_bit(framework):
    rng = np.random.default_rng(0)
    halves = np.append(rng.integers(-126, 126, (300, 99)) + 0.5, [[127]] * 300, 1)
    # Between two steps, where the last bit decides.
    rows = (halves * rng.uniform(0.001, 1, (300, 1))).astype(np.float32)
    module = import_module(f"albert_{framework}.int8")
    found = module.quantised(array_of(framework, rows))
    for one, wanted in zip(found, int8.quantised(rows), strict=True):
        assert (np.asarray(one) == wanted).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weights_are_in_whole_numbers(framework, made):
    import jax

    model = load_model(made, framework=framework, dtype="int8")
    base = model.module.albert if framework == "flax" else model.albert
    layer = part_of(base, f"{BLOCK}.ffn")
    name = layer.values.dtype if framework != "flax" else layer.values[...].dtype
    assert "int8" in str(name)
    if framework == "torch":
        assert not any(p.requires_grad for p in model.parameters())
    elif framework == "tf":
        held = [v.path for v in model.weights if "ffn" in v.path]
        assert not [path for path in held if path.endswith("kernel")]
        assert not model.trainable_variables
    else:  # but the parameters stay
        assert {str(x.dtype) for x in jax.tree.leaves(model.params)} == {"float32"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_row_of_zeros_and_one_of_no_numbers(framework, made):
    model = load_model(made, framework=framework, dtype="int8")
    base = model.module.albert if framework == "flax" else model.albert
    layer = part_of(base, f"{BLOCK}.ffn")
    rows = np.zeros((3, model.config.hidden_size), np.float32)
    rows[1:, 1], rows[1, 2] = 1, np.nan

    def run(rows):
        found = layer(array_of(framework, rows))
        return np.asarray(found.detach() if framework == "torch" else found)

    bias = layer.bias.detach() if framework == "torch" else layer.bias
    found = run(rows)
    assert (found[0] == np.asarray(bias)).all()
    assert np.isnan(found[1]).all()
    assert np.isfinite(found[2]).all()
    assert run(rows[:0]).shape == (0, model.config.intermediate_size)


def test_half_precision_goes_through(made):
    model = load_model(made, framework="torch", dtype="int8").bfloat16()
    found = model(torch_ids()).logits
    assert found.dtype.itemsize == 2
    assert found.isfinite().all()


def slope(framework, model):
    """The gradient of a sum of logits, by the word embeddings that go in."""
    embeds = np.ones((1, 4, model.config.embedding_size), np.float32)
    if framework == "torch":
        import torch

        x = torch.from_numpy(embeds).requires_grad_()
        model(inputs_embeds=x).logits.sum().backward()
    elif framework == "tf":
        import tensorflow as tf

        x = tf.Variable(embeds)
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(model(inputs_embeds=x).logits)
        tape.gradient(total, x)
    else:
        import jax

        jax.grad(lambda x: model(inputs_embeds=x).logits.sum())(jax.numpy.array(embeds))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradients_are_refused_and_not_made_up(framework, made):
    model = load_model(made, framework=framework, dtype="int8")
    with pytest.raises(InputError, match=r"only predicts.*another dtype"):
        slope(framework, model)
    training = import_module(f"albert_{framework}.training")
    with pytest.raises(InputError, match=r"only predicts.*another dtype\."):
        training.Training(model, OPTIMIZERS["adamw"])
    slope(framework, load_model(made, framework=framework))


def test_graphs_of_tensorflow_refuse_gradients_too(made):
    import tensorflow as tf

    model = load_model(made, framework="tf", dtype="int8")
    embeds = np.ones((1, 4, model.config.embedding_size), np.float32)

    def slopes(x):
        return tf.gradients(model(inputs_embeds=x).logits, x)[0]

    with pytest.raises(tf.errors.InvalidArgumentError, match="int8 only predicts"):
        tf.function(slopes)(tf.constant(embeds))
    found = tf.function(slopes, jit_compile=True)(tf.constant(embeds))
    assert np.isnan(found).all()


def test_keras_does_not_fit_it(made):
    model = load_model(made, framework="tf", dtype="int8")
    model.compile(optimizer="sgd")
    ids, _ = ragged()
    with pytest.raises(InputError, match="int8 only predicts"):
        model.fit({"input_ids": ids, "labels": ids}, verbose=0)


def test_jax_rounds_what_float32_holds(made):
    """Also of a checkpoint in half precision, for calls and predictors alike."""
    import jax.numpy as jnp

    plain = load_model(made, framework="flax")
    plain.params = plain.to_bf16(plain.params)
    plain.save_pretrained(made.with_name("half"))
    model = load_model(made.with_name("half"), framework="flax", dtype="int8")
    layer = part_of(model.module.albert, f"{BLOCK}.ffn")
    kernel = plain.params["albert"]["encoder"]["albert_layer_groups"]["0"]
    kernel = kernel["albert_layers"]["0"]["ffn"]["kernel"]
    assert kernel.dtype == jnp.bfloat16
    wanted, _ = int8.quantised(np.asarray(kernel.T, np.float32))
    assert (np.asarray(layer.values[...]) == wanted).all()


def test_pytorch_predicts_without_gradients(made):
    import torch

    model = load_model(made, framework="torch", dtype="int8")
    embeds = torch.randn(1, 4, model.config.embedding_size, requires_grad=True)
    with pytest.raises(InputError, match=r"or call it under torch\.no_grad"):
        model(inputs_embeds=embeds)
    with torch.no_grad():
        assert model(inputs_embeds=embeds).logits.isfinite().all()


def test_jax_refuses_gradients_of_parameters(made):
    import jax

    model = load_model(made, framework="flax", dtype="int8")
    ids = np.array([[2, 5, 3]])
    with pytest.raises(InputError, match="only predicts"):
        jax.grad(lambda p: model(ids, params=p).logits.sum())(model.params)


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


def test_a_processor_that_it_is_slow_on(made, monkeypatch, caplog):
    import torch

    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: False)
    load_model(made, framework="torch", dtype="int8")
    assert "no AVX512-VNNI, without which int8 is slow" in caplog.text


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_sums_that_overflow_are_refused(framework, made, monkeypatch):
    module = import_module(f"albert_{framework}.int8")
    sums = module._sums

    def short(rows, values):
        found = sums(rows, values)
        return found - found % 2**15  # as if of 16 bits

    monkeypatch.setattr(module, "_sums", short)
    with pytest.raises(InputError, match=r"Sums of int8 overflow.*Give another dtype"):
        load_model(made, framework=framework, dtype="int8")


def torch_ids():
    return tensor_of("torch", ragged()[0])


def tensor_of(framework, ids):
    return array_of(framework, ids).long() if framework == "torch" else ids


def array_of(framework, array):
    if framework == "torch":
        import torch

        return torch.from_numpy(array)
    import jax

    return jax.numpy.asarray(array) if framework == "flax" else array


@pytest.mark.parametrize("framework", ["torch", "tf"])
def test_what_it_cannot_do_is_refused(framework, made, tmp_path):
    model = load_model(made, framework=framework, dtype="int8")
    for refused in (
        lambda: model.save_pretrained(tmp_path / "saved"),
        lambda: model.prune_heads({0: [0]}),
        model.canonical_arrays,
    ):
        with pytest.raises(InputError, match=r"lost its weights to int8.*Take the one"):
            refused()
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_weights_are_counted_as_before(framework, made):
    plain, model = (
        load_model(made, framework=framework, dtype=dtype) for dtype in (None, "int8")
    )
    assert model.num_parameters() == plain.num_parameters()
    if framework != "flax":  # where the optimizer decides what trains
        assert model.num_parameters(only_trainable=True) == 0


def test_tensorflow_exports_it(made, tmp_path):
    import tensorflow as tf

    model = load_model(made, framework="tf", dtype="int8")
    model.export(str(tmp_path / "served"), verbose=False)
    ids, mask = ragged()
    given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": mask * 0}
    served: Any = tf.saved_model.load(tmp_path / "served")
    found = served.serve({k: tf.constant(x) for k, x in given.items()})["logits"]
    assert off(found, model(**given).logits, mask) < 1e-2


def test_keras_files_cannot_hold_it(made, tmp_path):
    model = load_model(made, framework="tf", dtype="int8")
    with pytest.raises(InputError, match="lost its weights to int8"):
        model.save(tmp_path / "whole.keras")


def test_jax_keeps_what_int8_was_made_of(made, tmp_path):
    model = load_model(made, framework="flax", dtype="int8")
    model.save_pretrained(tmp_path / "saved")
    found = load_model(tmp_path / "saved", framework="flax").canonical_arrays()
    wanted = load_model(made, framework="flax").canonical_arrays()
    assert all((found[name] == wanted[name]).all() for name in wanted)
    model.prune_heads({0: [0]})
    assert np.isfinite(model(ragged()[0]).logits).all()


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_names_of_number_types(framework, made):
    own = import_module(
        {"tf": "tensorflow", "flax": "jax.numpy"}.get(framework, "torch")
    )
    is_int8 = import_module(f"albert_{framework}.int8").is_int8
    assert is_int8(load_model(made, framework=framework, dtype=own.int8))
    assert not is_int8(load_model(made, framework=framework))
    assert is_int8(load_model(made, framework=framework, dtype=np.dtype("int8")))
    for odd in ("uint8", own.int16):
        with pytest.raises(ConfigError, match=r"dtype must be .*int8.*, not"):
            load_model(made, framework=framework, dtype=odd)


def test_it_is_for_a_processor(made):
    with pytest.raises(InputError, match=r"the model is on meta\. Put it on the CPU"):
        load_model(made, framework="torch", dtype="int8", device_map="meta")


@pytest.mark.parametrize(
    ("framework", "place", "options"),
    [
        ("torch", "cpu", {}),
        ("tf", "device:CPU:0", {}),
        ("flax", "cpu", {}),
        ("flax", "cpu", {"_do_init": False}),
    ],
)
def test_the_place_of_the_weights_is_looked_at(
    framework, place, options, made, monkeypatch
):
    seen = []
    module = import_module(f"albert_{framework}.int8")
    monkeypatch.setattr(module, "check_place", seen.append)
    load_model(made, framework=framework, dtype="int8", **options)
    assert set(seen) == {place}


@pytest.mark.parametrize("place", ["cuda:0", "device:GPU:0", "tpu"])
def test_other_devices_are_refused(place):
    with pytest.raises(InputError, match=f"is on {place}.*or give another dtype"):
        int8.check_place(place)
