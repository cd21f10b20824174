"""Every instance once an epoch, in an order that a seed and what was used say."""

from itertools import chain, islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.masking import Masking
from tests.core.pretraining.helpers import MASKING, folder, numbers, plain, same

SHARDS = [[7], [3, 5, 1, 0, 4], [2] * 8]
DYNAMIC = [None, MASKING]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Folders of instances, in one shard and in several."""
    place = tmp_path_factory.mktemp("sets")
    return [
        PretrainingData(folder(place / str(number), counts, seed=number))
        for number, counts in enumerate(SHARDS)
    ]


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """More instances than are masked at once."""
    return PretrainingData(folder(tmp_path_factory.mktemp("large") / "x", [200, 150]))


def taken(data, batch_size, count, **options):
    return list(islice(data.batches(batch_size, **options), count))


def rows(batches):
    """All instances of batches, as bytes."""
    return [
        b"".join(column[row].tobytes() for column in batch.values())
        for batch in batches
        for row in range(len(batch["input_ids"]))
    ]


@pytest.mark.parametrize("masking", DYNAMIC)
@pytest.mark.parametrize("pool", [1, 4, 6, 1000])
def test_every_instance_comes_once_an_epoch(sets, pool, masking):
    for data, counts in zip(sets, SHARDS, strict=True):
        assert len(data) == sum(counts)
        batches = taken(data, 1, 3 * len(data), pool=pool, masking=masking)
        found = [number for batch in batches for number in numbers(batch)]
        epochs = [found[n * len(data) : (n + 1) * len(data)] for n in range(3)]
        for epoch in epochs:
            assert sorted(epoch) == list(range(len(data)))
        assert len({tuple(epoch) for epoch in epochs}) == 3


def test_batches_are_full_over_the_edge_of_an_epoch(sets):
    for data in sets:
        for size in (2, 5, 50):
            for batch in taken(data, size, 9):
                assert {len(column) for column in batch.values()} == {size}
            one = rows(taken(data, 1, 9 * size))
            assert rows(taken(data, size, 9)) == one


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(range(len(SHARDS))),
    st.integers(0, 45),
    st.integers(1, 12),
    st.sampled_from([1, 4, 1000]),
    st.sampled_from(DYNAMIC),
    st.integers(0, 2),
)
def test_the_batches_after_those_that_were_used(
    sets, which, used, size, pool, masking, seed
):
    options = {"seed": seed, "pool": pool, "masking": masking}
    whole = rows(taken(sets[which], 1, used + 2 * size, **options))
    rest = rows(taken(sets[which], size, 2, used=used, **options))
    assert rest == whole[used:]


@pytest.mark.parametrize("masking", DYNAMIC)
def test_many_instances_go_on_where_they_were(large, masking):
    options = {"masking": masking, "pool": 100}
    whole = taken(large, 90, 9, **options)
    for done in (1, 3, 4, 8):
        rest = taken(large, 90, 9 - done, used=90 * done, **options)
        assert rows(rest) == rows(whole[done:])
    found = [number for batch in whole for number in numbers(batch)]
    assert sorted(found[:350]) == sorted(found[350:700]) == list(range(350))


def test_a_seed_is_an_order(sets):
    for data in sets:
        one, other = (taken(data, 4, 6, seed=3) for _ in range(2))
        assert all(same(a, b) for a, b in zip(one, other, strict=True))
        assert rows(taken(data, 4, 6, seed=4)) != rows(one)


def test_shards_and_instances_are_shuffled(large):
    first = [numbers(taken(large, 200, 1, seed=n)[0]) for n in range(8)]
    assert {min(part) >= 200 for part in first} == {False}
    small = [numbers(taken(large, 150, 1, seed=n, pool=1)[0]) for n in range(8)]
    assert {min(part) >= 200 for part in small} == {True, False}
    assert all(part != sorted(part) for part in small)


def test_masking_on_the_fly_differs_between_epochs(large):
    fixed = taken(large, 350, 2)
    anew = taken(large, 350, 2, masking=MASKING)
    other = taken(large, 350, 1, masking=MASKING, seed=1)

    def by_number(batch):
        order = np.argsort(numbers(batch))
        return {name: column[order] for name, column in batch.items()}

    one, two = map(by_number, fixed)
    assert same(one, two)
    for first, second in ((one, anew[0]), anew, (anew[0], other[0])):
        a, b = by_number(first) if first is not one else one, by_number(second)
        assert np.array_equal(plain(a), plain(b))
        assert np.array_equal(a["attention_mask"], b["attention_mask"])
        assert np.array_equal(a["token_type_ids"], b["token_type_ids"])
        assert np.array_equal(a["sentence_order_label"], b["sentence_order_label"])
        long = a["attention_mask"].sum(1) > 12
        changed = (a["masked_lm_positions"] != b["masked_lm_positions"]).any(1)
        assert changed[long].mean() > 0.8
        for batch in (a, b):
            hidden = (batch["masked_lm_labels"] >= 0).sum(1)
            budget = [
                min(3, max(1, round(int(n) * 0.15)))
                for n in batch["attention_mask"].sum(1)
            ]
            assert (hidden <= budget).all()
            assert (hidden == budget).mean() > 0.8


def test_an_instance_is_masked_alike_wherever_it_comes(sets):
    """Within an epoch, whatever the pool."""
    for data in sets:
        found = [
            sorted(rows(taken(data, 1, len(data), pool=pool, masking=MASKING)))
            for pool in (1, 1000)
        ]
        assert found[0] == found[1]


def test_other_masking_has_another_budget(large):
    most = Masking(masked_lm_prob=1, max_predictions_per_seq=9, ngram=1)
    (batch,) = taken(large, 350, 1, masking=most)
    assert batch["masked_lm_positions"].shape == (350, 9)
    inside = batch["attention_mask"].sum(1)
    hidden = (batch["masked_lm_labels"] >= 0).sum(1)
    assert (hidden == np.minimum(9, inside - 3)).all()


def test_instances_come_in_order_too(sets):
    for data in sets:
        whole = list(range(len(data)))
        for size in (1, 3, 100):
            batches = list(data.in_order(size))
            found = [numbers(batch) for batch in batches]
            assert [len(part) for part in found[:-1]] == [size] * (len(found) - 1)
            assert list(chain(*found)) == whole
            for most in (1, 2, 6, 100):
                found = [numbers(batch) for batch in data.in_order(size, most)]
                assert list(chain(*found)) == whole[:most]
        assert list(data.in_order(3, 0)) == []
