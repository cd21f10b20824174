"""An array on its way from one format to another."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from albert_core.errors import FormatError
from albert_core.lazy import Array, chunks, raw
from conversion import dtypes, hashing
from conversion.checkpoint import OpenCheckpoint
from conversion.hashing import Digest
from conversion.layout import Turned, bands, pieces
from conversion.plan import Item, numpy_dtype

Step = Callable[[str], None]


@dataclass
class Outgoing:
    """An array on its way: read, cast, turned and hashed when it is asked for.

    Attributes:
        item: What is planned for it.
        source: The open checkpoint.
        saturate: See `dtypes.cast`.
        step: Called when the array was read.
        digest: That of what is written, once it was asked for.
        loss: What the change of number type has cost.
    """

    item: Item
    source: OpenCheckpoint
    saturate: bool
    step: Step
    digest: Digest | None = None
    loss: dtypes.Loss = field(default_factory=dtypes.Loss)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as it will be stored."""
        return self.item.stored

    @property
    def dtype(self) -> np.dtype[Any]:
        """The number type that it will have."""
        return numpy_dtype(self.item.dtype)

    def read(self) -> Array:
        """The array as it will be stored; for writers that need it whole."""
        data = b"".join(self.chunks())
        return np.frombuffer(data, self.dtype).reshape(self.shape)

    def chunks(self) -> Iterator[memoryview]:
        """See `albert_core.lazy.chunks`; at the end there is the digest.

        Raises:
            CheckpointError: It holds numbers that are too large for its number type.
        """
        running, self.loss = hashing.Running(), dtypes.Loss()
        lazy = self.source.lazy[self.item.name]
        if not self.item.turned:
            for chunk in chunks(lazy):
                piece = self._cast(np.frombuffer(chunk, lazy.dtype.newbyteorder("<")))
                running.add(piece)
                yield piece
        else:
            # Of the two layouts one is in the file, and the other is made of it.
            is_turned = isinstance(lazy, Turned)
            array = lazy.stored.read() if is_turned else lazy.read()
            array = np.frombuffer(self._cast(array), self.dtype).reshape(array.shape)
            both = [pieces(array), bands(array)]
            canonical, stored = reversed(both) if is_turned else both
            for mine, theirs in zip_longest(canonical, stored):
                if mine is not None:
                    running.add(mine)
                if theirs is not None:
                    yield theirs
        sha256 = running.end()
        self.digest = Digest(self.item.dtype, self.item.shape, sha256)
        self.step(f"write {self.item.name}")

    def _cast(self, array: Array) -> memoryview:
        """The bytes of some numbers in their new number type."""
        array, loss = dtypes.cast(array, self.item.dtype, self.saturate)
        self.loss.add(loss)
        if loss.overflowed and not self.saturate:
            raise FormatError(
                "OVERFLOW",
                self.source.directory,
                f"{loss.overflowed} numbers of {self.item.name} are beyond the largest "
                f"{self.item.dtype}",
                "Use --dtype bfloat16, or --saturate to turn them into the largest.",
            )
        return raw(array)
