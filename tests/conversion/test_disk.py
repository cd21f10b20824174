"""A disk that is full or broken: exit code 5, and nothing is lost or left behind."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

import conversion
from conversion.stores import STORES
from tests.conftest import tiny, write
from tests.conversion.test_target import ROOT, state

SMALL = {"hidden_act": "gelu_new", "num_hidden_groups": 1, "inner_group_num": 1}
# A file cannot grow beyond so many bytes, in the process that converts and its own.
LIMITED = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
from albert_zoo.cli import main
sys.argv[1:] = sys.argv[2:]
main()
"""
BROKEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


def before_and_after(folder, name):
    """A source, and an old target of another model."""
    write(folder / "source", tiny(vocab_size=900, **SMALL))
    write(folder / "other", tiny(vocab_size=7, **SMALL))
    conversion.convert(folder / "other", folder / "target", name)
    conversion.convert(folder / "source", folder / "whole", name)
    return state(folder / "target"), state(folder / "whole")


@pytest.mark.bad_input(71)
@pytest.mark.parametrize("name", [name for name in STORES if name != "orbax"])
def test_files_that_cannot_grow(name, tmp_path):
    """Full at the first bytes, on the way, and just before the end."""
    before, whole = before_and_after(tmp_path, name)
    largest = max(map(len, whole.values()))
    for limit in (1, largest // 100, largest // 2, largest * 99 // 100):
        arguments = "convert", "source", "target", "--to", name, "--overwrite"
        done = subprocess.run(
            [sys.executable, "-c", LIMITED, str(limit), *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 5, (limit, done.stderr)
        assert done.stderr.startswith("albert-zoo: "), (limit, done.stderr)
        assert len(done.stderr.splitlines()) == 1, (limit, done.stderr)
        assert state(tmp_path / "target") == before
        left = sorted(path.name for path in tmp_path.iterdir())
        assert left == ["other", "source", "target", "whole"], (limit, left)


@pytest.mark.bad_input(71)
@pytest.mark.parametrize("code", BROKEN)
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_every_call_of_the_disk_may_fail(call, code, tmp_path, monkeypatch):
    before, whole = before_and_after(tmp_path, "google-tf1")
    owner = os if call == "fsync" else Path
    working = getattr(owner, call)
    done = count = 0
    while not done:
        left = [count]

        def fail(*arguments, left=left):
            if not left[0]:
                left[0] -= 1
                raise OSError(code, os.strerror(code))
            left[0] -= 1
            return working(*arguments)

        with monkeypatch.context() as patch:
            patch.setattr(owner, call, fail)
            try:
                conversion.convert(
                    tmp_path / "source",
                    tmp_path / "target",
                    "google-tf1",
                    overwrite=True,
                )
                done = left[0] >= 0
            except OSError as problem:
                assert problem.errno == code  # noqa: PT017
                assert left[0] < 0
        found = state(tmp_path / "target")
        assert found in (before, whole)
        names = sorted(path.name for path in tmp_path.iterdir())
        if found == before:
            assert names == ["other", "source", "target", "whole"]
        conversion.convert(
            tmp_path / "other", tmp_path / "target", "google-tf1", overwrite=True
        )
        count += 1
    assert count > (6 if call == "fsync" else 2)
