"""Batches of pretraining instances, in an order that depends on nothing but a seed.

The order of an epoch: shards are shuffled and read a few at a time, and the instances
of those are shuffled. So memory holds a few shards, and where a run was can be said by
the number of instances that it has used.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from albert_core.data.pretraining.dataset import read_manifest, read_shard
from albert_core.data.pretraining.instances import Columns, masked_anew, to_batch
from albert_core.data.pretraining.masking import Masking
from albert_core.errors import InputError

POOL = 2**16  # instances that are shuffled together, at least


class PretrainingData:
    """The instances of a folder.

    Args:
        folder: As `creation.create` fills it.

    Raises:
        InputError: It holds none, or not yet all.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        if self.manifest.shards is None:
            raise InputError(
                f"{folder} is not complete: making its instances was stopped. Run the "
                f"same command again, and it goes on."
            )
        self.shards = self.manifest.shards

    def __len__(self) -> int:
        return sum(n for _, n in self.shards)

    def batches(
        self,
        batch_size: int,
        seed: int = 0,
        used: int = 0,
        masking: Masking | None = None,
        pool: int = POOL,
    ) -> Iterator[Columns]:
        """Endless batches, epoch after epoch, each in an order of its own.

        Args:
            batch_size: Instances of a batch.
            seed: Of the order, and of masking on the fly.
            used: How many instances to pass over: those of an earlier run.
            masking: Hides other tokens each time; None for those of the shards.
            pool: How many instances are shuffled together, at least.
        """
        first, passed = divmod(used, len(self))
        tables = (
            table
            for epoch in count(first)
            for table in self._pools(
                epoch, seed, passed if epoch == first else 0, masking, pool
            )
        )
        return _cut(tables, batch_size)

    def in_order(self, batch_size: int, most: int | None = None) -> Iterator[Columns]:
        """The instances as they are in the shards, once; the last batch may be short.

        Args:
            batch_size: Instances of a batch.
            most: How many instances to give at most.
        """
        return _cut(self._first(len(self) if most is None else most), batch_size)

    def _first(self, left: int) -> Iterator[Columns]:
        """The first instances, shard by shard."""
        for name, size in self.shards:
            if left <= 0:
                return
            yield _rows(read_shard(self.folder / name, size), slice(0, left))
            left -= size

    def _pools(
        self, epoch: int, seed: int, passed: int, masking: Masking | None, pool: int
    ) -> Iterator[Columns]:
        """The instances of an epoch, many at a time, without the first `passed`."""
        rng = Random(f"{seed}:{epoch}")
        order = list(self.shards)
        rng.shuffle(order)
        while order:
            chosen: list[tuple[str, int]] = []
            while order and sum(n for _, n in chosen) < pool:
                chosen.append(order.pop())
            size = sum(n for _, n in chosen)
            rows = list(range(size))
            rng.shuffle(rows)
            rows = rows[passed:]
            passed = max(0, passed - size)
            if rows:
                tables = [read_shard(self.folder / name, n) for name, n in chosen]
                yield from self._some(_joined(tables), rows, masking, f"{seed}:{epoch}")

    def _some(
        self, table: Columns, rows: list[int], masking: Masking | None, key: str
    ) -> Iterator[Columns]:
        """Rows of a table, in some order; masking anew takes time, so a few at once."""
        for start in range(0, len(rows), 256):
            part = rows[start : start + 256]
            picked = _rows(table, np.array(part))
            if masking is not None:
                rngs = [Random(f"{key}:{_mark(picked, i)}") for i in range(len(part))]
                picked = masked_anew(picked, self.manifest.pieces, masking, rngs)
            yield picked


def _cut(tables: Iterable[Columns], batch_size: int) -> Iterator[Columns]:
    """Batches of tables of any length; only the last of all may be short."""
    held: list[Columns] = []
    for table in tables:
        held.append(table)
        while sum(len(part["lengths"]) for part in held) >= batch_size:
            joined = _joined(held)
            yield to_batch(_rows(joined, slice(0, batch_size)))
            held = [_rows(joined, slice(batch_size, None))]
    if held and len((rest := _joined(held))["lengths"]):
        yield to_batch(rest)


def _mark(table: Columns, row: int) -> str:
    """What tells an instance from others, wherever it is: its own bytes."""
    return table["input_ids"][row].tobytes().hex()


def _joined(tables: list[Columns]) -> Columns:
    if len(tables) == 1:
        return tables[0]
    return {name: np.concatenate([t[name] for t in tables]) for name in tables[0]}


def _rows(table: Columns, rows: Any) -> Columns:
    return {name: column[rows] for name, column in table.items()}
