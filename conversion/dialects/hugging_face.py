"""Hugging Face's three: PyTorch, TensorFlow and Flax, as transformers 4.57 has them."""

from collections.abc import Mapping

from albert_core import spelling
from albert_core.schema import BEAM, BLOCK
from conversion.dialects.dialect import Dialect

# What Hugging Face has in PyTorch only, and what it does not have at all but we have.
_LACKS = frozenset(
    {f"{BLOCK}.attention.distance_embedding"} | {layer.path for layer in BEAM}
)

TORCH = Dialect(
    title="Hugging Face PyTorch",
    aliases={"predictions.bias": "predictions.decoder.bias"},
    left={r"embeddings\.(position|token_type)_ids$": "a constant table"},
    # A model wrapped for several devices.
    clean=((r"^module\.", ""),),
)


def _without_beam(leaves: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], str]:
    """Rules for the kinds of layers that are in their models."""
    return {key: leaf for key, leaf in leaves.items() if key[0] != "kernel"}


_TF_BLOCK = "encoder/albert_layer_groups_._{group}/albert_layers_._{inner}"
_TF_LEAVES = {
    ("embeddings.word_embeddings", "weight"): "weight",
    ("dense", "bias"): "bias",
    ("bias", "bias"): "bias",
    **_without_beam(spelling.KERAS.leaves),
}

TENSORFLOW = Dialect(
    title="Hugging Face TensorFlow",
    layers={
        f"{BLOCK}.{part}": f"{_TF_BLOCK}/{part.replace('.', '/')}"
        for part in (
            "attention.query",
            "attention.key",
            "attention.value",
            "attention.dense",
            "attention.LayerNorm",
            "ffn",
            "ffn_output",
            "full_layer_layer_norm",
        )
    }
    # The bias that counts: there is another one, of the layer above, that is not used.
    | {"predictions": "predictions/decoder"},
    leaves={key: f"/{leaf}:0" for key, leaf in _TF_LEAVES.items()},
    turned=spelling.KERAS.turned - {"kernel"},
    separator="/",
    prefix="albert/",
    base_prefix="albert/",
    lacks=_LACKS | {"predictions.decoder"},
    aliases={"predictions.bias": "predictions/bias:0"},
    dead=frozenset({"predictions.bias"}),
    # The model's name, and in an h5 file its layer's.
    clean=((r"^(?:\w+/)?tf_\w+/", ""),),
)

_FLAX_LEAVES = _without_beam(spelling.FLAX.leaves)
FLAX = Dialect(
    title="Hugging Face Flax",
    leaves={
        key: f".{leaf}" for key, leaf in _without_beam(spelling.FLAX.leaves).items()
    }
    | {("predictions.decoder", "weight"): ".kernel"},
    turned=(spelling.FLAX.turned | spelling.FLAX.kinds.keys()) - {"kernel"},
    lacks=_LACKS,
    clean=((r"^params\.", ""),),
)
