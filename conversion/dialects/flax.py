"""Our own Flax classes: the tree of `model.params`, its keys joined by dots."""

from albert_core import spelling
from conversion.dialects.dialect import Dialect

OWN_FLAX = Dialect(
    title="albert-zoo's Flax classes",
    leaves={key: f".{leaf}" for key, leaf in spelling.FLAX.leaves.items()}
    | {("predictions.decoder", "weight"): ".kernel"},
    turned=spelling.FLAX.turned | spelling.FLAX.kinds.keys(),
    clean=((r"^params\.", ""),),  # of a tree of several collections
)
