"""Checkpoints of google-research/albert that were written under TensorFlow 1.15 and 2.

There the original's layer norms are Keras layers, which variable scopes do not share: a
model that shares all else has norms of its own in every layer, with numbers that count
through the whole graph (google-research/albert issue 241):

    bert/embeddings/layer_normalization/gamma
    bert/encoder/transformer/group_0_5/layer_5/inner_group_0/layer_normalization_11/gamma

Norms that are the same in all layers of a group become the group's. Otherwise every
layer becomes a group of its own, and the groups share what the layers did: the same
model, in the words of the configuration.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from albert_core.errors import FormatError, shown
from albert_core.lazy import Lazy
from conversion.layout import same

_NORM = re.compile(
    r"(?P<scope>.*/)layer_normalization(_(?P<number>\d+))?/(?P<leaf>gamma|beta)"
)
_LAYER = re.compile(
    r"(?P<before>(module/)?bert/encoder/transformer/)group_(?P<group>\d+)(_\d+)?/"
    r"layer_(?P<layer>\d+)/inner_group_(?P<inner>\d+)/"
)
_GROUP = re.compile(
    r"(?P<before>.*/)group_(?P<group>\d+)/(?P<after>inner_group_\d+/.*)"
)
NORMS = ("LayerNorm", "LayerNorm_1")

Arrays = dict[str, Lazy]


def shared(stored: Mapping[str, Lazy], path: Path) -> Arrays:
    """Give the norms the names that they have in the released checkpoints.

    Raises:
        FormatError: A block does not have two norms, as ALBERT's blocks have.
    """
    places = {name: found for name in stored if (found := _NORM.fullmatch(name))}
    if not places:
        return dict(stored)
    numbers: defaultdict[str, set[int]] = defaultdict(set)
    for found in places.values():
        numbers[found["scope"]].add(int(found["number"] or 0))
    result = {name: lazy for name, lazy in stored.items() if name not in places}
    # (group, inner block, name in it) -> layer -> the array
    own: defaultdict[tuple[str, int, str, str], dict[int, Lazy]] = defaultdict(dict)
    for name, found in places.items():
        order = sorted(numbers[found["scope"]])
        inside = _LAYER.fullmatch(found["scope"])
        if len(order) != (2 if inside else 1):
            scope, usual = shown(found["scope"]), 2 if inside else 1
            raise FormatError(
                "UNSUPPORTED",
                path,
                f"there are {len(order)} norms in {scope}, where ALBERT has {usual}",
                "Write the checkpoint again with the code that it was trained with.",
            )
        leaf = f"{NORMS[order.index(int(found['number'] or 0))]}/{found['leaf']}"
        if inside:
            block = f"inner_group_{int(inside['inner'])}"
            key = inside["before"], int(inside["group"]), block, leaf
            own[key][int(inside["layer"])] = stored[name]
        else:
            result[f"{found['scope']}{leaf}"] = stored[name]
    firsts = {key: next(iter(of.values())) for key, of in own.items()}
    if all(same(one, firsts[key]) for key, of in own.items() for one in of.values()):
        for (before, group, block, leaf), first in firsts.items():
            result[f"{before}group_{group}/{block}/{leaf}"] = first
        return result
    return _groups_of_layers(result, own)


def _groups_of_layers(
    stored: Arrays, own: Mapping[tuple[str, int, str, str], Mapping[int, Lazy]]
) -> Arrays:
    """Make every layer a group of its own."""
    layers = {group: sorted(of) for (_, group, _, _), of in own.items()}
    result: Arrays = {}
    for name, lazy in stored.items():
        found = _GROUP.fullmatch(name)
        if found is None:
            result[name] = lazy
            continue
        for layer in layers.get(int(found["group"]), []):
            result[f"{found['before']}group_{layer}/{found['after']}"] = lazy
    for (before, _, block, leaf), of in own.items():
        for layer, lazy in of.items():
            result[f"{before}group_{layer}/{block}/{leaf}"] = lazy
    return result
