"""What is hidden: whole words, in runs, as many as there should be, and how."""

from collections import Counter
from itertools import groupby
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from albert_core.data.pretraining.instances import (
    Instance,
    columns,
    masked_anew,
    restored,
)
from albert_core.data.pretraining.masking import (
    Masking,
    Pieces,
    budget,
    mask,
    starts_word,
    words,
)
from tests.core.pretraining.helpers import CLS, MASK, PIECES, SEP, is_about

SPECIAL = PIECES.special_ids
EVERY = Masking(1, 1000, ngram=1)
THIRDS = (6 / 11, 3 / 11, 2 / 11)


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ("▁the ▁ ▁( < <pad> <x ▁9,", True),
        ("s ing The ABC", False),
        (tuple('!"#$%&()*+,-./:;?@[\\]^_`{|}~'), True),
        ("' = > 9 it's a=b x9 1990", True),
        ("é naïve 東京 ж – £ ﬁ", True),
        (".. a.b -- s, [CLS] [MASK]", False),
        (".'. ..9", True),
    ],
)
def test_which_pieces_begin_a_word(pieces, expected):
    pieces = pieces.split() if isinstance(pieces, str) else pieces
    assert {piece: starts_word(piece) for piece in pieces} == dict.fromkeys(
        pieces, expected
    )


@pytest.mark.parametrize(
    ("piece", "expected"),
    [
        ("##s", False),
        ("##", False),
        ("s", True),
        ("#", True),
        (".", True),
        ("東", True),
    ],
)
def test_which_pieces_of_wordpiece_begin_a_word(piece, expected):
    assert starts_word(piece, sentencepiece=False) == expected


def test_words_are_what_begins_and_goes_on():
    ids = [CLS, 10, 11, 12, SEP, 13, 14, SEP]
    starts = [True, False, True, False, True, False, False, True]
    # The second segment begins within a word, which is none of the first's.
    assert words(ids, starts, SPECIAL, True) == [[1], [2, 3], [5, 6]]
    assert words(ids, starts, SPECIAL, False) == [[1], [2], [3], [5], [6]]


@pytest.mark.parametrize(
    ("length", "expected"),
    [(1, 1), (3, 1), (10, 2), (30, 4), (50, 8), (70, 10), (129, 19), (512, 20)],
)
def test_halves_of_the_budget_go_to_the_even(length, expected):
    assert budget(length, Masking()) == expected
    assert budget(length, Masking(masked_lm_prob=0)) == 1
    assert budget(length, Masking(max_predictions_per_seq=1)) == 1
    many = Masking(masked_lm_prob=1, max_predictions_per_seq=1000)
    assert budget(length, many) == length


@settings(deadline=None, max_examples=120)
@given(
    st.lists(st.tuples(st.integers(5, 899), st.booleans()), min_size=1, max_size=60),
    st.integers(0, 60),
    st.builds(
        Masking,
        st.floats(0, 1),
        st.integers(1, 25),
        st.integers(1, 4),
        st.booleans(),
        st.booleans(),
    ),
    st.integers(0, 99),
)
def test_what_holds_of_every_instance(body, cut, masking, seed):
    cut %= len(body)
    ids = [CLS, *(i for i, _ in body[:cut]), SEP, *(i for i, _ in body[cut:]), SEP]
    starts = [True, *(s for _, s in body[:cut]), True, *(s for _, s in body[cut:])]
    starts.append(True)
    found = mask(ids, starts, PIECES, masking, Random(seed))
    hidden = set(found.positions)
    assert found.positions == sorted(hidden)  # none twice: runs do not overlap
    assert len(hidden) <= budget(len(ids), masking)
    assert found.labels == [ids[place] for place in found.positions]
    assert not {ids[place] for place in hidden} & SPECIAL
    together = words(ids, starts, SPECIAL, masking.do_whole_word_mask)
    for word in together:
        assert hidden.issuperset(word) or hidden.isdisjoint(word)
    # A run that meets another is none, so that more words in a run may be fewer.
    if masking.ngram == 1 and all(len(word) == 1 for word in together):
        assert len(hidden) == min(budget(len(ids), masking), len(together))
    for place, (seen, was) in enumerate(zip(found.ids, ids, strict=True)):
        assert place in hidden or seen == was
        assert 0 <= seen < PIECES.size
    # Columns and back.
    table = columns([(Instance(ids, starts, cut + 2, 1), found)], 64, 25)
    assert table["input_ids"][0, : len(ids)].tolist() == found.ids
    assert restored(table)["input_ids"][0].tolist() == ids + [0] * (64 - len(ids))
    again = masked_anew(table, PIECES, masking, [Random(seed)])
    for name, column in again.items():
        expected = table[name]
        if name in ("masked_positions", "masked_ids"):
            expected = expected[:, : masking.max_predictions_per_seq]
        assert np.array_equal(column, expected)


def lengths_of_runs(masking, draws=45, size=5000):
    rng, found = Random(6), Counter()
    ids = [9] * size
    for _ in range(draws):
        places = mask(ids, [True] * size, PIECES, masking, rng).positions
        runs = groupby(enumerate(places), lambda pair: pair[1] - pair[0])
        found.update(len(list(run)) for _, run in runs)
    return [found[n] / found.total() for n in (1, 2, 3)]


@pytest.mark.parametrize("shorter", [True, False])
def test_runs_are_as_long_as_they_should_be(shorter):
    """So many words that runs hardly meet, and so many runs that one cut is nothing."""
    expected = THIRDS if shorter else THIRDS[::-1]
    masking = Masking(1, 100, favor_shorter_ngram=shorter)
    weights = masking.weights()
    assert [w / sum(weights) for w in weights] == pytest.approx(expected)
    assert lengths_of_runs(masking) == pytest.approx(expected, abs=0.03)


def test_runs_are_no_longer_than_asked_for():
    assert lengths_of_runs(Masking(1, 100, ngram=1), 3)[0] > 0.97
    two = lengths_of_runs(Masking(1, 100, ngram=2), 40)
    assert two[:2] == pytest.approx([2 / 3, 1 / 3], abs=0.03)


def test_a_run_is_of_words_and_cut_to_what_there_is_room_for():
    ids, starts = [CLS, *range(10, 20), SEP], [True, *[True, False] * 5, True]
    masking = Masking(1, 5, ngram=3, favor_shorter_ngram=False)
    found = {
        tuple(mask(ids, starts, PIECES, masking, Random(n)).positions)
        for n in range(300)
    }
    # Two words of two tokens fit in five; a third does not.
    assert {len(places) for places in found} == {4}


def test_a_word_that_is_too_long_for_the_budget_is_left_alone():
    ids, starts = [CLS, 10, 11, 12, 13, SEP], [True, True, False, False, False, True]
    found = mask(ids, starts, PIECES, Masking(0.5), Random(0))
    assert (found.ids, found.positions, found.labels) == (ids, [], [])


def test_a_run_that_meets_another_is_none():
    ids, masking = [CLS, 10, 11, 12, SEP], Masking(1, ngram=2)
    found = {
        tuple(mask(ids, [True] * 5, PIECES, masking, Random(n)).positions)
        for n in range(100)
    }
    # Two words from the second on; then two from the first on are one too many.
    assert found == {(1, 2, 3), (2, 3), (1, 3)}


def test_every_word_is_hidden_as_often_as_any():
    rng, found = Random(8), Counter()
    for _ in range(4000):
        found.update(mask([9] * 40, [True] * 40, PIECES, Masking(0.1), rng).positions)
    inner = [found[place] for place in range(4, 36)]
    assert stats.chisquare(inner).pvalue > 1e-3


def test_eight_tenths_are_hidden_one_is_another_one_stays():
    rng, seen = Random(9), []
    for _ in range(20):
        seen += mask([9] * 1000, [True] * 1000, PIECES, EVERY, rng).ids
    count = len(seen)
    other = 0.1 / PIECES.size  # of the random ones that are [MASK], or the same again
    assert is_about(seen.count(MASK), 0.8 + other, count)
    assert is_about(seen.count(9), 0.1 + other, count)


def test_another_token_is_any_of_the_vocabulary():
    few, rng, seen = Pieces(20, 21, SPECIAL), Random(10), Counter()
    for _ in range(20):
        seen.update(mask([22] * 1000, [True] * 1000, few, EVERY, rng).ids)
    hidden, kept = seen.pop(21), seen.pop(22)
    assert is_about(hidden, 0.8, 20_000)
    assert is_about(kept, 0.1, 20_000)
    assert seen.keys() == set(range(20))
    assert stats.chisquare(list(seen.values())).pvalue > 1e-3
