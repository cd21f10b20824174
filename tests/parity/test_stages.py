"""Every stage of every framework against the reference, in float64."""

import numpy as np
import pytest

from albert_core import checkpoint
from albert_core.reference import Reference
from albert_core.schema import HEADS
from albert_zoo.backends import flatten
from albert_zoo.parity import probes
from albert_zoo.parity.budgets import STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.conftest import FRAMEWORKS
from tests.parity.frameworks import first_failure, relative

CONFIGS = {
    "groups": {},
    "erf": {"hidden_act": "gelu"},
    "relu_eps": {"hidden_act": "relu", "layer_norm_eps": 1e-3},
    "same_size": {"embedding_size": 12},
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query": {"position_embedding_type": "relative_key_query"},
    "one_head": {"num_attention_heads": 1},
    "pruned": {"pruned_heads": {1: [0], 2: [1, 2]}},
    "untied": {"tie_word_embeddings": False},
    "odd_groups": {"num_hidden_layers": 5, "num_hidden_groups": 3},
}
CASES = [(name, "ForPreTraining") for name in CONFIGS]
CASES += [("groups", head) for head in HEADS if head != "ForPreTraining"]


def reference_of(path, head):
    """The reference model of a checkpoint."""
    stored = checkpoint.Checkpoint.open(path)
    from albert_core import AlbertConfig

    config = AlbertConfig.from_pretrained(path)
    return Reference(config, stored, head)


@pytest.mark.parametrize(("name", "head"), CASES, ids=lambda x: x)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_every_stage_and_output_is_the_reference_s(
    framework, name, head, make_checkpoint
):
    path = make_checkpoint(head, **CONFIGS[name])
    reference = reference_of(path, head)
    model = probes.load(framework, path, head)
    for batch, inputs in batches(reference.config, head).items():
        expected = reference(**inputs)
        assert first_failure(model, reference.stages, STRUCTURE) is None, batch
        wanted = flatten(expected, np.asarray)
        for key, found in model.outputs(inputs).items():
            error = relative(found, wanted[key])
            assert error <= STRUCTURE, (batch, key)
