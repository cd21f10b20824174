"""The optimizers are Google's, PyTorch's and optax's, number by number."""

import re
from dataclasses import replace

import numpy as np
import pytest

from albert_core import InputError, schema
from albert_core.optimization import (
    NUMPY,
    OPTIMIZERS,
    Optimizer,
    Schedule,
    corrections,
    is_adapted,
    moment_names,
    norm,
    optimizer_named,
    update,
)
from tests.conftest import tiny

PRETRAINING = Schedule(0.00176, 125_000, 3_125)
STEPS, SHAPE = 5, (4, 3)
ADAPTIVE = Optimizer(epsilon=1e-3, bias_correction=True, layer_adaptation=True)
DECAYING = Optimizer(epsilon=1e-3, bias_correction=True)


def drawn(seed=0):
    """A weight, and gradients for some steps."""
    stream = np.random.default_rng(seed)
    return stream.normal(0, 0.5, SHAPE), stream.normal(0, 0.1, (STEPS, *SHAPE))


def moved(optimizer, adapted, weight, gradients, rates):
    first = second = np.zeros_like(weight)
    found = []
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        weight, first, second = update(
            NUMPY,
            optimizer,
            adapted,
            weight,
            gradient,
            first,
            second,
            rate,
            corrections(optimizer, count),
        )
        found.append(weight)
    return np.stack(found)


def close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


# The schedule


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (1, 5.632e-7),
        (3124, 0.0017594368),
        (3125, 0.001716),
        (62_500, 0.00088),
        (125_000, 0.0),
        (125_001, 0.0),
    ],
)
def test_the_rate_is_googles(step, rate):
    assert PRETRAINING(step) == pytest.approx(rate, rel=1e-12, abs=0)


def test_the_way_down_is_a_power():
    for power in (0.5, 1.0, 2.0):
        schedule = Schedule(2.0, 10, power=power)
        for step in range(11):
            assert schedule(step) == pytest.approx(2 * (1 - step / 10) ** power)
    assert Schedule(3.0, 4)(0) == 3.0  # no warm-up
    assert [Schedule(1.0, 4, 4)(step) for step in range(5)] == [0, 0.25, 0.5, 0.75, 0]


@pytest.mark.parametrize(
    "wrong",
    [
        *((0, 1), (-1e-3, 1), (np.nan, 1), (np.inf, 1), (1, 0), (1, 5, 6), (1, 5, -1)),
        *((1, 5, 0, -1), (1, 5, 0, np.nan), (1, 5, 0, np.inf)),
    ],
)
def test_numbers_that_are_no_schedule_are_refused(wrong):
    schedule = Schedule(*wrong)
    with pytest.raises(InputError) as problem:
        schedule.validate()
    assert str(problem.value) == (
        f"The learning rate must be over 0, the steps 1 or more, the warm-up no longer "
        f"than these and the power 0 or more; they are {schedule.learning_rate}, "
        f"{schedule.total_steps}, {schedule.warmup_steps} and {schedule.power}. Change "
        f"them."
    )


def test_numbers_that_are_a_schedule_are_not():
    PRETRAINING.validate()
    Schedule(1e-9, 1, 1).validate()


# A step


def test_the_optimizers_are_those_that_are_known():
    assert {*OPTIMIZERS} == {"lamb", "google-adamw", "adamw"}
    google = Optimizer(0.9, 0.999, 1e-6, 0.01, 1.0, False, False)
    assert optimizer_named("google-adamw") == google
    assert optimizer_named("lamb") == replace(google, layer_adaptation=True)
    theirs = replace(google, epsilon=1e-8, bias_correction=True)
    assert optimizer_named("adamw") == theirs
    with pytest.raises(InputError) as problem:
        optimizer_named("sgd")
    assert str(problem.value) == (
        "There is no optimizer 'sgd'. Give one of lamb, google-adamw, adamw."
    )


@pytest.mark.parametrize("adapted", [True, False])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_is_the_formula(name, adapted):
    """With moments of an earlier step, and an epsilon that can be seen."""
    optimizer = replace(OPTIMIZERS[name], epsilon=0.05, weight_decay=0.3)
    stream = np.random.default_rng(1)
    weight, gradient, first = stream.normal(0, 1, (3, *SHAPE))
    second, count, rate = stream.uniform(0, 1, SHAPE), 7, 0.1
    found = update(
        NUMPY,
        optimizer,
        adapted,
        weight,
        gradient,
        first,
        second,
        rate,
        corrections(optimizer, count),
    )
    m = 0.9 * first + 0.1 * gradient
    v = 0.999 * second + 0.001 * gradient**2
    if name == "adamw":
        change = (m / (1 - 0.9**7)) / (np.sqrt(v / (1 - 0.999**7)) + 0.05)
    else:
        change = m / (np.sqrt(v) + 0.05)
    if adapted:
        change = change + 0.3 * weight
    ratio = 1.0
    if adapted and name == "lamb":
        ratio = np.sqrt((weight**2).sum()) / np.sqrt((change**2).sum())
    close(found[0], weight - 0.1 * ratio * change)
    close(found[1], m)
    close(found[2], v)


def test_googles_moments_are_not_corrected():
    for name in ("lamb", "google-adamw"):
        assert corrections(OPTIMIZERS[name], 1) == (1.0, 1.0)
    first, second = corrections(OPTIMIZERS["adamw"], 3)
    assert (first, second) == pytest.approx((1 - 0.9**3, 1 - 0.999**3), rel=1e-12)


@pytest.mark.parametrize("zero", ["weight", "change"])
def test_a_norm_of_zero_changes_no_length(zero):
    """As in the original the ratio is then 1, and no number is divided by 0."""
    weight, (gradient, *_) = drawn()
    optimizer = replace(OPTIMIZERS["lamb"], weight_decay=0.0)
    if zero == "weight":
        weight = np.zeros_like(weight)
    else:
        gradient = np.zeros_like(gradient)
    with np.errstate(all="raise"):
        found = moved(optimizer, True, weight, [gradient], [0.1])
        plain = replace(optimizer, layer_adaptation=False)
        close(found, moved(plain, True, weight, [gradient], [0.1]))
    assert (found == weight).all() == (zero == "change")


def test_a_step_of_lamb_is_as_long_as_the_weight():
    weight, gradients = drawn()
    found = moved(OPTIMIZERS["lamb"], True, weight, gradients[:1] * 1e3, [0.01])
    assert norm(found - weight) == pytest.approx(0.01 * norm([weight]), rel=1e-12)


def test_a_norm_is_of_all_numbers():
    arrays = np.full((2, 3), 2.0), np.full(4, -3.0), np.zeros(0)
    assert norm(arrays) == pytest.approx((6 * 4 + 4 * 9) ** 0.5)


# The frameworks'


@pytest.mark.parametrize("adapted", [True, False])
@pytest.mark.parametrize("optimizer", [ADAPTIVE, DECAYING], ids=["lamb", "adamw"])
def test_steps_are_those_of_optax(optimizer, adapted):
    jax, optax = pytest.importorskip("jax"), pytest.importorskip("optax")
    weight, gradients = drawn(2)
    rates = [PRETRAINING(step) * 10 for step in range(1, STEPS + 1)]
    theirs = optax.lamb if optimizer.layer_adaptation else optax.adamw
    if not adapted:
        theirs = optax.adam
    options = {"weight_decay": 0.01} if adapted else {}
    with jax.enable_x64(True):
        steps = theirs(lambda n: PRETRAINING(n + 1) * 10, eps=1e-3, **options)
        mine = jax.numpy.asarray(weight)
        state, expected = steps.init(mine), []
        for gradient in gradients:
            change, state = steps.update(jax.numpy.asarray(gradient), state, mine)
            mine = optax.apply_updates(mine, change)
            expected.append(np.asarray(mine))
    assert expected[0].dtype == np.float64
    found = moved(optimizer, adapted, weight, gradients, rates)
    close(found, expected)


@pytest.mark.parametrize("adapted", [True, False])
def test_steps_are_those_of_pytorch(adapted):
    torch = pytest.importorskip("torch")
    weight, gradients = drawn(3)
    mine = torch.nn.Parameter(torch.tensor(weight))
    decay = 0.01 if adapted else 0.0
    steps = torch.optim.AdamW([mine], 0.03, eps=1e-8, weight_decay=decay)
    expected = []
    for gradient in gradients:
        mine.grad = torch.tensor(gradient)
        steps.step()
        expected.append(mine.detach().numpy().copy())
    close(moved(OPTIMIZERS["adamw"], adapted, weight, gradients, [0.03] * 5), expected)


# What decays


def rows():
    """Every parameter of the schema, with all that a configuration can add."""
    found = {}
    for head in schema.HEADS:
        for changes in (
            {},
            {"position_embedding_type": "relative_key_query"},
            {"tie_word_embeddings": False},
        ):
            for row in schema.parameters(tiny(**changes), head):
                found[row.name] = row
    return found


def test_kernels_and_tables_decay_and_nothing_else():
    found = rows()
    assert {row.kind for row in found.values()} == {*schema.KINDS}
    left_out = re.compile(r"LayerNorm|layer_norm|bias")  # Google's, by the name
    for name, row in found.items():
        assert is_adapted(row) == (not left_out.search(name)), name
    for name in (
        "predictions.bias",
        "predictions.LayerNorm.weight",
        "albert.embeddings.LayerNorm.weight",
        "albert.pooler.bias",
    ):
        assert not is_adapted(found[name])
    for name in (
        "albert.embeddings.word_embeddings.weight",
        "albert.embeddings.token_type_embeddings.weight",
        "albert.pooler.weight",
        "predictions.decoder.weight",
        "answer_class.dense_1.weight",
        "sop_classifier.classifier.weight",
    ):
        assert is_adapted(found[name])


def test_moments_have_googles_names():
    assert moment_names("a.weight") == ("a.weight.adam_m", "a.weight.adam_v")
