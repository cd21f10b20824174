"""Gradients of every parameter, for every head's loss, against the reference's."""

import numpy as np
import pytest

from albert_core import AlbertConfig
from albert_core.gradients import gradients
from albert_core.reference import Reference
from albert_core.schema import HEADS
from albert_zoo.parity import probes
from albert_zoo.parity.budgets import GRADIENT_FLOOR, STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.conftest import FRAMEWORKS, weights

# Two groups of two blocks, each called once: deeper, the gradients fade.
SHALLOW = {"num_hidden_layers": 2}
# case -> head, what the configuration has otherwise
CASES = {head: (head, {}) for head in HEADS if head != "Model"} | {
    "regression": ("ForSequenceClassification", {"problem_type": "regression"}),
    "multi_label": (
        "ForSequenceClassification",
        {"problem_type": "multi_label_classification"},
    ),
    "relative": ("ForMaskedLM", {"position_embedding_type": "relative_key_query"}),
    "erf": ("ForMaskedLM", {"hidden_act": "gelu"}),
    "untied": ("ForMaskedLM", {"tie_word_embeddings": False}),
}


def labelled(config, head):
    """The main batch in float64; its row of padding only has no scores to learn."""
    inputs = batches(config, head)["rows"]
    # Padding ids among real tokens: their table row must get no gradient.
    inputs["input_ids"][..., 3] = config.pad_token_id
    floats = {k: v.astype("float64") for k, v in inputs.items() if v.dtype.kind == "f"}
    return {**inputs, **floats}


@pytest.mark.parametrize("case", CASES)
def test_every_gradient_is_the_reference_s(case, make_checkpoint):
    head, changes = CASES[case]
    path = make_checkpoint(head, **SHALLOW, **changes)
    config = AlbertConfig.from_pretrained(path)
    inputs = labelled(config, head)
    reference = Reference(config, weights(config, head), head)
    expected = gradients(reference, **inputs)
    for framework in FRAMEWORKS:
        loss, found = probes.load(framework, path, head).gradients(inputs)
        assert abs(loss - expected.loss) <= STRUCTURE * abs(expected.loss), framework
        assert found.keys() == expected.parameters.keys()
        for name, gradient in expected.parameters.items():
            error = np.linalg.norm(found[name] - gradient)
            # A small gradient is what is left of larger terms, and has their rounding.
            size = max(np.linalg.norm(gradient), GRADIENT_FLOOR)
            assert error <= STRUCTURE * size, (framework, name)
