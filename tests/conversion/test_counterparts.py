"""The libraries whose formats these are read what we write, and we what they write."""

import json

import h5py
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import conversion
from conversion import hashing, open_checkpoint
from conversion.stores import STORES
from tests.conftest import tiny, weights, write

HEADS = ("Model", "ForPreTraining", "ForSequenceClassification")
SAFETENSORS = {store.name: store.mark for store in STORES.values() if store.mark}
MODEL = "tf_albert_for_pre_training"  # what Hugging Face calls the one of the example


def make(folder, head="ForPreTraining"):
    """A checkpoint of a model that every format has, and its canonical hash."""
    labels = 2 if head == "ForPreTraining" else 4  # transformers has one field for both
    config = tiny(hidden_act="gelu_new", num_labels=labels)
    return write(folder, config, head), weights(config, head)


def digest(path):
    found = open_checkpoint(path)
    assert not found.unexpected
    return hashing.whole(hashing.digests(found))


def stored(plan):
    """What a conversion has to store: their name -> the array in their layout."""
    return {
        name: plan.source[item.name].T if item.turned else plan.source[item.name]
        for item in plan.items
        for name in item.targets
    }


def same(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert found[name].dtype == array.dtype, name
        np.testing.assert_array_equal(found[name], array, name, strict=True)


@pytest.fixture
def converted(tmp_path):
    """Convert the example: format -> its folder, what must be in it, its hash."""

    def convert(to, **options):
        source, _ = make(tmp_path / "source")
        done = conversion.convert(source, tmp_path / to, to, **options)
        return tmp_path / to, stored(done.plan), done.sha256

    return convert


# --- PyTorch and transformers ---------------------------------------------------------


@pytest.mark.parametrize("size", ["5GB", "6KB"])
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("to", ["safetensors", "pytorch-bin"])
def test_transformers_loads_what_we_write(to, head, size, tmp_path):
    transformers = pytest.importorskip("transformers", minversion="5")
    source, arrays = make(tmp_path / "source", head)
    done = conversion.convert(source, tmp_path / "x", to, max_shard_size=size)
    assert (len(done.plan.files) > 1) == (size == "6KB")
    made = getattr(transformers, f"Albert{head}")
    model, info = made.from_pretrained(
        tmp_path / "x", use_safetensors=to == "safetensors", output_loading_info=True
    )
    assert not any(info.values()), info
    state = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    tied = {"predictions.decoder.weight", "predictions.decoder.bias"}
    same({name: state[name] for name in state.keys() - tied}, arrays)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.bad_input(39)
def test_what_torch_saves_of_a_model(zipped, tmp_path):
    transformers = pytest.importorskip("transformers", minversion="5")
    import torch

    source, _ = make(tmp_path / "source")
    model = transformers.AlbertForPreTraining.from_pretrained(source)
    model.config.save_pretrained(tmp_path / "bin")
    path = tmp_path / "bin" / "pytorch_model.bin"
    state = model.state_dict()  # tied arrays under both names
    assert "predictions.decoder.weight" in state
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    training = {"epoch": 3, "model_state_dict": state, "optimizer": {"lr": 1e-3}}
    torch.save(training, tmp_path / "last.pt", _use_new_zipfile_serialization=zipped)
    model.save_pretrained(tmp_path / "shards", max_shard_size="6KB")
    expected = digest(source)
    assert digest(tmp_path / "bin") == digest(tmp_path / "last.pt") == expected
    assert digest(tmp_path / "shards") == expected


def test_torch_loads_weights_only(converted):
    torch = pytest.importorskip("torch")
    path, expected, _ = converted("pytorch-bin")
    state = torch.load(path / "pytorch_model.bin", weights_only=True)
    same({name: tensor.numpy() for name, tensor in state.items()}, expected)
    assert state["predictions.bias"].dtype == torch.float32


# --- safetensors ----------------------------------------------------------------------


@pytest.mark.parametrize(("to", "mark"), SAFETENSORS.items())
def test_safetensors(to, mark, converted, tmp_path):
    path, expected, sha256 = converted(to)
    with safe_open(path / "model.safetensors", "numpy") as file:
        assert file.metadata() == {"format": mark}
        same({name: file.get_tensor(name) for name in file.keys()}, expected)  # noqa: SIM118
    theirs = tmp_path / "theirs.safetensors"
    whole = {name: np.ascontiguousarray(array) for name, array in expected.items()}
    save_file(whole, theirs, metadata={"format": mark})
    assert open_checkpoint(theirs).store.name == to
    assert digest(theirs) == sha256


# --- TensorFlow -----------------------------------------------------------------------


@pytest.mark.bad_input(59)
def test_tensorflow_1(converted, tmp_path):
    tf = pytest.importorskip("tensorflow")
    path, expected, sha256 = converted("google-tf1")
    reader = tf.train.load_checkpoint(str(path / "model.ckpt-best"))
    shapes = reader.get_variable_to_shape_map()
    assert shapes == {name: list(array.shape) for name, array in expected.items()}
    same({name: reader.get_tensor(name) for name in shapes}, expected)
    norm = "bert/encoder/transformer/group_1/inner_group_0/LayerNorm_1/gamma"
    assert norm in shapes

    theirs = tmp_path / "theirs" / "model.ckpt"
    theirs.parent.mkdir()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        for name, array in expected.items():
            tf.compat.v1.get_variable(name, initializer=tf.constant(array))
            slot = f"{name}/adam_m"
            tf.compat.v1.get_variable(slot, initializer=tf.zeros(array.shape))
        step = tf.compat.v1.train.get_or_create_global_step()
        session.run(tf.compat.v1.global_variables_initializer())
        saver = tf.compat.v1.train.Saver()
        saver.save(session, str(theirs), global_step=step)
    config = (path / "albert_config.json").read_text()
    (theirs.parent / "albert_config.json").write_text(config)
    assert digest(theirs.parent) == digest(f"{theirs}-0") == sha256
    done = conversion.convert(f"{theirs}-0", tmp_path / "back", "safetensors")
    assert len(done.plan.dropped) == len(expected) + 1
    assert done.sha256 == sha256


def test_keras_finds_every_array_of_an_h5_file(converted):
    path, expected, _ = converted("tensorflow-h5")
    found = {}
    with h5py.File(path / "tf_model.h5") as file:
        for layer in file.attrs["layer_names"]:
            for name in file[layer].attrs["weight_names"]:
                model, _, rest = name.partition("/")
                assert model.startswith("tf_albert")
                found[rest] = file[layer][name][()]
        assert list(file["top_level_model_weights"].attrs["weight_names"]) == []
        assert file.attrs["backend"] == "tensorflow"
    same(found, expected)


def test_an_h5_file_as_hugging_face_writes_it(converted, tmp_path):
    """The head shares the embeddings, so that they are in its group, too."""
    _, expected, sha256 = converted("tensorflow-h5")
    theirs = tmp_path / "theirs.h5"
    with h5py.File(theirs, "w") as file:
        file.attrs["layer_names"] = [b"albert", b"predictions", b"sop_classifier"]
        for layer in ("albert", "predictions", "sop_classifier"):
            shared = "albert/embeddings" if layer == "predictions" else layer
            names = [n for n in expected if n.startswith((f"{layer}/", f"{shared}/"))]
            group = file.create_group(layer)
            group.attrs["weight_names"] = [f"{MODEL}/{n}".encode() for n in names]
            for name in names:
                group[f"{MODEL}/{name}"] = expected[name]
    assert digest(theirs) == sha256


# --- Flax -----------------------------------------------------------------------------


def flat(tree, before=""):
    """A nested dictionary as one of names with dots."""
    if not isinstance(tree, dict):
        return {before: tree}
    parts = [flat(v, f"{before}.{k}" if before else k) for k, v in tree.items()]
    return {name: array for part in parts for name, array in part.items()}


def nested(arrays):
    """The opposite of `flat`."""
    tree = {}
    for name, array in arrays.items():
        *path, leaf = name.split(".")
        place = tree
        for part in path:
            place = place.setdefault(part, {})
        place[leaf] = array
    return tree


@pytest.mark.bad_input(54)
def test_flax(converted, tmp_path):
    flax = pytest.importorskip("flax")
    path, expected, sha256 = converted("flax-msgpack")
    data = (path / "flax_model.msgpack").read_bytes()
    same(flat(flax.serialization.msgpack_restore(data)), expected)
    theirs = tmp_path / "theirs.msgpack"
    for tree in nested(expected), {"params": nested(expected)}:
        theirs.write_bytes(flax.serialization.to_bytes(tree))
        assert digest(theirs) == sha256


# --- All ------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [name for name, s in STORES.items() if s.shards])
def test_an_index_leads_to_every_array(to, converted):
    """`weight_map` is what others open the files by."""
    path, expected, _ = converted(to, max_shard_size="6KB")
    store = STORES[to]
    index = json.loads((path / store.index).read_text())
    homes = index["weight_map"]
    found = {}
    for file in sorted(set(homes.values())):
        names = store.read(path / file).keys()
        found |= {store.to_index(store.to_file(name)): file for name in names}
    assert found == homes
    assert len(homes) == len(expected)
    total = sum(array.nbytes for array in expected.values())
    assert index["metadata"]["total_size"] == total
