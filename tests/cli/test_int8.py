"""`--dtype int8` as a user meets it."""

import json

import pytest

from tests.conftest import tiny, write


@pytest.fixture
def made(tmp_path):
    return write(tmp_path / "made", tiny(), "ForMaskedLM")


def test_commands_know_it(made, call):
    torch = ("--frameworks", "torch")
    code, out, err = call("parity", made, "--dtype", "int8", *torch, "--json", "-")
    assert code == 0, err
    (run,) = json.loads(out)["runs"]
    worst = max(check["share_of_budget"] for check in run["checks"])
    assert (run["dtype"], 0.001 < worst < 1) == ("int8", True)
    skipped = [c["level"] for c in run["checks"] if c["verdict"] == "SKIPPED"]
    assert skipped == ["gradients"]
    code, _, err = call("parity", made, "--dtype", "int8", "--frameworks", "tf")
    assert (code, "PyTorch alone, not in tf" in err) == (3, True)
    small = ("--batch", "1", "--length", "8", "--rounds", "1", *torch)
    code, out, err = call("bench", made, "--dtype", "int8", "--task", "forward", *small)
    assert (code, out.count("PASS")) == (0, 1), err
    code, _, err = call("bench", made, "--dtype", "int8", *small)
    assert (code, "Add --task forward" in err) == (2, True)


def test_run_predicts_with_it(call):
    given = ("--task", "fill-mask", "--framework", "torch", "--dtype", "int8")
    text = "The old [MASK] sat down.\n"
    code, out, err = call("run", "--model", "albert-nano", *given, text=text)
    assert code == 0, err
    assert json.loads(out)[0]["token_str"] in ("man", "woman", "lady", "girl")
