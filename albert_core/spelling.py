"""How each framework spells the last part of a parameter's name, and its layout.

Everything before the last part is the same in all three: the Hugging Face names.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from albert_core.schema import Parameter


@dataclass(frozen=True)
class Spelling:
    """The leaf names of one framework.

    Attributes:
        leaves: (kind of layer, canonical leaf) -> the framework's leaf; those not named
            are spelled as in the canonical form.
        turned: Kinds of layer whose weight the framework stores as (inputs, outputs).
    """

    leaves: Mapping[tuple[str, str], str]
    turned: frozenset[str] = frozenset()

    def leaf(self, parameter: Parameter) -> str:
        """The attribute of the framework's layer that holds a parameter."""
        return self.leaves.get((parameter.kind, parameter.leaf), parameter.leaf)

    def turn(self, parameter: Parameter, array: NDArray[np.generic]) -> NDArray[np.generic]:
        """Change between canonical layout and the framework's, in either direction."""
        turned = parameter.kind in self.turned and parameter.leaf == "weight"
        return array.T if turned else array

    def shape(self, parameter: Parameter) -> tuple[int, ...]:
        """The shape of a parameter in the framework's layout."""
        turned = parameter.kind in self.turned and parameter.leaf == "weight"
        return parameter.shape[::-1] if turned else parameter.shape


TORCH = Spelling({})
KERAS = Spelling(
    {
        ("embedding", "weight"): "embeddings",
        ("dense", "weight"): "kernel",
        ("norm", "weight"): "gamma",
        ("norm", "bias"): "beta",
    },
    turned=frozenset({"dense"}),
)
FLAX = Spelling(
    {
        ("embedding", "weight"): "embedding",
        ("dense", "weight"): "kernel",
        ("norm", "weight"): "scale",
    },
    turned=frozenset({"dense"}),
)
