"""Products in int8, as `dtype="int8"` takes them; the definition, in NumPy.

Every row is divided by its largest number and rounded to whole numbers of -127 to 127:
the rows of a weight once, those of an input, which are tokens, at each call. Sums of
whole numbers are exact, so that neither their order nor the other tokens matter.

Source: Jacob et al. 2018 §2, with a scale for each row and no zero point.
"""

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError
from albert_core.schema import BLOCKS, base_name

NAME = "int8"  # as the number type of a model, though only products have it
LARGEST = 127
STEP = 1 / LARGEST


def is_meant(dtype: Any) -> bool:
    """Whether a number type of any framework, or its name, is int8.

    Examples:
        >>> is_meant("torch.int8"), is_meant(np.int8), is_meant(None)
        (True, True, False)
    """
    name = getattr(dtype, "name", None) or getattr(dtype, "__name__", str(dtype))
    return name.removeprefix("torch.") == NAME


def check_place(place: str) -> None:
    """Refuse a device that is no CPU, by its name in any framework.

    Raises:
        InputError: As said.
    """
    if "cpu" not in place.lower():
        raise InputError(
            f"int8 is for a CPU, and the model is on {place}. Put it on the CPU "
            f"(device_map='cpu', or device='cpu' of pipelines and commands), or give "
            f"another dtype."
        )


def check_sums(product: Callable[[NDArray[Any], NDArray[Any]], Any]) -> None:
    """Refuse a processor whose sums overflow.

    Args:
        product: Of whole numbers [rows, in] and [out, in], in a framework.

    Raises:
        InputError: They do.
    """
    largest = np.full((64, 64), LARGEST, np.int8)
    if not (np.asarray(product(largest, largest)) == 64 * LARGEST**2).all():
        raise InputError(
            "Sums of int8 overflow on this processor, or with the instructions that "
            "the environment allows. Give another dtype."
        )


def no_gradients(way_out: str) -> InputError:
    """What is wrong where gradients are wanted, which rounding does not have.

    Args:
        way_out: What else to do, in a framework.
    """
    return InputError(
        f"int8 only predicts, and has no gradients. Load the model with another dtype"
        f"{way_out}."
    )


def no_weights() -> InputError:
    """What is wrong where the weights are wanted as they were."""
    return InputError(
        "This model has lost its weights to int8, which nothing else reads. Take the "
        "one that it was made of."
    )


def is_product(name: str) -> bool:
    """Whether a parameter, by its canonical name, is taken in int8.

    Examples:
        >>> block = "albert.encoder.albert_layer_groups.0.albert_layers.0"
        >>> is_product(f"{block}.ffn.weight"), is_product(f"{block}.ffn.bias")
        (True, False)
    """
    path, _, leaf = base_name(name).rpartition(".")
    paths = [x.path.format(group="*", inner="*") for x in BLOCKS if x.kind == "dense"]
    return leaf == "weight" and any(fnmatch(path, known) for known in paths)


def quantised(rows: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[Any]]:
    """Round rows [..., width] to whole numbers, and say what these are to be times.

    XLA makes multiplications of divisions by constants and by scales; this does so too,
    and so all frameworks round alike.

    Returns:
        Whole numbers of the same shape, and scales [..., 1]; that of zeros is 1.

    Examples:
        >>> quantised(np.array([[0.5, -1.27], [0.0, 0.0]]))
        (array([[  50, -127],
               [   0,    0]], dtype=int8), array([[0.01],
               [1.  ]]))
    """
    steps: NDArray[Any] = np.abs(rows).max(-1, keepdims=True) * STEP
    scales = np.where(steps == 0, np.ones_like(steps), steps)
    return np.rint(rows * (1 / scales)).astype(np.int8), scales


def dense(
    x: NDArray[Any], weight: NDArray[Any], bias: NDArray[Any]
) -> NDArray[np.float64]:
    """A dense layer: x [..., in], a weight [out, in], a bias [out]."""
    values, scales = quantised(x)
    columns, heights = quantised(weight)
    sums = (values.astype(np.int64) @ columns.astype(np.int64).T).astype(np.float64)
    return sums * scales * heights[:, 0] + bias
