"""The parameters of Flax models: Hugging Face's nested dicts, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core import FrozenDict, freeze
from safetensors.numpy import load_file

from albert_core import schema
from albert_core.errors import CheckpointError, InputError
from albert_core.initial import initial_value
from albert_flax import FlaxAlbertForPreTraining, FlaxAlbertModel, FlaxAlbertModule
from albert_flax.params import flatten, nest
from tests.backends.flax_models import ALL, build, class_of, close, ids_of
from tests.conftest import GOLDEN, tiny

BLOCK = "albert.encoder.albert_layer_groups.0.albert_layers.0"
# As the Flax classes of transformers 4.57.6 hold them: V 31, E 5, H 12, FFN 17.
PRETRAINING = {
    "albert.embeddings.word_embeddings.embedding": (31, 5),
    "albert.embeddings.position_embeddings.embedding": (23, 5),
    "albert.embeddings.token_type_embeddings.embedding": (2, 5),
    "albert.embeddings.LayerNorm.scale": (5,),
    "albert.embeddings.LayerNorm.bias": (5,),
    "albert.encoder.embedding_hidden_mapping_in.kernel": (5, 12),
    "albert.encoder.embedding_hidden_mapping_in.bias": (12,),
    f"{BLOCK}.attention.query.kernel": (12, 12),
    f"{BLOCK}.attention.query.bias": (12,),
    f"{BLOCK}.attention.key.kernel": (12, 12),
    f"{BLOCK}.attention.key.bias": (12,),
    f"{BLOCK}.attention.value.kernel": (12, 12),
    f"{BLOCK}.attention.value.bias": (12,),
    f"{BLOCK}.attention.dense.kernel": (12, 12),
    f"{BLOCK}.attention.dense.bias": (12,),
    f"{BLOCK}.attention.LayerNorm.scale": (12,),
    f"{BLOCK}.attention.LayerNorm.bias": (12,),
    f"{BLOCK}.ffn.kernel": (12, 17),
    f"{BLOCK}.ffn.bias": (17,),
    f"{BLOCK}.ffn_output.kernel": (17, 12),
    f"{BLOCK}.ffn_output.bias": (12,),
    f"{BLOCK}.full_layer_layer_norm.scale": (12,),
    f"{BLOCK}.full_layer_layer_norm.bias": (12,),
    "albert.pooler.kernel": (12, 12),
    "albert.pooler.bias": (12,),
    "predictions.dense.kernel": (12, 5),
    "predictions.dense.bias": (5,),
    "predictions.LayerNorm.scale": (5,),
    "predictions.LayerNorm.bias": (5,),
    "predictions.bias": (31,),
    "sop_classifier.classifier.kernel": (12, 2),
    "sop_classifier.classifier.bias": (2,),
}


def shapes(tree):
    """The shape of every array by its path."""
    return {".".join(path): leaf.shape for path, leaf in flatten(tree).items()}


def test_the_tree_is_hugging_face_s():
    assert shapes(build("ForPreTraining").params) == PRETRAINING


def test_a_decoder_of_its_own_is_a_kernel():
    params = build("ForPreTraining", tie_word_embeddings=False).params
    assert shapes(params) == {**PRETRAINING, "predictions.decoder.kernel": (5, 31)}


def spelled(name, array):
    """Hugging Face's Flax path for one of its PyTorch names, and the array there."""
    layer, leaf = name.rsplit(".", 1)
    kind = layer.rsplit(".", 1)[-1]
    if leaf == "weight" and kind.endswith(("_embeddings", "_embedding")):
        return f"{layer}.embedding", array
    if leaf == "weight" and kind in ("LayerNorm", "full_layer_layer_norm"):
        return f"{layer}.scale", array
    if leaf == "weight":
        return f"{layer}.kernel", array.T
    return name, array


@pytest.mark.parametrize("case", sorted(path.name for path in GOLDEN.glob("*-*")))
def test_every_array_of_a_checkpoint_is_in_its_place(case):
    stored = load_file(GOLDEN / case / "model.safetensors")
    wanted = dict(spelled(name, array) for name, array in stored.items())
    model = class_of(case.split("-")[1]).from_pretrained(GOLDEN / case)
    found = {".".join(path): leaf for path, leaf in flatten(model.params).items()}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_required_names_and_shapes_are_told():
    model = build("ForPreTraining")
    assert {".".join(path) for path in model.required_params} == PRETRAINING.keys()
    told = model.params_shape_tree
    assert shapes(told) == PRETRAINING
    assert {leaf.dtype for leaf in flatten(told).values()} == {np.dtype("float32")}


def changed(params, **leaves):
    """A tree with some leaves changed, or taken out for None; "__" is a dot."""
    found = flatten(params)
    for name, value in leaves.items():
        path = tuple(name.split("__"))
        found.pop(path, None)
        if value is not None:
            found[path] = value
    return nest(found)


WRONG = {
    "pooler__bias": (None, "  missing     pooler.bias\n"),
    "pooler__scale": (np.ones(12), "  unexpected  pooler.scale\n"),
    # It would broadcast, and change the numbers silently.
    "encoder__embedding_hidden_mapping_in__bias": (
        np.ones(1),
        "  shape       encoder.embedding_hidden_mapping_in.bias: (1,) given, (12,) in",
    ),
}


# `init_weights` draws what is missing.
WAYS = [(way, leaf) for way in ("set", "call", "save") for leaf in WRONG]
WAYS += [("init", leaf) for leaf in WRONG if WRONG[leaf][0] is not None]


@pytest.mark.parametrize(("way", "leaf"), WAYS)
def test_a_tree_that_does_not_fit_is_refused(way, leaf, tmp_path):
    model = build()
    value, message = WRONG[leaf]
    wrong = changed(model.params, **{leaf: value})
    ways = {
        "set": lambda: setattr(model, "params", wrong),
        "call": lambda: model(ids_of(model), params=wrong),
        "save": lambda: model.save_pretrained(tmp_path, params=wrong),
        "init": lambda: model.init_weights(jax.random.key(0), params=wrong),
    }
    with pytest.raises(CheckpointError, match="do not fit FlaxAlbertModel:") as caught:
        ways[way]()
    assert message in str(caught.value)
    assert "Give a tree like model.params" in str(caught.value)


def test_all_that_is_wrong_is_named_at_once():
    model = build()
    with pytest.raises(CheckpointError) as caught:
        model.params = changed(model.params, **{k: v for k, (v, _) in WRONG.items()})
    assert all(message in str(caught.value) for _, message in WRONG.values())


def test_other_kinds_of_tree_are_taken():
    model = build()
    ids = ids_of(model)
    wanted = model(ids).last_hidden_state
    for tree in (
        freeze(model.params),
        nnx.state(model.module),
        jax.tree.map(np.asarray, model.params),
    ):
        assert np.array_equal(model(ids, params=tree).last_hidden_state, wanted)
        other = FlaxAlbertModel(model.config, seed=5)
        other.params = tree
        assert type(other.params) is dict
        assert all(isinstance(x, jax.Array) for x in jax.tree.leaves(other.params))
        assert np.array_equal(other(ids).last_hidden_state, wanted)


def test_training_the_module_and_taking_it_over():
    model = build()
    module = model.module
    module.pooler.bias[...] += 1
    assert not np.array_equal(module.pooler.bias[...], model.params["pooler"]["bias"])
    model.params = nnx.state(module)
    assert np.array_equal(module.pooler.bias[...], model.params["pooler"]["bias"])


def test_the_seed_decides_the_initial_values():
    config = tiny()
    first, same, other = (FlaxAlbertModel(config, seed=seed) for seed in (1, 1, 2))
    for parameter in schema.parameters(config):
        if parameter.name == "pooler.weight":
            value = initial_value(parameter, config.initializer_range, 1)
            assert np.array_equal(first.params["pooler"]["kernel"], value.T)
    assert close(first.params, same.params, 0)
    kernels = [m.params["pooler"]["kernel"] for m in (first, other)]
    assert not np.array_equal(*kernels)
    assert FlaxAlbertModel(config, (1, 7), 1).params is not first.params


def test_a_module_by_itself_starts_like_a_model():
    module = FlaxAlbertModule(tiny())
    state = nnx.to_pure_dict(nnx.state(module))
    assert close(state, FlaxAlbertModel(tiny(), seed=0).params, 0)
    attention = module.encoder.albert_layer_groups["0"].albert_layers["0"].attention
    assert not np.array_equal(attention.query.kernel[...], attention.key.kernel[...])


def test_init_weights_draws_by_the_key_and_keeps_what_is_given():
    model = build()
    first, same, other = (model.init_weights(jax.random.key(i)) for i in (1, 1, 2))
    assert close(first, same, 0)
    kernels = [tree["pooler"]["kernel"] for tree in (first, other)]
    assert not np.array_equal(*kernels)
    given = freeze({"pooler": {"bias": jnp.full(12, 7.0)}})
    made = model.init_weights(jax.random.PRNGKey(1), (1, 1), given)
    assert np.array_equal(made["pooler"]["bias"], np.full(12, 7))
    assert np.array_equal(made["pooler"]["kernel"], first["pooler"]["kernel"])
    assert shapes(made) == shapes(model.params)


@pytest.mark.parametrize("head", ALL)
def test_without_parameters_until_they_are_given(head):
    model = class_of(head)(tiny(), _do_init=False)
    with pytest.raises(InputError, match=r"_do_init=False\. Set model\.params"):
        _ = model.params
    with pytest.raises(InputError, match="no parameters"):
        model(ids_of(model))
    model.params = class_of(head)(tiny()).params
    assert shapes(model.params).keys() == {".".join(p) for p in model.required_params}


@pytest.mark.parametrize("name", ["bf16", "fp16", "fp32"])
def test_casting_parameters(name):
    dtype = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}[name]
    model = build()
    start = model.to_bf16(model.params) if name == "fp32" else model.params
    made = getattr(model, f"to_{name}")(freeze(start))
    assert {str(x.dtype) for x in jax.tree.leaves(made)} == {dtype}
    norms = {path: "LayerNorm" not in path for path in flatten(start)}
    masked = getattr(model, f"to_{name}")(start, FrozenDict(nest(norms)))
    for path, leaf in flatten(masked).items():
        before = flatten(start)[path]
        assert leaf.dtype == (dtype if norms[path] else before.dtype)
    assert {str(x.dtype) for x in jax.tree.leaves(model.params)} == {"float32"}


def test_counting_parameters():
    model = build("ForPreTraining")
    total = sum(int(np.prod(shape)) for shape in PRETRAINING.values())
    tables = (31 + 23 + 2) * 5
    assert model.num_parameters() == model.num_parameters(only_trainable=True) == total
    assert model.num_parameters(exclude_embeddings=True) == total - tables
    assert FlaxAlbertForPreTraining(model.config).num_parameters() == total
