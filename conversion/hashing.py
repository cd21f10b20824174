"""The canonical SHA-256: the same weights have the same one in every format.

An array's is that of its bytes in canonical layout, little-endian. The whole one is
that of a line for each array, sorted by name: name in a model without a head, number
type, shape and the array's own, with tabs between them.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from albert_core.lazy import Array
from albert_core.schema import base_name
from conversion.checkpoint import OpenCheckpoint
from conversion.formats.checks import raw


@dataclass(frozen=True)
class Digest:
    """What an array is known by.

    Attributes:
        dtype: The name of its number type.
        shape: In canonical layout.
        sha256: Of its bytes, in hexadecimal.
    """

    dtype: str
    shape: tuple[int, ...]
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        shape = list(self.shape)
        return {"dtype": self.dtype, "shape": shape, "sha256": self.sha256}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Digest":
        """What `to_dict` has given."""
        return cls(values["dtype"], tuple(values["shape"]), values["sha256"])


def digest(array: Array) -> Digest:
    """The digest of an array in canonical layout."""
    found = hashlib.sha256(raw(array)).hexdigest()
    return Digest(array.dtype.name, array.shape, found)


def digests(
    checkpoint: OpenCheckpoint, step: Callable[[str], None] = lambda name: None
) -> dict[str, Digest]:
    """The digests of all arrays, by their names in a model without a head.

    Args:
        checkpoint: The open checkpoint; one array is held at a time.
        step: Called with the name of each array when it is done.
    """
    found: dict[str, Digest] = {}
    for name in checkpoint:
        found[base_name(name)] = digest(checkpoint[name])
        step(name)
    return found


def whole(found: Mapping[str, Digest]) -> str:
    """The digest of a checkpoint, from those of its arrays."""
    lines: Iterable[str] = (
        f"{name}\t{one.dtype}\t{','.join(map(str, one.shape))}\t{one.sha256}\n"
        for name, one in sorted(found.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
