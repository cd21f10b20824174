"""The parameter schema against files of transformers 4.57, and by itself."""

import json
import struct

import pytest

from albert_core import AlbertConfig, CheckpointError, schema
from albert_core.spelling import FLAX, KERAS, TORCH
from tests.conftest import GOLDEN, THEIRS, tiny, weights

CASES = sorted(path.name for path in GOLDEN.glob("*-*") if path.is_dir())
BLOCK = "encoder.albert_layer_groups.{}.albert_layers.{}"


def header(path):
    """Name -> shape, read here by hand."""
    data = (path / "model.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entries = json.loads(data[8 : 8 + length])
    return {k: tuple(e["shape"]) for k, e in entries.items() if k != "__metadata__"}


@pytest.mark.parametrize("case", CASES)
def test_names_and_shapes_are_those_of_transformers_4(case):
    config = AlbertConfig.from_pretrained(GOLDEN / case)
    head = case.split("-")[1]
    if head == "ForQuestionAnswering":
        assert config.num_labels == 2  # the width of its head there
    found = {p.name: p.shape for p in schema.parameters(config, head)}
    assert found == header(GOLDEN / case)


def test_every_head_has_a_case():
    assert {case.split("-")[1] for case in CASES} == set(THEIRS)


def test_names_and_shapes_of_the_joint_head_are_google_s():
    """Its variables in google-research/albert, whose kernels are (inputs, outputs)."""
    found = {
        p.name: p.shape
        for p in schema.parameters(tiny(), "ForQuestionAnsweringBeam")
        if not schema.is_encoder(p.name)
    }
    assert found == {
        "start_logits.dense.weight": (1, 12),
        "start_logits.dense.bias": (1,),
        "end_logits.dense_0.weight": (12, 24),
        "end_logits.dense_0.bias": (12,),
        "end_logits.LayerNorm.weight": (12,),
        "end_logits.LayerNorm.bias": (12,),
        "end_logits.dense_1.weight": (1, 12),
        "end_logits.dense_1.bias": (1,),
        "answer_class.dense_0.weight": (12, 24),
        "answer_class.dense_0.bias": (12,),
        "answer_class.dense_1.weight": (1, 12),
    }


def test_forward_order_of_two_groups_of_two_with_every_option():
    config = tiny(position_embedding_type="relative_key", tie_word_embeddings=False)
    block = [
        "attention.query",
        "attention.key",
        "attention.value",
        "attention.distance_embedding",
        "attention.dense",
        "attention.LayerNorm",
        "ffn",
        "ffn_output",
        "full_layer_layer_norm",
    ]
    layers = [
        *("embeddings.word_embeddings", "embeddings.position_embeddings"),
        *("embeddings.token_type_embeddings", "embeddings.LayerNorm"),
        "encoder.embedding_hidden_mapping_in",
        *(f"{BLOCK.format(g, k)}.{x}" for g in (0, 1) for k in (0, 1) for x in block),
        "pooler",
    ]
    layers = [f"albert.{layer}" for layer in layers]
    layers += ["predictions.dense", "predictions.LayerNorm", "predictions.decoder"]
    layers += ["predictions", "sop_classifier.classifier"]
    found = schema.parameters(config, "ForPreTraining")
    assert list(dict.fromkeys(p.layer for p in found)) == layers
    for p in found:
        assert p.name == f"{p.layer}.{p.leaf}"
        assert (p.leaf == "weight") == (p.kind != "bias" and len(p.shape) == 2) or (
            p.kind == "norm"
        )


def test_shapes_of_a_pruned_relative_model():
    config = tiny(
        pruned_heads={2: [0, 2]}, position_embedding_type="relative_key_query"
    )
    shapes = {p.name: p.shape for p in schema.parameters(config)}
    cut, whole = (f"{BLOCK.format(*place)}.attention" for place in ((1, 0), (1, 1)))
    for name in ("query", "key", "value"):
        assert shapes[f"{cut}.{name}.weight"] == (4, 12)
        assert shapes[f"{cut}.{name}.bias"] == (4,)
        assert shapes[f"{whole}.{name}.weight"] == (12, 12)
    assert shapes[f"{cut}.dense.weight"] == (12, 4)
    assert shapes[f"{cut}.dense.bias"] == (12,)
    assert shapes[f"{cut}.distance_embedding.weight"] == (45, 4)


@pytest.mark.parametrize("head", schema.HEADS)
@pytest.mark.parametrize("pools", [True, False])
def test_pooling_is_a_choice(head, pools):
    names = {p.name for p in schema.parameters(tiny(), head, pools)}
    prefix = "" if head == "Model" else "albert."
    assert {n for n in names if "pooler" in n} == (
        {f"{prefix}pooler.weight", f"{prefix}pooler.bias"} if pools else set()
    )


def test_each_is_part_of_the_encoder_or_of_a_head():
    for head in schema.HEADS:
        for p in schema.parameters(tiny(tie_word_embeddings=False), head, True):
            assert schema.is_encoder(p.name) != schema.is_head(p.name), p.name


@pytest.mark.parametrize(
    "name",
    [
        *(
            "classifier.scale",
            "classifier",
            "classifier.lora_A.weight",
            "pooler.dense.bias",
        ),
        *("bert.classifier.weight", "predictions.decoder.scale", "weight", ""),
    ],
)
def test_what_only_looks_like_a_head_is_none(name):
    assert not schema.is_head(name)


class TestGuess:
    @pytest.mark.parametrize("head", schema.HEADS)
    @pytest.mark.parametrize("framework", ["", "TF", "Flax"])
    def test_by_the_name_of_the_class(self, head, framework):
        assert schema.guess_head([], [f"{framework}Albert{head}"]) == head

    @pytest.mark.parametrize("named", [None, [], ["CustomAlbert"]])
    @pytest.mark.parametrize(
        "head", [h for h in schema.HEADS if h != "ForMultipleChoice"]
    )
    def test_by_the_parameters(self, head, named):
        names = [p.name for p in schema.parameters(tiny(), head)]
        assert schema.guess_head(names, named) == head

    def test_of_a_base_model_that_does_not_pool(self):
        names = [p.name for p in schema.parameters(tiny(), "Model", False)]
        assert schema.guess_head(names, None) == "Model"

    def test_of_no_head(self):
        names = ["qa_outputs.weight", "classifier.bias"]
        with pytest.raises(CheckpointError) as caught:
            schema.guess_head(names, ["BertModel"])
        assert str(caught.value).startswith(
            "The checkpoint holds classifier, qa_outputs, which is no single head of "
        )
        assert "one of AlbertModel, AlbertForPreTraining" in str(caught.value)


# kind -> leaf -> in PyTorch, Keras, Flax
LEAVES = {
    "embedding": {"weight": ("weight", "embeddings", "embedding")},
    "dense": {"weight": ("weight", "kernel", "kernel"), "bias": ("bias",) * 3},
    "kernel": {"weight": ("weight", "kernel", "kernel")},
    "norm": {"weight": ("weight", "gamma", "scale"), "bias": ("bias", "beta", "bias")},
    "bias": {"bias": ("bias",) * 3},
}


@pytest.mark.parametrize("head", schema.HEADS)
@pytest.mark.parametrize("place", range(3))
def test_leaves_and_layout_of_each_framework(place, head):
    spelling = (TORCH, KERAS, FLAX)[place]
    config = tiny(tie_word_embeddings=False)
    arrays = weights(config, head)
    for p in schema.parameters(config, head):
        # Flax decodes with a kernel of its own, the others with a table.
        own = spelling is FLAX and p.layer == "predictions.decoder"
        kind = "dense" if own else p.kind
        assert spelling.leaf(p) == LEAVES[kind][p.leaf][place]
        turned = spelling.turn(p, arrays[p.name])
        kernel = kind in ("dense", "kernel") and p.leaf == "weight"
        kernel = kernel and spelling is not TORCH
        assert turned.shape == spelling.shape(p)
        assert turned.tobytes("F" if kernel else "C") == arrays[p.name].tobytes()
        assert spelling.turn(p, turned).tobytes() == arrays[p.name].tobytes()
