"""A dialect: how one family of checkpoints spells ALBERT's parameters, as data."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from albert_core.schema import (
    BLOCKS,
    EMBEDDINGS,
    HEADS,
    KINDS,
    POOLER,
    PREFIX,
    Layer,
    is_encoder,
)

_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Place:
    """A parameter of any model: a row of the schema, and a leaf of it.

    Attributes:
        path: The row, `schema.Layer.path`.
        leaf: "weight" or "bias".
        kind: A key of `schema.KINDS`.
        group: The number of its group of layers, 0 outside of them.
        inner: The number of its block in the group.
    """

    path: str
    leaf: str
    kind: str
    group: int = 0
    inner: int = 0

    @property
    def layer(self) -> str:
        """The canonical name of the layer in a model without a head."""
        return self.path.format(group=self.group, inner=self.inner)

    @property
    def name(self) -> str:
        """The canonical name in a model without a head."""
        return f"{self.layer}.{self.leaf}"

    @property
    def in_encoder(self) -> bool:
        """Whether it keeps its prefix in a model with a head."""
        return is_encoder(self.name) or self.path == POOLER[0].path


def rows() -> dict[str, Layer]:
    """The schema's rows of all models, by their path."""
    heads = [layer for head in HEADS.values() for layer in head.layers]
    return {layer.path: layer for layer in (*EMBEDDINGS, *BLOCKS, *POOLER, *heads)}


def places() -> Iterator[Place]:
    """Every row and leaf of the schema, in group 0 and block 0."""
    for layer in rows().values():
        for leaf in KINDS[layer.kind]:
            yield Place(layer.path, leaf, layer.kind)


@dataclass(frozen=True)
class Dialect:
    """The names and layouts of one family of checkpoints; used in both directions.

    Attributes:
        title: Its name for people.
        layers: `Layer.path` of the schema -> their name of that layer, with places for
            group and inner block. A layer that is not named has the schema's name.
        leaves: (path of a layer, or else its kind, leaf) -> their leaf, with what
            stands before it.
        turned: Paths or kinds of layers whose weights they store as (inputs, outputs).
        unturned: Paths of layers that are not turned for all that.
        separator: What stands between the parts of a name where the schema has ".".
        prefix: What the encoder's names begin with in a model with a head.
        base_prefix: The same in a model without one.
        lacks: Paths of layers that their models do not have.
        aliases: Canonical name -> their further name of the same array.
        dead: Those of `aliases` that their models never read, so that what is there may
            differ.
        left: Patterns of names that are no weights, and what they are.
        clean: (pattern, replacement) that undo what may stand before a name.
        split: (path of a layer, leaf) -> the axis, as they store the array, that they
            cut in two: the attention's heads, and the size of one.
        no_projection: Whether the embeddings' projection is left out where it would
            not change their size.
    """

    title: str
    layers: Mapping[str, str] = field(default_factory=dict[str, str])
    leaves: Mapping[tuple[str, str], str] = field(
        default_factory=dict[tuple[str, str], str]
    )
    turned: frozenset[str] = frozenset()
    unturned: frozenset[str] = frozenset()
    separator: str = "."
    prefix: str = PREFIX
    base_prefix: str = ""
    lacks: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict[str, str])
    dead: frozenset[str] = frozenset()
    left: Mapping[str, str] = field(default_factory=dict[str, str])
    clean: tuple[tuple[str, str], ...] = ()
    split: Mapping[tuple[str, str], int] = field(
        default_factory=dict[tuple[str, str], int]
    )
    no_projection: bool = False

    def spell(self, place: Place, has_head: bool) -> str:
        """Their name of a parameter.

        Args:
            place: The parameter.
            has_head: Whether the model has a head.
        """
        template = self._template(place, has_head)
        return template.format(group=place.group, inner=place.inner)

    def _template(self, place: Place, has_head: bool) -> str:
        path = place.path
        layer = self.layers.get(path, path.replace(".", self.separator))
        plain = self.separator + place.leaf
        by_kind = self.leaves.get((place.kind, place.leaf), plain)
        leaf = self.leaves.get((path, place.leaf), by_kind)
        prefix = self.prefix if has_head else self.base_prefix
        return (prefix if place.in_encoder else "") + layer + leaf

    def turns(self, place: Place) -> bool:
        """Whether they store an array as its transpose."""
        named = {place.kind, place.path} & self.turned
        untouched = place.leaf != "weight" or place.path in self.unturned
        return bool(named) and not untouched

    def axis(self, place: Place) -> int | None:
        """The axis of an array of theirs that they cut in two, None if they do not."""
        return self.split.get((place.path, place.leaf))

    def shape(
        self, place: Place, shape: tuple[int, ...], heads: int
    ) -> tuple[int, ...]:
        """The shape that they store an array in.

        Args:
            place: The parameter.
            shape: In canonical layout.
            heads: How many an attention has.
        """
        shape = shape[::-1] if self.turns(place) else shape
        axis = self.axis(place)
        if axis is None:
            return shape
        return (*shape[:axis], heads, shape[axis] // heads, *shape[axis + 1 :])

    def find(self, name: str) -> Place | None:
        """The parameter that a name of theirs means, None if it means none."""
        name = self._cleaned(name)
        for pattern, place in self._patterns.get(_NUMBER.sub("#", name), ()):
            if found := pattern.fullmatch(name):
                numbers = {key: int(text) for key, text in found.groupdict().items()}
                return Place(place.path, place.leaf, place.kind, **numbers)
        return None

    def alias(self, name: str) -> str | None:
        """The canonical name of the array that a further name of theirs means."""
        owners = {theirs: ours for ours, theirs in self.aliases.items()}
        return owners.get(self._cleaned(name))

    def _cleaned(self, name: str) -> str:
        for pattern, replacement in self.clean:
            name = re.sub(pattern, replacement, name)
        return name

    def why_left(self, name: str) -> str | None:
        """What a name is when it is known to be no weight of the model."""
        for pattern, what in self.left.items():
            if re.search(pattern, name):
                return what
        return None

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], Place]]]:
        """Patterns of all names, by the name with "#" for every number."""
        found: dict[str, list[tuple[re.Pattern[str], Place]]] = {}
        for place in places():
            if place.path in self.lacks:
                continue
            for template in {self._template(place, head) for head in (True, False)}:
                shape = _NUMBER.sub("#", template.format(group=0, inner=0))
                pattern = re.escape(template)
                for number in ("group", "inner"):
                    # No zero in front, so that no parameter has two names.
                    group = f"(?P<{number}>0|[1-9][0-9]{{0,5}})"
                    pattern = pattern.replace(rf"\{{{number}\}}", group)
                found.setdefault(shape, []).append((re.compile(pattern), place))
        return found
