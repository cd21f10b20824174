"""keras-hub's ALBERT: the variables that Keras writes for its presets.

Source: `AlbertBackbone`, `AlbertMaskedLM` and `AlbertTextClassifier` of keras-hub 0.32,
and the files that it writes. A file calls a layer by its class, and the second one of a
class `dense_1`; the layer's own name is a text beside it, and that is what the table
has: `group_1_inner_layer_0` tells more than `transformer_encoder_2`.
"""

import re
from collections.abc import Collection, Iterable, Mapping

from albert_core.schema import BEAM, BLOCK
from conversion.dialects.dialect import Dialect

_BLOCK = "group_{group}_inner_layer_{inner}"
_ATTENTION = f"{_BLOCK}/_self_attention_layer"

KERAS_HUB = Dialect(
    title="keras-hub",
    layers={
        "embeddings.word_embeddings": "token_embedding",
        "embeddings.position_embeddings": "position_embedding",
        "embeddings.token_type_embeddings": "segment_embedding",
        "embeddings.LayerNorm": "embeddings_layer_norm",
        "encoder.embedding_hidden_mapping_in": "embedding_projection",
        f"{BLOCK}.attention.query": f"{_ATTENTION}/query_dense",
        f"{BLOCK}.attention.key": f"{_ATTENTION}/key_dense",
        f"{BLOCK}.attention.value": f"{_ATTENTION}/value_dense",
        f"{BLOCK}.attention.dense": f"{_ATTENTION}/output_dense",
        f"{BLOCK}.attention.LayerNorm": f"{_BLOCK}/_self_attention_layer_norm",
        f"{BLOCK}.ffn": f"{_BLOCK}/_feedforward_intermediate_dense",
        f"{BLOCK}.ffn_output": f"{_BLOCK}/_feedforward_output_dense",
        f"{BLOCK}.full_layer_layer_norm": f"{_BLOCK}/_feedforward_layer_norm",
        "pooler": "pooled_dense",
        "predictions.dense": "mlm_head/_intermediate_dense",
        "predictions.LayerNorm": "mlm_head/_intermediate_layer_norm",
        "predictions": "mlm_head",
        "classifier": "logits",
    },
    leaves={
        ("embedding", "weight"): "/vars/0",
        ("dense", "weight"): "/vars/0",
        ("dense", "bias"): "/vars/1",
        ("norm", "weight"): "/vars/0",
        ("norm", "bias"): "/vars/1",
        ("bias", "bias"): "/vars/0",
    },
    turned=frozenset({"dense"}),
    # (inputs, heads, size of a head), and the other way round for the output.
    split={
        (f"{BLOCK}.attention.{part}", leaf): axis
        for part in ("query", "key", "value")
        for leaf, axis in (("weight", 1), ("bias", 0))
    }
    | {(f"{BLOCK}.attention.dense", "weight"): 0},
    separator="/",
    prefix="",
    # Older versions of Keras.
    clean=((r"/_(query|key|value|output)_dense/", r"/\1_dense/"),),
    lacks=frozenset(
        {
            f"{BLOCK}.attention.distance_embedding",
            "predictions.decoder",
            "sop_classifier.classifier",
            "qa_outputs",
        }
        | {layer.path for layer in BEAM}
    ),
    left={
        r"^optimizer/": "a slot of the optimizer",
        r"/seed_generator(_\d+)?/": "the state of a random generator",
    },
)

TOKENS = "reversible_embedding"
# A layer's own name -> what its file calls it, but for the blocks.
_FILES: tuple[Mapping[str, str], ...] = (
    {
        "token_embedding": TOKENS,
        "position_embedding": "position_embedding",
        "segment_embedding": "embedding",
        "embeddings_layer_norm": "layer_normalization",
        "embedding_projection": "dense",
        "pooled_dense": "dense_1",
    },
    {"mlm_head": "masked_lm_head", "logits": "dense"},
)
_OWN = re.compile(r"group_(\d+)_inner_layer_(\d+)")
_PATH = re.compile(r"((?:layers|_layer_checkpoint_dependencies)/([^/]+))/(.+)")


def from_file(
    names: Collection[str], texts: Mapping[str, Mapping[str, object]]
) -> dict[str, str]:
    """The table's name of every name in a file.

    Args:
        names: The names in the file.
        texts: What stands beside them, by the group that it is of.
    """
    places = {name: found for name in names if (found := _PATH.fullmatch(name))}
    classes = {found[2] for found in places.values()}
    # Old versions of Keras note no names; then there can be one block only.
    usual = {theirs: own for own, theirs in _FILES[TOKENS not in classes].items()}
    if "transformer_encoder_1" not in classes:
        usual["transformer_encoder"] = _BLOCK.format(group=0, inner=0)
    result = {name: name for name in names}
    for name, found in places.items():
        own = texts.get(f"{found[1]}/vars", {}).get("name") or usual.get(found[2])
        result[name] = f"{own}/{found[3]}" if own else name
    return result


def to_file(names: Iterable[str]) -> dict[str, str]:
    """What a file calls each layer, by the layer's own name.

    Args:
        names: The table's names of all arrays in the file.
    """
    layers = dict.fromkeys(name.split("/")[0] for name in names)
    known = {own: path for file in _FILES for own, path in file.items()}
    blocks = sorted(
        (int(found[1]), int(found[2]), own)
        for own in layers
        if (found := _OWN.fullmatch(own))
    )
    # Keras counts them in the order of the calls.
    for number, (_, _, own) in enumerate(blocks):
        known[own] = (
            f"transformer_encoder_{number}" if number else "transformer_encoder"
        )
    return {own: f"layers/{known[own]}" for own in layers}
