"""What the machine does: targets, names of files, texts, and files that change."""

import os
import subprocess
import sys

import numpy as np
import pytest

from albert_core import checkpoint, safetensors_file
from albert_zoo import console
from conversion import open_checkpoint
from conversion.outgoing import Outgoing
from tests.conftest import tiny, weights, write
from tests.conversion.hostile.judging import command, files, whole


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "source", tiny(), "ForMaskedLM")


@pytest.mark.bad_input(69)
def test_numbers_of_another_width_stay_as_they_are(source, tmp_path):
    wide = {name: a.astype("f8") for name, a in weights(tiny(), "ForMaskedLM").items()}
    (source / "model.safetensors").unlink()
    safetensors_file.write(source / "model.safetensors", wide)
    arguments = ("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert command(*arguments)[0] == 0
    assert {array.dtype.name for array in whole(tmp_path / "x").values()} == {"float64"}
    assert command(*arguments, "--overwrite", "--dtype", "float32")[0] == 0
    assert {array.dtype.name for array in whole(tmp_path / "x").values()} == {"float32"}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32"])
@pytest.mark.bad_input(69)
def test_quantised_weights_are_refused_by_name(dtype, source, tmp_path):
    arrays = weights(tiny(), "ForMaskedLM")
    arrays["predictions.dense.weight"] = arrays["predictions.dense.weight"].astype(
        dtype
    )
    (source / "model.safetensors").unlink()
    safetensors_file.write(source / "model.safetensors", arrays)
    for more in (), ("--dtype", "float32"):
        arguments = ("convert", source, tmp_path / "x", "--to", "pytorch-bin", *more)
        code, out, err = command(*arguments)
        assert (code, out) == (3, "")
        assert "BAD_DTYPE" in err
        assert f"'predictions.dense.weight' holds {dtype}" in err
    assert files(tmp_path) == files(source.parent)


@pytest.mark.bad_input(70)
def test_a_target_of_too_long_a_name(source, tmp_path):
    before = files(tmp_path)
    target = tmp_path / ("n" * 300)
    code, out, err = command("convert", source, target, "--to", "pytorch-bin")
    assert (code, out) == (5, "")
    assert "too long" in err
    assert files(tmp_path) == before


@pytest.mark.bad_input(70)
def test_a_target_where_nothing_may_be_written(source, tmp_path, monkeypatch):
    """Permissions hold back nobody who is root, so the system's answer is made."""
    place = tmp_path / "locked"
    place.mkdir()

    def refuse(path, *_):
        raise PermissionError(13, "Permission denied", str(path))

    before = files(tmp_path)
    monkeypatch.setattr(os, "mkdir", refuse)
    code, out, err = command("convert", source, place / "x", "--to", "pytorch-bin")
    assert (code, out) == (5, "")
    assert "Permission denied" in err
    assert files(tmp_path) == before


@pytest.mark.parametrize("change", ["cut", "other"])
@pytest.mark.bad_input(74)
def test_a_source_that_changes_between_its_arrays(
    change, source, tmp_path, monkeypatch
):
    path = source / "model.safetensors"
    real, seen = Outgoing.chunks, []

    def chunks(self):
        seen.append(self)
        if len(seen) == 3:
            if change == "cut":
                os.truncate(path, 3000)
            else:
                os.utime(path, ns=(1, 1))
        yield from real(self)

    monkeypatch.setattr(Outgoing, "chunks", chunks)
    code, out, err = command("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert (code, out) == (console.ENVIRONMENT, "")
    assert err.startswith(f"albert-zoo: CHANGED {path}: it has changed since it was")
    assert not (tmp_path / "x").exists()


@pytest.mark.bad_input(75)
def test_names_that_differ_in_case_become_no_files(source, tmp_path):
    """Only names from our own tables become names of files, so none can meet."""
    arrays = weights(tiny(), "ForMaskedLM")
    arrays |= {"Extra.weight": np.ones(2, "f4"), "extra.weight": np.zeros(3, "f4")}
    arrays |= {"con.weight": np.ones(2, "f4")}
    config = tiny(hidden_act="gelu_new", architectures=["AlbertForMaskedLM"])
    checkpoint.save(source, config, arrays)
    found = open_checkpoint(source)
    assert {*found.unexpected} == {"Extra.weight", "extra.weight", "con.weight"}
    for name in "flax-msgpack", "keras", "google-tf1":
        arguments = ("convert", source, tmp_path / name, "--to", name)
        assert command(*arguments, "--allow-unused")[0] == 0
    made = [name for name in files(tmp_path) if not name.startswith("source")]
    assert len({name.lower() for name in made}) == len(made)
    assert not any("extra" in name.lower() or "con.w" in name for name in made)


@pytest.mark.parametrize("kind", ["missing", "damaged", "other"])
@pytest.mark.bad_input(78)
def test_weights_are_converted_whatever_the_tokenizer_is(kind, source, tmp_path):
    if kind == "damaged":
        (source / "spiece.model").write_bytes(b"\xff\x00 no model")
    elif kind == "other":
        (source / "spiece.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\0\0\0\0\x18\2")
    code, _, err = command("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert (code, "Traceback" in err) == (0, False)
    copied = tmp_path / "x" / "spiece.model"
    assert copied.exists() == (kind != "missing")
    assert command("diff", source, tmp_path / "x")[0] == 0


ODD = [b"-leading", b"with space", b"no \xff UTF-8", "ünï".encode(), b"line\nfeed"]


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse some names")
@pytest.mark.bad_input(77)
def test_odd_names_in_the_locale_c(source, tmp_path):
    """Nothing is drawn where nobody looks, and nothing sent that is no ASCII."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LC_")}
    environment |= {"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0"}
    environment |= {"PYTHONCOERCECLOCALE": "0", "PYTHONPATH": os.pathsep.join(sys.path)}
    code = (
        "import sys\n"
        "from unittest import mock\n"
        "from albert_zoo import cli\n"
        "for name in sys.argv[1:]:\n"
        "    words = ['convert', '--to', 'tensorflow-h5', '--', 'source', name]\n"
        "    with mock.patch.object(sys, 'argv', ['albert-zoo', *words]):\n"
        "        try:\n"
        "            cli.main()\n"
        "        except SystemExit as stop:\n"
        "            assert stop.code == 0, (name, stop.code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *ODD],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()[-900:]
    assert b"\x1b" not in done.stdout
    done.stdout.decode("ascii")
    for name in ODD:
        assert (tmp_path / os.fsdecode(name) / "tf_model.h5").is_file()


@pytest.mark.bad_input(78)
@pytest.mark.parametrize("what", ["missing", "damaged", "other", "right"])
def test_a_tokenizer_that_does_not_belong(what, tmp_path, caplog):
    source = write(tmp_path / "source", tiny(vocab_size=5))
    pieces = b"\n\x03\n\x01a" * (5 if what == "right" else 4)
    made = {"damaged": b"\x0f", "other": pieces, "right": pieces}
    if what in made:
        (source / "spiece.model").write_bytes(made[what])
    code, out, _ = command("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert code == console.OK
    said = {
        "missing": "",
        "damaged": "it is no SentencePiece model, or damaged",
        "other": "it has 4 pieces, and vocab_size is 5",
        "right": "",
    }[what]
    assert said in caplog.text
    assert ("comes along, but" in caplog.text) == bool(said)
    assert ("no tokenizer comes along" in out) == (what == "missing")


@pytest.mark.bad_input(16, 63)
@pytest.mark.parametrize("shape", [(3,), (2, 2)])
def test_a_pooler_that_the_head_does_not_use(shape, tmp_path):
    config = tiny(architectures=["AlbertForMaskedLM"])
    arrays = weights(config, "ForMaskedLM", pools=True)
    arrays["albert.pooler.weight"] = np.ones(shape, np.float32)
    checkpoint.save(tmp_path / "source", config, arrays)
    target = tmp_path / "x"
    code, _, err = command("convert", tmp_path / "source", target, "--to", "keras")
    assert code == console.BAD_INPUT
    assert "albert.pooler.weight" in err
    assert not target.exists()


@pytest.mark.bad_input(70)
def test_a_name_that_is_too_long_leaves_no_folder_behind(tmp_path):
    source = write(tmp_path / "source", tiny())
    target = tmp_path / "new" / ("x" * 252)
    code, _, err = command("convert", source, target, "--to", "keras")
    assert code == console.ENVIRONMENT
    assert "File name too long" in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
