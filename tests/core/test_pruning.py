"""Cutting heads is the same as silencing them, and needs less."""

import numpy as np
import pytest

from albert_core import ConfigError, schema
from albert_core.pruning import blocks, prune
from albert_core.reference import Reference
from tests.conftest import tiny, weights

IDS = np.array([[2, 5, 9, 14, 3, 0, 0], [2, 30, 7, 7, 21, 8, 3]])
MASK = (IDS > 0).astype(int)


def silenced(config, arrays, cut):
    """The same model, with nothing coming out of the heads that are cut."""
    arrays = {name: array.copy() for name, array in arrays.items()}
    for block, heads in cut.items():
        place = divmod(block, config.inner_group_num)
        path = schema.BLOCK.format(group=place[0], inner=place[1])
        for name, array in arrays.items():
            if name.endswith(f"{path}.attention.dense.weight"):
                for head in heads:
                    array[
                        :, head * config.head_size : (head + 1) * config.head_size
                    ] = 0
    return arrays


@pytest.mark.parametrize("kind", ["absolute", "relative_key", "relative_key_query"])
@pytest.mark.parametrize("cut", [{0: [1]}, {3: [0, 2]}, {0: [2], 1: [0, 1], 2: [1]}])
@pytest.mark.parametrize("head", ["Model", "ForMaskedLM"])
def test_the_same_numbers_as_with_silent_heads(head, cut, kind):
    """In each block alone: two groups of two."""
    config = tiny(position_embedding_type=kind)
    arrays = weights(config, head)
    expected = Reference(config, silenced(config, arrays, cut), head)(IDS, MASK)
    smaller, rest = prune(config, arrays, cut)
    assert smaller.pruned_heads == cut
    assert config.pruned_heads == {}
    assert {n: x.shape for n, x in rest.items()} == {
        p.name: p.shape for p in schema.parameters(smaller, head)
    }
    found = Reference(smaller, rest, head)(IDS, MASK)
    assert np.abs(found[0] - expected[0]).max() < 1e-13
    plain = Reference(config, arrays, head)(IDS, MASK)
    assert np.abs(plain[0] - expected[0]).max() > 1e-3
    for i, attention in enumerate(found.attentions):
        kept = smaller.kept_heads(*list(blocks(config))[(i // 6) * 2 + i % 2])
        assert attention.shape[1] == len(kept)


def test_the_same_numbers_as_with_a_head_mask():
    """Of one block in a group, the only one that a mask can tell apart."""
    config = tiny(inner_group_num=1)
    arrays = weights(config)
    mask = np.ones((6, 3))
    mask[3:, [0, 2]] = 0
    expected = Reference(config, arrays)(IDS, MASK, head_mask=mask)
    smaller, rest = prune(config, arrays, {1: [2, 0]})
    found = Reference(smaller, rest)(IDS, MASK)
    assert np.abs(found[0] - expected[0]).max() < 1e-13
    for layer, attention in enumerate(found.attentions):
        heads = [1] if layer >= 3 else [0, 1, 2]
        assert np.allclose(attention, expected.attentions[layer][:, heads], 0, 1e-13)


def test_a_head_mask_of_a_pruned_model_keeps_the_old_numbers():
    config = tiny(inner_group_num=1)
    arrays = weights(config)
    mask = np.array([1, 0.25, 0.5])
    smaller, rest = prune(config, arrays, {0: [0]})
    silent = silenced(config, arrays, {0: [0]})
    expected = Reference(config, silent)(IDS, head_mask=mask)
    found = Reference(smaller, rest)(IDS, head_mask=mask)
    assert np.abs(found[0] - expected[0]).max() < 1e-13


def test_twice_is_the_same_as_at_once():
    """Heads have the numbers that they had at first."""
    config, arrays = tiny(), weights(tiny())
    at_once = prune(config, arrays, {0: [0, 2], 3: [1]})
    twice = prune(*prune(config, arrays, {0: [2]}), {0: [0], 3: [1]})
    again = prune(*at_once, {0: [0], 1: []})
    for found in (twice, again):
        assert found[0].pruned_heads == at_once[0].pruned_heads == {0: [0, 2], 3: [1]}
        assert found[1].keys() == at_once[1].keys()
        assert all((found[1][n] == at_once[1][n]).all() for n in arrays)


def test_the_arrays_that_were_given_stay_and_the_result_is_contiguous():
    config, arrays = tiny(), weights(tiny())
    before = {name: array.copy() for name, array in arrays.items()}
    _, rest = prune(config, arrays, {0: [1]})
    assert all((arrays[name] == before[name]).all() for name in arrays)
    assert all(array.flags.c_contiguous for array in rest.values())


def test_keys_of_json():
    assert prune(tiny(), weights(tiny()), {"2": (1,)})[0].pruned_heads == {2: [1]}


@pytest.mark.parametrize(
    ("cut", "words"),
    [
        ({0: [3]}, "names heads [3] of block 0, but there are 4 blocks of 3 heads"),
        ({4: [0]}, "names heads [0] of block 4, but there are 4 blocks of 3 heads"),
        ({0: [-1]}, "must be a table from block number to a list of head numbers"),
        ({1: [0, 1, 2]}, "cuts all 3 heads of block 1. Leave at least one."),
        ({0: 1}, "must be a table from block number to a list of head numbers"),
    ],
)
def test_what_cannot_be_cut(cut, words):
    with pytest.raises(ConfigError) as caught:
        prune(tiny(), weights(tiny()), cut)
    assert words in str(caught.value)


def test_the_last_head_stays_over_two_rounds():
    first = prune(tiny(), weights(tiny()), {0: [0, 1]})
    with pytest.raises(ConfigError, match="cuts all 3 heads of block 0"):
        prune(*first, {0: [2]})
