"""The output classes under the names that Hugging Face gave them for TensorFlow."""

from albert_core import outputs

TFAlbertForPreTrainingOutput = outputs.AlbertForPreTrainingOutput
TFBaseModelOutputWithPooling = outputs.BaseModelOutputWithPooling
TFMaskedLMOutput = outputs.MaskedLMOutput
TFMultipleChoiceModelOutput = outputs.MultipleChoiceModelOutput
TFQuestionAnsweringModelOutput = outputs.QuestionAnsweringModelOutput
TFSequenceClassifierOutput = outputs.SequenceClassifierOutput
TFTokenClassifierOutput = outputs.TokenClassifierOutput
