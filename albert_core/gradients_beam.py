"""The backward of the joint head of SQuAD 2: one function for each of `reference_beam`.

There is none for its search, which gives no loss.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core import losses
from albert_core.gradients_encoder import Backward
from albert_core.numerics import F64, log_softmax_gradient
from albert_core.outputs import ModelOutput
from albert_core.reference_beam import cls_and_mask, masked_log_softmax

Given = Mapping[str, NDArray[Any]]
Ints = NDArray[np.int64]


def _tokens_at(grad: F64, positions: Ints, shape: tuple[int, ...]) -> F64:
    """Put gradients [batch, count, hidden] where the tokens were taken from."""
    spread = np.zeros(shape)
    for place, position in np.ndenumerate(positions):
        if 0 <= position < shape[1]:
            spread[place[0], position] += grad[place]
    return spread


def _masked_log_softmax(grad: F64, logs: F64, mask: F64) -> F64:
    return log_softmax_gradient(grad, logs) * (1 - mask)


def beams(back: Backward, output: ModelOutput, given: Given) -> F64:
    """Through the loss and all three scores to the hidden states."""
    (hidden,) = back.stage("start_logits").inputs
    cls_index, mask = cls_and_mask(hidden.shape[:2], given)
    starts = given["start_positions"].reshape(-1, 1)
    start = masked_log_softmax(back.stage("start_logits").output, mask)
    end = masked_log_softmax(back.stage("end_logits").output, mask[:, None])
    chances = np.exp(start)

    to_start, to_end, to_answer = losses.joint_span_gradient(
        start,
        end[:, 0],
        output.cls_logits,
        given["start_positions"],
        given["end_positions"],
        given.get("is_impossible"),
    )
    to_weighed, to_cls = _answer_class(back, to_answer)
    to_hidden = _tokens_at(to_cls[:, None], cls_index[:, None], hidden.shape)
    to_hidden += chances[..., None] * to_weighed[:, None]
    to_start += chances * np.einsum("bh,bsh->bs", to_weighed, hidden)
    to_scores = _masked_log_softmax(to_end[:, None], end, mask[:, None])
    by_end, to_features = _end_scores(back, to_scores)
    to_hidden += by_end + _tokens_at(to_features, starts, hidden.shape)
    to_scores = _masked_log_softmax(to_start, start, mask)
    back.enter("start_logits", to_scores)
    return to_hidden + back.dense(to_scores[..., None], hidden, "start_logits.dense")


def _end_scores(back: Backward, grad: F64) -> tuple[F64, F64]:
    """From scores [batch, starts, seq] to the tokens and to those at the starts."""
    hidden, features = back.enter("end_logits", grad).inputs
    shape = (*features.shape[:2], *hidden.shape[1:])
    tokens = np.broadcast_to(hidden[:, None], shape)
    pairs = np.concatenate([tokens, np.broadcast_to(features[:, :, None], shape)], -1)
    narrow = np.tanh(back.model.dense(pairs, "end_logits.dense_0"))
    normed = back.model.norm(narrow, "end_logits.LayerNorm")

    grad = back.dense(grad[..., None], normed, "end_logits.dense_1")
    grad = back.norm(grad, narrow, "end_logits.LayerNorm")
    to_pairs = back.dense(grad * (1 - narrow**2), pairs, "end_logits.dense_0")
    to_tokens, to_features = np.split(to_pairs, 2, -1)
    return to_tokens.sum(1), to_features.sum(2)


def _answer_class(back: Backward, grad: F64) -> tuple[F64, F64]:
    """From scores [batch] to the expected start and to [CLS]."""
    weighed, cls = back.enter("answer_class", grad).inputs
    pair = np.concatenate([weighed, cls], -1)
    narrow = np.tanh(back.model.dense(pair, "answer_class.dense_0"))

    back.parameters["answer_class.dense_1.weight"] += grad[None] @ narrow
    to_narrow = grad[:, None] * back.model.weights["answer_class.dense_1.weight"]
    grad = to_narrow * (1 - narrow**2)
    to_weighed, to_cls = np.split(back.dense(grad, pair, "answer_class.dense_0"), 2, -1)
    return to_weighed, to_cls
