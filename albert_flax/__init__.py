"""ALBERT in JAX (Flax NNX), with Hugging Face's names, arguments and outputs."""

from albert_core.config import AlbertConfig
from albert_core.outputs import ModelOutput
from albert_flax.beam import FlaxAlbertForQuestionAnsweringBeamModule
from albert_flax.heads import (
    FlaxAlbertForMaskedLMModule,
    FlaxAlbertForMultipleChoiceModule,
    FlaxAlbertForPreTrainingModule,
    FlaxAlbertForQuestionAnsweringModule,
    FlaxAlbertForSequenceClassificationModule,
    FlaxAlbertForTokenClassificationModule,
)
from albert_flax.layers import FlaxAlbertModule
from albert_flax.models import (
    FlaxAlbertForMaskedLM,
    FlaxAlbertForMultipleChoice,
    FlaxAlbertForPreTraining,
    FlaxAlbertForQuestionAnswering,
    FlaxAlbertForQuestionAnsweringBeam,
    FlaxAlbertForSequenceClassification,
    FlaxAlbertForTokenClassification,
    FlaxAlbertModel,
)
from albert_flax.modules import dropout_keys
from albert_flax.outputs import (
    FlaxAlbertForPreTrainingOutput,
    FlaxAlbertForQuestionAnsweringBeamOutput,
    FlaxBaseModelOutputWithPooling,
    FlaxMaskedLMOutput,
    FlaxMultipleChoiceModelOutput,
    FlaxQuestionAnsweringModelOutput,
    FlaxSequenceClassifierOutput,
    FlaxTokenClassifierOutput,
)
from albert_flax.pretrained import FlaxAlbertPreTrainedModel

__all__ = [
    "AlbertConfig",
    "FlaxAlbertForMaskedLM",
    "FlaxAlbertForMaskedLMModule",
    "FlaxAlbertForMultipleChoice",
    "FlaxAlbertForMultipleChoiceModule",
    "FlaxAlbertForPreTraining",
    "FlaxAlbertForPreTrainingModule",
    "FlaxAlbertForPreTrainingOutput",
    "FlaxAlbertForQuestionAnswering",
    "FlaxAlbertForQuestionAnsweringBeam",
    "FlaxAlbertForQuestionAnsweringBeamModule",
    "FlaxAlbertForQuestionAnsweringBeamOutput",
    "FlaxAlbertForQuestionAnsweringModule",
    "FlaxAlbertForSequenceClassification",
    "FlaxAlbertForSequenceClassificationModule",
    "FlaxAlbertForTokenClassification",
    "FlaxAlbertForTokenClassificationModule",
    "FlaxAlbertModel",
    "FlaxAlbertModule",
    "FlaxAlbertPreTrainedModel",
    "FlaxBaseModelOutputWithPooling",
    "FlaxMaskedLMOutput",
    "FlaxMultipleChoiceModelOutput",
    "FlaxQuestionAnsweringModelOutput",
    "FlaxSequenceClassifierOutput",
    "FlaxTokenClassifierOutput",
    "ModelOutput",
    "dropout_keys",
]
