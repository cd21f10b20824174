"""No false alarm: sound models of random shapes pass, whatever they are like."""

import numpy as np
import pytest

from albert_core import schema
from albert_zoo.parity.checks import PASS, SKIPPED
from albert_zoo.parity.proof import prove
from tests.conftest import FRAMEWORKS, tiny, write


def random_model(seed, folder):
    """A checkpoint of random shape, with any head."""
    stream = np.random.default_rng(seed)

    def among(*values):
        return values[stream.integers(len(values))]

    heads = among(1, 2, 3, 4)
    # A norm of two numbers is 1 and -1 whatever it gets, or jumps between the two.
    size = heads * (among(4, 5, 8) if heads == 1 else among(2, 4, 5, 8))
    layers = int(stream.integers(1, 13))
    config = tiny(
        vocab_size=int(stream.integers(8, 200)),
        embedding_size=among(size, 3, 7, 16),
        hidden_size=size,
        intermediate_size=int(stream.integers(4, 64)),
        num_hidden_layers=layers,
        num_hidden_groups=int(stream.integers(1, layers + 1)),
        inner_group_num=int(stream.integers(1, 3)),
        num_attention_heads=heads,
        max_position_embeddings=int(stream.integers(1, 80)),
        hidden_act=among("gelu", "gelu_new", "relu", "silu", "quick_gelu", "tanh"),
        position_embedding_type=among("absolute", "relative_key", "relative_key_query"),
        layer_norm_eps=among(1e-12, 1e-5, 1e-7),
        type_vocab_size=int(stream.integers(1, 4)),
    )
    return write(folder, config, among(*schema.HEADS), seed)


def alarms(seed, frameworks, folder):
    """The places of a sound model that did not pass."""
    proof = prove(random_model(seed, folder), frameworks)
    return [
        (run.framework, run.mode, check.level, check.place, check.verdict, check.share)
        for run in proof.runs
        for check in run.checks
        if check.verdict not in (PASS, SKIPPED)
    ]


@pytest.mark.parametrize("seed", range(12))
def test_sound_models_pass_in_torch(seed, tmp_path):
    assert not alarms(seed, ["torch"], tmp_path)


@pytest.mark.nightly
@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("seed", range(200))
def test_sound_models_pass(seed, framework, tmp_path):
    assert not alarms(seed, [framework], tmp_path)
