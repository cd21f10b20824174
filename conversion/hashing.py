"""The canonical SHA-256: the same weights have the same one in every format.

An array's is that of its bytes in canonical layout, little-endian. The whole one is
that of a line for each array, sorted by name: name in a model without a head, number
type, shape and the array's own, with tabs between them.
"""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import Any

from albert_core.lazy import Array, Lazy, chunks
from albert_core.schema import base_name
from conversion.checkpoint import OpenCheckpoint

SMALL = 2**16  # bytes that are hashed sooner than handed to another thread
AHEAD = 3  # pieces that may wait to be hashed
THREADS = 2  # that hash several arrays at once


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


class Running:
    """The digest of bytes that come in pieces, computed beside what else is done."""

    def __init__(self) -> None:
        self._found = hashlib.sha256()
        self._waiting: deque[Future[None]] = deque()

    def add(self, piece: memoryview) -> None:
        """Take further bytes, which must not change any more."""
        if piece.nbytes < SMALL and not self._waiting:
            self._found.update(piece)
            return
        self._waiting.append(_worker().submit(self._found.update, piece))
        while len(self._waiting) > AHEAD:
            self._waiting.popleft().result()

    def end(self) -> str:
        """The digest, in hexadecimal."""
        while self._waiting:
            self._waiting.popleft().result()
        return self._found.hexdigest()


@cache
def _worker() -> ThreadPoolExecutor:
    """One thread, so that pieces are taken in their order."""
    return ThreadPoolExecutor(1)


def digest(array: Lazy | Array) -> Digest:
    """The digest of an array in canonical layout."""
    running = Running()
    for chunk in chunks(array):
        running.add(chunk)
    return Digest(array.dtype.name, tuple(array.shape), running.end())


def digests(
    checkpoint: OpenCheckpoint, step: Callable[[str], None] = lambda name: None
) -> dict[str, Digest]:
    """The digests of all arrays, by their names in a model without a head.

    Args:
        checkpoint: The open checkpoint. One array at most is held in memory: those that
            stand in their files as they are hashed are hashed some at once, in pieces.
        step: Called with the name of each array when it is done.
    """
    found: dict[str, Digest] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        early = {
            name: pool.submit(_streamed, lazy)
            for name, lazy in checkpoint.lazy.items()
            if getattr(lazy, "streams", False)
        }
        try:
            for name, lazy in checkpoint.lazy.items():
                done = early[name].result() if name in early else digest(lazy)
                found[base_name(name)] = done
                step(name)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _streamed(array: Lazy) -> Digest:
    """The digest of an array that need not be whole in memory."""
    found = hashlib.sha256()
    for chunk in chunks(array):
        found.update(chunk)
    return Digest(array.dtype.name, array.shape, found.hexdigest())


def whole(found: Mapping[str, Digest]) -> str:
    """The digest of a checkpoint, from those of its arrays."""
    lines: Iterable[str] = (
        f"{name}\t{one.dtype}\t{','.join(map(str, one.shape))}\t{one.sha256}\n"
        for name, one in sorted(found.items())
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()
