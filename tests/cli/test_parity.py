"""`albert-zoo parity` as a user meets it: the table, the figures, the exit codes."""

import importlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_zoo import cli, console
from tests.conftest import FRAMEWORKS, GOLDEN, tiny, weights

BLOCKED = "import sys\nfor name in {!r}: sys.modules[name] = None\n"
RUN = "from albert_zoo.cli import main; main()"


def run(*arguments, blocked=(), **options):
    """Run the command in a process of its own; packages can be taken away from it."""
    code = BLOCKED.format(tuple(blocked)) + RUN
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process, and return its code, output and errors."""

    def run_here(*arguments):
        monkeypatch.setattr(sys, "argv", ["albert-zoo", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run_here


def test_the_model_in_the_box_is_proved_in_every_framework():
    """By the installed command, as the README has it; CI runs the installation."""
    command = [Path(sys.executable).with_name("albert-zoo"), "parity"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("PASS    │\n") == 6
    for title in ("PyTorch", "TensorFlow", "JAX"):
        assert result.stdout.count(title) == 3  # two rows, and the switches
    assert "float32_matmul_precision highest" in result.stdout
    assert result.stderr == ""


# tests/parity/test_golden.py has them all, without the command.
SOME = {"relative_key-ForPreTraining"}
CASES = [
    case if case in SOME else pytest.param(case, marks=pytest.mark.nightly)
    for case in sorted(p.name for p in GOLDEN.glob("*-*"))
]


@pytest.mark.parametrize("case", CASES)
def test_checkpoints_of_hugging_face_are_proved(call, case):
    code, out, err = call("parity", GOLDEN / case, "--json", "-")
    result = json.loads(out)
    assert code == 0, (result, err)
    assert result["class"] == f"Albert{case.split('-')[-1]}"
    runs = {(run["framework"], run["dtype"]) for run in result["runs"]}
    assert runs == {(f, d) for f in FRAMEWORKS for d in ("float64", "float32")}
    for run in result["runs"]:
        assert run["verdict"] == "PASS"
        assert run["first_divergence"] == ""
        places = {(check["level"], check["place"]) for check in run["checks"]}
        assert {("free", "hidden_states.0"), ("forced", "embeddings")} <= places
        for check in run["checks"]:
            measured = check["metrics"] is not None
            assert measured == (check["budget"] is not None)
            if measured:
                assert check["metrics"]["relative"] <= check["budget"]


def test_json_goes_to_a_file_beside_the_table(call, tmp_path):
    file = tmp_path / "figures.json"
    case = GOLDEN / "plain-Model"
    arguments = ("--frameworks", "torch", "--dtype", "float64", "--json", file)
    code, out, _ = call("parity", case, *arguments)
    assert code == 0
    assert "verdict" in out
    (run,) = json.loads(file.read_text())["runs"]
    assert (run["framework"], run["dtype"]) == ("torch", "float64")
    assert run["versions"]["torch"]
    assert run["switches"] == {"device": "cpu", "float32_matmul_precision": "highest"}


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_fault_in_one_framework_fails_the_check(call, framework, monkeypatch):
    layers = importlib.import_module(f"albert_{framework}.layers")
    old = layers.merge_heads
    monkeypatch.setattr(layers, "merge_heads", lambda x: old(x) * (1 + 1e-9))
    code, out, _ = call("parity", GOLDEN / "plain-Model", "--json", "-")
    assert code == console.CHECK_FAILED
    failed = {
        (run["framework"], run["dtype"])
        for run in json.loads(out)["runs"]
        if run["verdict"] != "PASS"
    }
    assert failed == {(framework, "float64")}  # in float32 it looks like rounding


def test_nan_is_no_pass(call, tmp_path):
    config, arrays = tiny(), weights(tiny())
    arrays["pooler.bias"][0] = np.nan
    checkpoint.save(tmp_path, config, arrays)
    code, out, _ = call("parity", tmp_path, "--frameworks", "torch")
    assert code == console.CHECK_FAILED
    assert out.count(" NONFINITE │\n") == 2


def test_no_framework_stands_for_another(call, make_checkpoint):
    path = make_checkpoint("ForMaskedLM", pools=True)
    code, out, _ = call("parity", path, "--frameworks", "flax,torch")
    assert code == 0
    assert "TensorFlow" not in out


def test_what_no_checkpoint_holds_cannot_be_proved(call, tmp_path):
    config = tiny(architectures=["AlbertForSequenceClassification"])
    checkpoint.save(tmp_path, config, weights(config))
    code, _, err = call("parity", tmp_path)
    assert code == console.BAD_INPUT
    assert "classifier.weight, classifier.bias" in err


def test_help_and_version():
    result = run("parity", "--help")
    assert result.returncode == 0
    assert "albert-zoo parity my-albert" in result.stdout
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.startswith("albert-zoo")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("parity", "--frameworks", "theano"), "theano is not among torch, tf, flax"),
        (("parity", "--dtype", "int4"), "int4 is not among float64, float32"),
        (("prove",), "No such command"),
    ],
)
def test_usage_errors_are_2(call, arguments, message):
    code, _, err = call(*arguments)
    assert code == console.USAGE
    assert message in err


def test_bad_input_is_3(call, tmp_path):
    for path, message, *more in [
        (tmp_path / "nowhere", "does not exist"),
        (tmp_path, "it holds no weights"),
        (GOLDEN / "plain-Model", "no device 'cuda:64'; PyT", "--device", "cuda:64"),
    ]:
        code, _, err = call("parity", path, *more)
        assert code == console.BAD_INPUT
        assert message in err
        assert "Traceback" not in err


@pytest.mark.bad_input(64)
def test_a_bert_checkpoint_is_3(call, tmp_path):
    checkpoint.save(tmp_path, tiny(), weights(tiny()))
    config = {"model_type": "bert", "hidden_size": 12}
    (tmp_path / "config.json").write_text(json.dumps(config))
    code, _, err = call("parity", tmp_path)
    assert code == console.BAD_INPUT
    assert "'bert'" in err


def test_names_from_a_file_cannot_drive_the_terminal(call, tmp_path):
    config, arrays = tiny(), weights(tiny())
    arrays["evil\x1b[31m"] = arrays.pop("pooler.bias")
    checkpoint.save(tmp_path, config, arrays)
    code, _, err = call("parity", tmp_path)
    assert code == console.BAD_INPUT
    assert "evil" in err
    assert "\x1b" not in err


@pytest.mark.bad_input(76)
def test_a_missing_framework_is_4_and_names_the_extra():
    result = run("parity", "--frameworks", "torch", blocked=["torch"])
    assert result.returncode == console.MISSING
    assert "pip install 'albert-zoo[torch]'" in result.stderr
    every = ["torch", "tensorflow", "keras", "jax", "flax"]
    result = run("parity", blocked=every)
    assert result.returncode == console.MISSING
    assert "albert-zoo[all]" in result.stderr


def test_one_framework_is_enough():
    """With torch alone there is one row a number type, and no complaint."""
    case = GOLDEN / "plain-ForMaskedLM"
    result = run("parity", case, blocked=["tensorflow", "keras", "jax", "flax"])
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("PASS    │\n") == 2


def test_a_folder_that_is_not_there_is_5(call, tmp_path):
    file = tmp_path / "no" / "x.json"
    code, _, err = call("parity", "--frameworks", "torch", "--json", file)
    assert code == console.ENVIRONMENT
    assert "x.json" in err


def test_hugging_face_reads_what_is_proved(tmp_path):
    from albert_zoo.parity.sample import write_sample

    path = write_sample(tmp_path)
    assert AlbertConfig.from_pretrained(path).num_hidden_groups == 2
