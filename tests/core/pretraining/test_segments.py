"""Segments are contiguous text, in order or swapped, and no sentence is lost."""

from collections import Counter
from random import Random

import pytest

from albert_core.data.pretraining.segments import IN_ORDER, SWAPPED, pairs, truncated
from tests.core.pretraining.helpers import book, counted, is_about

SEEDS = range(60)


def joined(sentences):
    return [token for sentence in sentences for token in sentence]


def is_contiguous(tokens):
    return tokens == list(range(tokens[0], tokens[0] + len(tokens)))


@pytest.mark.parametrize("elsewhere", [False, True])
def test_segments_are_text_that_fits(elsewhere):
    """Also where they were shortened, or are of a short document."""
    for seed in SEEDS:
        are_text_that_fits(Random(seed), elsewhere)


def are_text_that_fits(rng, elsewhere):
    texts, most = book(rng), rng.randint(2, 40)
    for index in range(len(texts)):
        found = list(pairs(texts, index, rng, most, 0.5, elsewhere))
        for pair in found:
            assert pair.first
            assert pair.second
            assert is_contiguous(pair.first)
            assert is_contiguous(pair.second)
            assert len(pair.first) + len(pair.second) <= most
            home, other = pair.first[0] // 1000, pair.second[0] // 1000
            assert home == index + 1
            if pair.label == IN_ORDER:
                assert home == other
                assert pair.first[-1] < pair.second[0]
            elif home == other:
                assert not elsewhere
                assert pair.second[-1] < pair.first[0]


def test_every_sentence_is_used_once_where_nothing_is_cut_off():
    for seed in SEEDS:
        every_sentence_is_used_once_where_nothing_is_cut_off(Random(seed))


def every_sentence_is_used_once_where_nothing_is_cut_off(rng):
    texts = [counted(n * 1000, *[1] * rng.randint(1, 50)) for n in range(1, 5)]
    used = []
    for pair in pairs(texts, 0, rng, rng.randint(2, 30), 0.5):
        one, other = pair.first, pair.second
        if other[0] >= 2000:  # a chunk of one sentence, whose other half is a guest
            assert (len(one), pair.label) == (1, SWAPPED)
            used += one
        else:
            chunk = other + one if pair.label == SWAPPED else one + other
            assert is_contiguous(chunk)
            used += chunk
    assert used == joined(texts[0])


def test_what_a_guest_takes_the_place_of_is_used_next():
    for seed in SEEDS:
        what_a_guest_takes_the_place_of_is_used_next(Random(seed))


def what_a_guest_takes_the_place_of_is_used_next(rng):
    texts = [counted(n * 1000, *[1] * rng.randint(1, 50)) for n in range(1, 5)]
    used, labels = [], []
    for pair in pairs(texts, 1, rng, rng.randint(2, 30), 0.5, True):
        own = pair.label == IN_ORDER
        assert own == (pair.second[0] // 1000 == 2)
        used += pair.first + (pair.second if own else [])
        labels.append(pair.label)
    assert used == joined(texts[1])


def test_half_of_the_chunks_of_several_sentences_are_swapped():
    text = [counted(0, *[1] * 16_000)]
    found = list(pairs(text, 0, Random(1), 4, 0))
    assert len(found) == 4000
    assert {len(pair.first) + len(pair.second) for pair in found} == {4}
    assert is_about(sum(pair.label for pair in found), 0.5, 4000)
    # The place of the cut is drawn too.
    cuts = Counter(
        len(pair.second if pair.label == SWAPPED else pair.first) for pair in found
    )
    assert cuts.keys() == {1, 2, 3}
    assert all(is_about(count, 1 / 3, 4000) for count in cuts.values())


def test_half_of_the_chunks_get_a_guest_as_in_bert():
    texts = [counted(n * 100_000, *[1] * 6000) for n in (1, 2, 3)]
    found = list(pairs(texts, 0, Random(2), 4, 0, True))[:-1]
    assert is_about(sum(pair.label for pair in found), 0.5, len(found))
    guests = Counter(pair.second[0] // 100_000 for pair in found if pair.label)
    assert guests.keys() == {2, 3}
    assert is_about(guests[2], 0.5, guests.total())


def test_a_chunk_of_one_sentence_gets_a_guest():
    texts = [counted(1000, 7), counted(2000, 1, 1, 1, 1), counted(3000, 3)]
    found = [next(pairs(texts, 0, Random(n), 10, 0)) for n in range(200)]
    assert {pair.label for pair in found} == {SWAPPED}
    assert {tuple(pair.first) for pair in found} == {tuple(range(1000, 1007))}
    # It begins with any sentence, and ends where there is no more room, or no text.
    assert {(p.second[0], len(p.second)) for p in found} == {
        *((2000, 3), (2001, 3), (2002, 2), (2003, 1), (3000, 3)),
    }


def test_a_document_that_is_alone_is_its_own_guest():
    (pair,) = pairs([counted(0, 3)], 0, Random(0), 8, 0)
    assert (pair.first, pair.second, pair.label) == ([0, 1, 2], [0, 1, 2], SWAPPED)


def test_a_share_of_the_documents_is_cut_short():
    """The length is drawn once for a document, and not for each pair."""
    rng, short, drawn = Random(3), Counter(), 4000
    for _ in range(drawn):
        found = list(pairs([counted(0, *[1] * 60)], 0, rng, 20, 0.1))
        sizes = [len(pair.first) + len(pair.second) for pair in found]
        assert len({*sizes[:-1]}) <= 1
        short[sizes[0]] += 1
    full = short.pop(20)
    assert is_about(drawn - full, 0.1 * 18 / 19, drawn)
    assert short.keys() == set(range(2, 20))
    for share in (0, 1):
        sizes = {
            sum(map(len, (pair.first, pair.second)))
            for _ in range(100)
            for pair in list(pairs([counted(0, *[1] * 40)], 0, rng, 20, share))[:1]
        }
        assert (len(sizes) > 5) == share


def test_the_longer_segment_is_shortened_and_else_the_second():
    rng = Random(4)
    for one in range(1, 12):
        for other in range(1, 12):
            for most in range(2, 24):
                first, second = truncated(
                    list(range(one)), list(range(100, 100 + other)), most, rng
                )
                assert is_contiguous(first)
                assert is_contiguous(second)
                a, b = one, other
                while a + b > most:
                    a, b = (a - 1, b) if a > b else (a, b - 1)
                assert (len(first), len(second)) == (a, b)
    assert len(truncated([1, 2], [3, 4], 3, rng)[1]) == 1


def test_tokens_fall_off_both_ends_alike():
    rng = Random(5)
    found = Counter(tuple(truncated([1, 2, 3], [4], 3, rng)[0]) for _ in range(2000))
    assert found.keys() == {(1, 2), (2, 3)}
    assert is_about(found[1, 2], 0.5, 2000)
    found = Counter(tuple(truncated([1], [2, 3, 4, 5], 3, rng)[1]) for _ in range(2000))
    assert found.keys() == {(2, 3), (3, 4), (4, 5)}
    assert is_about(found[3, 4], 0.5, 2000)
