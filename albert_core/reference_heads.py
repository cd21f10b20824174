"""The heads of the reference model: logits, and the loss where labels are given."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from albert_core import losses, outputs
from albert_core.errors import InputError
from albert_core.numerics import F64
from albert_core.reference_beam import beams

if TYPE_CHECKING:
    from albert_core.reference import Reference

Labels = Mapping[str, NDArray[Any]]
Shape = tuple[int, ...]
Fields = dict[str, Any]


def _predict(model: "Reference", hidden: F64) -> F64:
    """Scores of all words: [batch, seq, vocabulary]."""
    own = model.config.has_own_decoder
    owner = "predictions.decoder" if own else "embeddings.word_embeddings"
    table = model.weights[f"{owner}.weight"]
    narrow = model.act(model.dense(hidden, "predictions.dense"))
    normed = model.norm(narrow, "predictions.LayerNorm")
    logits = normed @ table.T + model.weights["predictions.bias"]
    return model.record("predictions", "predictions", (hidden, table), logits)


def _classify(model: "Reference", x: F64 | None, layer: str) -> F64:
    if x is None:
        raise InputError("This head reads the pooled output; build it with pools=True.")
    return model.record(layer, layer, (x,), model.dense(x, layer))


def base(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """No head."""
    return {"last_hidden_state": hidden, "pooler_output": pooled}


def pretraining(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """Masked words, and the order of the segments."""
    words = _predict(model, hidden)
    order = _classify(model, pooled, "sop_classifier.classifier")
    fields: Fields = {"prediction_logits": words, "sop_logits": order}
    if {"labels", "sentence_order_label"} <= labels.keys():
        first = losses.cross_entropy(words, labels["labels"])
        second = losses.cross_entropy(order, labels["sentence_order_label"])
        fields["loss"] = first + second
    return fields


def masked_words(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """Masked words."""
    return _with_loss(_predict(model, hidden), labels)


def sequences(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """A class, classes or values for each sequence."""
    logits = _classify(model, pooled, "classifier")
    loss = partial(losses.sequence, problem=model.config.problem_type)
    return _with_loss(logits, labels, loss)


def choices(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """One of the choices of each question."""
    return _with_loss(_classify(model, pooled, "classifier").reshape(batch), labels)


def tokens(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """A class for each token."""
    return _with_loss(_classify(model, hidden, "classifier"), labels)


def spans(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Shape, labels: Labels
) -> Fields:
    """Where the answer starts and where it ends."""
    both = _classify(model, hidden, "qa_outputs")
    start, end = both[..., 0], both[..., 1]
    fields: Fields = {"start_logits": start, "end_logits": end}
    if {"start_positions", "end_positions"} <= labels.keys():
        ends = labels["start_positions"], labels["end_positions"]
        fields["loss"] = losses.span(start, end, *ends)
    return fields


def _with_loss(
    logits: F64,
    labels: Labels,
    loss: Callable[[F64, NDArray[Any]], float] = losses.cross_entropy,
) -> Fields:
    fields: Fields = {"logits": logits}
    if "labels" in labels:
        fields["loss"] = loss(logits, labels["labels"])
    return fields


# A key of `schema.HEADS` -> what it returns, and how that is computed.
HEADS: Mapping[str, tuple[type[outputs.ModelOutput], Callable[..., Fields]]] = {
    "Model": (outputs.BaseModelOutputWithPooling, base),
    "ForPreTraining": (outputs.AlbertForPreTrainingOutput, pretraining),
    "ForMaskedLM": (outputs.MaskedLMOutput, masked_words),
    "ForSequenceClassification": (outputs.SequenceClassifierOutput, sequences),
    "ForMultipleChoice": (outputs.MultipleChoiceModelOutput, choices),
    "ForTokenClassification": (outputs.TokenClassifierOutput, tokens),
    "ForQuestionAnswering": (outputs.QuestionAnsweringModelOutput, spans),
    "ForQuestionAnsweringBeam": (outputs.AlbertForQuestionAnsweringBeamOutput, beams),
}
