"""transformers 5 reads what we write, and we what it writes."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from albert_core import AlbertConfig, checkpoint, schema
from albert_core.checkpoint import Checkpoint
from albert_core.fields import RULES
from albert_core.reference import Reference
from albert_zoo.parity.budgets import GOLDEN as BOUND
from tests.conftest import THEIRS, tiny, weights
from tests.core.helpers import fields_of

transformers = pytest.importorskip("transformers", minversion="5")
torch = pytest.importorskip("torch")

# What is not of the model, or not in transformers 5.
NOT_THEIRS = {"position_embedding_type", "pruned_heads", "attn_implementation"}
NOT_THEIRS |= {"start_n_top", "end_n_top"}
FIELDS = sorted(RULES.keys() - NOT_THEIRS)
CHANGES = {
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.25,
    "layer_norm_eps": 1e-5,
    "pad_token_id": None,
    "num_labels": None,
    "id2label": {0: "no", 1: "yes", 2: "perhaps"},
    "problem_type": "regression",
    "output_attentions": True,
    "return_dict": False,
    "dtype": "bfloat16",
    "architectures": ["AlbertForMaskedLM"],
    "tie_word_embeddings": False,
    "dropout": 0.1,
}


def plain(values):
    """Values of theirs as ours: torch's dtypes have names."""
    dtype = values.get("dtype")
    return {**values, "dtype": dtype and str(dtype).removeprefix("torch.")}


@pytest.mark.parametrize("changes", [{}, CHANGES], ids=["tiny", "changed"])
class TestConfig:
    def test_they_read_ours(self, changes, tmp_path):
        ours = tiny(**changes)
        ours.save_pretrained(tmp_path)
        theirs = transformers.AlbertConfig.from_pretrained(tmp_path)
        found = plain({name: getattr(theirs, name) for name in FIELDS})
        assert found == {name: getattr(ours, name) for name in FIELDS}
        assert getattr(theirs, "dropout", None) == changes.get("dropout")
        assert theirs.num_labels == ours.num_labels

    def test_we_read_theirs(self, changes, tmp_path):
        given = {**tiny(**changes).to_dict()}
        theirs = transformers.AlbertConfig(**given)
        theirs.save_pretrained(tmp_path)
        ours = AlbertConfig.from_pretrained(tmp_path)
        expected = plain({name: getattr(theirs, name) for name in FIELDS})
        assert {name: getattr(ours, name) for name in FIELDS} == expected
        stored = json.loads((tmp_path / "config.json").read_text())
        assert ours.extra.keys() <= stored.keys() - RULES.keys()
        # And once around: nothing of it is lost on the way back.
        ours.save_pretrained(tmp_path)
        again = transformers.AlbertConfig.from_pretrained(tmp_path)
        assert again.to_diff_dict() == theirs.to_diff_dict()
        assert fields_of(AlbertConfig.from_pretrained(tmp_path)) == fields_of(ours)


IDS = np.array([[2, 5, 9, 14, 3, 0, 0], [2, 30, 7, 7, 21, 8, 3]])
MASK = (IDS > 0).astype(int)


@pytest.mark.parametrize("size", ["5GB", 2000])
@pytest.mark.parametrize("head", THEIRS)
def test_they_load_what_we_write_and_compute_the_same(head, size, tmp_path):
    config = tiny(num_labels=2)
    arrays = weights(config, head)
    checkpoint.save(tmp_path, config, arrays, size)
    kind = getattr(transformers, f"Albert{head}")
    model, info = kind.from_pretrained(
        tmp_path, output_loading_info=True, attn_implementation="eager"
    )
    assert not any(info.values()), info
    ids, mask = (x[None] if "Choice" in head else x for x in (IDS, MASK))
    inputs = {"input_ids": torch.tensor(ids), "attention_mask": torch.tensor(mask)}
    with torch.no_grad():
        found = model(**inputs, output_attentions=True)
    expected = Reference(config, arrays, head)(ids, mask)
    for name in expected.keys() - {"hidden_states", "attentions"}:
        assert np.abs(found[name].numpy() - expected[name]).max() <= BOUND, name
    assert len(found.attentions) == len(expected.attentions)


@pytest.mark.parametrize("size", ["5GB", "2KB"])
@pytest.mark.parametrize("head", THEIRS)
def test_we_open_what_they_write(head, size, tmp_path):
    """And what we write of it, they would have written: names, order, metadata."""
    config = transformers.AlbertConfig(**tiny(num_labels=2).to_dict())
    model = getattr(transformers, f"Albert{head}")(config)
    model.save_pretrained(tmp_path, max_shard_size=size)
    found = Checkpoint.open(tmp_path)
    ours = AlbertConfig.from_pretrained(tmp_path)
    assert {name: found.shape(name) for name in found} == {
        p.name: p.shape for p in schema.parameters(ours, head)
    }
    state = model.state_dict()
    for name in found:
        assert found[name].tobytes() == state[name].numpy().tobytes()
    many = len(list(tmp_path.glob("*.safetensors"))) > 1
    assert many == (size == "2KB")
    before = {file.name: file.read_bytes() for file in tmp_path.glob("model*")}
    checkpoint.save(tmp_path, ours, found, size)
    after = {file.name: file.read_bytes() for file in tmp_path.glob("model*")}
    if many:
        assert Checkpoint.open(tmp_path).keys() == found.keys()
    else:
        assert after == before
        assert len(load_file(tmp_path / "model.safetensors")) == len(found)
