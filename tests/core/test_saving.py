"""A save that is interrupted anywhere leaves the old checkpoint or the new one."""

import os
import resource
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from albert_core import AlbertConfig, AlbertError, CheckpointError, checkpoint, folder
from albert_core.checkpoint import Checkpoint
from tests.conftest import tiny, weights
from tests.core.helpers import fields_of

ROOT = Path(__file__).parents[2]
INDEX = "model.safetensors.index.json"
SMALL = {"num_hidden_groups": 1, "inner_group_num": 1}
OLD = tiny(vocab_size=7, hidden_act="relu", num_labels=2, **SMALL)
NEW = tiny(vocab_size=9, layer_norm_eps=1e-3, num_labels=3, **SMALL)
SIZES = {"one": "5GB", "few": 4000, "many": 2900}  # one file, two, three


def state(directory):
    """All that a reader finds: configuration and weights, or nothing."""
    if not directory.exists() or not any(visible(directory)):
        return None
    try:
        config = fields_of(AlbertConfig.from_pretrained(directory))
        found = Checkpoint.open(directory)
        return config, {name: array.tobytes() for name, array in found.items()}
    except AlbertError as problem:
        return problem


def visible(directory):
    """What a user sees in a directory, and what counts though it is hidden."""
    for file in directory.iterdir():
        if not file.name.startswith(f"{folder.PENDING}-"):
            yield file.name


def save(directory, config, size):
    checkpoint.save(directory, config, weights(config), size)


def killed_at(step, action):
    """Whether a process dies before its `step`-th change of the file system.

    It is a child, and ends there and then, as if it were killed: no `finally` runs.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of threads and fork
        child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9

    seen = 0

    def hook(event, args):
        nonlocal seen
        changes = event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
        changes |= event == "open" and bool(args[2] & (os.O_WRONLY | os.O_RDWR))
        seen += changes
        if changes and seen == step:
            os._exit(9)

    code = 1
    try:
        sys.addaudithook(hook)
        action()
        code = 0
    finally:
        os._exit(code)


CHANGES = [
    *((None, "one"), (None, "few"), ("one", "one"), ("one", "few"), ("few", "one")),
    *(("few", "few"), ("few", "many"), ("many", "few")),
]


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_killed_at_every_step(old, new, tmp_path):
    """Before each file is opened, moved or removed; and the next save finds its way.

    In a process without frameworks, whose threads a fork would leave behind.
    """
    code = (
        "import sys, pathlib; from tests.core.test_saving import kill_at_every_step; "
        "kill_at_every_step(*eval(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, repr((old, new)), str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def kill_at_every_step(old, new, tmp_path):
    """Kill a save before its first step, its second, and so on, and look each time."""
    os.fsync = lambda handle: None  # of no use here, but slow
    save(tmp_path / "after", NEW, SIZES[new])
    after = state(tmp_path / "after")
    seen = []
    dead = True
    while dead:
        directory = tmp_path / str(len(seen))
        if old:
            save(directory, OLD, SIZES[old])
            (directory / "spiece.model").write_text("mine")
        before = state(directory)
        dead = killed_at(len(seen) + 1, lambda to=directory: save(to, NEW, SIZES[new]))
        found = state(directory)
        assert found in (before, after)
        seen.append(found == after)
        for left in directory.glob(".*"):
            os.utime(left, (0, 0))
        save(directory, OLD, SIZES["many"])
        assert state(directory)[0] == fields_of(OLD)
        assert clean(directory, bool(old))
    assert seen == sorted(seen)
    assert seen[:2] == [False, False]
    assert seen.count(True) > 2


def clean(directory, more):
    """Whether a directory holds what the index names, and nothing else of ours."""
    names = {file.name for file in directory.iterdir()}
    shards = {name for name in names if name.startswith("model-")}
    used = {stored.path.name for stored in Checkpoint.open(directory).stored.values()}
    entry = {INDEX} if shards else {"model.safetensors"}
    expected = {"config.json", *entry, *used} | ({"spiece.model"} if more else set())
    return names == expected


@pytest.mark.parametrize(("old", "new"), CHANGES)
@pytest.mark.parametrize("problem", [OSError, KeyboardInterrupt])
def test_an_error_while_the_arrays_are_written(problem, old, new, tmp_path):
    """What was there is whole, and nothing is left over."""
    if old:
        save(tmp_path, OLD, SIZES[old])
    before = state(tmp_path), sorted(file.name for file in tmp_path.iterdir())
    arrays = weights(NEW)

    class Failing(dict):
        left = 0

        def __getitem__(self, name):
            self.left -= 1
            if self.left == 0:
                raise problem("No space left on device")
            return super().__getitem__(name)

    for step in (1, len(arrays), len(arrays) + 1, 2 * len(arrays) + 5, 3 * len(arrays)):
        failing = Failing(arrays)
        failing.left = step
        with pytest.raises(problem, match="No space left"):
            checkpoint.save(tmp_path, NEW, failing, SIZES[new])
        assert (state(tmp_path), sorted(x.name for x in tmp_path.iterdir())) == before


@pytest.mark.parametrize(("old", "new"), CHANGES)
def test_an_error_of_the_disk(old, new, tmp_path, monkeypatch):
    """While the new files are not safe, the old ones count; then the new ones."""
    save(tmp_path / "after", NEW, SIZES[new])
    after, fsync = state(tmp_path / "after"), os.fsync
    seen = []
    done = False
    while not done:
        directory = tmp_path / str(len(seen))
        if old:
            save(directory, OLD, SIZES[old])
        before, left = state(directory), [len(seen) + 1]

        def fail(handle, left=left):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(5, "Input/output error")
            fsync(handle)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fail)
            try:
                save(directory, NEW, SIZES[new])
                done = True
            except OSError:
                assert left[0] == 0
        found = state(directory)
        assert found in (before, after)
        seen.append(found == after)
        if found == before and not old:
            assert list(directory.iterdir()) == []
    assert seen == sorted(seen)
    assert not seen[2]


def test_a_full_disk(tmp_path):
    """The system refuses what is larger than it allows."""
    save(tmp_path, OLD, "5GB")
    before = state(tmp_path), sorted(file.name for file in tmp_path.iterdir())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            save(tmp_path, NEW, "5GB")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (state(tmp_path), sorted(file.name for file in tmp_path.iterdir())) == before


def test_a_directory_that_may_not_be_written(tmp_path, monkeypatch):
    save(tmp_path, OLD, "5GB")
    before = state(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    with pytest.raises(PermissionError):
        save(tmp_path, NEW, "5GB")
    assert state(tmp_path) == before


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_the_directory_should_be(below, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError) as caught:
        save(tmp_path / "file" / ("below" if below else ""), NEW, "5GB")
    assert str(caught.value).endswith(
        f"cannot be a directory, because {tmp_path / 'file'} is a file. Give another "
        f"place to save to."
    )
    assert (tmp_path / "file").read_text() == "mine"


def test_a_configuration_that_cannot_be_written_leaves_the_old_checkpoint(tmp_path):
    save(tmp_path, OLD, "5GB")
    before = state(tmp_path)
    with pytest.raises(ValueError, match="hidden_act is the function"):
        save(tmp_path, tiny(hidden_act=np.tanh), "5GB")
    assert state(tmp_path) == before


@pytest.mark.parametrize(("old", "new"), [c for c in CHANGES if c[0]])
def test_weights_of_another_sharding_go_and_other_files_stay(old, new, tmp_path):
    save(tmp_path, OLD, SIZES[old])
    mine = [
        "spiece.model",
        "model_ema.safetensors",
        "model.fp16.safetensors",
        "model-1",
    ]
    mine += ["tokenizer.json", "training_args.bin", "xmodel-00001-of-00002.safetensors"]
    for name in mine:
        (tmp_path / name).write_text("mine")
    (tmp_path / "checkpoint-5").mkdir()
    save(tmp_path, NEW, SIZES[new])
    for name in mine:
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    (tmp_path / "checkpoint-5").rmdir()
    assert clean(tmp_path, False)
    assert state(tmp_path)[0] == fields_of(NEW)


@pytest.mark.parametrize("size", SIZES.values())
def test_the_mode_is_what_the_user_s_mask_asks_for(size, tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            save(tmp_path, NEW, size)
        finally:
            os.umask(before)
        assert {f.stat().st_mode & 0o777 for f in tmp_path.iterdir()} == {mode}


def test_a_save_by_another_process_that_has_just_counted(tmp_path):
    """Two at a time: each is put in place whole, the last one stays."""
    tmp_path.joinpath("x").mkdir()
    with folder.replaced(tmp_path / "x") as place:
        checkpoint.save(place, OLD, weights(OLD))
        save(tmp_path / "other", NEW, "5GB")
        (tmp_path / "other").rename(tmp_path / "x" / folder.PENDING)
        assert state(tmp_path / "x")[0] == fields_of(NEW)
    assert state(tmp_path / "x")[0] == fields_of(OLD)
    assert clean(tmp_path / "x", False)


def test_a_checkpoint_that_is_still_to_be_put_in_place_can_be_saved_from_itself(
    tmp_path,
):
    save(tmp_path / "other", NEW, SIZES["many"])
    save(tmp_path / "x", OLD, "5GB")
    before = state(tmp_path / "other")
    (tmp_path / "other").rename(tmp_path / "x" / folder.PENDING)
    checkpoint.save(tmp_path / "x", NEW, Checkpoint.open(tmp_path / "x"), SIZES["few"])
    assert state(tmp_path / "x") == before
    assert clean(tmp_path / "x", False)


def test_a_configuration_saved_alone_comes_after_a_save_that_was_killed(tmp_path):
    save(tmp_path / "other", NEW, "5GB")
    save(tmp_path / "x", OLD, "5GB")
    (tmp_path / "other").rename(tmp_path / "x" / folder.PENDING)
    changed = tiny(vocab_size=9, dropout=0.5, **SMALL)
    changed.save_pretrained(tmp_path / "x")
    found, arrays = state(tmp_path / "x")
    assert found == fields_of(changed)
    assert arrays == {name: x.tobytes() for name, x in weights(NEW).items()}


def test_what_a_killed_save_left_goes_after_a_day_and_not_before(tmp_path):
    for name in ("at-work", "killed"):
        (tmp_path / f"{folder.PENDING}-{name}").mkdir()
    os.utime(tmp_path / f"{folder.PENDING}-killed", (0, 0))
    save(tmp_path, NEW, "5GB")
    assert {file.name for file in tmp_path.glob(".*")} == {f"{folder.PENDING}-at-work"}


def test_something_else_of_that_name_is_an_error_not_an_endless_wait(tmp_path):
    (tmp_path / folder.PENDING).write_text("mine")
    with pytest.raises(OSError, match="Not a directory"):
        save(tmp_path, NEW, "5GB")
    assert [file.name for file in tmp_path.iterdir()] == [folder.PENDING]
