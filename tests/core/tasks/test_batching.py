"""Batches keep to their budget and can be made again; arrays are padded."""

import numpy as np
import pytest

from albert_core import InputError
from albert_core.data.batching import batches, fixed_batches, pad


def features(count=500, seed=0, choices=1):
    stream = np.random.default_rng(seed)
    found = []
    for length in stream.integers(1, 100, count):
        rows = [np.arange(1, length + 1, dtype=np.int32)] * choices
        found.append({"input_ids": rows if choices > 1 else rows[0]})
    return found


@pytest.mark.parametrize("seed", [None, 1])
@pytest.mark.parametrize("choices", [1, 4])
@pytest.mark.parametrize("multiple_of", [None, 8])
def test_batches_keep_to_the_budget(seed, choices, multiple_of):
    rows = features(choices=choices)
    budget = 1000 * choices
    found = batches(rows, budget, seed, multiple_of)
    assert sorted(i for batch in found for i in batch) == list(range(500))
    sizes = [
        pad([rows[i] for i in batch], multiple_of)["input_ids"].size for batch in found
    ]
    assert max(sizes) <= budget
    real = sum(np.size(row) for f in rows for row in f["input_ids"])
    assert real > 0.85 * sum(sizes)  # those of similar length are together
    assert len(found) < 1.25 * real / budget + 5


def test_the_same_seed_gives_the_same_batches():
    rows = features()
    assert batches(rows, 900, 3) == batches(rows, 900, 3)
    first, second = ({frozenset(b) for b in batches(rows, 900, s)} for s in (3, 4))
    assert len(first & second) < len(first) / 4  # other examples meet
    lengths = [len(rows[b[0]]["input_ids"]) for b in batches(rows, 900, 3)]
    assert lengths != sorted(lengths) != lengths[::-1]
    order = [i for batch in batches(rows, 900) for i in batch]
    sizes = [-(-len(rows[i]["input_ids"]) // 8) for i in order]
    assert sizes == sorted(sizes, reverse=True)
    assert batches([], 10) == []


def test_what_is_over_the_budget_alone_is_refused():
    rows = [{"input_ids": [1] * length} for length in (5, 30, 41)]
    message = "max_tokens is 31, but 2 .* number 2, has 48 padded .* smaller max_length"
    with pytest.raises(InputError, match=message):
        batches(rows, 31)
    assert batches(rows, 41, multiple_of=None) == [[2], [1], [0]]
    choice = [{"input_ids": [[1] * 8] * 4}]
    with pytest.raises(InputError, match="has 32 padded tokens in 4 rows"):
        batches(choice, 31)


def test_fixed_batches_have_one_size():
    assert fixed_batches(5, 2) == [[0, 1], [2, 3], [4]]
    found = fixed_batches(100, 8, 5)
    assert found == fixed_batches(100, 8, 5) != fixed_batches(100, 8, 6)
    assert sorted(i for batch in found for i in batch) == list(range(100))
    with pytest.raises(InputError, match="batch_size must be 1 or more, not 0"):
        fixed_batches(5, 0)


def test_rows_are_padded_on_the_right():
    rows = [
        {
            "input_ids": [2, 5, 3],
            "token_type_ids": [0, 1, 1],
            "labels": [-100, 1, -100],
        },
        {
            "input_ids": [2, 3],
            "token_type_ids": [0, 1],
            "labels": [-100, 0],
            "first": 1,
        },
    ]
    found = pad(rows, multiple_of=4, pad_id=9)
    assert {name: array.tolist() for name, array in found.items()} == {
        "input_ids": [[2, 5, 3, 9], [2, 3, 9, 9]],
        "token_type_ids": [[0, 1, 1, 0], [0, 1, 0, 0]],
        "labels": [[-100, 1, -100, -100], [-100, 0, -100, -100]],
        "attention_mask": [[1, 1, 1, 0], [1, 1, 0, 0]],
    }
    assert pad(rows)["input_ids"].shape == (2, 8)
    assert pad(rows, None)["input_ids"].shape == (2, 3)


def test_labels_have_the_type_that_their_loss_takes():
    def kinds(**label):
        row = {"input_ids": np.array([2, 3]), "p_mask": np.array([0, 1], np.int8)}
        return {name: array.dtype for name, array in pad([row | label] * 2).items()}

    assert kinds(labels=1)["labels"] == np.int64
    assert kinds(labels=1.5)["labels"] == np.float32
    assert kinds(start_positions=1)["start_positions"] == np.int64
    found = kinds()
    assert (found["input_ids"], found["p_mask"]) == (np.int32, np.float32)
    row = {"input_ids": [2], "p_mask": [0]}
    assert pad([row], 2)["p_mask"].tolist() == [[0, 1]]


def test_rows_that_do_not_fit_together_are_refused():
    row = {"input_ids": [2, 3]}
    with pytest.raises(InputError, match="no features"):
        pad([])
    with pytest.raises(InputError, match="1 of 2 features have no 'labels': numbers 1"):
        pad([row | {"labels": 1}, row])
    with pytest.raises(InputError, match="features have 1, 2 choices"):
        pad([row, {"input_ids": [[2], [3]]}])
