"""The backward of the heads: one function for each of `reference_heads`.

Each takes what the forward returned and the labels, and gives the gradients of the last
hidden states and of the pooled output, None for what it does not read.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core import losses
from albert_core.gradients_beam import beams
from albert_core.gradients_encoder import Backward
from albert_core.numerics import F64
from albert_core.outputs import ModelOutput

Given = Mapping[str, NDArray[Any]]
Flows = tuple[F64 | None, F64 | None]


def _predict(back: Backward, grad: F64) -> F64:
    """Through the scores of all words to the hidden states."""
    model = back.model
    own = model.config.has_own_decoder
    owner = "predictions.decoder" if own else "embeddings.word_embeddings"
    hidden, table = back.enter("predictions", grad).inputs
    inner = model.dense(hidden, "predictions.dense")
    narrow = model.act(inner)
    normed = model.norm(narrow, "predictions.LayerNorm")

    back.parameters["predictions.bias"] += grad.sum((0, 1))
    back.parameters[f"{owner}.weight"] += np.einsum("bsv,bse->ve", grad, normed)
    grad = back.norm(grad @ table, narrow, "predictions.LayerNorm")
    return back.dense(grad * back.slope(inner), hidden, "predictions.dense")


def _classify(back: Backward, grad: F64, layer: str) -> F64:
    (x,) = back.enter(layer, grad).inputs
    return back.dense(grad, x, layer)


def pretraining(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """Masked words, and the order of the segments."""
    words = losses.cross_entropy_gradient(output.prediction_logits, given["labels"])
    labels = given["sentence_order_label"]
    order = losses.cross_entropy_gradient(output.sop_logits, labels)
    pooled = _classify(back, order, "sop_classifier.classifier")
    return _predict(back, words), pooled


def masked_words(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """Masked words."""
    grad = losses.cross_entropy_gradient(output.logits, given["labels"])
    return _predict(back, grad), None


def sequences(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """A class, classes or values for each sequence."""
    problem = back.model.config.problem_type
    grad = losses.sequence_gradient(output.logits, given["labels"], problem)
    return None, _classify(back, grad, "classifier")


def choices(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """One of the choices of each question."""
    grad = losses.cross_entropy_gradient(output.logits, given["labels"])
    return None, _classify(back, grad.reshape(-1, 1), "classifier")


def tokens(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """A class for each token."""
    grad = losses.cross_entropy_gradient(output.logits, given["labels"])
    return _classify(back, grad, "classifier"), None


def spans(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """Where the answer starts and where it ends."""
    ends = given["start_positions"], given["end_positions"]
    both = losses.span_gradient(output.start_logits, output.end_logits, *ends)
    return _classify(back, np.stack(both, -1), "qa_outputs"), None


def spans_by_beam(back: Backward, output: ModelOutput, given: Given) -> Flows:
    """Where the answer starts, where it ends given that, and whether there is one."""
    return beams(back, output, given), None


Function = Callable[[Backward, ModelOutput, Given], Flows]
SPAN = ("start_positions", "end_positions")
# A key of `schema.HEADS` -> the labels without which it has no loss, and its backward.
HEADS: Mapping[str, tuple[tuple[str, ...], Function]] = {
    "ForPreTraining": (("labels", "sentence_order_label"), pretraining),
    "ForMaskedLM": (("labels",), masked_words),
    "ForSequenceClassification": (("labels",), sequences),
    "ForMultipleChoice": (("labels",), choices),
    "ForTokenClassification": (("labels",), tokens),
    "ForQuestionAnswering": (SPAN, spans),
    "ForQuestionAnsweringBeam": (SPAN, spans_by_beam),
}
