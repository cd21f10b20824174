"""Steps one after another: records, judgements, and the ways in which a run ends."""

import errno
import json
import os
import signal
import threading

import numpy as np
import pytest

from albert_core.errors import TrainingError
from albert_zoo.training.learners import is_out_of_memory
from albert_zoo.training.logs import Log, records
from tests.training.fakes import Learner, batches, loop


def weights_of(path, step):
    return loop(path, resume=True).folder.load(step)[0]["w"]


def test_a_run_goes_on_to_the_same_numbers(tmp_path):
    loop(tmp_path / "whole", seed=3).run(batches())
    first = loop(tmp_path / "cut", seed=3, steps=4)
    first.plan = loop(tmp_path / "other", seed=3).plan  # the schedule of six steps
    stream = batches()
    for _ in range(3):
        first._step(next(stream))
    first._save()
    again = loop(tmp_path / "cut", resume=True, seed=3)
    assert (again.state.step, again.state.used, again.state.count) == (3, 6, 3)
    again.run(batches(again.state.used))
    wanted = weights_of(tmp_path / "whole", 6)
    assert (weights_of(tmp_path / "cut", 6) == wanted).all()


def test_a_run_that_is_done_has_no_more_steps(tmp_path):
    loop(tmp_path).run(batches())
    learner = Learner(before=lambda step: pytest.fail("a step"))
    assert loop(tmp_path, learner, True).run(batches()).step == 6


def test_steps_of_one_seed_are_not_those_of_the_next(tmp_path, monkeypatch):
    seeds = {}
    for seed, rank in ((0, 0), (0, 1), (1, 0)):
        monkeypatch.setenv("RANK", str(rank))
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setattr("albert_zoo.training.loop.in_any", lambda flag: flag)
        learner, found = Learner(), seeds.setdefault((seed, rank), [])
        step = learner.step
        learner.step = lambda parts, rate, seed, f=found, s=step: (
            f.append(seed) or s(parts, rate, seed)
        )
        loop(tmp_path / f"{seed}-{rank}", learner, seed=seed).run(batches())
    drawn = [seed for found in seeds.values() for seed in found]
    assert len(set(drawn)) == 18


def test_records_are_means_since_the_last(tmp_path):
    with Log(tmp_path, total=5, quiet=True) as log:
        loop(tmp_path, log=log, steps=5).run(batches())
    rows = records(tmp_path)
    assert [row["step"] for row in rows] == [2, 4, 5]
    assert [row["loss"] for row in rows] == [(1 + 1 / 2) / 2, (1 / 3 + 1 / 4) / 2, 0.2]
    assert [row["learning_rate"] for row in rows] == pytest.approx([0.4, 0.2, 0.1])
    assert all(row["tokens_per_second"] > 0 for row in rows)
    seconds = [row["seconds"] for row in rows]
    assert seconds == sorted(seconds)


def test_records_behind_the_checkpoint_are_dropped(tmp_path):
    with Log(tmp_path, quiet=True) as log:
        for step in (2, 4, 6):
            log.write(step, {"loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 8, "lo')  # killed while it wrote
    with Log(tmp_path, step=4, quiet=True) as log:
        log.write(6, {"loss": 2.0})
    assert [(row["step"], row["loss"]) for row in records(tmp_path)] == [
        (2, 1.0),
        (4, 1.0),
        (6, 2.0),
    ]


# Judgement


def scores(*values):
    """An evaluation that finds one value after another."""
    left = list(values)
    return lambda learner: {"eval_loss": left.pop(0)}


def test_the_best_checkpoint_stays_besides_the_last(tmp_path):
    run = loop(tmp_path, evaluate=scores(3.0, 1.0, 2.0, 2.5, 1.5, 2.0), steps=12)
    state = run.run(batches())
    assert (state.best, state.best_step) == (1.0, 4)
    assert run.folder.steps() == [4, 10, 12]
    higher = scores(3.0, 1.0, 2.0)
    state = loop(tmp_path / "b", evaluate=higher, higher=True).run(batches())
    assert (state.best, state.best_step) == (3.0, 2)


def test_a_value_that_is_no_number_is_never_the_best(tmp_path):
    values = scores(float("nan"), 2.0, 3.0)
    state = loop(tmp_path, evaluate=values).run(batches())
    assert (state.best, state.best_step) == (2.0, 4)


def test_patience_counts_on_when_a_run_goes_on(tmp_path):
    values = [3.0, 4.0, 5.0, 6.0, 7.0]
    whole = loop(tmp_path / "a", evaluate=scores(*values), steps=20, patience=3)
    assert whole.run(batches()).step == 8
    part = loop(tmp_path / "b", evaluate=scores(*values), steps=20, patience=3)
    part.learner.before = lambda step: step == 5 and os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        part.run(batches())
    rest = scores(*values[2:])
    again = loop(
        tmp_path / "b", resume=True, evaluate=rest, steps=20, patience=3, log=None
    )
    assert again.run(batches(again.state.used)).step == 8
    done = loop(tmp_path / "b", resume=True, steps=20, patience=3)
    assert done.run(batches()).step == 8  # has stopped, and stays so


def test_all_checkpoints_stay_where_that_is_wanted(tmp_path):
    run = loop(tmp_path, keep=0)
    run.run(batches())
    assert run.folder.steps() == [0, 2, 4, 6]


# Ends


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_the_checkpoint_of_its_step(tmp_path, number):
    def before(step):
        if step == 2:
            os.kill(os.getpid(), number)

    kept = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, Learner(before=before)).run(batches())
    assert signal.getsignal(number) is kept
    assert loop(tmp_path, resume=True).state.step == 3
    loop(tmp_path, resume=True).run(batches(6))
    loop(tmp_path / "whole").run(batches())
    assert (weights_of(tmp_path, 6) == weights_of(tmp_path / "whole", 6)).all()


def test_a_signal_while_the_model_is_judged(tmp_path):
    def judge(learner):
        os.kill(os.getpid(), signal.SIGTERM)
        return {"eval_loss": 1.0}

    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, evaluate=judge).run(batches())
    state = loop(tmp_path, resume=True).state
    assert (state.step, state.best_step) == (2, 2)


def test_a_second_signal_ends_at_once(tmp_path):
    def before(step):
        if step == 2:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        loop(tmp_path, Learner(before=before)).run(batches())
    assert loop(tmp_path, resume=True).state.step == 2  # no half of a step is kept


def test_a_run_in_a_thread_needs_no_signals(tmp_path):
    run = loop(tmp_path)
    thread = threading.Thread(target=run.run, args=(batches(),))
    thread.start()
    thread.join()
    assert run.state.step == 6


@pytest.mark.parametrize("bad", [0, 1, 3])
def test_a_loss_that_is_no_number_ends_the_run(tmp_path, bad):
    learner = Learner(bad=(bad,))
    with pytest.raises(TrainingError) as problem:
        loop(tmp_path, learner).run(batches())
    said = str(problem.value)
    assert said.startswith(f"Step {bad + 1} has a loss of nan and gradients of norm 1.")
    assert f"checkpoint-{bad}. Lower the learning rate" in said
    again = loop(tmp_path, Learner(), True)
    assert (again.state.step, again.state.used) == (bad, 2 * bad)
    assert again.learner.count == bad


def test_a_batch_that_cannot_be_shared(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(TrainingError, match="2 rows cannot be shared by 4 processes"):
        loop(tmp_path).run(batches())


def errors():
    """What each framework raises when memory does not suffice."""
    import jax
    import tensorflow as tf
    import torch

    text = "RESOURCE_EXHAUSTED: Out of memory allocating 99 bytes"
    return {
        "torch": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate\nmore"),
        "torch-cpu": RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        "jax": jax.errors.JaxRuntimeError(text),
        "tf": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating"),
        "numpy": MemoryError(),
    }


@pytest.mark.parametrize("kind", ["torch", "torch-cpu", "jax", "tf", "numpy"])
def test_a_batch_that_does_not_fit(tmp_path, kind):
    problem = errors()[kind]

    def before(step):
        if step == 1:
            raise problem

    with pytest.raises(OSError, match="does not fit into memory") as found:
        loop(tmp_path, Learner(before=before), parts=2).run(batches())
    assert found.value.errno == errno.ENOMEM
    said = str(found.value)
    assert "2 rows of 3 tokens, in 2 parts" in said
    assert "--parts" in said
    assert "--batch-size" in said
    assert "\n" not in said


def test_a_judgement_that_does_not_fit(tmp_path):
    def judge(learner):
        raise MemoryError

    with pytest.raises(OSError, match="Judging the model does not fit into memory"):
        loop(tmp_path, evaluate=judge).run(batches())
    assert loop(tmp_path, resume=True).state.step == 2


def test_other_errors_are_not_taken_for_memory(tmp_path):
    assert not is_out_of_memory(RuntimeError("shapes differ"))
    assert not is_out_of_memory(ValueError("out of memory"))

    def before(step):
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        loop(tmp_path, Learner(before=before)).run(batches())


def test_the_state_is_json_that_says_where_the_run_is(tmp_path):
    loop(tmp_path, evaluate=scores(1.0, 2.0, 3.0)).run(batches())
    state = json.loads((tmp_path / "checkpoint-6" / "state.json").read_text())
    seconds = state.pop("seconds")
    assert np.isfinite(seconds)
    assert state == {
        "step": 6,
        "used": 12,
        "count": 6,
        "best": 1.0,
        "best_step": 2,
        "worse": 2,
    }
