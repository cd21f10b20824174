"""How each framework spells the last part of a parameter's name, and its layout.

Everything before the last part is the same in all three: the Hugging Face names.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

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
        kinds: Layers that the framework makes of another kind than the schema says.
    """

    leaves: Mapping[tuple[str, str], str]
    turned: frozenset[str] = frozenset()
    kinds: Mapping[str, str] = field(default_factory=dict[str, str])

    def _kind(self, parameter: Parameter) -> str:
        return self.kinds.get(parameter.layer, parameter.kind)

    def _turns(self, parameter: Parameter) -> bool:
        return parameter.leaf == "weight" and self._kind(parameter) in self.turned

    def leaf(self, parameter: Parameter) -> str:
        """The attribute of the framework's layer that holds a parameter."""
        return self.leaves.get((self._kind(parameter), parameter.leaf), parameter.leaf)

    def turn(
        self, parameter: Parameter, array: NDArray[np.generic]
    ) -> NDArray[np.generic]:
        """Change between canonical layout and the framework's, in either direction."""
        return array.T if self._turns(parameter) else array

    def shape(self, parameter: Parameter) -> tuple[int, ...]:
        """The shape of a parameter in the framework's layout."""
        return parameter.shape[::-1] if self._turns(parameter) else parameter.shape


TORCH = Spelling({})
KERAS = Spelling(
    {
        ("embedding", "weight"): "embeddings",
        ("dense", "weight"): "kernel",
        ("kernel", "weight"): "kernel",
        ("norm", "weight"): "gamma",
        ("norm", "bias"): "beta",
    },
    turned=frozenset({"dense", "kernel"}),
)
FLAX = Spelling(
    {
        ("embedding", "weight"): "embedding",
        ("dense", "weight"): "kernel",
        ("kernel", "weight"): "kernel",
        ("norm", "weight"): "scale",
    },
    turned=frozenset({"dense", "kernel"}),
    kinds={"predictions.decoder": "dense"},
)
