"""Initial weights, the same in every framework for the same seed."""

import zlib

import numpy as np
from numpy.typing import NDArray

from albert_core.schema import Parameter, base_name


def initial_value(
    parameter: Parameter, deviation: float, seed: int
) -> NDArray[np.float32]:
    """Draw the initial value of one parameter, in canonical layout.

    Tables and kernels come from a normal distribution cut at two deviations, as the
    original's `truncated_normal_initializer` draws them; biases are 0, scales of norms
    1. Each parameter has a stream of its own, so that no other one changes it.

    Args:
        parameter: What to draw.
        deviation: `initializer_range` of the configuration.
        seed: Any whole number of at least 0.
    """
    if parameter.leaf == "bias":
        return np.zeros(parameter.shape, np.float32)
    if parameter.kind == "norm":
        return np.ones(parameter.shape, np.float32)
    name = base_name(parameter.name)
    stream = np.random.default_rng([seed, zlib.crc32(name.encode())])
    value = stream.standard_normal(parameter.shape, np.float32)
    while (outside := np.abs(value) > 2).any():
        value[outside] = stream.standard_normal(int(outside.sum()), np.float32)
    value *= np.float32(deviation)
    return value


def wave_positions(shape: tuple[int, int], deviation: float) -> NDArray[np.float32]:
    """Position embeddings that begin as sines and cosines, to be trained from there.

    Neighbours are then at the same angle everywhere, so that a narrow model learns to
    look at them from far less text than from random positions. The longest wave is that
    of the whole table. Source: Vaswani et al. 2017 §3.5.

    Args:
        shape: Positions and their width.
        deviation: `initializer_range`; waves are twice as high, where the normal
            distribution of other tables is cut.
    """
    length, width = shape
    rates = length ** -(np.arange(0, width, 2) / width)
    angles = np.arange(length)[:, None] * rates
    waves = np.stack([np.sin(angles), np.cos(angles)], -1).reshape(length, -1)
    return (2 * deviation * waves[:, :width]).astype(np.float32)


def resized_rows(
    rows: NDArray[np.generic], count: int, mean: bool, deviation: float, seed: int
) -> NDArray[np.generic]:
    """Give a table, or a bias over the vocabulary, another number of rows.

    Args:
        rows: (rows, width) or (rows,).
        count: The number of rows of the result.
        mean: Draw new rows of a table close around the mean of the old ones (Hewitt
            2021, as Hugging Face does), not from the initial distribution. New entries
            of a bias get the mean, or 0.
        deviation: `initializer_range` of the configuration.
        seed: Any whole number of at least 0.
    """
    if count <= len(rows):
        return rows[:count].copy()
    old = rows.astype(np.float64)
    stream = np.random.default_rng(seed)
    shape = (count - len(rows), *rows.shape[1:])
    if rows.ndim == 1:
        new = np.full(shape, old.mean() if mean else 0.0)
    elif mean:
        centred = old - old.mean(0)
        spread = centred.T @ centred / len(old) * 1e-9  # 0, not NaN, for a single row
        new = stream.multivariate_normal(old.mean(0), spread, shape[0], method="eigh")
    else:
        new = stream.standard_normal(shape) * deviation
    return np.concatenate([rows, new.astype(rows.dtype)])
