"""Readers that have no other test with random bytes, and all bytes that were found."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import hypothesis.strategies as st
import pytest

from tests.conversion.fuzz_targets import TARGETS, survives
from tests.conversion.fuzzing import FUZZ, changed

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
FOUND = sorted(CORPUS.glob("*/*"))
READERS = ["safetensors-header", "index", "keras-index", "orbax", "config"]


@pytest.mark.parametrize("reader", TARGETS)
def test_good_bytes_are_read(reader, tmp_path):
    """Else changes of them would test little."""
    target = TARGETS[reader]
    target.use(tmp_path, target.seeds(tmp_path)[0])


@pytest.mark.parametrize("reader", READERS)
@FUZZ
@hypothesis.given(choice=st.data())
def test_any_bytes(choice, reader, tmp_path):
    good = TARGETS[reader].seeds(tmp_path)
    survives(reader, choice.draw(st.one_of(*map(changed, good))), tmp_path)


@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
def test_what_was_found(file, tmp_path):
    survives(file.parent.name, file.read_bytes(), tmp_path)


@pytest.mark.parametrize("reader", TARGETS)
@pytest.mark.skipif(not find_spec("atheris"), reason="pip install 'albert-zoo[fuzz]'")
@pytest.mark.atheris
def test_for_some_seconds(reader, tmp_path):
    command = [sys.executable, "-m", "tests.conversion.fuzz_atheris", reader]
    command += ["-max_total_time=10", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Done " in done.stderr
