"""A conversion that is killed anywhere leaves the old target, none, or the new one."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import conversion
from conversion import target
from tests.conftest import tiny, write
from tests.core.test_saving import killed_at

ROOT = Path(__file__).parents[2]
SMALL = {"num_hidden_groups": 1, "inner_group_num": 1, "hidden_act": "gelu_new"}
SIZE = {"max_shard_size": 1500}


def state(folder):
    """The files of a folder, None if there is no folder."""
    if not folder.exists():
        return None
    return {file.name: file.read_bytes() for file in folder.iterdir()}


@pytest.mark.bad_input(72)
@pytest.mark.parametrize("name", ["safetensors", "google-tf1"])
@pytest.mark.parametrize("old", [False, True])
def test_killed_at_every_step(name, old, tmp_path):
    """Before each file is opened, moved or removed; and the next one goes on."""
    code = (
        "import sys, pathlib; from tests.conversion.test_target import kill; "
        "kill(*eval(sys.argv[1]), pathlib.Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, repr((name, old)), str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def kill(name, old, tmp_path):
    """Kill a conversion before its first step, its second, and so on."""
    os.fsync = lambda handle: None  # of no use here, but slow
    write(tmp_path / "old", tiny(vocab_size=7, **SMALL))
    write(tmp_path / "new", tiny(vocab_size=9, **SMALL))

    def convert(source, to, **options):
        conversion.convert(
            tmp_path / source, to, name, overwrite=True, **SIZE, **options
        )

    convert("old", tmp_path / "before")
    convert("new", tmp_path / "after")
    before, after = state(tmp_path / "before"), state(tmp_path / "after")
    seen = []
    dead = True
    while dead:
        place = tmp_path / str(len(seen))
        if old:
            convert("old", place)
        dead = killed_at(
            len(seen) + 1, lambda to=place: convert("new", to, resume=True)
        )
        found = state(place)
        assert found in (before if old else None, None, after), sorted(found)
        seen.append(found == after)
        convert("new", place, resume=len(seen) % 2 == 0)
        assert state(place) == after
        assert not list(tmp_path.glob(f".{place.name}.*"))
    assert seen == sorted(seen)
    assert seen[:3] == [False, False, False]


def test_what_is_finished_is_not_done_again(tmp_path, monkeypatch):
    write(tmp_path / "source", tiny(**SMALL), "ForMaskedLM")
    options = {"to": "pytorch-bin", "resume": True, **SIZE}
    whole = conversion.convert(tmp_path / "source", tmp_path / "whole", **options)
    assert len(whole.plan.files) > 3

    def stop_at(count):
        done = []

        def step(text):
            done.append(text)
            if len(done) == count:
                raise KeyboardInterrupt

        return step, done

    step, _ = stop_at(22)
    with pytest.raises(KeyboardInterrupt):
        conversion.convert(tmp_path / "source", tmp_path / "x", **options, step=step)
    finished = (tmp_path / ".x.part").glob("*.bin")
    times = {file.name: file.stat().st_mtime_ns for file in finished}
    assert len(times) > 1
    damaged = sorted(times)[0]
    (tmp_path / ".x.part" / damaged).write_bytes(b"damaged")
    step, done = stop_at(10_000)
    conversion.convert(tmp_path / "source", tmp_path / "x", **options, step=step)
    assert state(tmp_path / "x") == state(tmp_path / "whole")
    kept = [
        name
        for name, time in times.items()
        if (tmp_path / "x" / name).stat().st_mtime_ns == time
    ]
    assert kept
    assert damaged not in kept
    written = sum(text.startswith("write") for text in done)
    assert written < len(whole.plan.items)


def test_a_target_beside_the_source_goes_on_too(tmp_path):
    path = write(tmp_path, tiny(**SMALL), "ForMaskedLM") / "model.safetensors"
    options = {"to": "pytorch-bin", "resume": True, **SIZE}
    seen = []

    def stop(text):
        seen.append(text)
        if len(seen) == 22:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        conversion.convert(path, tmp_path / "x", **options, step=stop)
    seen.clear()
    (tmp_path / ".x.lock").touch()  # as a process that is killed leaves it
    conversion.convert(path, tmp_path / "x", **options, step=seen.append)
    assert sum(text.startswith("write") for text in seen) < 22


def test_an_old_target_that_is_aside_is_not_lost(tmp_path):
    write(tmp_path / "source", tiny(**SMALL))
    conversion.convert(tmp_path / "source", tmp_path / "x", "safetensors")
    before = state(tmp_path / "x")
    (tmp_path / "x").rename(tmp_path / ".x.old")  # as if killed in mid-swap
    with pytest.raises(target.TargetError, match="--overwrite"):
        conversion.convert(tmp_path / "source", tmp_path / "x", "pytorch-bin")
    assert state(tmp_path / ".x.old") == before
    again = {"to": "pytorch-bin", "overwrite": True, "step": _stop}
    with pytest.raises(KeyboardInterrupt):
        conversion.convert(tmp_path / "source", tmp_path / "x", **again)
    assert state(tmp_path / "x") == before


def _stop(text):
    raise KeyboardInterrupt


def test_another_plan_starts_anew(tmp_path):
    write(tmp_path / "source", tiny(**SMALL), "ForMaskedLM")
    part = tmp_path / ".x.part"
    part.mkdir()
    (part / target.JOURNAL).write_text('{"plan": "another", "groups": {"a": 1}}')
    (part / "strange").write_text("left")
    done = conversion.convert(
        tmp_path / "source", tmp_path / "x", "safetensors", resume=True
    )
    assert state(tmp_path / "x").keys() == {
        *done.plan.files,
        "config.json",
        "conversion.json",
    }


@pytest.mark.parametrize("problem", [OSError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_target_and_nothing_else(
    problem, tmp_path, monkeypatch
):
    write(tmp_path / "source", tiny(**SMALL))
    conversion.convert(tmp_path / "source", tmp_path / "x", "safetensors")
    before = state(tmp_path / "x")
    real = Path.rename
    for number in range(2):
        seen = []

        def rename(self, to, seen=seen, number=number):
            seen.append(to)
            if len(seen) == number + 1:
                raise problem("no")
            return real(self, to)

        monkeypatch.setattr(Path, "rename", rename)
        with pytest.raises(problem):
            conversion.convert(
                tmp_path / "source", tmp_path / "x", "pytorch-bin", overwrite=True
            )
        monkeypatch.setattr(Path, "rename", real)
        assert state(tmp_path / "x") == before
        assert {path.name for path in tmp_path.iterdir()} == {"source", "x"}


def test_a_signal_cleans_up(tmp_path):
    """The process tells when it has begun, and then waits to be ended."""
    write(tmp_path / "source", tiny(**SMALL))
    code = (
        "import sys, time\n"
        "import conversion\n"
        "def wait(self):\n"
        "    print('begun', flush=True)\n"
        "    time.sleep(60)\n"
        "sys.modules['conversion.outgoing'].Outgoing.chunks = wait\n"
        "from albert_zoo.cli import main\n"
        "main()\n"
    )
    command = [sys.executable, "-c", code, "convert", tmp_path / "source"]
    command += [tmp_path / "x", "--to", "safetensors"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 5
    assert err.strip() == "albert-zoo: stopped"
    assert {path.name for path in tmp_path.iterdir()} == {"source"}
