"""Checkpoints in several files: what an index leads to."""

import json

import numpy as np
import pytest

import conversion
from conversion.formats import hdf5, hdf5_shards
from conversion.stores import STORES
from tests.conftest import tiny, write
from tests.conversion.hostile.judging import command, refused, whole

SHARDED = [store.name for store in STORES.values() if store.shards]


@pytest.fixture
def made(tmp_path):
    """A checkpoint in several files: format -> its folder, its index, its files."""

    def make(name):
        source = write(tmp_path / "source", tiny(), "ForMaskedLM")
        folder = tmp_path / "x"
        options = {"max_shard_size": "6KB", "verify": False}
        done = conversion.convert(source, folder, name, **options)
        return folder, folder / STORES[name].index, sorted(done.plan.files)

    return make


@pytest.mark.parametrize("name", SHARDED)
@pytest.mark.bad_input(19, 20, 21, 22, 26)
def test_every_format_reads_indexes_alike(name, made, tmp_path):
    folder, index, files = made(name)
    text = index.read_text()
    values = json.loads(text)
    key = next(iter(values["weight_map"]))

    def changed(**entries):
        table = {**values["weight_map"], **entries}
        index.write_text(json.dumps({"weight_map": table}))

    (tmp_path / files[0]).write_bytes(b"outside")
    for place in f"../{files[0]}", f"/{files[0]}", f"C:{files[0]}", "http://h/x":
        changed(**{key: place})
        refused(index, "UNSAFE", f"it points outside its folder: {place!r}")
    changed(**{key: "evil.pkl"})
    refused(index, "BAD_INDEX", "it points at what is no", "'evil.pkl'")
    changed(nothing=files[0])
    refused(index, "BAD_INDEX", "no file holds 'nothing'")
    index.write_text(text)
    (folder / files[1]).rename(tmp_path / "elsewhere")
    refused(index, "MISSING_SHARD", repr(files[1]))
    (folder / files[1]).symlink_to(tmp_path / "elsewhere")
    refused(index, "UNSAFE", f"links that leave the folder: {files[1]!r}")
    (folder / files[1]).unlink()
    (folder / files[1]).symlink_to("/dev/zero")
    refused(index, "UNSAFE", f"links that leave the folder: {files[1]!r}")


@pytest.mark.bad_input(24)
def test_an_older_file_is_named_and_not_read(made, caplog):
    folder, index, _ = made("safetensors")
    expected = {name: array.tobytes() for name, array in whole(folder).items()}
    (folder / "model-00003-of-00002.safetensors").write_bytes(b"old")
    caplog.clear()
    found = {name: array.tobytes() for name, array in whole(folder).items()}
    assert found == expected
    (said,) = caplog.messages
    assert said.startswith(f"{index} does not name these files beside it")
    assert "'model-00003-of-00002.safetensors'" in said
    assert command("hash", folder)[0] == 0


@pytest.mark.bad_input(20, 51)
def test_indexes_of_keras_follow_no_link_out(tmp_path):
    folder, outside = tmp_path / "x", tmp_path / "x_0.weights.h5"
    folder.mkdir()
    hdf5.write(outside, {"a/vars/0": np.arange(2)})
    (folder / outside.name).symlink_to(outside)
    index = folder / "x.weights.json"
    index.write_text(json.dumps({"weight_map": {"/a/vars": outside.name}}))
    with pytest.raises(ValueError, match=r"UNSAFE .*leave the folder: 'x_0\.weights"):
        hdf5_shards.read(index)
    (folder / outside.name).unlink()
    outside.rename(folder / outside.name)
    assert list(hdf5_shards.read(index)) == ["a/vars/0"]
