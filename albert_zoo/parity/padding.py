"""Runs that leave padding out, as predictors do, and what of them can be compared."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.packing import pack

Arrays = Mapping[str, NDArray[Any]]
OF_TOKENS = ("start_logits", "end_logits")  # [batch, seq]; others have an axis more


def without_padding(inputs: Arrays) -> dict[str, Any]:
    """Inputs of a model whose padding is not computed, where it can be left out."""
    given: dict[str, Any] = dict(inputs)
    mask = given.get("attention_mask")
    if mask is not None:
        given["attention_mask"] = pack(mask.reshape(-1, mask.shape[-1]))
    return given


def at_tokens(found: Arrays, expected: Arrays, inputs: Arrays) -> dict[str, Any]:
    """Outputs with the reference's numbers in place of those that mean nothing.

    These are all of padding, and what is made of a place where padding is: the first
    one, that of [CLS], or one that an answer may begin at.

    Args:
        found: A framework's outputs for a batch, among those of the reference.
        expected: The reference's.
        inputs: The batch.
    """
    mask = inputs.get("attention_mask")
    if mask is None:
        return dict(found)
    settled: dict[str, Any] = {}
    for name, array in found.items():
        of_tokens = name in OF_TOKENS or (array.ndim == 3 and mask.ndim == 2)
        known = mask != 0 if of_tokens else _reads_tokens(inputs)
        if array.shape != expected[name].shape:
            settled[name] = array  # which will be judged
            continue
        known = known.reshape(known.shape + (1,) * (array.ndim - known.ndim))
        settled[name] = np.where(known, array, expected[name])
    return settled


def _reads_tokens(inputs: Arrays) -> NDArray[np.bool_]:
    """Whether no place that heads read is padding, for each text."""
    real = inputs["attention_mask"] != 0
    read = real[..., 0]
    if "cls_index" in inputs:
        read = read & np.take_along_axis(real, inputs["cls_index"][:, None], 1)[:, 0]
    if "p_mask" in inputs:
        read = read & ~((inputs["p_mask"] == 0) & ~real).any(-1)
    return read
