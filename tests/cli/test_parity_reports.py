"""The files of `albert-zoo parity`, and `albert-zoo parity verify`."""

import json
import sys
from xml.etree import ElementTree

import pytest

from albert_zoo import console
from albert_zoo.parity import proof
from tests.conftest import GOLDEN

CASE = GOLDEN / "plain-Model"
QUICK = ("--frameworks", "torch", "--dtype", "float32", "--level", "config,forced")


@pytest.fixture
def made(call, tmp_path):
    """All files of a proof, by option, and the key."""
    key = tmp_path / "key"
    key.write_text("a secret of more than 16 bytes\n")
    endings = {"report": "html", "junit": "xml", "json": "json", "certificate": "proof"}
    files = {name: tmp_path / f"{name}.{ending}" for name, ending in endings.items()}
    options = [word for name, file in files.items() for word in (f"--{name}", file)]
    code, out, err = call("parity", CASE, *QUICK, *options, "--signing-key", key)
    assert code == 0, err
    assert "PASS" in out
    return {**files, "key": key}


def test_all_files_are_written_and_hold(made, call):
    assert made["report"].read_text("utf-8").startswith("<!doctype html>")
    assert ElementTree.parse(made["junit"]).getroot().get("failures") == "0"
    verdict = json.loads(made["json"].read_text())["verdict"]
    found = json.loads(made["certificate"].read_text())
    assert found["verdict"] == verdict == "PASS"
    assert [*found["reports"]] == ["json.json", "report.html", "junit.xml"]
    code, out, err = call("hash", CASE)
    assert found["weights_sha256"] in out

    arguments = ("parity", "verify", made["certificate"], CASE)
    code, out, err = call(*arguments, "--signing-key", made["key"])
    assert (code, err) == (0, "")
    assert "holds. It is about: torch in float32" in out
    assert "signature" not in out
    code, out, _ = call(*arguments)
    assert code == 0
    assert "the signature was not checked" in out
    code, out, _ = call(*arguments, "--json", "-")
    result = json.loads(out)
    assert (result["holds"], result["signature"]) == (True, "not checked")


def test_every_problem_is_named(made, call):
    for name in ("report", "junit"):
        made[name].write_bytes(made[name].read_bytes().replace(b"PASS", b"FAIL") + b" ")
    made["key"].write_text("another secret of 16 bytes or more")
    other = GOLDEN / "relative_key-ForPreTraining"
    options = ("--signing-key", made["key"], "--json", "-")
    code, out, err = call("parity", "verify", made["certificate"], other, *options)
    assert (code, err) == (console.CHECK_FAILED, "")
    problems = json.loads(out)["problems"]
    wanted = ("signature", "weights", "configuration", "report.html", "junit.xml")
    for message in wanted:
        assert any(message in problem for problem in problems), message


def test_what_is_no_certificate_is_3(call, tmp_path):
    file = tmp_path / "cut"
    file.write_text('{"certificate": "albert-zoo par')
    for path in (file, CASE / "config.json", CASE, CASE / "nowhere"):
        code, _, err = call("parity", "verify", path, CASE)
        assert code == console.BAD_INPUT
        assert str(path) in err


@pytest.fixture
def never(monkeypatch):
    """Fail if the proof begins."""

    def begin(*arguments, **options):
        raise AssertionError("the long run has begun")

    monkeypatch.setattr(proof, "prove", begin)


@pytest.mark.parametrize("option", ["report", "junit", "json", "certificate"])
@pytest.mark.usefixtures("never")
def test_a_folder_that_is_missing_is_5_before_the_run(call, tmp_path, option):
    file = tmp_path / "no" / "file"
    code, _, err = call("parity", CASE, f"--{option}", file)
    assert code == console.ENVIRONMENT
    assert str(file) in err


@pytest.mark.usefixtures("never")
def test_a_report_without_its_extra_is_4_before_the_run(call, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    code, _, err = call("parity", CASE, "--report", tmp_path / "page.html")
    assert code == console.MISSING
    assert "pip install 'albert-zoo[report]'" in err


@pytest.mark.usefixtures("never")
def test_options_that_contradict_each_other_are_2(call, tmp_path):
    key, file = tmp_path / "key", tmp_path / "file"
    key.write_text("a secret of more than 16 bytes\n")
    for options, message in [
        (("--signing-key", key), "needs a --certificate"),
        (("--report", file, "--junit", file), "Two options name one file"),
        (("--certificate", tmp_path), "is a directory"),
    ]:
        code, _, err = call("parity", CASE, *options)
        assert code == console.USAGE
        assert message in err


@pytest.mark.usefixtures("never")
def test_a_short_key_is_3_before_the_run(call, tmp_path):
    (tmp_path / "key").write_text("short")
    options = ("--certificate", tmp_path / "c.json", "--signing-key", tmp_path / "key")
    code, _, err = call("parity", CASE, *options)
    assert code == console.BAD_INPUT
    assert "openssl rand -hex 32" in err
