"""A little data to pretrain on, and a small recipe."""

import pytest

from albert_core.data.pretraining.creation import create
from albert_core.data.pretraining.dataset import Recipe
from tests.cli.conftest import call
from tests.conftest import GOLDEN

__all__ = ["call"]

VOCABULARY = GOLDEN / "wordpiece"
RECIPE = """
[model]
vocab_size = {size}
embedding_size = 5
hidden_size = 8
num_hidden_layers = 2
num_attention_heads = 2
intermediate_size = 9
max_position_embeddings = 16
hidden_dropout_prob = 0.1
attention_probs_dropout_prob = 0.1
initializer_range = 0.2

[training]
optimizer = "adamw"
learning_rate = 0.01
warmup_steps = 3
steps = 240
batch_size = 4
masking = "dynamic"
save_every = 12
log_every = 5
keep = 2
"""


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A folder of instances."""
    place = tmp_path_factory.mktemp("pretraining")
    words = [
        x for x in VOCABULARY.joinpath("vocab.txt").read_text().split() if "[" not in x
    ]
    lines = [" ".join(words[i : i + 5]) for i in range(0, len(words) - 5, 3)]
    lines = [
        line for i, x in enumerate(lines[:60]) for line in ([x] if i % 7 else ["", x])
    ]
    (place / "text.txt").write_text("\n".join(lines) + "\n")
    recipe = Recipe(max_seq_length=16, dupe_factor=3)
    create([place / "text.txt"], str(VOCABULARY), place / "data", recipe)
    return place / "data"


@pytest.fixture(scope="session")
def recipe(tmp_path_factory):
    """A recipe for a small model with dropout, masking anew every time."""
    size = len(VOCABULARY.joinpath("vocab.txt").read_text("utf-8").splitlines())
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(RECIPE.format(size=size))
    return path
