"""What a checkpoint is, and what is wrong with it."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from albert_core.errors import AlbertError
from conversion.checking import check_known, family, whole_head
from conversion.checkpoint import OpenCheckpoint


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint is.

    Attributes:
        path: Where it is.
        format: A key of `conversion.stores.STORES`.
        title: The format for people.
        head: A key of `albert_core.schema.HEADS`, None if that cannot be told.
        config: The fields of its configuration, None if there is none.
        arrays: Canonical name -> (its names, number type, shape).
        dtypes: Number type -> how many arrays have it.
        weights: How many numbers all arrays hold together.
        left: Names of what is no weight of the model, and what it is.
        unexpected: Names that are not known.
        other: The model that it seems to be of, if not of ALBERT.
        siblings: Other weights in the same folder, which were not looked at.
        problems: What is wrong with it.
    """

    path: str
    format: str
    title: str
    head: str | None
    config: dict[str, Any] | None
    arrays: dict[str, tuple[list[str], str, tuple[int, ...]]]
    dtypes: dict[str, int]
    weights: int
    left: dict[str, str]
    unexpected: list[str]
    other: str | None
    siblings: list[Path]
    problems: list[str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "siblings": [path.name for path in self.siblings]}


def inspected(checkpoint: OpenCheckpoint) -> Inspection:
    """Look into a checkpoint; no array is read."""
    problems: list[str] = []
    head = None
    for look in (check_known, whole_head):
        try:
            head = look(checkpoint)
        except AlbertError as problem:
            problems.append(str(problem))
    arrays = {
        name: (
            checkpoint.sources[name],
            checkpoint.lazy[name].dtype.name,
            checkpoint.shape(name),
        )
        for name in checkpoint
    }
    return Inspection(
        path=str(checkpoint.directory),
        format=checkpoint.store.name,
        title=checkpoint.store.title,
        head=head,
        config=checkpoint.config.to_dict() if checkpoint.config else None,
        arrays=arrays,
        dtypes=dict(Counter(dtype for _, dtype, _ in arrays.values())),
        weights=sum(math.prod(shape) for _, _, shape in arrays.values()),
        left=checkpoint.left,
        unexpected=list(checkpoint.unexpected),
        other=family(list(checkpoint.unexpected)),
        siblings=list(checkpoint.siblings),
        problems=problems,
    )
