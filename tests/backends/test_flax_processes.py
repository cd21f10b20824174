"""What needs a process of its own: memory, many devices, and NNX without graphs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint, schema
from albert_core.reference import Reference
from tests.conftest import tiny, weights, write

ROOT = Path(__file__).parents[2]
SMALL = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}
# Nothing here looks at speed.
QUICK = {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "true"}


def run(code, *arguments, **environment):
    """Run Python code, warnings being errors, and return the words that it prints."""
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, **QUICK, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    return found.stdout.split()


# Where NNX goes: modules are trees, and none may be in two places.
TREE_MODE = """
import sys, jax, numpy as np
from flax import nnx
from flax.configurations import config
from albert_flax import FlaxAlbertForPreTraining

assert not config.nnx_graph_mode and not config.nnx_graph_updates
path, out = sys.argv[1:]
model, info = FlaxAlbertForPreTraining.from_pretrained(path, output_loading_info=True)
assert not any(info.values())
ids = np.arange(5, 15).reshape(2, 5)
given = {"labels": ids, "sentence_order_label": np.array([0, 1])}
found = model(ids, **given)
module = model.module
eager = module(jax.numpy.asarray(ids), **given)
np.testing.assert_allclose(eager.loss, found.loss, 1e-5)
model.params = nnx.state(module)
model.gradient_checkpointing_enable()
training = {"train": True, "dropout_rng": jax.random.key(0)}
slope = jax.jit(jax.grad(lambda p: model(ids, **given, **training, params=p).loss))
assert all(np.abs(x).max() > 0 for x in jax.tree.leaves(slope(model.params)))
np.save(out, found.prediction_logits)
"""


def test_nnx_without_graphs(tmp_path):
    config = tiny(**SMALL)
    path = write(tmp_path / "checkpoint", config, "ForPreTraining")
    off = {"NNX_GRAPH_MODE": "false", "NNX_GRAPH_UPDATES": "false"}
    run(TREE_MODE, path, tmp_path / "logits.npy", **off)
    wanted = Reference(config, weights(config, "ForPreTraining"), "ForPreTraining")
    logits = wanted(np.arange(5, 15).reshape(2, 5)).prediction_logits
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), logits, 1e-4, 1e-4)


# The parameters on every device, the rows spread over them.
MEMORY = """
import sys
from pathlib import Path
import jax
from albert_flax import AlbertConfig, FlaxAlbertModel

def megabytes(field):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith(field)) / 1024

sizes = {"hidden_size": 6, "num_attention_heads": 2, "intermediate_size": 8}
FlaxAlbertModel(AlbertConfig(vocab_size=9, embedding_size=4, **sizes))  # wake JAX
Path("/proc/self/clear_refs").write_text("5")  # start the peak anew
before = megabytes("VmRSS:")
model = FlaxAlbertModel.from_pretrained(sys.argv[1])
jax.block_until_ready(model.params)
print(megabytes("VmHWM:") - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the peak"
)
def test_loading_holds_one_copy_and_the_largest_array(tmp_path):
    config = AlbertConfig(
        vocab_size=40_000,
        embedding_size=256,
        hidden_size=768,
        num_attention_heads=12,
        intermediate_size=3072,
    )
    checkpoint.save(tmp_path, config, weights(config))
    sizes = [p.size * 4 / 2**20 for p in schema.parameters(config)]
    (peak,) = map(float, run(MEMORY, tmp_path))
    assert peak < sum(sizes) + max(sizes) + 5
