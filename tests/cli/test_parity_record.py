"""`albert-zoo parity record` and `compare` as a user meets them."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from albert_zoo import console
from tests.conftest import FRAMEWORKS, tiny, write
from tests.parity.recordings import SMALL, make, manifest, rewrite, rows


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A recording; not to be changed."""
    return make(tmp_path_factory.mktemp("healthy"), head="Model")


@pytest.fixture
def recording(healthy, tmp_path):
    """A copy of it."""
    return shutil.copytree(healthy, tmp_path / "recording")


@pytest.fixture
def refused(call):
    """Compare, which must be refused as bad input; gives the message."""

    def refuse(*arguments):
        code, out, err = call("parity", "compare", *arguments)
        assert code == console.BAD_INPUT
        assert out == ""
        assert "Traceback" not in err
        return err

    return refuse


def test_what_is_recorded_is_judged(call, tmp_path):
    source = write(tmp_path / "source", tiny(**SMALL), "ForMaskedLM")
    folders = tmp_path / "one", tmp_path / "two"
    for folder, mode in zip(folders, ("float64", "float32"), strict=True):
        options = ("--framework", "torch", "--dtype", mode)
        code, out, err = call("parity", "record", source, folder, *options)
        assert (code, err) == (0, "")
        assert out == (
            f"Recorded AlbertForMaskedLM, torch, {mode} in {folder}: 10 files.\n"
        )
    code, out, err = call("parity", "compare", *folders)
    assert (code, err) == (0, "")
    # A row and the switches of each.
    assert out.count("PyTorch (one)") == out.count("PyTorch (two)") == 2
    assert "Every framework computes what the float64 reference computes." in out
    code, out, _ = call("parity", "compare", *folders, "--json", "-")
    result = json.loads(out)
    assert code == 0
    assert result["passed"]
    assert [run["switches"]["recording"] for run in result["runs"]] == [
        str(folder) for folder in folders
    ]


def test_what_is_judged_elsewhere_can_be_reported_and_certified(
    call, recording, healthy, tmp_path
):
    page, proof = tmp_path / "proof.html", tmp_path / "proof.json"
    outputs = "--report", page, "--certificate", proof
    code, _, err = call("parity", "compare", recording, *outputs)
    assert (code, err) == (0, "")
    assert "PyTorch" in page.read_text()
    source = healthy.parent / "checkpoint"
    assert call("parity", "verify", proof, source)[0] == 0
    code, out, _ = call("parity", "compare", recording, "--budget-scale", "3")
    assert code == 0
    assert "All budgets were multiplied with 3." in out


def test_one_that_differs_is_1_and_shows_where(call, recording):
    rewrite(recording, "calls-rows.safetensors", lambda x: x["pooler"].fill(0))
    code, out, _ = call("parity", "compare", recording)
    assert code == console.CHECK_FAILED
    assert "the first difference is in pooler" in out


def test_the_checkpoint_may_be_elsewhere(call, recording, healthy, tmp_path):
    moved = shutil.copytree(healthy.parent / "checkpoint", tmp_path / "moved")
    manifest(recording, checkpoint=str(tmp_path / "nowhere"))
    code, _, err = call("parity", "compare", recording)
    assert code == console.BAD_INPUT
    assert f"{tmp_path / 'nowhere'}, which is not here" in err
    assert "--checkpoint" in err
    code, _, err = call("parity", "compare", recording, "--checkpoint", moved)
    assert (code, err) == (0, "")


def test_texts_are_recorded_where_there_is_a_tokenizer(call, healthy, tmp_path):
    texts = tmp_path / "texts.txt"
    texts.write_text("A text.\n")
    source = healthy.parent / "checkpoint"
    options = ("--framework", "torch", "--texts", texts)
    code, _, err = call("parity", "record", source, tmp_path / "out", *options)
    assert code == console.BAD_INPUT
    assert "tokenizer" in err


def test_a_recording_is_not_overwritten_unasked(call, recording, healthy):
    source = healthy.parent / "checkpoint"
    options = ("--framework", "torch", "--dtype", "float32")
    code, _, err = call("parity", "record", source, recording, *options)
    assert code == console.BAD_INPUT
    assert "Add --overwrite to replace it" in err
    assert manifest(recording)["mode"] == "float64"
    arguments = (source, recording, *options, "--overwrite")
    assert call("parity", "record", *arguments)[0] == 0
    assert manifest(recording)["mode"] == "float32"
    (recording / "mine.txt").write_text("")
    code, _, err = call("parity", "record", *arguments)
    assert code == console.BAD_INPUT
    assert "mine.txt" in err


def test_a_missing_framework_is_4(tmp_path):
    code = "import sys; sys.modules['jax'] = None; from albert_zoo.cli import main; "
    source = write(tmp_path / "source", tiny(**SMALL))
    arguments = ("parity", "record", source, tmp_path / "out", "--framework", "flax")
    command = [sys.executable, "-c", f"{code}main()", *arguments]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.returncode == console.MISSING
    assert "pip install 'albert-zoo[flax]'" in shown.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["source"]


def test_help_shows_an_example(call):
    for command in ("record", "compare"):
        code, out, _ = call("parity", command, "--help")
        assert code == 0
        assert f"albert-zoo parity {command} " in out
    assert "record" in call("parity", "--help")[1]


def test_usage_errors_are_2(call, tmp_path):
    assert call("parity", "compare")[0] == console.USAGE
    assert call("parity", "record", tmp_path)[0] == console.USAGE
    code, _, err = call("parity", "record", tmp_path, tmp_path, "--framework", "keras")
    assert code == console.USAGE
    assert "'keras' is not one of" in err


def test_another_model_is_refused(refused, healthy, tmp_path):
    other = make(tmp_path, head="ForMaskedLM", make=rows)
    err = refused(healthy, other)
    assert f"{healthy} was recorded with the model AlbertModel" in err
    assert f"{other} with the model AlbertForMaskedLM" in err
    err = refused(healthy, "--checkpoint", tmp_path / "checkpoint")
    assert "a recording of AlbertModel, but" in err
    assert "is AlbertForMaskedLM" in err


def test_other_weights_are_refused_with_both_hashes(refused, healthy, tmp_path):
    other = make(tmp_path, head="Model", seed=1)
    hashes = [manifest(x)["weights_sha256"] for x in (healthy, other)]
    for message in (
        refused(healthy, other),
        refused(healthy, "--checkpoint", tmp_path / "checkpoint"),
    ):
        assert all(one in message for one in hashes)


def test_other_inputs_are_refused_with_both_hashes(refused, healthy, tmp_path):
    other = make(tmp_path, head="Model", make=rows)
    hashes = [manifest(x)["inputs_sha256"] for x in (healthy, other)]
    assert all(one in refused(healthy, other) for one in hashes)


def test_inputs_that_were_exchanged_are_refused(refused, recording):
    def edit(arrays):
        arrays["input_ids"][0, 0] += 1

    rewrite(recording, "inputs-rows.safetensors", edit)
    assert "CHECKSUM" in refused(recording)


def test_inputs_that_no_model_takes_are_refused(refused, recording):
    from albert_zoo.parity import proof
    from albert_zoo.parity.case import open_case
    from albert_zoo.parity.recording import Recording

    def edit(arrays):
        arrays["input_idx"] = arrays.pop("input_ids")

    rewrite(recording, "inputs-rows.safetensors", edit)
    opened = Recording.open(recording)
    case = open_case(opened.manifest.checkpoint, lambda *_: opened.batches)
    manifest(recording, inputs_sha256=proof.inputs_digest(case))
    assert "its inputs cannot be run: " in refused(recording)


def test_a_recording_cut_short_is_refused(refused, recording):
    (recording / "calls-rows.safetensors").unlink()
    err = refused(recording)
    assert "INCOMPLETE" in err
    assert "there is no 'calls-rows.safetensors'" in err
    (recording / "manifest.json").unlink()
    err = refused(recording)
    assert "INCOMPLETE" in err
    assert "has no manifest.json, which is written last" in err


def test_a_file_cut_short_or_changed_is_refused(refused, recording):
    file = recording / "outputs-rows.safetensors"
    data = bytearray(file.read_bytes())
    file.write_bytes(data[:-1])
    assert f"CHECKSUM {file}" in refused(recording)
    data[-1] ^= 1
    file.write_bytes(data)
    assert f"CHECKSUM {file}" in refused(recording)


def test_an_unknown_version_is_refused(refused, recording):
    manifest(recording, version=2)
    err = refused(recording)
    assert "UNSUPPORTED" in err
    assert "it is of version 2, and only 1 is known here" in err


@pytest.mark.parametrize("name", ["../evil.safetensors", "/etc/passwd", "a/b", "C:x"])
def test_names_that_lead_out_of_the_folder_are_refused(refused, recording, name):
    manifest(recording, files={**manifest(recording)["files"], name: "0"})
    err = refused(recording)
    assert "UNSAFE" in err
    assert repr(name) in err


def test_links_that_lead_out_of_the_folder_are_refused(refused, recording, tmp_path):
    file = recording / "outputs-rows.safetensors"
    file.rename(tmp_path / "moved")
    file.symlink_to(tmp_path / "moved")
    assert "UNSAFE" in refused(recording)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "a cake"}, "its kind is 'a cake'"),
        ({"framework": "theano"}, "'framework'"),
        ({"mode": ["float32"]}, "'mode'"),
        ({"weights": None}, "'weights'"),
        ({"switches": {"device": 1}}, "'switches'"),
        ({"batches": "rows"}, "'batches'"),
        ({"batches": ["single"]}, "'batch rows'"),
        ({"batches": ["rows", "more"]}, "'calls-more.safetensors'"),
        ({"config": {"hidden_size": -1}}, "hidden_size"),
    ],
    ids=lambda x: next(iter(x)) if isinstance(x, dict) else None,
)
def test_a_manifest_of_another_form_is_refused(refused, recording, changes, message):
    manifest(recording, **changes)
    assert message in refused(recording)


def test_what_is_no_recording_is_refused(refused, tmp_path, healthy):
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert "INCOMPLETE" in refused(tmp_path)
    assert "is a file" in refused(healthy / "manifest.json")
    (tmp_path / "manifest.json").write_text("{")
    assert "is not a JSON file" in refused(tmp_path)


PAGES = Path(__file__).parents[2] / "docs" / "parity"
LINES = re.compile(r"^albert-zoo .*$", re.MULTILINE)


@pytest.fixture
def shell(call, healthy, tmp_path, monkeypatch):
    """Run a command of a page, as a shell would; flax is slow, and torch stands in."""
    shutil.copytree(healthy.parent / "checkpoint", tmp_path / "my-albert")
    monkeypatch.chdir(tmp_path)

    def run(line):
        program, *words = shlex.split(line.replace("flax", "torch"))
        assert program == "albert-zoo"
        words = [one for word in words for one in (sorted(Path().glob(word)) or [word])]
        code, out, err = call(*words)
        assert (code, err) == (0, ""), line
        return out

    return run


def test_the_commands_of_the_page_run(shell):
    *recorded, compared = LINES.findall((PAGES / "record.md").read_text())
    for line in recorded:
        shell(line)
    assert shell(compared).count("PyTorch") == 2 * len(recorded) == 4


def test_the_workflow_of_the_page_runs(shell, tmp_path):
    text = (PAGES / "testing.md").read_text()
    flow = yaml.safe_load(text.split("```yaml\n")[1].split("```")[0])
    record, compare = flow["jobs"]["record"], flow["jobs"]["compare"]
    assert record["strategy"]["matrix"]["framework"] == list(FRAMEWORKS)
    assert compare["needs"] == "record"
    (line,) = commands(record)
    shell(line.replace("${{ matrix.framework }}", "torch"))
    uploads = [step["with"] for step in record["steps"] if "upload" in str(step)]
    downloads = [step["with"] for step in compare["steps"] if "download" in str(step)]
    assert uploads[0]["path"] == downloads[0]["path"] == "recordings"
    (line,) = commands(compare)
    assert "PyTorch" in shell(line)
    assert json.loads((tmp_path / "parity.json").read_text())["passed"]


def commands(job):
    """What a job of the workflow runs of ours."""
    runs = [step.get("run", "") for step in job["steps"]]
    return [line for line in runs if line.startswith("albert-zoo")]
