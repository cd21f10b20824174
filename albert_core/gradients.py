"""The gradients of `albert_core.reference`, derived by hand in NumPy float64.

The backward is read beside the forward: `gradients_encoder`, `gradients_heads` and
`gradients_beam` hold one function for each one of `reference`, `reference_heads` and
`reference_beam`; the losses and the activations have theirs beside them.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core import schema
from albert_core.errors import InputError
from albert_core.gradients_encoder import Backward
from albert_core.gradients_heads import HEADS
from albert_core.numerics import F64
from albert_core.reference import Reference


@dataclass(frozen=True)
class Gradients:
    """A loss and its gradients.

    Attributes:
        loss: The loss; NaN if every label is ignored, and then all gradients are 0.
        parameters: By canonical name; zeros where the loss does not depend on one.
        stages: Those of the output of every stage, all paths summed, by `Stage.path`.
    """

    loss: float
    parameters: dict[str, F64]
    stages: dict[str, F64]


def gradients(
    reference: Reference, backward: type[Backward] = Backward, /, **inputs: Any
) -> Gradients:
    """Run a reference model forward and backward.

    As in PyTorch the row of padding in the word embeddings learns nothing from being
    looked up; it does learn as a row of the tied decoder.

    Args:
        reference: The model.
        backward: What goes back through it.
        inputs: The arguments of its call, with all labels that its loss needs.

    Raises:
        InputError: The head has no loss, or its labels are not given.
        ConfigError: `hidden_act` is a function, whose derivative is not known.

    Examples:
        >>> from albert_core import AlbertConfig
        >>> from albert_core.initial import initial_value
        >>> config = AlbertConfig(vocab_size=9, embedding_size=4, hidden_size=6,
        ...     num_attention_heads=2, intermediate_size=8, num_hidden_layers=2)
        >>> weights = {p.name: initial_value(p, 0.02, 0)
        ...            for p in schema.parameters(config, "ForMaskedLM")}
        >>> model = Reference(config, weights, "ForMaskedLM")
        >>> found = gradients(model, input_ids=[[2, 5, 3]], labels=[[-100, 7, -100]])
        >>> found.parameters["predictions.bias"].round(1).tolist()
        [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, -0.9, 0.1]
    """
    _check_labels(reference.head, inputs)
    output = reference(**inputs)
    back = backward(reference)
    given = {k: np.asarray(v) for k, v in inputs.items() if v is not None}
    _, head = HEADS[reference.head]
    back.encode(*head(back, output, given))
    rows = schema.parameters(reference.config, reference.head, reference.pools)
    named = {p.name: back.parameters[schema.base_name(p.name)] for p in rows}
    return Gradients(float(output.loss), named, back.stages)


def _check_labels(head: str, inputs: dict[str, Any]) -> None:
    if head not in HEADS:
        raise InputError(
            f"The head {head} has no loss, and so no gradients. Build the reference "
            f"with one of {', '.join(HEADS)}."
        )
    needed, _ = HEADS[head]
    missing = [name for name in needed if inputs.get(name) is None]
    if missing:
        raise InputError(
            f"The loss of the head {head} needs {' and '.join(needed)}; this call "
            f"lacks {' and '.join(missing)}. Give all of them."
        )
