"""`--dtype int8` as a user meets it."""

import json

import pytest

from tests.conftest import FRAMEWORKS, tiny, write


@pytest.fixture
def made(tmp_path):
    return write(tmp_path / "made", tiny(), "ForMaskedLM")


def test_commands_know_it(made, call):
    code, out, err = call("parity", made, "--dtype", "int8", "--json", "-")
    assert code == 0, err
    runs = json.loads(out)["runs"]
    assert [run["framework"] for run in runs] == list(FRAMEWORKS)
    for run in runs:
        worst = max(check["share_of_budget"] for check in run["checks"])
        assert (run["dtype"], 0.001 < worst < 1) == ("int8", True)
        skipped = [c["level"] for c in run["checks"] if c["verdict"] == "SKIPPED"]
        assert skipped == ["gradients"]
    small = ("--batch", "1", "--length", "8", "--rounds", "1")
    code, out, err = call("bench", made, "--dtype", "int8", "--task", "forward", *small)
    assert (code, out.count("PASS")) == (0, 3), err
    code, _, err = call("bench", made, "--dtype", "int8", *small)
    assert (code, "Add --task forward" in err) == (2, True)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_run_predicts_with_it(framework, call):
    given = ("--task", "fill-mask", "--framework", framework, "--dtype", "int8")
    text = "The old [MASK] sat down.\n"
    code, out, err = call("run", "--model", "albert-nano", *given, text=text)
    assert code == 0, err
    assert json.loads(out)[0]["token_str"] in ("man", "woman", "lady", "girl")
