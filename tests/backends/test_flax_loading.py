"""Loading, saving, resizing, pruning and copying Flax models."""

import copy
import gc
import json
import logging
import pickle
import weakref

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding
from safetensors.numpy import load_file, save_file

from albert_core.errors import CheckpointError, ConfigError, InputError
from albert_flax import AlbertConfig, FlaxAlbertForMaskedLM, FlaxAlbertModel
from albert_flax.params import flatten
from tests.backends.flax_models import (
    ALL,
    batch,
    build,
    class_of,
    close,
    expected,
    ids_of,
    quick_compiles,
)
from tests.conftest import tiny


@pytest.fixture(autouse=True)
def quick():
    """Nothing here looks at speed or at the last digits."""
    with quick_compiles():
        yield


def saved(model, path, **options):
    """The folder that a model was saved into."""
    model.save_pretrained(path / "saved", **options)
    return path / "saved"


@pytest.mark.parametrize("head", ALL)
def test_what_is_saved_is_loaded(head, tmp_path):
    model = build(head, num_hidden_groups=2, inner_group_num=2, hidden_act="relu")
    folder = saved(model, tmp_path)
    stored = json.loads((folder / "config.json").read_text())
    assert stored["architectures"] == [f"Albert{head}"]
    assert stored["dtype"] == "float32"
    again, info = class_of(head).from_pretrained(folder, output_loading_info=True)
    assert close(again.params, model.params, 0)
    assert again.config.hidden_act == "relu"
    assert not any(info.values())


def test_other_parameters_can_be_saved_in_several_files(tmp_path):
    model = build("ForMaskedLM", tie_word_embeddings=False)
    doubled = jax.tree.map(lambda x: 2 * np.asarray(x), model.params)
    folder = saved(model, tmp_path, params=doubled, max_shard_size=2000)
    assert len(list(folder.glob("model-*.safetensors"))) > 2
    assert close(FlaxAlbertForMaskedLM.from_pretrained(folder).params, doubled, 0)


def test_msgpack_is_not_written(tmp_path):
    with pytest.raises(ConfigError, match="albert-zoo convert"):
        build().save_pretrained(tmp_path / "saved", safe_serialization=False)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_number_types(dtype, tmp_path):
    with jax.enable_x64(True):
        folder = saved(build(dtype=dtype), tmp_path)
        assert json.loads((folder / "config.json").read_text())["dtype"] == dtype
        kept = FlaxAlbertModel.from_pretrained(folder)
        assert kept.dtype == jnp.float32  # unless asked for something else
        assert {str(x.dtype) for x in jax.tree.leaves(kept.params)} == {dtype}
        ids = ids_of(kept)
        assert kept(ids).last_hidden_state.dtype == jnp.float32
        for asked in ("auto", dtype, jnp.dtype(dtype), getattr(jnp, dtype)):
            model = FlaxAlbertModel.from_pretrained(folder, asked)
            assert model.dtype == dtype
        model = FlaxAlbertModel.from_pretrained(folder, torch_dtype=f"torch.{dtype}")
        assert str(model(ids).last_hidden_state.dtype) == dtype
        wanted = expected(kept, input_ids=ids).last_hidden_state
        assert close(kept(ids).last_hidden_state, wanted, 1e-5)
        assert close(model(ids).last_hidden_state.astype(float), wanted, 0.05)


def test_float64_needs_jax_to_be_set_up(tmp_path):
    folder = saved(build(), tmp_path)
    with pytest.raises(ConfigError, match="JAX computes in float32 where float64 is"):
        FlaxAlbertModel.from_pretrained(folder, dtype="float64")
    with jax.enable_x64(True):
        model = FlaxAlbertModel.from_pretrained(folder, dtype="float64")
        ids = ids_of(model)
        found = model(ids).last_hidden_state
        assert close(found, expected(model, input_ids=ids).last_hidden_state)
        model.params = jax.tree.map(lambda x: np.asarray(x, float) / 3, model.params)
        precise = saved(model, tmp_path / "precise")
    loaded = FlaxAlbertModel.from_pretrained(precise)
    assert close(loaded.params, jax.tree.map(np.float32, model.params), 0)


@pytest.mark.parametrize("dtype", ["int32", "number", 7, "float8"])
def test_other_number_types_are_refused(dtype):
    with pytest.raises(ConfigError, match="dtype "):
        FlaxAlbertModel(tiny(), dtype=dtype)


def test_devices(tmp_path):
    folder = saved(build(), tmp_path)
    device = jax.devices("cpu")[0]
    sharding = SingleDeviceSharding(device)
    for place in ("cpu", device, sharding, {"": "cpu"}, "auto", None):
        model = FlaxAlbertModel.from_pretrained(folder, device_map=place)
        committed = {x.committed for x in jax.tree.leaves(model.params)}
        assert committed == {place not in ("auto", None)}
    with pytest.raises(ConfigError, match="device_map cannot be 'abacus'"):
        FlaxAlbertModel.from_pretrained(folder, device_map="abacus")
    with pytest.raises(ConfigError, match="names 2 devices, but ALBERT shares one"):
        FlaxAlbertModel.from_pretrained(folder, device_map={"a": 0, "b": 1})


def test_parameters_apart_from_the_model(tmp_path):
    whole = build("ForTokenClassification")
    folder = saved(whole, tmp_path)
    load = class_of("ForTokenClassification").from_pretrained
    model, params = load(folder, _do_init=False)
    assert close(params, whole.params, 0)
    with pytest.raises(InputError, match="no parameters"):
        _ = model.params
    ids = ids_of(model)
    assert close(model(ids, params=params), whole(ids), 0)
    _, _, info = load(folder, _do_init=False, output_loading_info=True)
    assert info["missing_keys"] == []


def test_overrides(tmp_path):
    folder = saved(build("ForTokenClassification"), tmp_path)
    load = class_of("ForTokenClassification").from_pretrained
    model = load(folder, hidden_dropout_prob=0.25, output_hidden_states=True)
    assert model.config.hidden_dropout_prob == 0.25
    assert "hidden_states" in model(ids_of(model))
    config = AlbertConfig.from_pretrained(folder, hidden_act="relu")
    assert load(folder, config=config).config.hidden_act == "relu"
    with pytest.raises(CheckpointError, match=r"classifier\.weight: \(4, 12\) in the"):
        load(folder, num_labels=9)
    one, two, same = (
        load(folder, num_labels=9, ignore_mismatched_sizes=True, seed=seed)
        for seed in (1, 2, 1)
    )
    assert one.params["classifier"]["kernel"].shape == (12, 9)
    assert close(one.params, same.params, 0)
    assert not close(one.params["classifier"], two.params["classifier"], 0.1)


def test_between_the_base_and_a_head(tmp_path, caplog):
    base = build()
    folder = saved(base, tmp_path)
    with caplog.at_level(logging.INFO, logger="albert_zoo"):
        model, info = class_of("ForPreTraining").from_pretrained(
            folder, output_loading_info=True
        )
    assert "random initial values" in caplog.text
    assert len(info["missing_keys"]) == 7
    assert close(model.params["albert"], base.params, 0)
    caplog.clear()
    with caplog.at_level(logging.INFO, logger="albert_zoo"):
        back = FlaxAlbertModel.from_pretrained(saved(model, tmp_path / "back"))
    assert close(back.params, base.params, 0)
    assert "weights of another head were left" in caplog.text
    without, info = FlaxAlbertModel.from_pretrained(
        folder, add_pooling_layer=False, output_loading_info=True
    )
    assert "pooler" not in without.params
    assert without(ids_of(without)).get("pooler_output") is None
    assert sorted(info["unexpected_keys"]) == ["pooler.bias", "pooler.weight"]


def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path):
    folder = saved(build(), tmp_path)
    arrays = load_file(folder / "model.safetensors")
    arrays["strange"] = arrays.pop("embeddings.LayerNorm.bias")
    save_file(arrays, folder / "model.safetensors")
    with pytest.raises(CheckpointError) as caught:
        FlaxAlbertModel.from_pretrained(folder)
    assert "missing     embeddings.LayerNorm.bias" in str(caught.value)
    assert "unexpected  'strange'" in str(caught.value)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_resizing_the_vocabulary(tied, dtype):
    model = build("ForPreTraining", dtype, tie_word_embeddings=tied)
    old = {k: v.copy() for k, v in model.canonical_arrays().items()}
    held = model.params
    ids = ids_of(model)
    before = model(ids).prediction_logits
    table = model.resize_token_embeddings(37, pad_to_multiple_of=8)
    assert model.config.vocab_size == 40
    assert table.shape == (40, 5)
    assert {str(x.dtype) for x in jax.tree.leaves(model.params)} == {dtype}
    new = model.canonical_arrays()
    assert new.keys() == old.keys()
    for name, rows in old.items():
        assert np.array_equal(new[name][: len(rows)], rows)
        grown = name.endswith(("word_embeddings.weight", "predictions.bias"))
        assert (new[name].shape != rows.shape) == (grown or "decoder" in name)
    after = model(ids).prediction_logits
    assert after.shape == (2, 7, 40)
    assert close(after[..., :31].astype(float), before.astype(float), 1e-2)
    assert flatten(held)["albert", "embeddings", "word_embeddings", "embedding"].shape
    mean = old["albert.embeddings.word_embeddings.weight"].astype(float).mean(0)
    assert np.abs(table[31:].astype(float) - mean).max() < 0.01
    assert model.resize_token_embeddings(9).shape == (9, 5)
    with pytest.raises(InputError, match="vocab_size is 9"):
        model([[9]])
    assert np.array_equal(model.resize_token_embeddings(), table[:9])


def test_resizing_by_the_initial_distribution_and_wrongly():
    model = build("ForMaskedLM")
    new = model.resize_token_embeddings(900, mean_resizing=False, seed=3)[31:]
    assert abs(float(new.std()) - model.config.initializer_range) < 2e-3
    with pytest.raises(ConfigError, match="new_num_tokens must be"):
        model.resize_token_embeddings(0)
    model.config.pad_token_id = 8
    with pytest.raises(ConfigError, match="no entry 8, which is pad_token_id"):
        model.resize_token_embeddings(8)
    assert model.config.vocab_size == 900


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM"])
def test_setting_the_embeddings(head):
    model = build(head)
    held, old = model.params, np.asarray(model.get_input_embeddings())
    new = 3 * old
    model.set_input_embeddings(new)
    new[:] = 0  # the model has its own
    assert close(np.asarray(model.get_input_embeddings()), 3 * old, 0)
    assert held is not model.params
    with pytest.raises(InputError, match=r"table is \(7, 5\), but the model's is \(31"):
        model.set_input_embeddings(np.ones((7, 5)))
    inputs = batch(model)
    found, wanted = model(**inputs), expected(model, **inputs)
    assert close(found[-1], wanted[found._names.index(list(found)[-1])], 1e-5)


@pytest.mark.parametrize("relative", ["absolute", "relative_key_query"])
def test_pruned_heads(relative, tmp_path):
    with jax.enable_x64(True):
        model = build("ForMaskedLM", "float64", position_embedding_type=relative)
        inputs = batch(model)
        # The middle head is silenced in every layer, which all use one block.
        wanted = model(**inputs, head_mask=np.array([1, 0, 1]))
        model.prune_heads({0: [1]})
        assert model.config.pruned_heads == {0: [1]}
        kernel = model.params["albert"]["encoder"]["albert_layer_groups"]["0"]
        kernel = kernel["albert_layers"]["0"]["attention"]["query"]["kernel"]
        assert kernel.shape == (12, 8)
        assert close(model(**inputs), wanted)
        mask = np.array([0.5, 1, 0.25])  # still counted as before
        found = model(**inputs, head_mask=mask)
        assert close(found.logits, expected(model, **inputs, head_mask=mask).logits)
        folder = saved(model, tmp_path)
        again = FlaxAlbertForMaskedLM.from_pretrained(folder, dtype="float64")
        assert close(again(**inputs), wanted)
    with pytest.raises(ConfigError, match="pruned_heads"):
        model.prune_heads({0: [7]})
    assert model.config.pruned_heads == {0: [1]}


def test_copies_are_models_of_their_own():
    model = build("ForMaskedLM")
    ids = ids_of(model)
    before = model(ids).logits
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert close(other(ids).logits, before, 0)
        other.config.hidden_act = "relu"
        other.params = jax.tree.map(lambda x: 2 * np.asarray(x), other.params)
        assert not close(other(ids).logits, before, 0.1)
        assert close(model(ids).logits, before, 0)


def test_a_model_that_is_no_longer_used_is_freed():
    model = build()
    model(ids_of(model))
    leaf = weakref.ref(model.params["pooler"]["kernel"])
    seen = weakref.ref(model)
    del model
    gc.collect()
    assert seen() is None
    assert leaf() is None


def test_numpy_arrays_that_were_given_can_change():
    model = build()
    given = jax.tree.map(np.array, model.params)
    memory = np.zeros(1024, np.uint8)
    start = -memory.ctypes.data % 64  # where JAX could use it without a copy
    given["pooler"]["bias"] = memory[start : start + 48].view(np.float32)
    model.params = given
    given["pooler"]["bias"][:] = 7
    assert not np.any(model.params["pooler"]["bias"])
