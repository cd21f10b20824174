"""Runs that are killed go on to the same bytes, as processes, in each framework."""

import json
import random
import signal
import time

import numpy as np
import pytest

from albert_core.checkpoint import Checkpoint
from albert_zoo.training.logs import records
from tests.conftest import FRAMEWORKS
from tests.training.processes import COMMAND, run, start, torchrun

STEPS = 240
# One of them every time; what is killed is the same loop in all.
KILLED = [
    name if name == "torch" else pytest.param(name, marks=pytest.mark.nightly)
    for name in FRAMEWORKS
]


@pytest.fixture(scope="module")
def whole(data, recipe, tmp_path_factory):
    """The folder of a run that nobody stopped: (framework) -> path."""
    made = {}

    def make(framework):
        if framework not in made:
            path = tmp_path_factory.mktemp(framework) / "whole"
            run(command(data, recipe, path, framework))
            made[framework] = path
        return made[framework]

    return make


def command(data, recipe, output, framework, *more):
    given = [*COMMAND, "pretrain", data, "--output", output, "--recipe", recipe]
    return [*given, "--framework", framework, "--device", "cpu", "--quiet", *more]


def killed(words, output, number, at, rng):
    """Send a run a signal somewhere behind a step; its exit code."""
    process = start(words)
    try:
        deadline = time.monotonic() + 240
        while newest(output) < at:
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.2))
        process.send_signal(number)
        process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode


def newest(output):
    steps = [int(x.name.split("-")[1]) for x in output.glob("checkpoint-*")]
    return max(steps, default=-1)


def same(one, other):
    """Whether two runs ended alike: model, moments, and all that was logged."""
    for name in ("model.safetensors", f"checkpoint-{STEPS}/optimizer.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    first, second = records(one), records(other)
    assert [row["step"] for row in first] == [row["step"] for row in second]
    names = ["loss", "masked_lm_loss", "gradient_norm", "learning_rate"]
    alike = [
        all(a[name] == b[name] for name in names)
        for a, b in zip(first, second, strict=True)
    ]
    # A record is a mean since the last one, or since the run went on.
    assert alike.count(False) <= 3


@pytest.mark.slow
@pytest.mark.parametrize("framework", KILLED)
def test_a_killed_run_goes_on_to_the_same_bytes(
    whole, data, recipe, tmp_path, framework
):
    seed = time.time_ns() % 10**6
    print("seed", seed)
    output, rng = tmp_path / "run", random.Random(seed)
    words = command(data, recipe, output, framework)
    assert killed(words, output, signal.SIGKILL, 12, rng) == -signal.SIGKILL
    assert newest(output) < STEPS
    if framework == "torch":
        more = [*words, "--resume"]
        at = newest(output) + 1
        assert killed(more, output, signal.SIGTERM, at, rng) == 5
        state = json.loads(
            (output / f"checkpoint-{newest(output)}" / "state.json").read_text()
        )
        assert state["used"] == 4 * state["step"] < 4 * STEPS
        assert state["step"] >= records(output)[-1]["step"] > state["step"] - 5
    run([*words, "--resume"])
    same(whole(framework), output)


@pytest.mark.nightly
def test_torchrun_is_told_to_stop(data, recipe, tmp_path):
    """All processes stop behind the same step, though none hears of it at once."""
    output = tmp_path / "run"
    words = command(data, recipe, output, "torch", "--steps", 4000)
    words = [*torchrun(2), "-m", *words[2:]]
    killed(words, output, signal.SIGTERM, 12, random.Random(0))
    state = json.loads(
        (output / f"checkpoint-{newest(output)}" / "state.json").read_text()
    )
    assert state["step"] >= records(output)[-1]["step"] > state["step"] - 5


@pytest.mark.slow
def test_two_processes_make_the_model_of_one(data, recipe, tmp_path):
    text = recipe.read_text().replace("dropout_prob = 0.1", "dropout_prob = 0.0")
    quiet = tmp_path / "quiet.toml"
    quiet.write_text(text.replace("steps = 240", "steps = 20"))
    more = ["--precision", "float64", "--held-out", data]
    one, two = tmp_path / "one", tmp_path / "two"
    run(command(data, quiet, one, "torch", *more))
    words = command(data, quiet, two, "torch", *more, "--parts", 2)
    run([*torchrun(2), "-m", *words[2:]])
    found, wanted = Checkpoint.open(two), Checkpoint.open(one)
    off = [np.abs(found[name] - wanted[name]).max() for name in wanted]
    assert max(off) < 1e-9
    for row, other in zip(records(one), records(two), strict=True):
        names = row.keys() - {"seconds", "tokens_per_second"}
        assert {n: other[n] for n in names} == pytest.approx({n: row[n] for n in names})
    words = command(data, quiet, tmp_path / "odd", "torch", "--batch-size", 5)
    said = run([*torchrun(2), "-m", *words[2:]], code=1)
    assert "A batch of 5 rows cannot be shared by 2 processes. Choose a batch" in said
