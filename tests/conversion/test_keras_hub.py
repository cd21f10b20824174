"""Presets of keras-hub: read as it means them, written as it writes them, or refused.

`golden/keras_hub_names.json` is what keras-hub 0.32 has written and computed.
"""

import json

import numpy as np
import pytest

import conversion
from albert_core import AlbertConfig, AlbertError, CheckpointError, ConfigError, schema
from albert_core.reference import Reference
from conversion import hashing, keras_hub_preset, open_checkpoint
from conversion.formats import hdf5
from conversion.target import TargetError
from tests.conftest import GOLDEN, tiny, write

CASES = json.loads((GOLDEN / "keras_hub_names.json").read_text())
HEADS = {
    "": "Model",
    "AlbertMaskedLM": "ForMaskedLM",
    "AlbertTextClassifier": "ForSequenceClassification",
}
each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: HEADS[case["task"]])
# What all models of keras-hub's have in common.
SAME = {
    "num_hidden_layers": 4,
    "hidden_act": "gelu_new",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
}


def preset(place, case):
    """The preset that keras-hub has made the golden file of."""
    place.mkdir()
    stream = np.random.default_rng(case["seed"])
    for file, shapes in sorted(case["files"].items()):
        arrays = {
            name: stream.normal(0, 0.3, shape).astype(np.float32)
            for name, shape in sorted(shapes.items())
        }
        texts = {group: {"name": own} for group, own in case["names"][file].items()}
        hdf5.write(place / file, arrays, texts)
    for file in ("config.json", "task.json"):
        if file in case:
            (place / file).write_text(json.dumps(case[file]))
    return place


def digest(path):
    return hashing.whole(hashing.digests(open_checkpoint(path)))


class Theirs(Reference):
    """Our model with the norm that keras-hub's masked LM has in its head."""

    def norm(self, x, layer):
        self.config.layer_norm_eps = 1e-5 if "predictions" in layer else 1e-12
        return super().norm(x, layer)


@each_case
def test_a_preset_of_theirs_computes_what_it_does_there(case, tmp_path):
    opened = open_checkpoint(preset(tmp_path / "preset", case))
    head = HEADS[case["task"]]
    assert (opened.store.name, opened.head, opened.unexpected) == (
        "keras-hub",
        head,
        {},
    )
    ids, mask, segments = (
        case["inputs"][name] for name in ("token_ids", "padding_mask", "segment_ids")
    )
    output = Theirs(opened.config, opened, head)(ids, mask, segments)
    found = output["last_hidden_state" if head == "Model" else "logits"]
    real = np.asarray(mask, bool) if found.ndim == 3 else ...
    theirs = np.asarray(case["output"])
    np.testing.assert_allclose(found[real], theirs[real], rtol=0, atol=2e-5)


@each_case
def test_what_we_write_is_called_and_shaped_as_theirs(case, tmp_path, caplog):
    head = HEADS[case["task"]]
    source = write(tmp_path / "source", tiny(**SAME), head)
    conversion.convert(source, tmp_path / "preset", "keras-hub", verify=False)
    for file, shapes in case["files"].items():
        found = hdf5.contents(tmp_path / "preset" / file)
        assert {n: list(lazy.shape) for n, lazy in found.arrays.items()} == shapes
        named = {group: text["name"] for group, text in found.texts.items() if text}
        assert named.items() <= case["names"][file].items()
        assert {name.split("/")[1] for name in shapes} == {
            group.split("/")[1] for group in named
        }
    for file in ("config.json", "task.json"):
        written = tmp_path / "preset" / file
        assert written.exists() == (file in case)
        if written.exists():
            values = json.loads(written.read_text())
            values.pop("albert_zoo", None)
            assert values == case[file]
    assert ("layer norm of 1e-5" in caplog.text) == (head == "ForMaskedLM")


@each_case
def test_there_and_back(case, tmp_path):
    head = HEADS[case["task"]]
    labels = {0: "a", 1: "b", 2: "c", 3: "d"}
    config = tiny(**SAME, id2label=labels, dtype="bfloat16", pad_token_id=7)
    source = write(tmp_path / "source", config, head)
    done = conversion.convert(
        source, tmp_path / "preset", "keras-hub", dtype="bfloat16"
    )
    back = conversion.convert(tmp_path / "preset", tmp_path / "back", "safetensors")
    assert done.sha256 == back.sha256 == digest(tmp_path / "preset")
    for place in ("preset", "back"):
        found = AlbertConfig.from_pretrained(tmp_path / place)
        assert found.to_dict() == config.to_dict()
    # What is noted besides does not count where the preset says something else.
    path = tmp_path / "preset" / "config.json"
    values = json.loads(path.read_text())
    values["config"]["max_sequence_length"] = 20
    path.write_text(json.dumps(values))
    found = AlbertConfig.from_pretrained(tmp_path / "preset")
    assert (found.max_position_embeddings, found.pad_token_id) == (20, 0)


def test_a_model_without_a_pooler(tmp_path):
    source = write(tmp_path / "source", tiny(**SAME), pools=False)
    expected = digest(source)
    conversion.convert(source, tmp_path / "preset", "keras-hub")
    assert digest(tmp_path / "preset") == expected
    stored = hdf5.read(tmp_path / "preset" / "model.weights.h5")
    assert not stored["layers/dense_1/vars/0"].read().any()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("hidden_act", "relu"),
        ("hidden_act", "gelu"),
        ("layer_norm_eps", 1e-5),
        ("num_hidden_layers", 5),
        ("attention_probs_dropout_prob", 0.2),
        ("tie_word_embeddings", False),
    ],
)
def test_what_their_model_cannot_be_is_refused(field, value, tmp_path):
    source = write(tmp_path / "source", tiny(**{**SAME, field: value}))
    name = "num_hidden_groups" if field == "num_hidden_layers" else field
    with pytest.raises(ConfigError, match=f"keras-hub cannot express {name} "):
        conversion.convert(source, tmp_path / "preset", "keras-hub")
    assert not (tmp_path / "preset").exists()


@pytest.mark.parametrize("head", sorted(schema.HEADS.keys() - keras_hub_preset.HEADS))
def test_heads_that_they_do_not_have_are_refused(head, tmp_path):
    source = write(tmp_path / "source", tiny(**SAME), head)
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*models of keras-hub"):
        conversion.convert(source, tmp_path / "preset", "keras-hub")
    if head != "ForPreTraining":
        return
    conversion.convert(source, tmp_path / "preset", "keras-hub", drop_head=True)
    assert open_checkpoint(tmp_path / "preset").head == "Model"
    names = {file.name for file in (tmp_path / "preset").iterdir()}
    assert not any(name.startswith("task.") for name in names)


def test_the_tokenizer_goes_with_it(tmp_path, caplog):
    source = write(tmp_path / "source", tiny(**SAME), "ForSequenceClassification")
    (source / "tokenizer.json").write_text("{}")
    quick = {"to": "keras-hub", "verify": False}
    conversion.convert(source, tmp_path / "none", **quick)
    assert "its tokenizer (tokenizer.json) is left out" in caplog.text
    assert not (tmp_path / "none" / "tokenizer.json").exists()
    (source / "30k-clean.model").write_text("pieces")
    place = tmp_path / "preset"
    conversion.convert(source, place, **quick)
    assert (place / "assets/tokenizer/vocabulary.spm").read_text() == "pieces"
    classes = {
        file: json.loads((place / file).read_text())["class_name"]
        for file in ("tokenizer.json", "preprocessor.json", "task.json")
    }
    assert set(classes.values()) == {
        "AlbertTokenizer",
        "AlbertTextClassifierPreprocessor",
        "AlbertTextClassifier",
    }
    conversion.convert(place, tmp_path / "back", "safetensors", verify=False)
    assert (tmp_path / "back" / "spiece.model").read_text() == "pieces"
    assert not (tmp_path / "back" / "tokenizer.json").exists()
    conversion.convert(source, place, **quick, overwrite=True)
    (place / "assets" / "mine.txt").write_text("mine")
    with pytest.raises(TargetError, match="would be lost: 'assets'"):
        conversion.convert(source, place, **quick, overwrite=True)


def test_files_alone_and_files_of_old(tmp_path):
    place = preset(tmp_path / "preset", CASES[0])
    expected = digest(place)
    alone = tmp_path / "mine.weights.h5"
    (place / "model.weights.h5").rename(alone)
    assert digest(alone) == expected
    stored = hdf5.read(alone)
    old = {
        name.replace("/query_dense", "/_query_dense"): lazy
        for name, lazy in stored.items()
        if "encoder_" not in name
    }
    hdf5.write(tmp_path / "old.weights.h5", old)
    found = open_checkpoint(tmp_path / "old.weights.h5")
    assert (found.store.name, found.unexpected) == ("keras-hub", {})
    assert "encoder.albert_layer_groups.0.albert_layers.0.ffn.weight" in found
    hdf5.write(tmp_path / "several.weights.h5", stored)  # whose are they?
    assert len(open_checkpoint(tmp_path / "several.weights.h5").unexpected) == 64
    texts = {f"layers/{name}/vars": {"name": "x"} for name in ("dense", "dense_1")}
    hdf5.write(tmp_path / "twice.weights.h5", stored, texts)
    with pytest.raises(CheckpointError, match=r"DUPLICATE .*one name: 'x/vars/0'"):
        open_checkpoint(tmp_path / "twice.weights.h5")


def test_presets_that_are_not_albert_s(tmp_path):
    values = CASES[0]["config.json"]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({**values, "class_name": "BertBackbone"}))
    with pytest.raises(ConfigError, match="class 'BertBackbone', not 'AlbertBackbone'"):
        AlbertConfig.from_pretrained(path)
    sizes = {**values["config"]}
    del sizes["num_heads"], sizes["dropout"]
    path.write_text(json.dumps({**values, "config": sizes}))
    with pytest.raises(AlbertError, match="does not say dropout, num_heads"):
        AlbertConfig.from_pretrained(path)
