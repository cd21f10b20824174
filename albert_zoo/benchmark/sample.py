"""Checkpoints with random weights, of the sizes of the released models."""

from pathlib import Path

import numpy as np

from albert_core import checkpoint, preset, schema
from albert_core.initial import initial_value
from albert_zoo.parity.sample import write_sample

HEAD = "ForMaskedLM"


def write(directory: Path, size: str) -> Path:
    """Write a checkpoint of random weights.

    Args:
        directory: Where to.
        size: "tiny", or that of a released model, such as "base".
    """
    if size == "tiny":
        return write_sample(directory)
    config = preset(f"albert-{size}-v2").config
    config.architectures = [f"Albert{HEAD}"]
    stream = np.random.default_rng(0)
    # No bias is 0 and no scale is 1, so that none of them can be forgotten unseen.
    arrays = {
        p.name: initial_value(p, config.initializer_range, 0)
        + stream.normal(0, config.initializer_range, p.shape).astype(np.float32)
        for p in schema.parameters(config, HEAD)
    }
    checkpoint.save(directory, config, arrays)
    return directory
