"""Layer norms that Google's code, under TensorFlow 2, gave to every layer alone."""

import json

import numpy as np
import pytest

from albert_core import CheckpointError
from albert_core.reference import Reference
from conversion import hashing, open_checkpoint
from conversion.stores import STORES
from tests.conftest import tiny, write

BLOCK = "bert/encoder/transformer/group_0"


@pytest.fixture
def made(tmp_path):
    """A checkpoint with such names, and the canonical one that it was made of."""
    config = tiny(num_hidden_groups=1, inner_group_num=1, hidden_act="gelu_new")

    def make(change=0.0, more=()):
        source = write(tmp_path / "source", config, "ForPreTraining")
        store = STORES["google-tf1"]
        arrays = {}
        for name, lazy in open_checkpoint(source).lazy.items():
            place = STORES["safetensors"].dialect.find(name)
            array = lazy.read()
            array = array.T if store.dialect.turns(place) else array
            theirs = store.dialect.spell(place, True)
            if "LayerNorm" not in theirs:
                arrays[theirs] = array
                continue
            if "inner_group_0" not in theirs:
                number = "" if "embeddings" in theirs else "_13"
                new = theirs.replace("LayerNorm", f"layer_normalization{number}")
                arrays[new] = arrays[f"{new}/adam_m"] = array
                continue
            leaf, second = theirs.split("/")[-1], "LayerNorm_1" in theirs
            for layer in range(6):
                scope = f"{BLOCK}_{layer}" if layer else BLOCK
                number = 2 * layer + 1 + second
                new = (
                    f"{scope}/layer_{layer}/inner_group_0/layer_normalization_{number}"
                )
                arrays[f"{new}/{leaf}"] = array + np.float32(change * layer)
        for name in more:
            arrays[name] = arrays["bert/pooler/dense/bias"]
        folder = tmp_path / "theirs"
        folder.mkdir()
        store.write(folder / store.file, arrays)
        (folder / "albert_config.json").write_text(json.dumps(config.to_google()))
        return source, folder

    return make


def digest(path):
    return hashing.whole(hashing.digests(open_checkpoint(path)))


@pytest.mark.bad_input(59)
def test_norms_that_are_all_the_same_are_the_group_s(made, caplog):
    source, theirs = made()
    found = open_checkpoint(theirs)
    assert digest(theirs) == digest(source)
    assert found.config.num_hidden_groups == 1
    assert not found.unexpected
    assert all(what == "a slot of the optimizer" for what in found.left.values())
    assert not caplog.records


def test_norms_that_differ_make_a_group_of_every_layer(made, caplog):
    source, theirs = made(change=0.25)
    found = open_checkpoint(theirs)
    assert found.config.num_hidden_groups == 6
    assert "norms of their own" in caplog.text
    original = dict(open_checkpoint(source))
    for layer in range(6):
        place = "albert.encoder.albert_layer_groups.{}.albert_layers.0."
        for name, array in original.items():
            if name.startswith(place.format(0)):
                other = found[name.replace(place.format(0), place.format(layer))]
                moved = layer * 0.25 if "norm" in name.lower() else 0
                np.testing.assert_array_equal(other, array + np.float32(moved))
    ids = np.array([[2, 7, 5, 3]])
    run = Reference(found.config, dict(found), "ForPreTraining")
    assert np.isfinite(run(input_ids=ids).prediction_logits).all()


@pytest.mark.bad_input(59)
def test_a_block_with_three_norms_is_refused(made):
    more = [f"{BLOCK}/layer_0/inner_group_0/layer_normalization_99/gamma"]
    _, theirs = made(more=more)
    with pytest.raises(CheckpointError, match=r"UNSUPPORTED .*there are 3 norms in"):
        open_checkpoint(theirs)
