"""The output classes under the names that Hugging Face gave them for JAX."""

from albert_core import outputs

FlaxAlbertForPreTrainingOutput = outputs.AlbertForPreTrainingOutput
FlaxBaseModelOutputWithPooling = outputs.BaseModelOutputWithPooling
FlaxMaskedLMOutput = outputs.MaskedLMOutput
FlaxMultipleChoiceModelOutput = outputs.MultipleChoiceModelOutput
FlaxQuestionAnsweringModelOutput = outputs.QuestionAnsweringModelOutput
FlaxSequenceClassifierOutput = outputs.SequenceClassifierOutput
FlaxTokenClassifierOutput = outputs.TokenClassifierOutput
