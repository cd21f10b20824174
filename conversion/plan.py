"""What a conversion will do: every array, every file, and what it costs."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from conversion.checkpoint import OpenCheckpoint
from conversion.stores import Store

MANIFEST = "conversion.json"


@dataclass(frozen=True)
class Item:
    """One array of a conversion.

    Attributes:
        name: Its canonical name.
        sources: What it is called where it comes from, with further names.
        targets: What it will be called, with further names; nothing where the format
            leaves out an array that changes nothing.
        shape: In canonical layout.
        turned: Whether it will be stored as its transpose.
        stored: The shape that it will be stored in.
        source_dtype: The number type that it has.
        dtype: The one that it will have.
    """

    name: str
    sources: list[str]
    targets: list[str]
    shape: tuple[int, ...]
    turned: bool
    stored: tuple[int, ...]
    source_dtype: str
    dtype: str

    @property
    def size(self) -> int:
        """Bytes that it will take under one name."""
        return math.prod(self.shape) * numpy_dtype(self.dtype).itemsize


def numpy_dtype(name: str) -> np.dtype[Any]:
    """NumPy's number type of a name."""
    return np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)


@dataclass(frozen=True)
class Plan:
    """A conversion, thought through.

    Attributes:
        source: The open checkpoint.
        store: The format to write.
        items: The arrays.
        files: File of weights -> the arrays in it, by their new names.
        texts: Further files to write.
        copies: Further files to copy.
        dropped: Names of arrays that will not be there, and why.
    """

    source: OpenCheckpoint
    store: Store
    items: Sequence[Item]
    files: Mapping[str, list[str]]
    texts: Mapping[str, str]
    copies: Mapping[str, Path]
    dropped: Mapping[str, str]

    @property
    def disk(self) -> int:
        """Bytes that the target will take, without the headers of files."""
        texts = sum(len(text.encode()) for text in self.texts.values())
        copies = sum(path.stat().st_size for path in self.copies.values())
        return sum(i.size * len(i.targets) for i in self.items) + texts + copies

    @property
    def memory(self) -> int:
        """Bytes of an array that is in memory whole, at most: one that is turned."""
        return max((item.size for item in self.items), default=0)

    @property
    def all_files(self) -> list[str]:
        """The names of all files that will be there."""
        weights = [name for file in self.files for name in self.store.files(file)]
        index = [self.store.index] if len(self.files) > 1 and self.store.shards else []
        others = sorted([*self.texts, *self.copies])
        return list(dict.fromkeys([*weights, *index, *others, MANIFEST]))

    def steps(self, verify: bool) -> int:
        """How many arrays `run` will write, and read back."""
        names = sum(len(item.targets) for item in self.items)
        return names + (len(self.items) if verify else 0)

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        source = {
            "path": str(self.source.directory),
            "format": self.source.store.name,
            "not_read": [path.name for path in self.source.siblings],
        }
        return {
            "source": source,
            "format": self.store.name,
            "arrays": [{**asdict(item), "bytes": item.size} for item in self.items],
            "files": dict(self.files),
            "all_files": self.all_files,
            "dropped": dict(self.dropped),
            "disk_bytes": self.disk,
            "memory_bytes": self.memory,
        }

    @property
    def fingerprint(self) -> str:
        """What tells this plan, and the state of its source, from another."""
        beside = sorted(self.source.directory.parent.glob("[!.]*"))
        states = [
            (file.name, file.stat().st_size, file.stat().st_mtime_ns)
            for file in beside
            if file.is_file()
        ]
        facts = [self.to_dict(), dict(self.texts), states]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
