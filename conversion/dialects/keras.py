"""Our own Keras classes: the variables that Keras 3.15 writes for them.

Keras walks through a model's attributes in alphabetical order, `layers` among them, and
names what it meets there first by its class: so the pooler of `TFAlbertModel` is
`layers/linear`. Of several layers of a class the second is `linear_1`, and a layer's
variables have numbers. `to_file` and `from_file` change between these names and those
of the table, where every block has its number, and a head is not mistaken for a pooler.
"""

import re
from collections.abc import Iterable

from albert_core.schema import BEAM, BLOCK
from conversion.dialects.dialect import Dialect

_BLOCK = "encoder/albert_layer_groups/group.{group}/albert_layers/layer.{inner}"
_PARTS = (
    *("attention.query", "attention.key", "attention.value", "attention.dense"),
    *("attention.LayerNorm", "attention.distance_embedding"),
    *("ffn", "ffn_output", "full_layer_layer_norm"),
)
# Theirs -> ours, for what is in a list.
_LISTS = {"albert_layer_group": "group", "albert_layer": "layer"}

KERAS = Dialect(
    title="albert-zoo's Keras classes",
    layers={f"{BLOCK}.{part}": f"{_BLOCK}/{part.replace('.', '/')}" for part in _PARTS}
    | {
        "pooler": "layers/linear",
        "predictions": "head/layers/albert_mlm_head",
        "predictions.dense": "head/layers/albert_mlm_head/dense",
        "predictions.LayerNorm": "head/layers/albert_mlm_head/LayerNorm",
        "predictions.decoder": "head/layers/albert_mlm_head/decoder",
        "sop_classifier.classifier": "head/layers/albert_sop_head/classifier",
        "classifier": "head/classifier",
        "qa_outputs": "head/layers/linear",
    }
    | {layer.path: f"head/{layer.path.replace('.', '/')}" for layer in BEAM}
    | {"start_logits.dense": "head/layers/albert_start_logits/dense"},
    leaves={
        ("embedding", "weight"): "/vars/0",
        ("dense", "weight"): "/vars/0",
        ("dense", "bias"): "/vars/1",
        ("kernel", "weight"): "/vars/0",
        ("norm", "weight"): "/vars/0",
        ("norm", "bias"): "/vars/1",
        ("bias", "bias"): "/vars/0",
    },
    turned=frozenset({"dense", "kernel"}),
    separator="/",
    prefix="albert/",
    left={
        r"^optimizer/": "a slot of the optimizer",
        r"^(head/)?(seed_generator|.*dropout)/": "the state of a random generator",
    },
)


def from_file(names: Iterable[str]) -> dict[str, str]:
    """The table's name of every name in a file."""
    names = list(names)
    has_head = any(name.startswith("albert/") for name in names)
    found: dict[str, str] = {}
    for name in names:
        ours = name
        for theirs, word in _LISTS.items():
            ours = re.sub(rf"/{theirs}/", f"/{word}.0/", ours)
            ours = re.sub(rf"/{theirs}_([1-9]\d*)/", rf"/{word}.\1/", ours)
        if has_head and not ours.startswith(("albert/", "optimizer/")):
            ours = f"head/{ours}"
        found[name] = ours
    return found


def to_file(name: str) -> str:
    """The name in a file of a name of the table."""
    name = name.removeprefix("head/")
    for theirs, word in _LISTS.items():
        name = name.replace(f"/{word}.0/", f"/{theirs}/")
        name = re.sub(rf"/{word}\.(\d+)/", rf"/{theirs}_\1/", name)
    return name
