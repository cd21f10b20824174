"""The joint head of SQuAD 2 in the reference: start, end given the start, and neither.

Source: google-research/albert `squad_utils.create_v2_model`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from albert_core import losses
from albert_core.numerics import F64, log_softmax

if TYPE_CHECKING:
    from albert_core.reference import Reference

Given = Mapping[str, NDArray[Any]]
Ints = NDArray[np.int64]


def default_p_mask(shape: tuple[int, ...], cls_index: Ints, given: Given) -> F64:
    """Where an answer cannot begin or end, from the other inputs.

    Open are [CLS] and the text: with `token_type_ids` the second segment without its
    last token, which is [SEP], else all that is not padding. For one text of tokens
    [CLS] question [SEP] text [SEP] padding that is the mask of Google's data.
    """
    real = given.get("attention_mask", np.ones(shape, np.int64))
    segments = given.get("token_type_ids")
    mask = np.ones(shape)
    for row in range(shape[0]):
        for place in range(shape[1]):
            if segments is None:
                mask[row, place] = not real[row, place]
            elif place + 1 < shape[1]:
                pair = slice(place, place + 2)
                inside = (segments[row, pair] == 1) & (real[row, pair] != 0)
                mask[row, place] = not inside.all()
        if 0 <= cls_index[row] < shape[1]:
            mask[row, cls_index[row]] = 0
    return mask


def tokens_at(hidden: F64, positions: Ints) -> F64:
    """The tokens at positions [batch, count]; zeros for one outside the text."""
    found = np.zeros((*positions.shape, hidden.shape[-1]))
    for place, position in np.ndenumerate(positions):
        if 0 <= position < hidden.shape[1]:
            found[place] = hidden[place[0], position]
    return found


def cls_and_mask(shape: tuple[int, ...], given: Given) -> tuple[Ints, F64]:
    """Where [CLS] is, and where an answer cannot be, as given or by default."""
    first: Ints = np.zeros(shape[0], np.int64)
    cls_index = given.get("cls_index", first).reshape(-1)
    mask = given.get("p_mask")
    if mask is None:
        mask = default_p_mask(shape, cls_index, given)
    return cls_index, mask


def masked_log_softmax(scores: F64, mask: F64) -> F64:
    """Log-probabilities of the tokens, almost none where the mask is 1."""
    return log_softmax(scores * (1 - mask) - losses.MASKED * mask)


def _top(logs: F64, count: int) -> tuple[F64, Ints]:
    """The largest of the last axis and their places; of equals the first."""
    places = np.argsort(-logs, axis=-1, kind="stable")[..., :count]
    return np.take_along_axis(logs, places, -1), places


def beams(
    model: "Reference", hidden: F64, pooled: F64 | None, batch: Any, given: Given
) -> dict[str, Any]:
    """With labels the loss, without them the best spans; and answerability."""
    rows = len(hidden)
    cls_index, mask = cls_and_mask(hidden.shape[:2], given)
    scores = model.dense(hidden, "start_logits.dense")[..., 0]
    scores = model.record("start_logits", "start_logits", (hidden,), scores)
    start = masked_log_softmax(scores, mask)
    labelled = {"start_positions", "end_positions"} <= given.keys()
    fields: dict[str, Any] = {}
    if labelled:
        starts = given["start_positions"].reshape(-1, 1)
    else:
        fields["start_top_log_probs"], starts = _top(start, model.config.start_n_top)
        fields["start_top_index"] = starts
    end_scores = _end_scores(model, hidden, tokens_at(hidden, starts))
    end = masked_log_softmax(end_scores, mask[:, None])
    if not labelled:
        logs, places = _top(end, model.config.end_n_top)
        fields["end_top_log_probs"] = logs.reshape(rows, -1)
        fields["end_top_index"] = places.reshape(rows, -1)
    weighed = np.einsum("bs,bsh->bh", np.exp(start), hidden)
    cls = tokens_at(hidden, cls_index[:, None])[:, 0]
    fields["cls_logits"] = _answer_class(model, weighed, cls)
    if labelled:
        fields["loss"] = losses.joint_span(
            start,
            end[:, 0],
            fields["cls_logits"],
            given["start_positions"],
            given["end_positions"],
            given.get("is_impossible"),
        )
    return fields


def _end_scores(model: "Reference", hidden: F64, features: F64) -> F64:
    """Scores [batch, starts, seq] of the end, given starts [batch, starts, hidden]."""
    shape = (*features.shape[:2], *hidden.shape[1:])
    tokens = np.broadcast_to(hidden[:, None], shape)
    pairs = np.concatenate([tokens, np.broadcast_to(features[:, :, None], shape)], -1)
    narrow = np.tanh(model.dense(pairs, "end_logits.dense_0"))
    normed = model.norm(narrow, "end_logits.LayerNorm")
    scores = model.dense(normed, "end_logits.dense_1")[..., 0]
    return model.record("end_logits", "end_logits", (hidden, features), scores)


def _answer_class(model: "Reference", weighed: F64, cls: F64) -> F64:
    """Scores [batch] of there being no answer."""
    pair = np.concatenate([weighed, cls], -1)
    narrow = np.tanh(model.dense(pair, "answer_class.dense_0"))
    scores = (narrow @ model.weights["answer_class.dense_1.weight"].T)[:, 0]
    return model.record("answer_class", "answer_class", (weighed, cls), scores)
