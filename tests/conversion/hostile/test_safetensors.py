"""One file of safetensors, through the whole converter."""

import json

import numpy as np
import pytest

from albert_core import safetensors_file
from tests.conftest import tiny, weights, write
from tests.conversion.hostile.judging import command, files, refused, whole

F32 = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}
ESCAPES = "../\x1b[2J\n\u202e\0" + "n" * 2**16


def pack(path, header, data=b""):
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def replaced(folder, arrays):
    """A whole checkpoint with other arrays."""
    write(folder, tiny(), "ForMaskedLM")
    (folder / "model.safetensors").unlink()
    safetensors_file.write(folder / "model.safetensors", arrays)
    return folder


@pytest.mark.bad_input(9)
def test_many_arrays_at_one_place(tmp_path):
    """A file of some kilobytes that would become gigabytes in memory."""
    size = 2**16
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    header = {f"{n}": entry for n in range(9_999)}
    path = pack(tmp_path / "model.safetensors", header, bytes(size))
    refused(path, "BAD_HEADER", "'1' begins at byte 0, not at 65536")


@pytest.mark.parametrize("kind", ["F4", "F8_E8M0", "C64", "F6_E2M3", "f32", "\x1b[2J"])
@pytest.mark.bad_input(15)
def test_number_types_that_are_not_known(kind, tmp_path):
    header = {"pooler.bias": {**F32, "dtype": kind}}
    path = pack(tmp_path / "model.safetensors", header, bytes(24))
    refused(path, "BAD_DTYPE", "'pooler.bias'", "not one of F64, F32, F16, BF16, I64")


@pytest.mark.parametrize("shape", [(), (0,), (12, 0)])
@pytest.mark.bad_input(16)
def test_no_numbers_where_weights_should_be(shape, tmp_path):
    arrays = weights(tiny(), "ForMaskedLM")
    arrays["predictions.dense.bias"] = np.zeros(shape, "f4")
    source = replaced(tmp_path / "source", arrays)
    assert whole(source)["predictions.dense.bias"].shape == shape
    target = tmp_path / "target"
    code, _, err = command("convert", source, target, "--to", "pytorch-bin")
    assert code == 3
    assert (
        f"predictions.dense.bias: {shape} in the checkpoint, (5,) in the model" in err
    ), err
    assert not target.exists()


@pytest.mark.bad_input(18)
def test_names_are_never_paths_nor_sent_to_a_terminal(tmp_path):
    arrays = weights(tiny(), "ForMaskedLM")
    arrays |= {ESCAPES: np.ones(3, "f4"), "../../x": np.ones(3, "f4")}
    source = replaced(tmp_path / "source", arrays)
    before = files(tmp_path)
    arguments = ("convert", source, tmp_path / "x", "--to", "flax-msgpack")
    code, out, err = command(*arguments)
    assert (code, out) == (3, "")
    assert err.startswith("albert-zoo: UNEXPECTED ")
    assert r"'../\x1b[2J\n\u202e\x00nnn" in err
    assert len(err) < 1000
    assert files(tmp_path) == before
    code, _, _ = command(*arguments, "--allow-unused")
    assert code == 0
    new = {"x", "x/config.json", "x/conversion.json", "x/flax_model.msgpack"}
    assert {*files(tmp_path)} == {*before} | new
    for name in "inspect", "hash":
        _, out, err = command(name, source)
        assert all(map(str.isprintable, (out + err).splitlines()))
