"""Cutting attention heads, on the canonical arrays: once for all three backends."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core import schema
from albert_core.config import AlbertConfig

Arrays = dict[str, NDArray[Any]]


def blocks(config: AlbertConfig) -> Iterator[tuple[int, int]]:
    """Every distinct block as (group, inner), in order."""
    for group in range(config.num_hidden_groups):
        for inner in range(config.inner_group_num):
            yield group, inner


def prune(
    config: AlbertConfig, arrays: Mapping[str, NDArray[Any]], heads: Mapping[Any, Any]
) -> tuple[AlbertConfig, Arrays]:
    """Cut heads out of a model.

    Args:
        config: Of the model as it is; heads that were cut before stay cut.
        arrays: Its canonical arrays.
        heads: Distinct block (group * inner_group_num + inner) -> numbers of heads, as
            they were before any pruning.

    Returns:
        The configuration and the arrays of the smaller model.

    Raises:
        ConfigError: A block or head that is not there, or no head would be left; from
            `AlbertConfig`.
    """
    smaller = copy.deepcopy(config)
    smaller.pruned_heads = dict(heads)  # gives them the one form that they have
    cut = {block: list(gone) for block, gone in config.pruned_heads.items()}
    for block, gone in smaller.pruned_heads.items():
        cut[block] = cut.get(block, []) + gone
    smaller.pruned_heads = {block: gone for block, gone in cut.items() if gone}
    smaller.validate()
    result = dict(arrays)
    for group, inner in blocks(config):
        old, new = (c.kept_heads(group, inner) for c in (config, smaller))
        rows = [
            old.index(head) * config.head_size + offset
            for head in new
            for offset in range(config.head_size)
        ]
        path = schema.BLOCK.format(group=group, inner=inner)
        for name in arrays:
            if not schema.base_name(name).startswith(f"{path}.attention."):
                continue
            layer, leaf = name.rsplit(".", 2)[1:]
            if layer in ("query", "key", "value"):
                result[name] = np.ascontiguousarray(arrays[name][rows])
            elif (layer, leaf) == ("dense", "weight"):
                result[name] = np.ascontiguousarray(arrays[name][:, rows])
    return smaller, result
