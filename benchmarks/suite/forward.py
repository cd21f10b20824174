"""Prediction beside the peers: groups of sides, and the shapes that they run."""

from collections.abc import Callable, Iterator, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.processes import Worker, in_turns, workers
from benchmarks.suite.sides import SIDES

SEED = 20_261_121
VOCABULARY = 30_000
FULL, RAGGED = "full 8 x 128", "ragged 32 x 128"
# Shape -> rows, tokens of a row, whether the rows are texts of different lengths.
SHAPES: Mapping[str, tuple[int, int, bool]] = {
    FULL: (8, 128, False),
    RAGGED: (32, 128, True),
    "1 x 32": (1, 32, False),
    "2 x 512": (2, 512, False),
    "1 x 512": (1, 512, False),
}
TIMES = {"1 x 32": 30}  # calls in a turn, where one is over in no time
GROUPS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch: albert-zoo", "torch: transformers 5", "ONNX Runtime"),
    "tf": tuple(side for side in SIDES if side.startswith("tf")),
    "flax": tuple(side for side in SIDES if side.startswith("flax")),
}
# Group and number type, besides float32, and who computes in it.
TYPES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("torch", "bfloat16"): ("torch: albert-zoo", "torch: transformers 5"),
    ("torch", "int8"): ("torch: albert-zoo", "ONNX Runtime"),
    ("tf", "bfloat16"): GROUPS["tf"],
    ("flax", "bfloat16"): GROUPS["flax"],
    ("tf", "int8"): ("tf: albert-zoo", "tf: keras-hub", "ONNX Runtime"),
    ("flax", "int8"): ("flax: albert-zoo", "flax: keras-hub", "ONNX Runtime"),
}
LARGER = {"large": 2, "xlarge": 1}  # sizes besides base, and turns of each


def inputs(shape: str, vocabulary: int) -> dict[str, np.ndarray]:
    """Random ids; lengths of ragged rows are log-normal, from a fixed seed.

    The first row is whole, as the longest text of a batch is.
    """
    rows, length, ragged = SHAPES[shape]
    stream = np.random.default_rng(SEED)
    sizes = np.full(rows, length)
    if ragged:
        sizes = stream.lognormal(np.log(0.375 * length), 0.5, rows).astype(int)
        sizes = sizes.clip(2, length)
        sizes[0] = length
    mask = (np.arange(length) < sizes[:, None]).astype(np.int32)
    ids = stream.integers(5, vocabulary, (rows, length), np.int32) * mask
    return {"input_ids": ids, "attention_mask": mask}


def all_rows(
    pythons: Mapping[str, str], folder: Path, threads: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Every group, number type and shape.

    Args:
        pythons: The interpreter of each environment; what has none is left out.
        folder: A checkpoint of `AlbertModel`.
        threads: Of each side.
        rounds: Turns of each shape.
    """
    for group, dtype, names in _plan({dtype for _, dtype in TYPES}):
        with workers("forward", names, pythons, folder, dtype, threads) as sides:
            for shape in SHAPES:
                for row in _rows(sides, shape, folder, rounds):
                    yield row | {"group": group, "dtype": dtype}


def larger_rows(
    pythons: Mapping[str, str], at: Callable[[str], Path], threads: int
) -> Iterator[dict[str, Any]]:
    """Every group and shape; `at` has the checkpoint of a size."""
    for size, rounds in LARGER.items():
        folder = at(size)
        for group, dtype, names in _plan({"bfloat16"}):
            with workers("forward", names, pythons, folder, dtype, threads) as sides:
                for shape in SHAPES:
                    for row in _rows(sides, shape, folder, rounds):
                        yield row | {"group": group, "dtype": dtype, "size": size}


def _plan(types: Set[str]) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Group, number type and sides: float32, then the others."""
    for group, sides in GROUPS.items():
        yield group, "float32", sides
    for (group, dtype), sides in TYPES.items():
        if dtype in types:
            yield group, dtype, sides


def _rows(
    sides: Mapping[str, Worker], shape: str, folder: Path, rounds: int
) -> Iterator[dict[str, Any]]:
    batch = inputs(shape, VOCABULARY)
    rows, outputs = in_turns(sides, batch, folder, rounds, TIMES.get(shape, 1))
    known = batch["attention_mask"][..., None] != 0
    ours = next(iter(outputs.values()))
    for name, row in rows.items():
        apart = np.abs(np.where(known, outputs[name] - ours, 0)).max()
        yield row | {"shape": shape, "apart": float(apart)}
