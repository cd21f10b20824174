"""The joint head of SQuAD 2; its twins are in albert_torch and albert_tf.

Source: google-research/albert `squad_utils.create_v2_model` and, for the loss,
`v2_model_fn_builder`; names and arguments are those of Hugging Face's
`XLNetForQuestionAnswering`.
"""

from typing import Any

from albert_core.config import AlbertConfig
from albert_core.outputs import (
    AlbertForQuestionAnsweringBeamOutput,
    ModelOutput,
    finish,
)
from albert_flax.layers import FlaxAlbertModule
from albert_flax.modules import Dropout, LayerNorm, Linear, Module
from albert_flax.ops import exp, length_of, reshape, tanh, zeros_for
from albert_flax.pretrained import AlbertPreTrainedModule
from albert_flax.scoring import (
    beside,
    binary_cross_entropy,
    default_p_mask,
    flatten_beams,
    is_at,
    like,
    masked_log_softmax,
    mix,
    position_loss,
    top,
)
from albert_flax.shapes import EndScores, Hidden, Pooled, Score, Starts, StartScores


def joint_loss(
    start: Any, end: Any, cls_logits: Any, starts: Any, ends: Any, impossible: Any
) -> Any:
    """Mean of the losses of both ends, and half of that of answerability."""
    loss = (position_loss(start, starts) + position_loss(end, ends)) / 2
    if impossible is not None:
        wrong = binary_cross_entropy(cls_logits, like(impossible, cls_logits))
        loss = loss + wrong / 2
    return loss


class AlbertStartLogits(Module):
    """Scores of every token as the start of the answer."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense = Linear(config.hidden_size, 1)

    def __call__(self, hidden_states: Hidden) -> StartScores:
        """Score every token."""
        return self.dense(hidden_states)[..., 0]


class AlbertEndLogits(Module):
    """Scores of every token as the end, given a start: dense(norm(tanh(dense)))."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = Linear(config.pair_size, config.hidden_size)
        self.LayerNorm = LayerNorm(config.hidden_size, config.layer_norm_eps)
        self.dense_1 = Linear(config.hidden_size, 1)

    def __call__(self, hidden_states: Hidden, start_states: Starts) -> EndScores:
        """Score every token beside each of the starts."""
        pairs = beside(hidden_states[:, None], start_states[:, :, None])
        narrow = self.LayerNorm(tanh(self.dense_0(pairs)))
        return self.dense_1(narrow)[..., 0]


class AlbertAnswerClass(Module):
    """Whether there is no answer, from the expected start and [CLS]."""

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dense_0 = Linear(config.pair_size, config.hidden_size)
        self.dropout = Dropout(config.classifier_dropout)
        self.dense_1 = Linear(config.hidden_size, 1, bias=False)

    def __call__(self, start_state: Pooled, cls_state: Pooled) -> Score:
        """Score each text; above 0 there is more likely no answer."""
        narrow = tanh(self.dense_0(beside(start_state, cls_state)))
        return self.dense_1(self.dropout(narrow))[..., 0]


class FlaxAlbertForQuestionAnsweringBeamModule(AlbertPreTrainedModule):
    """The span that answers a question, by beam search, and whether there is one.

    As in the original, and unlike Hugging Face's classes for XLNet and XLM, the
    probabilities are logarithms, the ends of a start stand together, answerability
    reads the expected start in training too, and `is_impossible` needs no `cls_index`.
    """

    head = "ForQuestionAnsweringBeam"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = FlaxAlbertModule(config, add_pooling_layer=False)
        self.start_logits = AlbertStartLogits(config)
        self.end_logits = AlbertEndLogits(config)
        self.answer_class = AlbertAnswerClass(config)
        self.post_init()

    def ends_of(self, hidden_states: Any, starts: Any, p_mask: Any) -> Any:
        """Log-probabilities [batch, count, seq] of ends, for starts [batch, count]."""
        start_states = mix(hidden_states, is_at(starts, length_of(hidden_states)))
        end_logits = self.end_logits(hidden_states, start_states)
        return masked_log_softmax(end_logits, p_mask[:, None])

    def search(self, hidden_states: Any, start: Any, p_mask: Any) -> dict[str, Any]:
        """The best starts, and the best ends for each of them."""
        start_top_log_probs, start_top_index = top(start, self.config.start_n_top)
        end = self.ends_of(hidden_states, start_top_index, p_mask)
        end_top_log_probs, end_top_index = top(end, self.config.end_n_top)
        return {
            "start_top_log_probs": start_top_log_probs,
            "start_top_index": start_top_index,
            "end_top_log_probs": flatten_beams(end_top_log_probs),
            "end_top_index": flatten_beams(end_top_index),
        }

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        is_impossible: Any = None,
        cls_index: Any = None,
        p_mask: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with both positions there is a loss, and no search.

        Args:
            input_ids: See `FlaxAlbertModule`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            start_positions: [batch] token numbers; outside the text they add nothing
                to the loss.
            end_positions: The same.
            is_impossible: [batch] 1 where there is no answer; without it the loss is
                that of the positions. Google's data puts both positions at [CLS] then.
            cls_index: [batch] where [CLS] is; 0 by default, as in the original.
            p_mask: [batch, seq] 1 where no answer can begin or end. By default open
                are [CLS] and, with `token_type_ids`, the second segment without its
                last token, which is [SEP]; without them all that is not padding.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
        """
        outputs = self.albert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            token_type_ids=token_type_ids,
            position_ids=position_ids,
            head_mask=head_mask,
            inputs_embeds=inputs_embeds,
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        hidden_states = outputs.last_hidden_state
        length = length_of(hidden_states)
        if cls_index is None:
            cls_index = zeros_for(hidden_states)[:, 0]
        cls_index = reshape(cls_index, (-1, 1))
        if p_mask is None:
            p_mask = default_p_mask(
                hidden_states, attention_mask, token_type_ids, cls_index
            )
        start = masked_log_softmax(self.start_logits(hidden_states), p_mask)
        expected = mix(hidden_states, exp(start)[:, None])[:, 0]
        cls_state = mix(hidden_states, is_at(cls_index, length))[:, 0]
        cls_logits = self.answer_class(expected, cls_state)
        if start_positions is None or end_positions is None:
            found = self.search(hidden_states, start, p_mask)
        else:
            starts = reshape(start_positions, (-1, 1))
            end = self.ends_of(hidden_states, starts, p_mask)[:, 0]
            positions = start_positions, end_positions
            loss = joint_loss(start, end, cls_logits, *positions, is_impossible)
            found = {"loss": loss}
        result = AlbertForQuestionAnsweringBeamOutput(
            **found,
            cls_logits=cls_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)
