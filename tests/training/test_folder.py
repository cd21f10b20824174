"""The folder of a run: checkpoints are there whole or not, and damage is named."""

import errno
import json
import os
import sys

import numpy as np
import pytest

from albert_core import safetensors_file
from albert_core.errors import TrainingError
from albert_zoo.training.folder import RunFolder, State
from tests.training.fakes import CONFIG, Learner, batches, loop
from tests.training.processes import run

FILES = ["config.json", "model.safetensors", "optimizer.safetensors", "state.json"]


def content(path):
    """All files of a folder but hidden ones, and what they hold."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in path.rglob("*")
        if file.is_file()
    }


def save(folder, step, value=0.0):
    learner = Learner()
    learner.weights = np.full(2, value)
    folder.save(CONFIG, learner.arrays(), learner.moments(), State(step=step))


def test_the_folder_of_another_run_is_refused(tmp_path):
    RunFolder(tmp_path, {"command": "test", "seed": 1, "data": ["a"]}, False)
    with pytest.raises(TrainingError) as problem:
        RunFolder(tmp_path, {"command": "test", "seed": 2, "model": {}}, True)
    said = str(problem.value)
    assert "is the folder of another run: " in said
    assert "seed: 1 there, 2 here" in said
    assert "data: ['a'] there, None here" in said
    assert "model: None there, {} here" in said
    assert "command" not in said


def test_a_folder_with_a_run_needs_resume(tmp_path):
    loop(tmp_path).run(batches())
    before = content(tmp_path)
    with pytest.raises(TrainingError, match="holds a run already"):
        loop(tmp_path)
    assert content(tmp_path) == before


def test_an_empty_folder_is_begun_even_with_resume(tmp_path):
    (tmp_path / ".run.json.0123abcd").write_text("{")  # killed while it wrote
    assert loop(tmp_path, resume=True).run(batches()).step == 6
    assert loop(tmp_path / "new", resume=True).run(batches()).step == 6


def test_a_foreign_folder_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="holds no run to go on with"):
        loop(tmp_path, resume=True)
    (tmp_path / "checkpoint-500").mkdir()
    with pytest.raises(TrainingError, match="checkpoints of something else"):
        loop(tmp_path)


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be a directory"):
        loop(tmp_path / "file")


DAMAGES = {
    "state: no JSON": ("state.json", "{", "is not a JSON file"),
    "state: a list": ("state.json", "[]", "holds a JSON list"),
    "state: fields": ("state.json", '{"step": 6, "x": 1}', "best, best_step, count"),
    "state: gone": ("state.json", None, "cannot be read"),
    "moments: cut": ("optimizer.safetensors", 60, "optimizer.safetensors"),
    "moments: gone": ("optimizer.safetensors", None, "optimizer.safetensors"),
    "weights: cut": ("model.safetensors", 60, "model.safetensors"),
    "weights: gone": ("model.safetensors", None, "model.safetensors"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_named(tmp_path, name):
    loop(tmp_path).run(batches())
    file, change, wanted = DAMAGES[name]
    path = tmp_path / "checkpoint-6" / file
    if change is None:
        path.unlink()
    elif isinstance(change, int):
        path.write_bytes(path.read_bytes()[:change])
    else:
        path.write_text(change)
    with pytest.raises(TrainingError) as problem:
        loop(tmp_path, resume=True)
    assert wanted in str(problem.value)
    assert "checkpoint-6 is damaged" in str(problem.value)
    assert "Remove this folder to go on from the checkpoint before it" in str(
        problem.value
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [("step", 5), ("step", "6"), ("used", 1.5), ("best", "x"), ("count", None)],
)
def test_a_state_of_other_values_is_damaged(tmp_path, field, value):
    loop(tmp_path).run(batches())
    path = tmp_path / "checkpoint-6" / "state.json"
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, field: value}))
    with pytest.raises(TrainingError, match=f"state.json does not fit: .*{field}"):
        loop(tmp_path, resume=True)


def test_moments_that_are_missing_or_of_another_shape_are_named(tmp_path):
    loop(tmp_path).run(batches())
    path = tmp_path / "checkpoint-6" / "optimizer.safetensors"
    path.unlink()
    safetensors_file.write(path, {"w.adam_v": np.zeros(3)})
    with pytest.raises(TrainingError, match=r"another shape, 'w\.adam_m', 'w\.adam_v'"):
        loop(tmp_path, resume=True)


def test_what_a_killed_process_left_is_tidied(tmp_path):
    loop(tmp_path).run(batches())
    (tmp_path / "checkpoint-4").rename(tmp_path / ".replaced-4")
    (tmp_path / ".replaced-6").mkdir()
    (tmp_path / ".unfinished-8").mkdir()
    folder = RunFolder(tmp_path, {"command": "test"}, True)
    assert folder.steps() == [4, 6]
    assert folder.load(4)[2].step == 4
    assert not list(tmp_path.glob(".*"))


def test_a_full_disk_leaves_the_old_checkpoints(tmp_path, monkeypatch):
    loop(tmp_path).run(batches())
    folder = RunFolder(tmp_path, {"command": "test"}, True)
    before = content(tmp_path)
    wrote = safetensors_file.write

    def write(path, arrays, *more, **options):
        wrote(path, arrays, *more, **options)
        if path.name == "optimizer.safetensors":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors_file, "write", write)
    for step in (6, 8):
        with pytest.raises(OSError, match="No space left"):
            save(folder, step)
        assert content(tmp_path) == before


KILL = """
import os, shutil, sys
from pathlib import Path
from albert_core import safetensors_file
from albert_zoo.training import folder
from tests.training.fakes import batches, loop
from tests.training.test_folder import save

CHANGES = [(folder, "sync"), (safetensors_file, "write"), (shutil, "rmtree")]
CHANGES += [(Path, name) for name in ("rename", "write_text", "mkdir", "unlink")]

def killed_after(count):
    def counted(function):
        def call(*given, **options):
            nonlocal count
            count -= 1
            if count < 0:
                os._exit(9)
            return function(*given, **options)
        return call
    for owner, name in CHANGES:
        setattr(owner, name, counted(getattr(owner, name)))

for step in (6, 8):
    for where in range(100):
        place = Path(sys.argv[1]) / f"{step}-{where}"
        loop(place).run(batches())
        child = os.fork()
        if not child:
            killed_after(where)
            run = folder.RunFolder(place, {"command": "test"}, True)
            save(run, step, 1.0)
            run.keep(2, None)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
def test_a_kill_at_any_moment_leaves_whole_checkpoints(tmp_path):
    """Between all that changes the disk: the old checkpoint or the new one is whole."""
    run([sys.executable, "-c", KILL, tmp_path])
    ended = set()
    for place in tmp_path.iterdir():
        again, step = RunFolder(place, {"command": "test"}, True), int(place.name[0])
        newest = again.steps()[-1]
        assert newest in (6, step)
        for one in again.steps():
            arrays, moments, state = again.load(one)
            assert state.step == one
            assert (moments["w.adam_m"] == arrays["w"] + 1).all()
        ended.add((step, newest, bool((arrays["w"] == 1.0).all())))
    assert {(6, 6, False), (6, 6, True), (8, 6, False), (8, 8, True)} == ended


def test_the_end_puts_the_model_where_users_look(tmp_path):
    whole = loop(tmp_path)
    whole.folder.tokenizer_files = {"tokenizer.json": b"{}"}
    whole.run(batches())
    whole.folder.finish(6, CONFIG)
    found = content(tmp_path)
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        assert found[name] == found[f"checkpoint-6/{name}"]
    assert sorted(x.name for x in (tmp_path / "checkpoint-6").iterdir()) == sorted(
        [*FILES, "tokenizer.json"]
    )
