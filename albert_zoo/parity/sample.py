"""The small checkpoint that the self-test plants its mistakes in."""

from pathlib import Path

import numpy as np

from albert_core import checkpoint, schema
from albert_core.config import AlbertConfig
from albert_core.initial import initial_value

LONGEST = 64  # positions


def write_sample(directory: Path) -> Path:
    """Write a small checkpoint in which every mistake shows.

    Its weights are random but not special: no bias is 0 and no scale is 1, so that none
    of them can be forgotten unseen.
    """
    config = AlbertConfig(
        vocab_size=320,
        embedding_size=16,
        hidden_size=48,
        num_hidden_layers=6,
        num_hidden_groups=2,
        inner_group_num=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=LONGEST,
        architectures=["AlbertForPreTraining"],
    )
    stream = np.random.default_rng(0)
    arrays = {
        p.name: initial_value(p, 0.08, 0)
        + stream.normal(0, 0.05, p.shape).astype(np.float32)
        for p in schema.parameters(config, "ForPreTraining")
    }
    checkpoint.save(directory, config, arrays)
    return directory
