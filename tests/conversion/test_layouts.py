"""Which array is which, and which are turned: shapes alone would not tell.

Written down a second time, from what the original codes do with the arrays, because a
table that swaps two of them is the same in both directions.
"""

import pytest

from conversion.dialects.dialect import places
from conversion.dialects.flax import OWN_FLAX
from conversion.dialects.google import GOOGLE
from conversion.dialects.hugging_face import FLAX, TENSORFLOW, TORCH
from conversion.dialects.keras import KERAS

BLOCK = "encoder.albert_layer_groups.3.albert_layers.1"
SCOPE = "bert/encoder/transformer/group_3/inner_group_1"
# google-research/albert: its name, ours, whether it is turned.
OF_GOOGLE = [
    ("bert/embeddings/word_embeddings", "embeddings.word_embeddings.weight", False),
    (
        "bert/embeddings/token_type_embeddings",
        "embeddings.token_type_embeddings.weight",
        False,
    ),
    (
        "bert/embeddings/position_embeddings",
        "embeddings.position_embeddings.weight",
        False,
    ),
    ("bert/embeddings/LayerNorm/gamma", "embeddings.LayerNorm.weight", False),
    ("bert/embeddings/LayerNorm/beta", "embeddings.LayerNorm.bias", False),
    (
        "bert/encoder/embedding_hidden_mapping_in/kernel",
        "encoder.embedding_hidden_mapping_in.weight",
        True,
    ),
    (f"{SCOPE}/attention_1/self/query/kernel", f"{BLOCK}.attention.query.weight", True),
    (f"{SCOPE}/attention_1/self/key/kernel", f"{BLOCK}.attention.key.weight", True),
    (f"{SCOPE}/attention_1/self/value/bias", f"{BLOCK}.attention.value.bias", False),
    (
        f"{SCOPE}/attention_1/output/dense/kernel",
        f"{BLOCK}.attention.dense.weight",
        True,
    ),
    (f"{SCOPE}/LayerNorm/gamma", f"{BLOCK}.attention.LayerNorm.weight", False),
    (f"{SCOPE}/LayerNorm/beta", f"{BLOCK}.attention.LayerNorm.bias", False),
    (f"{SCOPE}/ffn_1/intermediate/dense/kernel", f"{BLOCK}.ffn.weight", True),
    (
        f"{SCOPE}/ffn_1/intermediate/output/dense/kernel",
        f"{BLOCK}.ffn_output.weight",
        True,
    ),
    (f"{SCOPE}/LayerNorm_1/gamma", f"{BLOCK}.full_layer_layer_norm.weight", False),
    (f"{SCOPE}/LayerNorm_1/beta", f"{BLOCK}.full_layer_layer_norm.bias", False),
    ("bert/pooler/dense/kernel", "pooler.weight", True),
    ("cls/predictions/transform/dense/kernel", "predictions.dense.weight", True),
    ("cls/predictions/transform/LayerNorm/beta", "predictions.LayerNorm.bias", False),
    ("cls/predictions/output_bias", "predictions.bias", False),
    ("cls/seq_relationship/output_weights", "sop_classifier.classifier.weight", False),
    ("cls/seq_relationship/output_bias", "sop_classifier.classifier.bias", False),
    ("output_weights", "classifier.weight", False),
    ("output_bias", "classifier.bias", False),
    ("cls/squad/output_weights", "qa_outputs.weight", False),
    ("cls/squad/output_bias", "qa_outputs.bias", False),
    ("start_logits/dense/kernel", "start_logits.dense.weight", True),
    ("end_logits/dense_0/kernel", "end_logits.dense_0.weight", True),
    ("end_logits/LayerNorm/gamma", "end_logits.LayerNorm.weight", False),
    ("end_logits/dense_1/kernel", "end_logits.dense_1.weight", True),
    ("answer_class/dense_0/bias", "answer_class.dense_0.bias", False),
    ("answer_class/dense_1/kernel", "answer_class.dense_1.weight", True),
]


@pytest.mark.parametrize(("theirs", "ours", "turned"), OF_GOOGLE)
@pytest.mark.bad_input(66)
def test_google_s_variables(theirs, ours, turned):
    place = GOOGLE.find(theirs)
    assert place.name == ours
    assert GOOGLE.turns(place) is turned


@pytest.mark.parametrize("dialect", [TENSORFLOW, FLAX, KERAS, OWN_FLAX])
@pytest.mark.bad_input(66)
def test_every_dense_kernel_is_turned_and_nothing_else(dialect):
    for place in places():
        if place.path in dialect.lacks or place.path == "predictions.decoder":
            continue
        kernel = place.kind in ("dense", "kernel") and place.leaf == "weight"
        assert dialect.turns(place) is kernel, place


@pytest.mark.parametrize(
    ("dialect", "turned"), [(KERAS, False), (FLAX, True), (OWN_FLAX, True)]
)
def test_a_decoder_of_its_own_is_a_kernel_in_flax_only(dialect, turned):
    (place,) = [p for p in places() if p.name == "predictions.decoder.weight"]
    assert dialect.turns(place) is turned


def test_nothing_is_turned_in_pytorch():
    assert not any(TORCH.turns(place) for place in places())
