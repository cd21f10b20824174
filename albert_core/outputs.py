"""The outputs of the models: Hugging Face's classes, shared by the three backends.

Arrays are those of the framework that made them. Shapes: B batch, S sequence, H hidden,
V vocabulary, N heads, L layers, K inner blocks, C choices.
"""

import inspect
from collections import OrderedDict
from typing import Any, ClassVar

from albert_core.config import AlbertConfig


class ModelOutput(OrderedDict[str, Any]):
    """Named outputs, which can be read by name, as attribute, or by position.

    Fields that are None are left out of the mapping and of the positions.

    Examples:
        >>> output = MaskedLMOutput(logits=1)
        >>> output.logits, output["logits"], output[0], output.loss
        (1, 1, 1, None)
    """

    _names: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        cls._names = (*cls._names, *inspect.get_annotations(cls))

    def __init__(self, *pairs: Any, **fields: Any) -> None:
        super().__init__()
        given = dict(*pairs, **fields)
        unknown = given.keys() - set(self._names)
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no field {', '.join(sorted(unknown))}"
            )
        for name in self._names:
            if given.get(name) is not None:
                self[name] = given[name]

    def __getattr__(self, name: str) -> Any:
        # Reached for every field: the annotations give no class attributes.
        if name in self._names:
            return self.get(name)
        raise AttributeError(f"{type(self).__name__} has no field {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._names:
            self[name] = value
        else:
            super().__setattr__(name, value)

    def __getitem__(self, key: str | int | slice) -> Any:  # pyright: ignore
        if isinstance(key, str):
            return super().__getitem__(key)
        return self.to_tuple()[key]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self._names:
            raise TypeError(f"{type(self).__name__} has no field {name!r}")
        if value is not None:
            super().__setitem__(name, value)
        else:
            self.pop(name, None)

    def to_tuple(self) -> tuple[Any, ...]:
        """The fields that are not None, in order."""
        return tuple(self[name] for name in self._names if name in self)


class BaseModelOutputWithPooling(ModelOutput):
    """Of the model without a head.

    Attributes:
        last_hidden_state: [B, S, H].
        pooler_output: [B, H], absent when the model does not pool.
        hidden_states: L + 1 of [B, S, H]; the first is the projected embedding.
        attentions: L * K of [B, N, S, S].
    """

    last_hidden_state: Any
    pooler_output: Any
    hidden_states: Any
    attentions: Any


class AlbertForPreTrainingOutput(ModelOutput):
    """Of both pretraining heads.

    Attributes:
        loss: Scalar, the sum of the two losses.
        prediction_logits: [B, S, V].
        sop_logits: [B, 2]; class 0 means that the segments are in order.
        hidden_states: See `BaseModelOutputWithPooling`.
        attentions: See `BaseModelOutputWithPooling`.
    """

    loss: Any
    prediction_logits: Any
    sop_logits: Any
    hidden_states: Any
    attentions: Any


class MaskedLMOutput(ModelOutput):
    """Of the masked language model: loss, a scalar, and logits [B, S, V]."""

    loss: Any
    logits: Any
    hidden_states: Any
    attentions: Any


class SequenceClassifierOutput(ModelOutput):
    """Of the sequence classifier: loss, a scalar, and logits [B, num_labels]."""

    loss: Any
    logits: Any
    hidden_states: Any
    attentions: Any


class MultipleChoiceModelOutput(ModelOutput):
    """Of the multiple choice head: loss, a scalar, and logits [B, C].

    `hidden_states` and `attentions` have a batch of B * C.
    """

    loss: Any
    logits: Any
    hidden_states: Any
    attentions: Any


class TokenClassifierOutput(ModelOutput):
    """Of the token classifier: loss, a scalar, and logits [B, S, num_labels]."""

    loss: Any
    logits: Any
    hidden_states: Any
    attentions: Any


class QuestionAnsweringModelOutput(ModelOutput):
    """Of the span head: loss, a scalar, and start and end logits, each [B, S]."""

    loss: Any
    start_logits: Any
    end_logits: Any
    hidden_states: Any
    attentions: Any


class AlbertForQuestionAnsweringBeamOutput(ModelOutput):
    """Of the joint head of SQuAD 2: with labels a loss, without them the best spans.

    N starts, M ends for each of them; the best come first.

    Attributes:
        loss: Scalar.
        start_top_log_probs: [B, N].
        start_top_index: [B, N], token numbers.
        end_top_log_probs: [B, N * M]; entry i * M + j is the end j of the start i, and
            its probability is that given the start.
        end_top_index: [B, N * M], token numbers.
        cls_logits: [B]; above 0 there is more likely no answer.
        hidden_states: See `BaseModelOutputWithPooling`.
        attentions: See `BaseModelOutputWithPooling`.
    """

    loss: Any
    start_top_log_probs: Any
    start_top_index: Any
    end_top_log_probs: Any
    end_top_index: Any
    cls_logits: Any
    hidden_states: Any
    attentions: Any


OUTPUTS: tuple[type[ModelOutput], ...] = (
    BaseModelOutputWithPooling,
    AlbertForPreTrainingOutput,
    MaskedLMOutput,
    SequenceClassifierOutput,
    MultipleChoiceModelOutput,
    TokenClassifierOutput,
    QuestionAnsweringModelOutput,
    AlbertForQuestionAnsweringBeamOutput,
)


def finish(
    output: ModelOutput, return_dict: bool | None, config: AlbertConfig
) -> ModelOutput | tuple[Any, ...]:
    """Give an output in the form that the call, or else the configuration, asks for."""
    named = config.return_dict if return_dict is None else return_dict
    return output if named else output.to_tuple()
