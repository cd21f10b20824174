"""Sources that are not in order, and what a user may ask for then."""

import json

import numpy as np
import pytest

import conversion
from albert_core import checkpoint
from albert_core.errors import FormatError
from albert_zoo import console
from conversion import hashing, open_checkpoint
from conversion.plan import numpy_dtype
from tests.conftest import tiny, weights, write

HEAD = "ForMaskedLM"
WORDS = "albert.embeddings.word_embeddings.weight"
BIAS = "predictions.bias"


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "source", tiny(hidden_act="gelu_new"), HEAD)


@pytest.mark.bad_input(10)
def test_bytes_behind_the_last_array(call, source, tmp_path, caplog):
    expected = hashing.whole(hashing.digests(open_checkpoint(source)))
    with (source / "model.safetensors").open("ab") as file:
        file.write(b"PK\x03\x04 and more")
    command = "convert", source, tmp_path / "x", "--to", "flax-msgpack"
    code, _, err = call(*command)
    assert code == console.BAD_INPUT
    assert "TRAILING" in err
    assert "13 bytes" in err
    assert "--allow-trailing" in err
    assert call(*command, "--allow-trailing")[0] == 0
    assert "13 bytes stand behind its last array, and are left out" in caplog.text
    assert hashing.whole(hashing.digests(open_checkpoint(tmp_path / "x"))) == expected


@pytest.mark.bad_input(10)
def test_bytes_behind_the_last_array_of_several_files(source, tmp_path):
    conversion.convert(source, tmp_path / "few", "safetensors", max_shard_size="10KB")
    one, *_ = (tmp_path / "few").glob("model-00002-of-*.safetensors")
    with one.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="TRAILING"):
        open_checkpoint(tmp_path / "few")
    done = conversion.convert(
        tmp_path / "few", tmp_path / "x", "safetensors", allow_trailing=True
    )
    assert done.sha256 == conversion.convert(source, tmp_path / "y", "keras").sha256


@pytest.mark.bad_input(27)
def test_other_weights_in_the_same_folder(call, source, tmp_path):
    conversion.convert(source, tmp_path / "torch", "pytorch-bin")
    other = source / "pytorch_model.bin"
    (tmp_path / "torch" / other.name).rename(other)
    command = "convert", source, tmp_path / "x", "--to", "safetensors"
    code, out, err = call(*command, "--verify-siblings")
    assert (code, err) == (0, "")
    assert "beside it and not read: pytorch_model.bin" in out
    assert "not read: pytorch_model.bin" in call("inspect", source)[1]
    changed = weights(tiny(), HEAD)
    changed[BIAS][3] += 1
    config = tiny(architectures=[f"Albert{HEAD}"])
    checkpoint.save(tmp_path / "changed", config, changed)
    conversion.convert(tmp_path / "changed", tmp_path / "again", "pytorch-bin")
    (tmp_path / "again" / other.name).replace(other)
    command = "convert", source, tmp_path / "y", "--to", "safetensors"
    code, _, err = call(*command, "--verify-siblings")
    assert code == console.BAD_INPUT
    assert f"DUPLICATE {other}: it is not the same as model.safetensors" in err
    assert f"'{BIAS}'" in err
    assert WORDS.removeprefix("albert.") not in err
    code, out, _ = call(*command)
    assert code == 0
    assert "beside it and not read: pytorch_model.bin" in out
    expected = hashing.digests(open_checkpoint(source / "model.safetensors"))
    assert hashing.digests(open_checkpoint(tmp_path / "y")) == expected


@pytest.mark.bad_input(57)
def test_an_array_whose_checksum_is_wrong(call, source, tmp_path):
    conversion.convert(source, tmp_path / "tf", "google-tf1")
    data = tmp_path / "tf" / "model.ckpt-best.data-00000-of-00001"
    bias = weights(tiny(), HEAD)[BIAS].tobytes()
    content = data.read_bytes()
    data.write_bytes(content.replace(bias, bias[:-1] + bytes([bias[-1] ^ 1])))
    command = "convert", tmp_path / "tf", tmp_path / "x", "--to", "safetensors"
    code, _, err = call(*command)
    assert code == console.BAD_INPUT
    assert "CHECKSUM" in err
    assert "'cls/predictions/output_bias' has the checksum" in err
    code, out, _ = call(*command, "--salvage")
    assert code == 0
    assert BIAS in out
    found, expected = open_checkpoint(tmp_path / "x"), open_checkpoint(source)
    assert set(expected) - set(found) == {BIAS}
    for name in found:
        assert found[name].tobytes() == expected[name].tobytes(), name
    noted = json.loads((tmp_path / "x" / "conversion.json").read_text())["dropped"]
    assert "CHECKSUM" in noted[BIAS]


@pytest.mark.bad_input(63)
@pytest.mark.parametrize("stored", [29, 31, 40])
def test_tables_of_another_size_than_the_configuration_has(
    stored, call, source, tmp_path, caplog
):
    config = tiny(vocab_size=stored, hidden_act="gelu_new")
    found = weights(config, HEAD)
    checkpoint.save(tmp_path / "other", config, found)
    config = (source / "config.json").read_text()
    (tmp_path / "other" / "config.json").write_text(config)
    command = "convert", tmp_path / "other", tmp_path / "x", "--to", "google-tf1"
    code, _, err = call(*command)
    if stored != 31:
        assert code == console.BAD_INPUT
        assert f"{WORDS}: ({stored}, 5) in the checkpoint, (31, 5) in the model" in err
        assert "add --resize-vocab" in err
        assert call(*command, "--resize-vocab")[0] == 0
        assert f"{BIAS} has {stored} rows and gets 31" in caplog.text
    assert ("gets 31" in caplog.text) == (stored != 31)
    made = open_checkpoint(tmp_path / "x")
    kept = min(stored, 31)
    for name in (WORDS, BIAS):
        assert made.shape(name)[0] == 31
        assert (made[name][:kept] == found[name][:kept]).all()
        assert (made[name][kept:] == 0).all()
    others = found.keys() - {WORDS, BIAS}
    assert all((made[name] == found[name]).all() for name in others)


@pytest.mark.bad_input(67)
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_numbers_that_are_not_finite(dtype, call, tmp_path):
    kind = numpy_dtype(dtype)
    arrays = {name: x.astype(kind) for name, x in weights(tiny(), HEAD).items()}
    arrays[BIAS][:3] = np.nan, np.inf, -np.inf
    arrays[WORDS][5, 2] = np.nan
    config = tiny(architectures=[f"Albert{HEAD}"])
    checkpoint.save(tmp_path / "source", config, arrays)
    command = "convert", tmp_path / "source", tmp_path / "x", "--to", "pytorch-bin"
    code, _, err = call(*command, "--reject-nonfinite")
    assert code == console.BAD_INPUT
    assert "NONFINITE" in err
    assert f"{WORDS} (1)" in err
    assert f"{BIAS} (3)" in err
    assert not (tmp_path / "x").exists()
    code, out, _ = call(*command)
    assert code == 0
    assert "4 numbers are NaN or infinite, and were copied" in out
    made = open_checkpoint(tmp_path / "x")
    assert all(made[name].tobytes() == arrays[name].tobytes() for name in arrays)


def test_large_numbers_are_finite(call, source, tmp_path):
    arrays = weights(tiny(), HEAD)
    arrays[BIAS][:] = 3e38  # their sum is infinite
    checkpoint.save(tmp_path / "large", tiny(architectures=[f"Albert{HEAD}"]), arrays)
    command = "convert", tmp_path / "large", tmp_path / "x", "--to", "pytorch-bin"
    code, out, _ = call(*command, "--reject-nonfinite")
    assert code == 0
    assert "infinite" not in out
