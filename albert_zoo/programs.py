"""Programs of XLA: kept on the disk, and made before they are needed."""

import os
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from random import Random
from typing import Any

from albert_core import fast, processor
from albert_zoo import program_store
from albert_zoo.backends import BACKENDS, is_installed
from albert_zoo.pipelines.batching import PER_TOKEN, bucket, stack

VARIABLE = "ALBERT_ZOO_CACHE"  # another folder; 0 keeps nothing, see `fast.OFF`
COMPILED = {"flax": "jax", "tf": "tensorflow"}  # frameworks, and who makes programs
JAX = "JAX_COMPILATION_CACHE_DIR"
TF, TF_OPTION = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory="
ON_CPU = "--tf_xla_persistent_cache_device_types=CPU"  # as the folders are
STREAM = 400  # texts of different lengths, for the shapes of a full batch
SEED = 0


def folder(framework: str) -> Path | None:
    """Where programs of a framework are kept; None for nowhere.

    They are of one version and one kind of processor: elsewhere they could stop the
    whole process.
    """
    if fast.is_off(VARIABLE):
        return None
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    place = os.environ.get(VARIABLE) or Path(cache, "albert-zoo")
    package = COMPILED[framework]
    try:
        place = Path(place).expanduser()
        number = version(package)
    except RuntimeError:  # there is no home
        return None
    except PackageNotFoundError:  # it has another name, such as tensorflow-cpu
        return None
    return place / f"{package}-{number}-{processor.signature()}"


def keep(framework: str) -> Path | None:
    """Let a framework keep its programs; call this before anything imports it.

    What the user has told the framework by its own setting stays.

    Returns:
        Where they are kept; None for nowhere.
    """
    if framework not in COMPILED or not is_installed(BACKENDS[framework]):
        return None
    if theirs := _theirs(framework):
        return Path(theirs)
    place = folder(framework)
    if place is None:
        return None
    if framework == "flax":
        if not program_store.is_usable(place):
            return None
        os.environ[JAX] = str(place)
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
    else:
        own = program_store.borrowed(place)
        if own is None:
            return None
        settings = os.environ.get(TF, "")
        os.environ[TF] = f"{settings} {TF_OPTION}{own} {ON_CPU}".strip()
    return place


def _theirs(framework: str) -> str:
    """The folder that the user has told the framework."""
    if framework == "flax":
        return os.environ.get(JAX, "")
    return os.environ.get(TF, "").partition(TF_OPTION)[2].partition(" ")[0]


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
