"""Initial values, and rows of a vocabulary that changes its size."""

import ml_dtypes
import numpy as np
import pytest

from albert_core import schema
from albert_core.initial import initial_value, resized_rows
from tests.conftest import tiny

PARAMETERS = {
    p.name: p for p in schema.parameters(tiny(vocab_size=3000), "ForMaskedLM")
}
WORDS = PARAMETERS["albert.embeddings.word_embeddings.weight"]


def test_the_same_seed_gives_the_same_values_and_another_gives_others():
    for p in PARAMETERS.values():
        first = initial_value(p, 0.02, 5)
        assert first.tobytes() == initial_value(p, 0.02, 5).tobytes()
        assert first.dtype == np.float32
        assert first.shape == p.shape
        drawn = p.leaf == "weight" and p.kind != "norm"
        assert (first.tobytes() != initial_value(p, 0.02, 6).tobytes()) == drawn


def test_biases_are_0_and_scales_1():
    for p in PARAMETERS.values():
        value = initial_value(p, 0.02, 5)
        if p.leaf == "bias":
            assert not value.any(), p.name
        elif p.kind == "norm":
            assert (value == 1).all(), p.name


def test_each_has_a_stream_of_its_own():
    """No two kernels of one shape are alike; a head does not change the encoder."""
    values = {n: initial_value(p, 1.0, 5) for n, p in PARAMETERS.items()}
    drawn = [v.tobytes() for v in values.values() if len(np.unique(v)) > 1]
    assert len(set(drawn)) == len(drawn) > 20
    for p in schema.parameters(tiny(vocab_size=3000)):
        if f"albert.{p.name}" in values:
            again = initial_value(p, 1.0, 5)
            assert again.tobytes() == values[f"albert.{p.name}"].tobytes()


def test_the_distribution_is_normal_and_cut_at_two_deviations():
    """Of 15,000 draws; a normal that is cut there has the deviation 0.8796."""
    value = initial_value(WORDS, 0.5, 1) / 0.5
    assert np.abs(value).max() <= 2
    assert np.abs(value).max() > 1.99
    assert abs(value.mean()) < 4 * 0.88 / np.sqrt(value.size)
    assert abs(value.std() - 0.8796) < 0.02
    inner = (np.abs(value) < 1).mean()
    assert abs(inner - 0.6827 / 0.9545) < 0.015  # neither uniform nor clipped


def test_no_deviation_is_0():
    assert not initial_value(WORDS, 0.0, 1).any()


ROWS = np.random.default_rng(0).normal(3, 0.5, (50, 4)).astype(np.float32)


@pytest.mark.parametrize("mean", [True, False])
@pytest.mark.parametrize(
    "rows", [ROWS, ROWS[:, 0], ROWS[:1], ROWS[:, :1]], ids=np.shape
)
def test_old_rows_stay_and_new_ones_are_finite(rows, mean):
    """Of one row, too, of which there is no covariance."""
    more = resized_rows(rows, len(rows) + 3, mean, 0.02, 1)
    assert more.shape == (len(rows) + 3, *rows.shape[1:])
    assert more.dtype == rows.dtype
    assert (more[: len(rows)] == rows).all()
    assert np.isfinite(more).all()
    assert more.tobytes() == resized_rows(rows, len(rows) + 3, mean, 0.02, 1).tobytes()


@pytest.mark.parametrize("count", [1, 49, 50])
def test_fewer_rows_are_a_copy_of_the_first(count):
    fewer = resized_rows(ROWS, count, True, 0.02, 1)
    assert (fewer == ROWS[:count]).all()
    assert fewer.base is None


def test_new_rows_of_a_table_lie_around_the_mean():
    """With the covariance of the old ones, 1e-9 times, as Hugging Face draws them."""
    wide = ROWS.astype(np.float64) * [1, 10, 100, 1000]
    new = resized_rows(wide, 4050, True, 0.02, 1)[50:]
    expected = wide.std(0) * np.sqrt(1e-9)
    assert (np.abs(new.mean(0) - wide.mean(0)) < 5 * expected / np.sqrt(4000)).all()
    assert np.allclose(new.std(0), expected, rtol=0.1, atol=0)
    mixed = wide.copy()
    mixed[:, 1] = 2 * mixed[:, 0]
    new = resized_rows(mixed, 4050, True, 0.02, 1)[50:]
    new -= mixed.mean(0)
    assert np.abs(new[:, 1] - 2 * new[:, 0]).max() < 1e-3 * np.abs(new[:, 1]).max()


def test_new_rows_of_a_table_come_from_the_initial_distribution_if_so_wished():
    new = resized_rows(ROWS, 4050, False, 0.02, 1)[50:]
    assert abs(new.mean()) < 0.001
    assert abs(new.std() - 0.02) < 0.001
    other = resized_rows(ROWS, 4050, False, 0.02, 2)[50:]
    assert (new != other).any()


def test_new_entries_of_a_bias_are_its_mean_or_0():
    bias = ROWS[:, 0].astype(ml_dtypes.bfloat16)
    mean = np.float64(bias.astype(np.float64).mean()).astype(ml_dtypes.bfloat16)
    assert (resized_rows(bias, 53, True, 0.02, 1)[50:] == mean).all()
    assert not resized_rows(bias, 53, False, 0.02, 1)[50:].any()
