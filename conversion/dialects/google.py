"""google-research/albert: the variables of its TensorFlow 1 checkpoints.

Source: google-research/albert modeling.py, run_pretraining.py, classifier_utils.py,
squad_utils.py and race_utils.py.
"""

from albert_core.schema import BLOCK
from conversion.dialects.dialect import Dialect

_INNER = "encoder/transformer/group_{group}/inner_group_{inner}"

GOOGLE = Dialect(
    title="google-research/albert (TensorFlow 1)",
    layers={
        "embeddings.word_embeddings": "embeddings/word_embeddings",
        "embeddings.position_embeddings": "embeddings/position_embeddings",
        "embeddings.token_type_embeddings": "embeddings/token_type_embeddings",
        "embeddings.LayerNorm": "embeddings/LayerNorm",
        "encoder.embedding_hidden_mapping_in": "encoder/embedding_hidden_mapping_in",
        f"{BLOCK}.attention.query": f"{_INNER}/attention_1/self/query",
        f"{BLOCK}.attention.key": f"{_INNER}/attention_1/self/key",
        f"{BLOCK}.attention.value": f"{_INNER}/attention_1/self/value",
        f"{BLOCK}.attention.dense": f"{_INNER}/attention_1/output/dense",
        f"{BLOCK}.attention.LayerNorm": f"{_INNER}/LayerNorm",
        f"{BLOCK}.ffn": f"{_INNER}/ffn_1/intermediate/dense",
        # One scope within the other: that is how the original opens them.
        f"{BLOCK}.ffn_output": f"{_INNER}/ffn_1/intermediate/output/dense",
        f"{BLOCK}.full_layer_layer_norm": f"{_INNER}/LayerNorm_1",
        "pooler": "pooler/dense",
        "predictions.dense": "cls/predictions/transform/dense",
        "predictions.LayerNorm": "cls/predictions/transform/LayerNorm",
        "predictions": "cls/predictions",
        "sop_classifier.classifier": "cls/seq_relationship",
        "classifier": "",
        "qa_outputs": "cls/squad",
    },
    leaves={
        ("embedding", "weight"): "",
        ("dense", "weight"): "/kernel",
        ("dense", "bias"): "/bias",
        ("kernel", "weight"): "/kernel",
        ("norm", "weight"): "/gamma",
        ("norm", "bias"): "/beta",
        ("bias", "bias"): "/output_bias",
        ("sop_classifier.classifier", "weight"): "/output_weights",
        ("sop_classifier.classifier", "bias"): "/output_bias",
        ("classifier", "weight"): "output_weights",
        ("classifier", "bias"): "output_bias",
        ("qa_outputs", "weight"): "/output_weights",
        ("qa_outputs", "bias"): "/output_bias",
    },
    turned=frozenset({"dense", "kernel"}),
    # Variables of their own and not of a layer, so they are (outputs, inputs).
    unturned=frozenset({"sop_classifier.classifier", "classifier", "qa_outputs"}),
    separator="/",
    prefix="bert/",
    base_prefix="bert/",
    lacks=frozenset({f"{BLOCK}.attention.distance_embedding", "predictions.decoder"}),
    left={
        r"/(adam|lamb)_[mv]$": "a slot of the optimizer",
        r"/AdamWeightDecayOptimizer(_\d+)?$": "a slot of the optimizer",
        r"^global_step$": "the number of steps",
    },
    # Fine-tuned from a module of TensorFlow Hub.
    clean=((r"^module/", ""),),
    no_projection=True,
)
