"""Gradients of every parameter, for every head's loss, in float64."""

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_core.reference import Reference
from albert_core.schema import HEADS
from albert_zoo.parity.budgets import GRADIENT_FLOOR, STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.conftest import weights
from tests.parity.frameworks import KINDS

STEP = 1e-4
DIFFERENCES = 1e-5
# Two groups of two blocks, each called once: deeper, the gradients fade.
SHALLOW = {"num_hidden_layers": 2}
HEADS_WITH_LOSS = [head for head in HEADS if head != "Model"]
CASES = {head: {} for head in HEADS_WITH_LOSS} | {
    "regression": {"problem_type": "regression"},
    "multi_label": {"problem_type": "multi_label_classification"},
    "relative": {"position_embedding_type": "relative_key_query"},
    "erf": {"hidden_act": "gelu"},
    "untied": {"tie_word_embeddings": False},
}
HEAD_OF = {
    "regression": "ForSequenceClassification",
    "multi_label": "ForSequenceClassification",
    "relative": "ForMaskedLM",
    "erf": "ForMaskedLM",
    "untied": "ForMaskedLM",
}


def labelled(config, head):
    """The main batch; the row of padding only would teach nothing, so it goes."""
    inputs = {k: v[:5] for k, v in batches(config, head)["rows"].items()}
    # Padding ids among real tokens: their table row must get no gradient.
    inputs["input_ids"][..., 3] = config.pad_token_id
    floats = {k: v.astype("float64") for k, v in inputs.items() if v.dtype.kind == "f"}
    return {**inputs, **floats}


@pytest.mark.parametrize("case", CASES)
def test_the_frameworks_agree_and_follow_the_loss(case, make_checkpoint):
    head = HEAD_OF.get(case, case)
    path = make_checkpoint(head, **SHALLOW, **CASES[case])
    config = AlbertConfig.from_pretrained(path)
    inputs = labelled(config, head)
    found = {}
    losses = {}
    for name, kind in KINDS.items():
        losses[name], found[name] = kind(path, head).gradients(inputs)
    expected = float(Reference(config, weights(config, head), head)(**inputs).loss)
    for name, loss in losses.items():
        assert abs(loss - expected) <= STRUCTURE * abs(expected), name
    for name in ("tf", "flax"):
        assert found[name].keys() == found["torch"].keys()
        for key, gradient in found["torch"].items():
            error = np.linalg.norm(found[name][key] - gradient)
            # A small gradient is what is left of larger terms, and has their rounding.
            size = max(np.linalg.norm(gradient), GRADIENT_FLOOR)
            assert error <= STRUCTURE * size, (name, key)


@pytest.mark.parametrize("head", HEADS_WITH_LOSS)
def test_the_gradient_is_the_slope_of_the_reference_s_loss(head, make_checkpoint):
    """Central differences of the oracle in random directions of every parameter.

    A central difference over a step h is off by h² times a third derivative, and by
    rounding over h; for h = 1e-4 and losses of order 1, by less than 1e-5.
    """
    path = make_checkpoint(head, **SHALLOW)
    config = AlbertConfig.from_pretrained(path)
    inputs = labelled(config, head)
    # Its rows of padding are left out on purpose, so they have no slope to compare.
    inputs["input_ids"][inputs["input_ids"] == config.pad_token_id] = 7
    _, gradients = KINDS["torch"](path, head).gradients(inputs)
    stored = checkpoint.Checkpoint.open(path)
    arrays = {name: stored[name].astype(np.float64) for name in stored}
    stream = np.random.default_rng(1)

    def loss(key, move):
        moved = {**arrays, key: arrays[key] + move}
        return Reference(config, moved, head)(**inputs).loss

    for key in arrays:
        move = STEP * stream.standard_normal(arrays[key].shape)
        slope = (loss(key, move) - loss(key, -move)) / 2
        error = abs(slope - (gradients[key] * move).sum())
        assert error <= DIFFERENCES * STEP, key
