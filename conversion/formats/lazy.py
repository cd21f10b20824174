"""An array that stays in its file until it is asked for."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Lazy(Protocol):
    """What a reader gives for an array: what a header says of it, and the way to it.

    `albert_core.safetensors_file.Stored` is one.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the array."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Its number type."""
        ...

    def read(self) -> Array:
        """The array, in memory of its own."""
        ...


def take(array: "Lazy | Array") -> Array:
    """The array itself, whether it is in a file or not."""
    return array if isinstance(array, np.ndarray) else array.read()
