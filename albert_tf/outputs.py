"""The output classes under the names that Hugging Face gave them for TensorFlow."""

from collections.abc import Iterable
from typing import Any

import optree

from albert_core import outputs

TFAlbertForPreTrainingOutput = outputs.AlbertForPreTrainingOutput
TFBaseModelOutputWithPooling = outputs.BaseModelOutputWithPooling
TFMaskedLMOutput = outputs.MaskedLMOutput
TFMultipleChoiceModelOutput = outputs.MultipleChoiceModelOutput
TFQuestionAnsweringModelOutput = outputs.QuestionAnsweringModelOutput
TFSequenceClassifierOutput = outputs.SequenceClassifierOutput
TFTokenClassifierOutput = outputs.TokenClassifierOutput


def _rebuild(kind: type[Any], names: Iterable[str], values: Iterable[Any]) -> Any:
    output = kind()
    for name, value in zip(names, values, strict=True):
        output[name] = value
    return output


# Keras looks through outputs, in functional models and in `predict`, if it knows them.
for _kind in outputs.OUTPUTS:
    optree.register_pytree_node(
        _kind,
        lambda output: (tuple(output.values()), tuple(output), tuple(output)),
        lambda names, values, _kind=_kind: _rebuild(_kind, names, values),
        namespace="keras",
    )
