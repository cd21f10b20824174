"""What a run says: on the terminal, to TensorBoard, and as curves."""

import subprocess
import sys

import pytest

from albert_core.errors import MissingPackageError
from albert_zoo.training import logs
from albert_zoo.training.logs import Log, plot, records


def fill(folder, **options):
    with Log(folder, total=4, **options) as log:
        for step in (2, 4):
            log.write(step, {"loss": 1 / step, "seconds": step, "note": "x"})
            log.write(step, {"eval_loss": 2 / step, "eval_accuracy": 0.5})
            log.advance(step)


def test_curves_are_drawn(tmp_path):
    fill(tmp_path, quiet=True)
    for name, start in (("curves.png", b"\x89PNG"), ("curves.svg", b"<?xml")):
        plot(tmp_path, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(start)
    drawn = (tmp_path / "curves.svg").read_text()
    for title in ("loss", "accuracy", "held out", "training"):
        assert f"<!-- {title} -->" in drawn
    assert "<!-- seconds -->" not in drawn
    assert "<!-- note -->" not in drawn


def test_curves_of_nothing(tmp_path):
    plot(tmp_path, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 0


def test_curves_need_matplotlib(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"albert-zoo\[report\]"):
        plot(tmp_path, tmp_path / "curves.png")


def test_the_terminal_has_a_line_for_every_record(tmp_path, capfd):
    fill(tmp_path)
    said = capfd.readouterr().err
    assert "step 2/4  loss 0.5  seconds 2  note x\n" in said
    assert "step 4/4  eval_loss 0.5  eval_accuracy 0.5\n" in said
    fill(tmp_path, quiet=True)
    assert capfd.readouterr().err == ""
    assert len(records(tmp_path)) == 4


def test_a_log_without_a_run(tmp_path):
    assert records(tmp_path) == []


BOARD = """
calls = []
class Writer:
    def __init__(self, place):
        calls.append(("at", place))
    def add_scalar(self, tag, data, step):
        calls.append((tag, data, step))
    def close(self):
        calls.append("closed")
"""
USE = """
import sys
from pathlib import Path
from tests.training.test_logs import fill
fill(Path(sys.argv[1]), quiet=True)
from tensorboard.summary import calls
assert calls[0] == ("at", str(Path(sys.argv[1]) / "tensorboard")), calls
assert calls[-1] == "closed"
assert ("loss", 0.5, 2) in calls
assert ("eval_loss", 0.5, 4) in calls
assert "note" not in {call[0] for call in calls}
"""


def test_tensorboard_is_told_where_it_is_installed(tmp_path, monkeypatch):
    package = tmp_path / "packages" / "tensorboard"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "summary.py").write_text(BOARD)
    monkeypatch.setenv("PYTHONPATH", str(package.parent))
    command = [sys.executable, "-c", USE, str(tmp_path)]
    subprocess.run(command, check=True)
