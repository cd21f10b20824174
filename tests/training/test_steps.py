"""The same step in three frameworks: in float64 all numbers are those of NumPy."""

import numpy as np
import pytest

from albert_core.optimization import OPTIMIZERS
from albert_core.training import parts
from tests.conftest import FRAMEWORKS
from tests.training.frameworks import Kept, Learners, learn, ready
from tests.training.trainer import (
    CASES,
    KEY_BIAS,
    SAME_ARITHMETIC,
    SAME_NUMBERS,
    SCHEDULE,
    STEPS,
    Trainer,
    apart,
    batch_of,
    float32_budget,
    start_of,
)

# Each case with one optimizer: what moves the weights does not know the head.
EACH = dict(zip(CASES, ["lamb", "adamw", "google-adamw"] * 3, strict=False))
# XLA and TensorFlow take long to compile a head. That the gradients of every head are
# right in all frameworks is tested in tests/parity; these two weigh labels unlike.
QUICK = ("pretraining", "tokens")
HEADS = [
    name if name == "torch" else pytest.param(name, marks=pytest.mark.nightly)
    for name in FRAMEWORKS
]
DROPOUT = {"hidden_dropout_prob": 0.2, "attention_probs_dropout_prob": 0.2}


@pytest.fixture(scope="module", params=FRAMEWORKS)
def learners(request, tmp_path_factory):
    with ready(request.param):
        yield Learners(request.param, tmp_path_factory.mktemp(request.param))


def batches_of(case):
    return [batch_of(case, step) for step in range(STEPS)]


def expected(case, optimizer):
    """The NumPy trainer after all steps, and the figures of each."""
    wanted = Trainer(case, OPTIMIZERS[optimizer])
    return wanted, [
        wanted.step(batch, SCHEDULE(step))
        for step, batch in enumerate(batches_of(case))
    ]


def test_steps_are_those_of_numpy(learners):
    for name in OPTIMIZERS:
        check_steps(learners, "pretraining", name)
    check_steps(learners, "tokens", EACH["tokens"])


@pytest.mark.parametrize("learners", HEADS, indirect=True)
@pytest.mark.parametrize("case", [x for x in CASES if x not in QUICK])
def test_steps_of_other_heads_are_those_of_numpy(learners, case):
    check_steps(learners, case, EACH[case])


def check_steps(learners, case, optimizer):
    wanted, figures = expected(case, optimizer)
    found = learners(case, optimizer)
    taken = learn(found, batches_of(case), SCHEDULE)
    assert apart(found, wanted).max() < SAME_ARITHMETIC
    for ours, theirs in zip(figures, taken, strict=True):
        for name, value in ours.items():
            assert theirs[name] == pytest.approx(value, rel=SAME_ARITHMETIC), name
    assert found.count == STEPS


@pytest.mark.parametrize("optimizer", ["lamb", "adamw"])
def test_float32_is_rounding(learners, optimizer):
    case = "pretraining"
    wanted, _ = expected(case, optimizer)
    budget = float32_budget(case, optimizer, batches_of(case), wanted)
    found = learners(case, optimizer, "float32")
    learn(found, batches_of(case), SCHEDULE)
    assert {array.dtype for array in found.arrays().values()} == {np.dtype("float32")}
    assert (apart(found, wanted, KEY_BIAS) < budget).all()
    # Where rounding is divided by rounding a weight still moves by Adam's most.
    most = sum(SCHEDULE(step) for step in range(STEPS)) * 3.2
    for name in found.arrays():
        if name.endswith(KEY_BIAS):
            moved = np.abs(found.arrays()[name] - wanted.weights[name]).max()
            assert moved < 2 * most


def test_bfloat16_keeps_float32(learners):
    """Three decimal digits: no more can be asked of it than the right loss."""
    case = "pretraining"
    wanted, figures = expected(case, "lamb")
    found = learners(case, "lamb", "bfloat16")
    taken = learn(found, batches_of(case), SCHEDULE)
    kept = [*found.arrays().values(), *found.moments().values()]
    assert {array.dtype for array in kept} == {np.dtype("float32")}
    for ours, theirs in zip(figures, taken, strict=True):
        assert theirs["loss"] == pytest.approx(ours["loss"], rel=2.0**-5)
    losses = [[each["loss"] for each in of] for of in (taken, figures)]
    assert losses[0] != pytest.approx(losses[1], rel=2.0**-20)  # not float32
    assert apart(found, wanted)[0] < 2.0**-8


@pytest.mark.parametrize("case", QUICK)
def test_parts_of_a_batch_are_the_batch(learners, case):
    check_parts(learners, case)


@pytest.mark.parametrize("learners", HEADS, indirect=True)
@pytest.mark.parametrize("case", [x for x in CASES if x not in QUICK])
def test_parts_of_other_heads_are_the_batch(learners, case):
    check_parts(learners, case)


def check_parts(learners, case):
    found, batches = learners(case, EACH[case]), batches_of(case)[:2]
    whole = learn(found, batches, SCHEDULE)
    wanted = Kept(found)
    counts = {"torch": (2, 3), "tf": (3,), "flax": (2,)}
    for count in counts[learners.framework]:
        found = learners(case, EACH[case])
        sizes = {len(part.inputs["input_ids"]) for part in parts(batches[0], count)}
        assert len(sizes) == count - 1  # three parts of eight rows are uneven
        figures = learn(found, batches, SCHEDULE, count)
        assert apart(found, wanted).max() < SAME_NUMBERS
        for one, other in zip(whole, figures, strict=True):
            assert other == pytest.approx(one, rel=SAME_NUMBERS)


def test_recomputing_layers_gives_the_same_step(learners):
    found = learners("pretraining", changes=DROPOUT)
    learn(found, batches_of("pretraining")[:3], SCHEDULE)
    again = learners("pretraining", recompute=True, changes=DROPOUT)
    assert again.model.is_gradient_checkpointing
    learn(again, batches_of("pretraining")[:3], SCHEDULE)
    assert apart(again, found).max() < SAME_NUMBERS


def test_dropout_follows_the_seed_of_the_step_and_nothing_else(learners):
    found, batches = learners("pretraining", changes=DROPOUT), batches_of("pretraining")
    learn(found, batches[:2], SCHEDULE, seed=7)
    wanted = Kept(found)
    found = learners("pretraining", changes=DROPOUT)
    learn(found, batches[3:], SCHEDULE)  # draws something
    found = learners("pretraining", changes=DROPOUT)
    learn(found, batches[:2], SCHEDULE, seed=7)
    assert apart(found, wanted).max() == 0
    found = learners("pretraining", changes=DROPOUT)
    learn(found, batches[:2], SCHEDULE, seed=8)
    assert apart(found, wanted).max() > 1e-6


def test_a_run_goes_on_from_what_was_kept(learners):
    found, batches = learners("pretraining", "adamw"), batches_of("pretraining")
    learn(found, batches[:3], SCHEDULE)
    kept, count = Kept(found), found.count
    learn(found, batches[3:], lambda step: SCHEDULE(step + 3))
    wanted = Kept(found)
    found = learners("pretraining", "adamw")
    found.restore(kept.arrays(), kept.moments(), count)
    learn(found, batches[3:], lambda step: SCHEDULE(step + 3))
    assert apart(found, wanted).max() == 0


@pytest.mark.parametrize("case", ["pretraining", "tokens"])
def test_figures_of_evaluation_are_those_of_the_loss(learners, case):
    optimizer, batch = EACH[case], batch_of(case)
    found = learners(case, optimizer)
    (part,) = parts(batch)
    figures = found.evaluate(part)
    wanted = Trainer(case, OPTIMIZERS[optimizer]).step(batch, 0.0)["loss"]
    assert figures["loss"] == pytest.approx(wanted, rel=SAME_ARITHMETIC)
    start = start_of(case)
    assert all(np.array_equal(found.arrays()[n], start[n]) for n in start)


@pytest.mark.parametrize("which", ["weight", "rows"])
def test_where_the_loss_is_no_number_nothing_moves(learners, which):
    found, batch = learners("values", EACH["values"]), batch_of("values")
    learn(found, [batch], lambda step: 1e-3)
    arrays, moments = found.arrays(), found.moments()
    if which == "weight":
        broken = {**arrays, "classifier.bias": np.full(1, np.nan)}
        found.restore(broken, moments, 1)
    else:
        batch = {**batch, "labels": np.full_like(batch["labels"], np.inf)}
    before = Kept(found)
    figures = found.step(parts(batch), 1e-3, 0)
    assert not np.isfinite(figures["loss"] + figures["gradient_norm"])
    assert found.count == 1
    for kept, now in (
        (before.arrays(), found.arrays()),
        (before.moments(), found.moments()),
    ):
        assert all(np.array_equal(kept[n], now[n], equal_nan=True) for n in kept)


def test_a_part_without_labels_that_count_adds_nothing(learners):
    batch = batch_of("tokens")
    batch["labels"][:3] = -100
    found = learners("tokens", EACH["tokens"])
    (whole,) = learn(found, [batch], lambda step: 1e-3)
    wanted = Kept(found)
    found = learners("tokens", EACH["tokens"])
    (cut,) = learn(found, [batch], lambda step: 1e-3, 3)
    assert cut == pytest.approx(whole, rel=SAME_NUMBERS)
    assert apart(found, wanted).max() < SAME_NUMBERS
