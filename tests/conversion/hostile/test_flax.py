"""Flax' files, through the whole converter: msgpack and the folders of Orbax."""

import os
import shutil

import numpy as np
import pytest

import conversion
from conversion.formats import msgpack_file
from tests.conftest import tiny, write
from tests.conversion.hostile.judging import command, refused, whole
from tests.conversion.test_msgpack import CHUNKED, DAMAGED

BIAS = np.arange(1, 13, dtype="f4")


@pytest.mark.parametrize(
    "name", ["list bomb", "map bomb", "deep maps", "type O", "time"]
)
@pytest.mark.bad_input(52)
def test_damaged_msgpack(name, tmp_path):
    data, code, words = DAMAGED[name]
    (tmp_path / "flax_model.msgpack").write_bytes(data)
    refused(tmp_path / "flax_model.msgpack", code, words)


@pytest.mark.parametrize("name", ["chunk", "shape", "nested"])
@pytest.mark.bad_input(53)
def test_chunks_that_are_not_all_there(name, tmp_path):
    data, words = CHUNKED[name]
    (tmp_path / "flax_model.msgpack").write_bytes(data)
    refused(tmp_path / "flax_model.msgpack", "BAD_SHAPE", words)


@pytest.mark.parametrize("before", ["", "params."])
@pytest.mark.bad_input(54)
def test_trees_with_more_than_parameters(before, tmp_path):
    """With `params` or without; what is no weight is named, and kept out."""
    source = write(tmp_path / "source", tiny(), "ForMaskedLM")
    conversion.convert(source, tmp_path / "x", "flax-msgpack", dtype="bfloat16")
    path = tmp_path / "x" / "flax_model.msgpack"
    arrays = {f"{before}{name}": lazy for name, lazy in msgpack_file.read(path).items()}
    arrays["batch_stats.norm.mean"] = BIAS
    values = {
        name: lazy if lazy is BIAS else lazy.read() for name, lazy in arrays.items()
    }
    path.unlink()
    msgpack_file.write(path, values)
    opened = whole(path)
    assert list(opened.unexpected) == ["batch_stats.norm.mean"]
    assert {opened.dtype(name) for name in opened} == {"bfloat16"}
    arguments = ("convert", path.parent, tmp_path / "y", "--to", "safetensors")
    code, _, err = command(*arguments)
    assert code == 3
    assert "UNEXPECTED" in err
    assert "'batch_stats.norm.mean'" in err
    assert command(*arguments, "--allow-unused")[0] == 0


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders as Orbax writes them with plain files: of zarr 2, and of zarr 3."""
    ocp = pytest.importorskip("orbax.checkpoint")
    found = {}
    tree = {"pooler": {"bias": BIAS}, "predictions": {"bias": np.zeros(31, "f4")}}
    for version in 2, 3:
        handler = ocp.PyTreeCheckpointHandler(use_ocdbt=False, use_zarr3=version == 3)
        found[version] = tmp_path_factory.mktemp("orbax") / "x"
        with ocp.Checkpointer(handler) as checkpointer:
            checkpointer.save(found[version], tree)
    return found


@pytest.fixture(params=[2, 3])
def orbax(request, made, tmp_path):
    """A copy of such a folder, and the file of the numbers of `pooler.bias`."""
    folder = tmp_path / "in" / "x"
    shutil.copytree(made[request.param], folder)
    return folder, folder / "pooler.bias" / {2: "0", 3: "c/0"}[request.param]


@pytest.mark.bad_input(61)
def test_a_part_that_is_missing_is_not_zeros(orbax):
    folder, chunk = orbax
    found = {name: array.tolist() for name, array in whole(folder).items()}
    assert found == {"albert.pooler.bias": BIAS.tolist(), "predictions.bias": [0] * 31}
    data = chunk.read_bytes()
    chunk.unlink()
    refused(folder, "BAD_HEADER", "tensorstore cannot read it", "is missing")
    chunk.write_bytes(data[:-3])
    refused(folder, "BAD_HEADER", "tensorstore cannot read it")
    chunk.unlink()
    os.mkfifo(chunk)
    refused(folder, "NOT_A_CHECKPOINT", "it is not a regular file")


@pytest.mark.bad_input(20, 61)
def test_a_part_that_is_elsewhere(orbax, tmp_path):
    folder, chunk = orbax
    chunk.rename(tmp_path / "secret")
    chunk.symlink_to(tmp_path / "secret")
    refused(folder, "UNSAFE", "links that leave the folder", f"{chunk.name!r}")
    chunk.unlink()
    (tmp_path / "secret").rename(chunk)
    arrays = folder / "pooler.bias"
    arrays.rename(tmp_path / "pooler.bias")
    arrays.symlink_to(tmp_path / "pooler.bias")
    refused(folder, "UNSAFE", "links that leave the folder: 'pooler.bias'")


@pytest.mark.parametrize(
    ("size", "code", "words"),
    [
        (2**40, "TOO_LARGE", f"its arrays have {2**42 + 124} bytes, but its files "),
        (2**60, "BAD_SHAPE", f"'pooler.bias' has the shape [{2**60}]"),
        (2**64, "BAD_HEADER", "tensorstore cannot read it"),
    ],
)
@pytest.mark.bad_input(61)
def test_shapes_that_nothing_stands_behind(size, code, words, orbax):
    folder, _ = orbax
    described = folder / "pooler.bias" / ".zarray", folder / "pooler.bias" / "zarr.json"
    (path,) = (path for path in described if path.exists())
    text = path.read_text()
    assert str(BIAS.size) in text
    path.write_text(text.replace(str(BIAS.size), f"{size}"))
    refused(folder, code, words)
