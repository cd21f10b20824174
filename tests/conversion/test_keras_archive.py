import io
import json
import struct
import zipfile
import zlib

import h5py
import hypothesis
import numpy as np
import pytest

from albert_core.errors import FormatError
from conversion.formats import hdf5, hdf5_shards, keras_archive
from conversion.formats.keras_archive import contents, read, write
from tests.conversion.fuzzing import FUZZ, changed

ARRAYS = {
    "layers/dense/vars/0": np.arange(12, dtype="f4").reshape(3, 4),
    "layers/dense/vars/1": np.arange(4, dtype="f4"),
}
CONFIG = {"module": "os", "class_name": "system", "config": {"é": 1}}
METADATA = {"keras_version": "3.15.1"}
LIMITED = hypothesis.settings(FUZZ, max_examples=20)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.keras"


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "model.weights.h5"
    hdf5.write(path, ARRAYS)
    return path


def arrays(lazies):
    return {name: lazy.read() for name, lazy in lazies.items()}


def same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name], strict=True)


def pack(path, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)


def refused(path, code, *words):
    with pytest.raises(FormatError) as error:
        contents(path)
    assert error.value.code == code, error.value
    for word in (str(path), *words):
        assert word in str(error.value), error.value


# --- what we write --------------------------------------------------------------------


@pytest.mark.bad_input(49)
def test_what_is_written_comes_back(path, tmp_path, weights):
    write(path, ARRAYS, CONFIG, METADATA, {"layers/dense/vars": {"name": "dense"}})
    found = contents(path)
    same(arrays(found.arrays), ARRAYS)
    same(arrays(read(path)), ARRAYS)
    assert (found.config, found.metadata) == (CONFIG, METADATA)
    assert found.texts == {"layers/dense/vars": {"name": "dense"}}
    assert all(one.path == path for one in found.arrays.values())  # nothing unpacked
    again, other = tmp_path / "again.keras", tmp_path / "other.keras"
    write(again, found.arrays, found.config, found.metadata, found.texts)
    assert again.read_bytes() == path.read_bytes()
    write(other, weights, CONFIG, METADATA)
    same(arrays(read(other)), ARRAYS)
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "again.keras",
        "model.keras",
        "model.weights.h5",
        "other.keras",
    ]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_packed_archives(path, weights, method):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        # Programs leave alone what does not get smaller.
        archive.write(weights, "model.weights.h5", method)
    found = contents(path)
    assert (found.config, found.metadata) == (CONFIG, {})
    folder = next(iter(found.arrays.values())).folder.path
    assert folder.stat().st_mode & 0o777 == 0o700
    for name, lazy in found.arrays.items():
        assert (lazy.shape, lazy.dtype) == (ARRAYS[name].shape, ARRAYS[name].dtype)
    same(arrays(found.arrays), ARRAYS)
    del found, lazy
    assert not folder.exists()


# Keras variables do not know NumPy 2's argument `copy`.
COPIES = pytest.mark.filterwarnings(
    "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
)


# --- beside Keras ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras():
    return pytest.importorskip("keras")


@pytest.fixture(params=["float32", "bfloat16"])
def model(keras, request):
    layers = [keras.layers.Dense(4, name="first"), keras.layers.LayerNormalization()]
    for layer in layers:
        layer.dtype_policy = keras.DTypePolicy(request.param)
    model = keras.Sequential([keras.Input((3,)), *layers])
    for weight in model.weights:
        weight.assign(np.arange(weight.value.numpy().size).reshape(weight.shape))
    return model


def values(model):
    return [weight.value.numpy() for weight in model.weights]


@COPIES
def test_archives_of_keras(keras, model, path, tmp_path):
    model.save(path)
    found = contents(path)
    names = ["dense/vars/0", "dense/vars/1"]
    names += ["layer_normalization/vars/0", "layer_normalization/vars/1"]
    expected = {
        f"layers/{name}": value
        for name, value in zip(names, values(model), strict=True)
    }
    same(arrays(found.arrays), expected)
    assert found.config["class_name"] == "Sequential"
    assert found.metadata["keras_version"] == keras.__version__
    assert found.texts["layers/dense/vars"] == {"name": "first"}
    again = tmp_path / "again.keras"
    # Keras needs no attributes, and no order.
    turned = dict(reversed(found.arrays.items()))
    write(again, turned, found.config, found.metadata)
    loaded = keras.saving.load_model(again)
    for value, other in zip(values(loaded), values(model), strict=True):
        np.testing.assert_array_equal(value, other, strict=True)


@COPIES
def test_weights_of_keras(model, tmp_path):
    path, again = tmp_path / "x.weights.h5", tmp_path / "again.weights.h5"
    model.save_weights(path)
    found = hdf5.read(path)
    hdf5.write(again, found, bfloat16=True)
    before = values(model)
    for weight in model.weights:
        weight.assign(weight * 0)
    model.load_weights(again)
    for value, other in zip(values(model), before, strict=True):
        np.testing.assert_array_equal(value, other, strict=True)


@COPIES
def test_shards_of_keras(model, tmp_path):
    path = tmp_path / "x.weights.json"
    size = sum(value.nbytes for value in values(model))
    model.save_weights(path, max_shard_size=0.6 * size / 2**30)
    assert len(list(tmp_path.glob("x_*.weights.h5"))) > 1
    found = arrays(hdf5_shards.read(path))
    model.save_weights(tmp_path / "x.weights.h5")
    same(found, arrays(hdf5.read(tmp_path / "x.weights.h5")))


@pytest.mark.bad_input(48)
def test_names_that_keras_cuts(keras, tmp_path):
    legacy = pytest.importorskip("keras.src.legacy.saving.legacy_h5_format")
    path, other = tmp_path / "x.h5", tmp_path / "other.h5"
    names = [f"{'m' * 900}/kernel_{n}:0" for n in range(300)]
    hdf5.write(path, {}, {"albert": {"weight_names": names}})
    with h5py.File(path) as ours, h5py.File(other, "w") as theirs:
        load = legacy.load_attributes_from_hdf5_group
        assert load(ours["albert"], "weight_names") == names
        group = theirs.create_group("albert")
        encoded = [name.encode() for name in names]
        legacy.save_attributes_to_hdf5_group(group, "weight_names", encoded)
    assert hdf5.attributes(other) == {"albert": {"weight_names": names}}


# --- hostile archives -----------------------------------------------------------------


WEIGHTS = "model.weights.h5"
STORED, PACKED = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


@pytest.mark.parametrize("method", [STORED, PACKED])
@pytest.mark.parametrize(
    ("members", "code", "words"),
    [
        ([("config.json", "{}")], "NOT_A_CHECKPOINT", "no member model.weights.h5"),
        ([("model.weights.npz", "")], "NOT_A_CHECKPOINT", "['model.weights.npz']"),
        ([("../x", "a"), (WEIGHTS, "")], "UNSAFE", "'../x' has a name that is no"),
        ([("/x", "a"), (WEIGHTS, "")], "UNSAFE", "'/x'"),
        ([("a\\..\\x", "a"), (WEIGHTS, "")], "UNSAFE", "no plain path"),
        ([("config.json", "[]")], "BAD_HEADER", "its config.json is no JSON object"),
        ([("metadata.json", "{")], "BAD_HEADER", "JSONDecodeError"),
        ([("config.json", "[" * 10**6)], "BAD_HEADER", "it is damaged: RecursionError"),
        ([("config.json", " " * 2**25)], "TOO_LARGE", "config.json"),
        ([(WEIGHTS, "PK" * 99)], "NOT_A_CHECKPOINT", "it is no HDF5 file: it begins"),
    ],
)
@pytest.mark.bad_input(36)
def test_hostile_archives(path, members, code, words, method):
    if method == PACKED and any(len(data) >= 10**6 for _, data in members):
        code, words = "TOO_LARGE", "unpacks from"
    pack(path, members, method)
    refused(path, code, words)


@pytest.mark.parametrize("method", [STORED, PACKED])
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.bad_input(36)
def test_the_same_member_twice(path, method):
    pack(path, [(WEIGHTS, "a"), (WEIGHTS, "b")], method)
    refused(path, "DUPLICATE", "it has the member 'model.weights.h5' twice")


@pytest.mark.bad_input(37)
def test_bombs(path, weights):
    pack(path, [(WEIGHTS, weights.read_bytes() + bytes(10**8))], PACKED)
    refused(path, "TOO_LARGE", "'model.weights.h5' unpacks from 9", "to 1000")
    # A directory that says less than there is.
    data = path.read_bytes()
    size = struct.pack("<I", weights.stat().st_size + 10**8)
    path.write_bytes(data.replace(size, struct.pack("<I", 1000)))
    refused(path, "CHECKSUM", "CRC")


@pytest.mark.parametrize("method", [STORED, PACKED])
@pytest.mark.bad_input(36)
def test_encrypted_members(path, weights, method):
    pack(path, [(WEIGHTS, weights.read_bytes())], method)
    data = bytearray(path.read_bytes())
    data[6] |= 1
    data[data.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(data)
    refused(path, "UNSUPPORTED", "'model.weights.h5' is encrypted")


def test_rare_packing(path, weights):
    pack(path, [(WEIGHTS, weights.read_bytes())], zipfile.ZIP_LZMA)
    refused(path, "UNSUPPORTED", "'model.weights.h5' is packed in a rare way")


@pytest.mark.parametrize("method", [STORED, PACKED])
@pytest.mark.bad_input(36)
def test_checksums(path, weights, method):
    pack(path, [(WEIGHTS, weights.read_bytes())], method)
    data = path.read_bytes()
    crc = struct.pack("<I", zlib.crc32(weights.read_bytes()))
    path.write_bytes(data.replace(crc, b"\1\2\3\4"))
    refused(path, "CHECKSUM", "Bad CRC-32 for file 'model.weights.h5'")


def test_errors_of_packed_weights_name_the_archive(path, weights):
    data = weights.read_bytes()
    pack(path, [(WEIGHTS, data[:-1])], PACKED)
    what = f"in its model.weights.h5, it has {len(data) - 1} bytes, its header speaks"
    refused(path, "TRUNCATED", what, "Get the file again.")


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "EMPTY", "it has no bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS_POINTER", "git lfs pull"),
        (b"\x89HDF\r\n\x1a\n", "NOT_A_CHECKPOINT", "it is no Keras archive: it begins"),
        (b"PK\3\4", "BAD_HEADER", "File is not a zip file"),
    ],
)
@pytest.mark.bad_input(1, 28)
def test_other_files(path, data, code, words):
    path.write_bytes(data)
    refused(path, code, words)


def test_a_changed_archive(path):
    write(path, ARRAYS, CONFIG, METADATA)
    lazy = next(iter(read(path).values()))
    path.write_bytes(path.read_bytes() + b"0")
    with pytest.raises(ValueError, match="changed since"):
        lazy.read()


def test_arrays_that_hdf5_cannot_hold_leave_nothing(path):
    with pytest.raises(FormatError, match="'a' complex64"):
        write(path, {"a": np.zeros(2, "c8")}, CONFIG, METADATA)
    assert list(path.parent.iterdir()) == []


# --- shards ---------------------------------------------------------------------------


@pytest.fixture
def index(tmp_path):
    hdf5.write(tmp_path / "x_0.weights.h5", {"a/vars/0": np.arange(2)})
    hdf5.write(tmp_path / "x_1.weights.h5", {"a/vars/1": np.arange(3)})
    return tmp_path / "x.weights.json"


def refused_index(index, content, code, *words):
    index.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(FormatError) as error:
        hdf5_shards.read(index)
    assert error.value.code == code, error.value
    for word in words:
        assert word in str(error.value), error.value


BOTH = ["x_0.weights.h5", "x_1.weights.h5"]


def test_shards(index):
    index.write_text(json.dumps({"weight_map": {"/a/vars": BOTH, "/b/vars": BOTH[:1]}}))
    found = arrays(hdf5_shards.read(index))
    same(found, {"a/vars/0": np.arange(2), "a/vars/1": np.arange(3)})


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        ({"a/vars": ["../x_0.weights.h5"]}, "UNSAFE", "the file '../x_0.weights.h5'"),
        ({"a/vars": "/x_0.weights.h5"}, "UNSAFE", "the file '/x_0.weights.h5'"),
        ({"a/vars": "..\\x_0.weights.h5"}, "UNSAFE", "no HDF5 file beside it"),
        ({"a/vars": "C:x_0.weights.h5"}, "UNSAFE", "no HDF5 file beside it"),
        ({"a/vars": "x.weights.json"}, "UNSAFE", "no HDF5 file beside it"),
        ({"a/vars": "x" * 300 + ".h5"}, "UNSAFE", "no HDF5 file beside it"),
        ({"a/vars": 3}, "BAD_HEADER", "it names the file 3"),
        (
            {"a/vars": ["x_7.weights.h5"]},
            "TRUNCATED",
            "there is no 'x_7.weights.h5'. Get",
        ),
        ({"b/vars": BOTH}, "BAD_HEADER", "'x_0.weights.h5' has 'a/vars', but it"),
        ([], "BAD_HEADER", 'it has no table "weight_map"'),
    ],
)
@pytest.mark.bad_input(51)
def test_hostile_indexes(index, content, code, words):
    refused_index(index, {"weight_map": content}, code, words)


def test_other_indexes(index):
    refused_index(index, "", "EMPTY", "it has no bytes")
    refused_index(index, "<html>", "NOT_A_CHECKPOINT", "no index of Keras weights")
    refused_index(index, "{" * 10**6, "BAD_HEADER", "it is damaged")


def test_an_array_in_two_shards(index):
    hdf5.write(index.parent / "x_2.weights.h5", {"a/vars/1": np.arange(3)})
    files = [*BOTH, "x_2.weights.h5"]
    content = {"weight_map": {"a/vars": files}}
    refused_index(index, content, "DUPLICATE", "two of its files have 'a/vars/1'")


# --- damage ---------------------------------------------------------------------------


def damaged(data, folder):
    path = folder / "x.keras"
    path.write_bytes(data)
    try:
        arrays(read(path))
    except FormatError as error:
        assert str(error).isprintable()  # noqa: PT017


def good_file(method):
    weights, file = io.BytesIO(), io.BytesIO()
    with h5py.File(weights, "w") as store:
        store["a"] = ARRAYS["layers/dense/vars/0"]
    pack(file, [("config.json", "{}"), (WEIGHTS, weights.getvalue())], method)
    return file.getvalue()


@LIMITED
@hypothesis.given(data=changed(good_file(STORED)) | changed(good_file(PACKED)))
def test_no_file_breaks_the_reader(data, tmp_path_factory):
    damaged(data, tmp_path_factory.mktemp("fuzz"))


@FUZZ
@hypothesis.given(data=changed(good_file(STORED)) | changed(good_file(PACKED)))
def test_no_file_breaks_the_unpacking(data, tmp_path_factory):
    nothing = hdf5.Contents({}, {})
    with pytest.MonkeyPatch.context() as patch:  # children are slow
        patch.setattr(keras_archive.hdf5, "inside", lambda *_: nothing)
        damaged(data, tmp_path_factory.mktemp("fuzz"))
