"""Every backend loads every format."""

from importlib import import_module
from math import sqrt

import numpy as np
import pytest

import conversion
from albert_core import CheckpointError
from albert_core.reference import Reference
from albert_zoo.parity.budgets import FLOOR, budget
from conversion import open_checkpoint
from conversion.stores import STORES
from tests.conftest import tiny, write

IDS = np.array([[2, 7, 5, 11, 3], [2, 30, 3, 0, 0]])
CLASSES = {"torch": "Albert", "tf": "TFAlbert", "flax": "FlaxAlbert"}


@pytest.fixture(scope="module")
def formats(tmp_path_factory):
    """A checkpoint in every format, and what it computes."""
    folder = tmp_path_factory.mktemp("formats")
    config = tiny(hidden_act="gelu_new", num_labels=3)
    source = write(folder / "source", config, "ForSequenceClassification")
    for name in STORES:
        conversion.convert(source, folder / name, name)
    run = Reference(config, dict(open_checkpoint(source)), "ForSequenceClassification")
    return folder, run(input_ids=IDS, attention_mask=IDS != 0).logits


@pytest.mark.parametrize("name", STORES)
@pytest.mark.parametrize("framework", CLASSES)
def test_every_backend_loads_every_format(formats, name, framework):
    folder, expected = formats
    module = import_module(f"albert_{framework}")
    made = getattr(module, f"{CLASSES[framework]}ForSequenceClassification")
    model = made.from_pretrained(folder / name)
    assert model.config.num_labels == 3
    inputs = {"input_ids": IDS, "attention_mask": (IDS != 0).astype(np.int64)}
    if framework == "torch":
        import torch

        inputs = {key: torch.tensor(value) for key, value in inputs.items()}
        found = model.eval()(**inputs).logits.detach().numpy()
    else:
        found = np.asarray(model(**inputs).logits)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    blocks = model.config.num_hidden_layers * model.config.inner_group_num
    assert error <= budget("float32", gain=FLOOR * sqrt(blocks + 2))


def test_a_prefix_and_a_number_of_labels(formats):
    from albert_torch import AlbertForSequenceClassification

    folder, _ = formats
    (folder / "google-tf1" / "config.json").unlink()
    prefix = folder / "google-tf1" / "model.ckpt-best"
    model = AlbertForSequenceClassification.from_pretrained(prefix)
    assert model.config.num_labels == 3
    with pytest.raises(CheckpointError, match=r"classifier\.weight: \(3, 12\) in the"):
        AlbertForSequenceClassification.from_pretrained(prefix, num_labels=5)
