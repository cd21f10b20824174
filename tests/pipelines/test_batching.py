"""Batches are full, shapes are few, and what comes out is in order."""

import itertools

import numpy as np
import pytest

from albert_zoo.pipelines.batching import (
    batches,
    bucket,
    packed_batches,
    power_of_two,
    stack,
    windows,
)
from tests.conftest import FRAMEWORKS
from tests.pipelines.models import LONGEST, TEXTS, assert_same

MANY = [" ".join(TEXTS[number % 3].split()[: 1 + number % 7]) for number in range(50)]


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("tokens", [1, 50, 1000])
def test_each_row_is_in_one_batch_that_keeps_to_the_budget(few, tokens):
    lengths = np.random.default_rng(0).integers(1, 65, 200).tolist()
    found = list(batches(lengths, tokens, 64, few))
    assert sorted(row for each in found for row in each.rows) == list(range(200))
    for each in found:
        assert each.length >= max(lengths[row] for row in each.rows)
        assert each.size >= len(each.rows)
        assert each.size * each.length <= max(tokens, each.length)
    longest = [each.length for each in found]
    assert longest == sorted(longest, reverse=True)


@pytest.mark.parametrize("tokens", [1, 50, 1000])
def test_batches_of_texts_that_share_rows_keep_to_the_budget(tokens):
    lengths = np.random.default_rng(0).integers(1, 301, 400).tolist()
    found = list(packed_batches(lengths, tokens, 512))
    assert sorted(row for each in found for row in each.rows) == list(range(400))
    for each in found:
        inside = [lengths[row] for row in each.rows]
        assert each.length >= max(inside)
        assert each.size == power_of_two(len(each.rows))
        assert sum(inside) <= max(tokens, each.length)
        # One row's texts more than there is room for, and their number rounded up.
        assert each.size * each.length <= 8 * max(tokens, each.length) + 2 * 128**2
    shapes = set()
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 513, 300).tolist()
        shapes |= {(x.size, x.length) for x in packed_batches(lengths, 8192, 512)}
    assert len(shapes) < 40


def test_lengths_and_sizes_are_rounded_to_few():
    assert {bucket(length, 512) for length in range(1, 513)} == {
        *(16, 32, 48, 64, 96, 128, 192, 256, 384, 512)
    }
    assert bucket(33, 40) == 40
    assert [power_of_two(n) for n in (1, 2, 3, 5, 8)] == [1, 2, 4, 8, 8]
    shapes = set()
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(1, 513, 300).tolist()
        found = batches(lengths, 8192, 512, few_shapes=True)
        shapes |= {(each.size, each.length) for each in found}
    assert len(shapes) < 60


def test_rows_are_padded_at_their_ends():
    rows = [
        {"input_ids": [5, 6], "positions": [1]},
        {"input_ids": [7], "positions": [0]},
    ]
    (batch,) = batches([2, 1], 100, 16, few_shapes=True)
    arrays = stack(rows, batch, 9, few_shapes=True)
    assert arrays["input_ids"].shape == (2, 16)
    assert arrays["input_ids"][:, :3].tolist() == [[5, 6, 9], [7, 9, 9]]
    assert arrays["positions"].tolist() == [[1], [0]]


def test_windows_end_by_count_and_by_length():
    items = ["a" * 10, {"text": "b" * 30}, ["c", "d"], 7, "e"]
    assert list(windows(items, 2, 10**6)) == [items[:2], items[2:4], items[4:]]
    assert list(windows(items, 9, 40)) == [items[:2], items[2:]]


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_results_do_not_depend_on_the_batches(ready, framework):
    ours = ready("text-classification", framework)
    expected = ours(MANY)
    small = type(ours)(ours.predictor, ours.tokenizer, batch_tokens=40, lookahead=7)
    assert_same(small(MANY), expected)
    for place in (0, 13):
        assert_same(ours(MANY[place])[0], expected[place])


def test_a_generator_is_read_a_little_ahead(ready):
    ours = ready("text-classification")
    small = type(ours)(ours.predictor, ours.tokenizer, lookahead=4)
    count = itertools.count()
    results = small(MANY[next(count) % 50] for _ in itertools.count())
    assert next(count) == 0  # nothing is read before it is asked for
    expected = ours(MANY[1:6])
    assert_same([next(results) for _ in range(5)], expected)
    assert next(count) == 9


def test_a_run_taken_up_again_gives_the_same_bits(ready):
    ours = ready("text-classification")
    small = type(ours)(ours.predictor, ours.tokenizer, lookahead=8)
    whole = list(small.stream(MANY))
    for skip in (0, 1, 8, 21, 50, 60):
        assert list(small.stream(MANY, skip=skip)) == whole[skip:]


def test_lines_of_a_file_are_inputs(ready, tmp_path):
    path = tmp_path / "texts.txt"
    path.write_text("\n".join(TEXTS), "utf-8")
    ours = ready("text-classification")
    assert list(ours(path)) == ours(TEXTS)
    with path.open(encoding="utf-8") as file:
        assert list(ours(file)) == ours(TEXTS)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_only_masked_places_are_decoded(ready, framework):
    ours = ready("fill-mask", framework)
    rows = np.full((3, 8), 5, np.int32)
    inputs = {"input_ids": rows, "attention_mask": np.ones_like(rows)}
    whole = ours.predictor.run(inputs, ["logits"])["logits"]
    positions = np.array([[1, 7], [0, 0], [2, 3]], np.int32)
    some = ours.predictor.run({**inputs, "positions": positions}, ["logits"])["logits"]
    assert some.dtype == np.float32
    for row in range(3):
        np.testing.assert_allclose(some[row], whole[row, positions[row]], atol=1e-5)
    assert whole.shape[1] < LONGEST
