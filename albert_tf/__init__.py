"""ALBERT in TensorFlow (Keras 3), with Hugging Face's names, arguments and outputs."""

from albert_core.config import AlbertConfig
from albert_core.outputs import ModelOutput
from albert_tf.beam import TFAlbertForQuestionAnsweringBeam
from albert_tf.heads import (
    TFAlbertForMaskedLM,
    TFAlbertForMultipleChoice,
    TFAlbertForPreTraining,
    TFAlbertForQuestionAnswering,
    TFAlbertForSequenceClassification,
    TFAlbertForTokenClassification,
)
from albert_tf.layers import TFAlbertModel
from albert_tf.outputs import (
    TFAlbertForPreTrainingOutput,
    TFAlbertForQuestionAnsweringBeamOutput,
    TFBaseModelOutputWithPooling,
    TFMaskedLMOutput,
    TFMultipleChoiceModelOutput,
    TFQuestionAnsweringModelOutput,
    TFSequenceClassifierOutput,
    TFTokenClassifierOutput,
)
from albert_tf.pretrained import TFAlbertPreTrainedModel

__all__ = [
    "AlbertConfig",
    "ModelOutput",
    "TFAlbertForMaskedLM",
    "TFAlbertForMultipleChoice",
    "TFAlbertForPreTraining",
    "TFAlbertForPreTrainingOutput",
    "TFAlbertForQuestionAnswering",
    "TFAlbertForQuestionAnsweringBeam",
    "TFAlbertForQuestionAnsweringBeamOutput",
    "TFAlbertForSequenceClassification",
    "TFAlbertForTokenClassification",
    "TFAlbertModel",
    "TFAlbertPreTrainedModel",
    "TFBaseModelOutputWithPooling",
    "TFMaskedLMOutput",
    "TFMultipleChoiceModelOutput",
    "TFQuestionAnsweringModelOutput",
    "TFSequenceClassifierOutput",
    "TFTokenClassifierOutput",
]
