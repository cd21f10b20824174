"""Small models and inputs for all tests: sizes distinct, so that shapes show faults."""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("ALBERT_ZOO_CACHE", "0")  # nothing in the home of who tests
# Small models gain nothing from threads, and three pools get in each other's way.
for pool in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(pool, "1")

from pathlib import Path  # noqa: E402

import jaxtyping  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

# Annotated shapes are checked in every call that a test makes. (Keras layers cannot be
# decorated at import: their metaclass looks at the signature of __init__.)
FILES = ("layers", "heads", "beam")
HOOKED = [f"albert_{name}.{file}" for name in ("torch", "flax") for file in FILES]
jaxtyping.install_import_hook(HOOKED, "beartype.beartype")

from albert_core import AlbertConfig, checkpoint, schema  # noqa: E402

GOLDEN = Path(__file__).parent / "golden"
FRAMEWORKS = ("torch", "tf", "flax")
# The heads that transformers has too; the other one is google-research/albert's.
THEIRS = [head for head in schema.HEADS if head != "ForQuestionAnsweringBeam"]


def tiny(**changes):
    """A configuration whose sizes are all different."""
    sizes = {
        "vocab_size": 31,
        "embedding_size": 5,
        "hidden_size": 12,
        "intermediate_size": 17,
        "num_hidden_layers": 6,
        "num_hidden_groups": 2,
        "inner_group_num": 2,
        "num_attention_heads": 3,
        "max_position_embeddings": 23,
        "num_labels": 4,
    }
    return AlbertConfig(**{**sizes, **changes})


def weights(config, head="Model", seed=0, pools=None, spread=0.3):
    """Weights none of which is special: no bias is 0, no scale is 1."""
    stream = np.random.default_rng(seed)
    made = {}
    for p in schema.parameters(config, head, pools):
        value = stream.normal(0, spread, p.shape).astype(np.float32)
        made[p.name] = value + (p.kind == "norm" and p.leaf == "weight")
    return made


def write(directory, config, head="Model", seed=0, pools=None):
    """Write a canonical checkpoint of such weights, and return its path."""
    config.architectures = [f"Albert{head}"]
    checkpoint.save(directory, config, weights(config, head, seed, pools))
    return directory


@pytest.fixture
def make_checkpoint(tmp_path):
    """A function that writes a small checkpoint: (head, **config changes) -> path."""

    def make(head="Model", name="checkpoint", seed=0, pools=None, **changes):
        return write(tmp_path / name, tiny(**changes), head, seed, pools)

    return make
