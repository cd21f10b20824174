"""Rows of several texts: every token once, each text whole, few rows."""

import numpy as np
import pytest

from albert_core.errors import InputError
from albert_core.fast import VARIABLE, allowed, fast_paths
from albert_core.packing import Packed, check, few, pack, pack_if_worth


@pytest.mark.parametrize("seed", range(20))
def test_every_token_has_one_place_and_comes_back(seed):
    rng = np.random.default_rng(seed)
    texts, width = int(rng.integers(1, 40)), int(rng.integers(1, 20))
    mask = (rng.random((texts, width)) < rng.random()).astype(np.int32)
    rounded = bool(rng.integers(2))
    packed = pack(mask, rounded)
    assert np.array_equal(packed.mask, mask)
    assert packed.take.shape == packed.text.shape
    assert packed.take.shape[1] == width
    assert len(packed.take) == few(len(pack(mask).take)) or not rounded
    tokens = np.arange(mask.size).reshape(mask.shape) + 1
    rows = tokens.ravel()[packed.take]
    back = rows.ravel()[packed.back]
    assert np.array_equal(back[mask != 0], tokens[mask != 0])
    used = packed.text != 0
    assert sorted(rows[used]) == sorted(tokens[mask != 0])
    # The tokens of a text stand together, in order, in one row.
    for text in range(1, texts + 1):
        own, places = np.nonzero(packed.text == text)
        assert len(set(own)) <= 1
        columns = np.nonzero(mask[text - 1])[0]
        assert np.array_equal(np.diff(places), np.diff(columns))  # holes stay
        assert np.array_equal(rows[own, places], tokens[text - 1][mask[text - 1] != 0])


def test_rows_are_few():
    rng = np.random.default_rng(0)
    sizes = np.clip(rng.lognormal(3.6, 0.6, 200), 3, 128).astype(int)
    mask = np.arange(128) < sizes[:, None]
    fewest = -(-mask.sum() // 128)
    assert len(pack(mask).take) <= fewest + 1


def test_numbers_of_rows_are_few():
    found = [few(number) for number in range(200)]
    assert all(
        number <= one <= max(1, 1.25 * number) for number, one in enumerate(found)
    )
    assert sorted(set(found))[:16] == [
        *(1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32)
    ]


def test_what_cannot_be_packed_is_refused():
    with pytest.raises(InputError, match=r"\(3,\), but pack takes \[texts, width\]"):
        pack([1, 1, 0])
    assert pack(np.zeros((0, 4))).take.shape == (0, 4)
    packed = pack(np.ones((2, 3)))
    check(packed, (2, None), rows=True)
    with pytest.raises(
        InputError, match=r"batch of \(2, 3\), but this one is \(2, 4\)"
    ):
        check(packed, (2, 4))
    with pytest.raises(InputError, match=r"no rows. Make it by pack\(mask\)"):
        check(Packed(np.ones((2, 3))), (2, 3), rows=True)


def test_what_holds_no_token_is_a_row_of_nothing():
    packed = pack(np.zeros((3, 4)))
    assert packed.text.tolist() == [[0, 0, 0, 0]]
    assert pack(np.zeros((2, 0))).take.shape == (1, 0)


def test_only_rows_at_the_end_can_be_spare():
    mask = np.zeros((8, 6), int)
    mask[:5, 0] = 1
    assert pack_if_worth(mask) is mask
    assert pack_if_worth(mask, spare=True).take.shape == (1, 6)
    assert pack_if_worth(mask[[0, 5, 1]], spare=True).shape == (3, 6)
    assert pack_if_worth(mask[5:], spare=True).take.shape == (1, 6)


def test_fast_paths_are_switched_by_the_environment_and_in_a_block(monkeypatch):
    assert allowed()
    monkeypatch.setenv(VARIABLE, "Off")
    assert not allowed()
    monkeypatch.setenv(VARIABLE, "0")
    assert not allowed()
    with fast_paths(True):
        assert allowed()
        with fast_paths(False):
            assert not allowed()
        assert allowed()
    assert not allowed()
