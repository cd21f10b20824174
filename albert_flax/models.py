"""The model classes: Hugging Face's calling style around this package's modules."""

from albert_flax import beam, heads, layers
from albert_flax.pretrained import FlaxAlbertPreTrainedModel


class FlaxAlbertModel(FlaxAlbertPreTrainedModel):
    """The encoder without a head, with a pooler unless `add_pooling_layer=False`."""

    module_class = layers.FlaxAlbertModule


class FlaxAlbertForPreTraining(FlaxAlbertPreTrainedModel):
    """Both pretraining heads: masked language model and sentence order."""

    module_class = heads.FlaxAlbertForPreTrainingModule


class FlaxAlbertForMaskedLM(FlaxAlbertPreTrainedModel):
    """The masked language model."""

    module_class = heads.FlaxAlbertForMaskedLMModule


class FlaxAlbertForSequenceClassification(FlaxAlbertPreTrainedModel):
    """A classifier, or a regression, of whole texts."""

    module_class = heads.FlaxAlbertForSequenceClassificationModule


class FlaxAlbertForMultipleChoice(FlaxAlbertPreTrainedModel):
    """A choice between texts; all inputs are [batch, choices, seq]."""

    module_class = heads.FlaxAlbertForMultipleChoiceModule


class FlaxAlbertForTokenClassification(FlaxAlbertPreTrainedModel):
    """A classifier of every token."""

    module_class = heads.FlaxAlbertForTokenClassificationModule


class FlaxAlbertForQuestionAnswering(FlaxAlbertPreTrainedModel):
    """The span of text that answers a question."""

    module_class = heads.FlaxAlbertForQuestionAnsweringModule


class FlaxAlbertForQuestionAnsweringBeam(FlaxAlbertPreTrainedModel):
    """The span that answers a question, by beam search, and whether there is one."""

    module_class = beam.FlaxAlbertForQuestionAnsweringBeamModule
