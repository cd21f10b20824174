"""The output classes under the names that Hugging Face gave them for TensorFlow."""

from collections.abc import Iterable
from typing import Any

import optree

from albert_core import outputs

TFAlbertForPreTrainingOutput = outputs.AlbertForPreTrainingOutput
TFAlbertForQuestionAnsweringBeamOutput = outputs.AlbertForQuestionAnsweringBeamOutput
TFBaseModelOutputWithPooling = outputs.BaseModelOutputWithPooling
TFMaskedLMOutput = outputs.MaskedLMOutput
TFMultipleChoiceModelOutput = outputs.MultipleChoiceModelOutput
TFQuestionAnsweringModelOutput = outputs.QuestionAnsweringModelOutput
TFSequenceClassifierOutput = outputs.SequenceClassifierOutput
TFTokenClassifierOutput = outputs.TokenClassifierOutput


def _register(kind: type[Any]) -> None:
    """Let Keras look through an output, in functional models and in `predict`."""

    def flatten(output: Any) -> tuple[Iterable[Any], Any, Iterable[str]]:
        return tuple(output.values()), tuple(output), tuple(output)

    def rebuild(names: Any, values: Iterable[Any]) -> Any:
        output = kind()
        for name, value in zip(names, values, strict=True):
            output[name] = value
        return output

    optree.register_pytree_node(kind, flatten, rebuild, namespace="keras")


for _kind in outputs.OUTPUTS:
    _register(_kind)
