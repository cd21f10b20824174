"""JAX's compiled programs: kept on the disk, and made before they are needed."""

import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from albert_zoo.pipelines.batching import PER_TOKEN, bucket, stack

VARIABLE = "ALBERT_ZOO_CACHE"  # another folder; 0 keeps nothing
OWN = "JAX_COMPILATION_CACHE_DIR"
STREAM = 400  # texts of different lengths, for the shapes of a full batch
SEED = 0


def folder() -> Path | None:
    """Where programs are kept; None for nowhere. A folder of JAX's own setting wins."""
    if own := os.environ.get(OWN):
        return Path(own)
    chosen = os.environ.get(VARIABLE)
    if chosen == "0":
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(chosen) if chosen else Path(cache) / "albert-zoo" / "jax"


def keep() -> None:
    """Let JAX keep its programs; call it before JAX is imported."""
    place = folder()
    if place is not None:
        os.environ.setdefault(OWN, str(place))
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")


def warm_up(pipeline: Any, step: Callable[[str], None] = lambda _: None) -> int:
    """Run a pipeline's model on the shapes that a text alone has, and on those of many.

    Others remain: texts with two masks, and streams of other lengths.

    Args:
        pipeline: Of any task, in a framework that compiles.
        step: Is told what comes next.

    Returns:
        How many shapes there were.
    """
    longest = pipeline.config.max_position_embeddings
    stream = Random(SEED)
    usual = min(longest, 128)
    streams = [
        [length] for length in sorted({bucket(n, longest) for n in _to(longest)})
    ]
    streams.append(
        [min(usual, max(4, int(stream.lognormvariate(3.6, 0.6)))) for _ in _to(STREAM)]
    )
    count = 0
    for lengths in streams:
        for batch in pipeline.batches_of(lengths):
            rows = [_row(lengths[row], pipeline.task) for row in batch.rows]
            step(f"{batch.size} x {batch.length}")
            arrays = stack(rows, batch, 0, few_shapes=True)
            pipeline.predictor.run(arrays, pipeline.outputs)
            count += 1
    return count


def _to(number: int) -> range:
    return range(1, number + 1)


def _row(length: int, task: str) -> dict[str, list[int]]:
    row = {name: [int(name == "attention_mask")] * length for name in PER_TOKEN}
    return row | ({"positions": [0]} if task == "fill-mask" else {})
