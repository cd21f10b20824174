"""`albert-zoo convert`, `hash`, `diff` and `inspect` as a user meets them."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from albert_core import checkpoint
from albert_zoo import console
from conversion import open_checkpoint
from conversion.stores import STORES
from tests.conftest import tiny, weights, write

PIECES = b"\n\x03\n\x01a" * 31  # of a SentencePiece model, one for each word


@pytest.fixture
def source(tmp_path):
    path = write(tmp_path / "source", tiny(hidden_act="gelu_new"), "ForPreTraining")
    (path / "spiece.model").write_bytes(PIECES)
    return path


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir()}


def test_a_checkpoint_goes_there_and_back(call, source, tmp_path):
    code, out, err = call("convert", source, tmp_path / "tf", "--to", "google-tf1")
    assert (code, err) == (0, "")
    assert "read back and found the same" in out
    code, out, _ = call(
        "convert", tmp_path / "tf", tmp_path / "b", "--to", "safetensors"
    )
    assert code == 0
    assert files(tmp_path / "b")["spiece.model"] == PIECES
    code, out, _ = call(
        "hash", source, tmp_path / "tf", tmp_path / "tf/model.ckpt-best"
    )
    digests = [line.split()[0] for line in out.splitlines()]
    assert code == 0
    assert len(digests) == 3
    assert len(set(digests)) == 1
    code, out, _ = call("diff", source, tmp_path / "tf")
    assert code == 0
    assert "are the same, bit by bit" in out


@pytest.mark.bad_input(76)
def test_no_framework_is_loaded(source, tmp_path):
    """Nor is any needed: importing one fails here."""
    code = (
        "import sys\n"
        "for name in ('torch', 'tensorflow', 'jax', 'flax', 'keras'):\n"
        "    sys.modules[name] = None\n"
        "from albert_zoo.cli import main\n"
        "main()\n"
    )
    for name in STORES:
        command = [sys.executable, "-c", code, "convert", source, tmp_path / name]
        done = subprocess.run(
            [*command, "--to", name], capture_output=True, text=True, check=False
        )
        if STORES[name].heads:  # not every model
            assert (done.returncode, "CANNOT_HOLD" in done.stderr) == (3, True)
        elif name == "orbax":  # comes with Flax
            assert done.returncode == console.MISSING
            assert "pip install 'albert-zoo[flax]'" in done.stderr
        else:
            assert (done.returncode, done.stderr) == (0, "")


def test_hash_and_diff_find_one_bit(call, source, tmp_path):
    config = tiny(hidden_act="gelu_new")
    arrays = weights(config, "ForPreTraining")
    bits = arrays["sop_classifier.classifier.bias"].view(np.uint32)
    bits[1] ^= 1
    checkpoint.save(tmp_path / "other", config, arrays)
    code, out, _ = call("hash", source, tmp_path / "other", "--json", "-")
    assert code == console.CHECK_FAILED
    one, other = json.loads(out)["checkpoints"]
    assert one["sha256"] != other["sha256"]
    differ = {n for n in one["arrays"] if one["arrays"][n] != other["arrays"][n]}
    assert differ == {"sop_classifier.classifier.bias"}
    code, out, _ = call("diff", source, tmp_path / "other")
    assert code == console.CHECK_FAILED
    assert "sop_classifier" in out
    assert "predictions" not in out
    code, out, _ = call("diff", source, tmp_path / "other", "--json", "-")
    (row,) = [row for row in json.loads(out)["arrays"] if row["verdict"] != "same"]
    assert (row["verdict"], row["changed"], row["worst"]) == ("different", 1, [1])
    assert 0 < row["largest"] < 1e-6


def test_diff_names_every_kind_of_difference(call, source, tmp_path):
    config = tiny(hidden_act="gelu_new", vocab_size=32)
    arrays = weights(config, "ForMaskedLM")
    arrays["predictions.dense.bias"] = arrays["predictions.dense.bias"].astype(
        np.float16
    )
    arrays["albert.encoder.embedding_hidden_mapping_in.bias"][3] = np.nan
    checkpoint.save(tmp_path / "other", config, arrays)
    code, out, _ = call("diff", source, tmp_path / "other", "--json", "-")
    assert code == console.CHECK_FAILED
    rows = {row["name"]: row for row in json.loads(out)["arrays"]}
    assert rows["sop_classifier.classifier.bias"]["verdict"] == "only in the first"
    assert rows["embeddings.word_embeddings.weight"]["verdict"] == "shape"
    broken = rows["encoder.embedding_hidden_mapping_in.bias"]
    assert (broken["largest"], broken["worst"]) == (None, [3])
    assert rows["predictions.dense.bias"]["first"] == "float32 5"
    assert rows["predictions.dense.bias"]["second"] == "float16 5"


def test_a_dry_run_writes_nothing(call, source, tmp_path):
    arguments = (
        "convert",
        source,
        tmp_path / "x",
        "--to",
        "tensorflow-h5",
        "--dry-run",
    )
    code, out, _ = call(*arguments, "--dtype", "float16", "--json", "-")
    plan = json.loads(out)
    assert code == 0
    assert not (tmp_path / "x").exists()
    assert {item["dtype"] for item in plan["arrays"]} == {"float16"}
    assert {item["source_dtype"] for item in plan["arrays"]} == {"float32"}
    written = [name for names in plan["files"].values() for name in names]
    done = {"config.json", "conversion.json", "spiece.model", "tf_model.h5"}
    assert set(plan["all_files"]) == done
    assert sorted(n for i in plan["arrays"] for n in i["targets"]) == sorted(written)
    assert plan["disk_bytes"] > sum(item["bytes"] for item in plan["arrays"])
    code, out, _ = call(*arguments)
    assert code == 0
    assert "Nothing was written" in out
    assert "transposed" in out


@pytest.mark.bad_input(18)
def test_inspect_tells_what_there_is(call, source, tmp_path):
    code, out, _ = call("inspect", source)
    assert code == 0
    assert "head: ForPreTraining" in out
    assert "It is a whole ALBERT." in out
    arrays = weights(tiny(), "ForMaskedLM")
    del arrays["albert.encoder.embedding_hidden_mapping_in.bias"]
    arrays["evil\x1b[31m"] = np.zeros(2, np.float32)
    checkpoint.save(tmp_path / "bad", tiny(), arrays)
    code, out, _ = call("inspect", tmp_path / "bad")
    assert code == console.CHECK_FAILED
    assert "\x1b[31m" not in out
    assert "UNEXPECTED" in out
    assert "missing     albert.encoder.embedding_hidden_mapping_in.bias" in out
    code, out, _ = call("inspect", tmp_path / "bad", "--json", "-")
    assert code == console.CHECK_FAILED
    assert json.loads(out)["unexpected"] == ["evil\x1b[31m"]


@pytest.mark.parametrize("old", ["file", "folder", "link", "strange"])
@pytest.mark.bad_input(70)
def test_an_existing_target_is_safe(call, source, tmp_path, old):
    target = tmp_path / "target"
    if old == "file":
        target.write_text("mine")
    elif old == "link":
        (tmp_path / "real").mkdir()
        target.symlink_to(tmp_path / "real")
    else:
        target.mkdir()
        (target / ("notes.txt" if old == "strange" else "config.json")).write_text(
            "old"
        )
    arguments = ("convert", source, target, "--to", "pytorch-bin")
    code, _, err = call(*arguments)
    assert code == console.USAGE
    expected = {"file": "is a file", "link": "is a link"}.get(old, "--overwrite")
    assert expected in err
    code, _, err = call(*arguments, "--overwrite")
    assert code == (0 if old == "folder" else console.USAGE)
    if old == "folder":
        assert open_checkpoint(target).store.name == "pytorch-bin"
    elif old == "strange":
        assert "notes.txt" in err
        assert files(target) == {"notes.txt": b"old"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("place", ["source", "source/inside", "."])
@pytest.mark.bad_input(70)
def test_the_source_is_never_a_target(call, source, tmp_path, place):
    before = files(source)
    arguments = ("convert", source, tmp_path / place, "--to", "pytorch-bin")
    code, _, err = call(*arguments, "--overwrite")
    assert code == console.USAGE
    assert "source" in err
    assert files(source) == before


def test_bad_input_is_3_and_leaves_nothing(call, source, tmp_path):
    whole = (source / "model.safetensors").read_bytes()
    (source / "model.safetensors").write_bytes(whole[:-1])
    code, _, err = call("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert code == console.BAD_INPUT
    assert "TRUNCATED" in err
    code, _, err = call("convert", tmp_path / "no", tmp_path / "x", "--to", "orbit")
    assert code == console.USAGE
    assert "orbit is not among" in err
    size = ("--to", "pytorch-bin", "--max-shard-size", "many")
    code, _, err = call("convert", source, tmp_path / "x", *size)
    assert code == console.USAGE
    assert "such as '200MB'" in err
    for command in ("hash", "inspect"):
        code, _, err = call(command, tmp_path / "nowhere")
        assert code == console.BAD_INPUT
        assert "does not exist" in err
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_a_full_disk_is_5_and_leaves_nothing(call, source, tmp_path, monkeypatch):
    import shutil

    real = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: real._replace(free=1000))
    code, _, err = call("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert code == console.ENVIRONMENT
    assert "but the disk has 1000" in err
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_a_result_that_differs_is_1_and_leaves_nothing(
    call, source, tmp_path, monkeypatch
):
    from conversion import stores

    def write_wrong(path, arrays):
        read = {name: array.read().copy() for name, array in arrays.items()}
        read["sop_classifier.classifier.bias"][0] += 1
        stores.STORES["pytorch-bin"].write(path, read)

    monkeypatch.setitem(vars(STORES["flax-msgpack"]), "write", write_wrong)
    monkeypatch.setitem(
        vars(STORES["flax-msgpack"]), "read", STORES["pytorch-bin"].read
    )
    code, _, err = call("convert", source, tmp_path / "x", "--to", "flax-msgpack")
    assert code == console.CHECK_FAILED
    assert "not what was read, in sop_classifier.classifier.bias" in err
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


@pytest.mark.bad_input(73)
def test_two_at_once_one_wins(call, source, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / ".x.lock"):
        code, _, err = call("convert", source, tmp_path / "x", "--to", "pytorch-bin")
    assert code == console.ENVIRONMENT
    assert "being written by another process" in err
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("how", ["closed", "latin-1"])
@pytest.mark.bad_input(77)
def test_any_output_will_do(source, tmp_path, how):
    """One that is closed, and one that has no arrow."""
    command = f"{sys.executable} -m albert_zoo.cli convert {source} {tmp_path / 'x'}"
    command += " --to tensorflow-h5" + (" >&-" if how == "closed" else "")
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    done = subprocess.run(
        command, shell=True, env=environment, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert open_checkpoint(tmp_path / "x").head == "ForPreTraining"


@pytest.mark.bad_input(75)
def test_permissions_are_those_of_the_user(source, tmp_path):
    before = os.umask(0o027)
    try:
        command = [sys.executable, "-m", "albert_zoo.cli", "convert", str(source)]
        command += [str(tmp_path / "x"), "--to", "tensorflow-h5"]
        subprocess.run(command, check=True, capture_output=True)
    finally:
        os.umask(before)
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "x").iterdir()}
    assert modes == {"0o640"}
    assert oct((tmp_path / "x").stat().st_mode & 0o777) == "0o750"
