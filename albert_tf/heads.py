"""The six head models; the twins are albert_torch/heads.py and albert_flax/heads.py."""

from typing import Any

from keras.saving import register_keras_serializable

from albert_core.config import AlbertConfig
from albert_core.losses import problem_type
from albert_core.outputs import (
    AlbertForPreTrainingOutput,
    MaskedLMOutput,
    ModelOutput,
    MultipleChoiceModelOutput,
    QuestionAnsweringModelOutput,
    SequenceClassifierOutput,
    TokenClassifierOutput,
    finish,
)
from albert_tf.activations import activation
from albert_tf.layers import TFAlbertModel
from albert_tf.modules import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    table_of,
    vector,
)
from albert_tf.ops import choices_of, flatten_choices, length_of, reshape
from albert_tf.pretrained import TFAlbertPreTrainedModel
from albert_tf.scoring import (
    binary_cross_entropy,
    clip,
    cross_entropy,
    decode,
    is_integer,
    like,
    mean_squared_error,
)
from albert_tf.shapes import Classes, Hidden, Logits, Pooled, Table


def sequence_loss(config: AlbertConfig, logits: Any, labels: Any) -> Any:
    """The loss of a sequence classifier.

    A configuration that names no `problem_type` takes it from the first labels, and
    keeps it.
    """
    if config.problem_type is None:
        config.problem_type = problem_type(config.num_labels, is_integer(labels))
    if config.problem_type == "single_label_classification":
        return cross_entropy(logits, labels)
    if config.problem_type == "regression":
        return mean_squared_error(logits, like(labels, logits))
    return binary_cross_entropy(logits, like(labels, logits))


def span_loss(start: Any, end: Any, starts: Any, ends: Any) -> Any:
    """Mean of the losses of both ends; positions outside the text count for nothing."""
    length = length_of(start)
    first = cross_entropy(start, clip(starts, length), length)
    last = cross_entropy(end, clip(ends, length), length)
    return (first + last) / 2


class AlbertMLMHead(Module):
    """Scores of the vocabulary: norm(act(W h)) times the word embeddings, plus bias.

    Source: google-research/albert `get_masked_lm_output`.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.vocab_size = config.vocab_size
        self.dense = Linear(config.hidden_size, config.embedding_size)
        self.activation = activation(config.hidden_act)
        self.LayerNorm = LayerNorm(config.embedding_size, config.layer_norm_eps)
        if config.has_own_decoder:
            self.decoder = Embedding(config.vocab_size, config.embedding_size)

    def build(self, input_shape: Any = None) -> None:
        """Make the bias, which stands alone, and build the layers."""
        self.bias = vector(self, self.vocab_size)
        super().build(input_shape)

    def call(self, hidden_states: Hidden, table: Table) -> Logits:
        """Score every token against a table of embeddings."""
        narrow = self.LayerNorm(self.activation(self.dense(hidden_states)))
        return decode(narrow, table, self.bias)


class AlbertSOPHead(Module):
    """Whether two segments are in order (class 0) or swapped (class 1).

    Source: Lan et al. 2020 §3.1; google-research/albert `get_sentence_order_output`.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        self.dropout = Dropout(config.classifier_dropout)
        self.classifier = Linear(config.hidden_size, 2)

    def call(self, pooled_output: Pooled) -> Classes:
        """Score both orders."""
        return self.classifier(self.dropout(pooled_output))


class TFAlbertForPreTraining(TFAlbertPreTrainedModel):
    """Both pretraining heads: masked language model and sentence order."""

    head = "ForPreTraining"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config)
        self.predictions = AlbertMLMHead(config)
        self.sop_classifier = AlbertSOPHead(config)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        sentence_order_label: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; the loss is the sum of both, if both kinds of label are given.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            labels: [batch, seq] token ids; -100 counts for nothing.
            sentence_order_label: [batch] 0 for in order, 1 for swapped.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
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
        table = table_of(self.get_output_embeddings())
        prediction_logits = self.predictions(outputs.last_hidden_state, table)
        sop_logits = self.sop_classifier(outputs.pooler_output)
        loss = None
        if labels is not None and sentence_order_label is not None:
            loss = cross_entropy(prediction_logits, labels)
            loss = loss + cross_entropy(sop_logits, sentence_order_label)
        result = AlbertForPreTrainingOutput(
            loss=loss,
            prediction_logits=prediction_logits,
            sop_logits=sop_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


class TFAlbertForMaskedLM(TFAlbertPreTrainedModel):
    """The masked language model."""

    head = "ForMaskedLM"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config, add_pooling_layer=False)
        self.predictions = AlbertMLMHead(config)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with labels there is a loss.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            labels: [batch, seq] token ids; -100 counts for nothing.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
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
        table = table_of(self.get_output_embeddings())
        logits = self.predictions(outputs.last_hidden_state, table)
        loss = None
        if labels is not None:
            loss = cross_entropy(logits, labels)
        result = MaskedLMOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


class TFAlbertForSequenceClassification(TFAlbertPreTrainedModel):
    """A classifier, or a regression, of whole texts, on the pooled output."""

    head = "ForSequenceClassification"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config)
        self.dropout = Dropout(config.classifier_dropout)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with labels there is a loss.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            labels: [batch] class numbers, or [batch, num_labels] numbers or flags.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
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
        logits = self.classifier(self.dropout(outputs.pooler_output))
        loss = None
        if labels is not None:
            loss = sequence_loss(self.config, logits, labels)
        result = SequenceClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


class TFAlbertForMultipleChoice(TFAlbertPreTrainedModel):
    """A choice between texts; all inputs are [batch, choices, seq]."""

    head = "ForMultipleChoice"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config)
        self.dropout = Dropout(config.classifier_dropout)
        self.classifier = Linear(config.hidden_size, 1)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with labels there is a loss.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            labels: [batch] the number of the right choice.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
        """
        choices = choices_of(input_ids, inputs_embeds)
        outputs = self.albert(
            input_ids=flatten_choices(input_ids),
            attention_mask=flatten_choices(attention_mask),
            token_type_ids=flatten_choices(token_type_ids),
            position_ids=flatten_choices(position_ids),
            head_mask=head_mask,
            inputs_embeds=flatten_choices(inputs_embeds),
            output_attentions=output_attentions,
            output_hidden_states=output_hidden_states,
            return_dict=True,
        )
        scores = self.classifier(self.dropout(outputs.pooler_output))
        logits = reshape(scores, (-1, choices))
        loss = None
        if labels is not None:
            loss = cross_entropy(logits, labels)
        result = MultipleChoiceModelOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


class TFAlbertForTokenClassification(TFAlbertPreTrainedModel):
    """A classifier of every token."""

    head = "ForTokenClassification"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config, add_pooling_layer=False)
        self.dropout = Dropout(config.classifier_dropout)
        self.classifier = Linear(config.hidden_size, config.num_labels)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        labels: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with labels there is a loss.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            labels: [batch, seq] class numbers; -100 counts for nothing.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
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
        logits = self.classifier(self.dropout(outputs.last_hidden_state))
        loss = None
        if labels is not None:
            loss = cross_entropy(logits, labels)
        result = TokenClassifierOutput(
            loss=loss,
            logits=logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


class TFAlbertForQuestionAnswering(TFAlbertPreTrainedModel):
    """The span of text that answers a question: where it starts and ends."""

    head = "ForQuestionAnswering"

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__(config)
        self.albert = TFAlbertModel(config, add_pooling_layer=False)
        self.qa_outputs = Linear(config.hidden_size, 2)
        self.post_init()

    def call(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        start_positions: Any = None,
        end_positions: Any = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        training: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the model; with labels there is a loss.

        Args:
            input_ids: See `TFAlbertModel`, as all that is not named here.
            attention_mask: See there.
            token_type_ids: See there.
            position_ids: See there.
            head_mask: See there.
            inputs_embeds: See there.
            start_positions: [batch] token numbers; outside the text count for nothing.
            end_positions: The same.
            output_attentions: See there.
            output_hidden_states: See there.
            return_dict: See there.
            training: See there.
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
        logits = self.qa_outputs(outputs.last_hidden_state)
        start_logits, end_logits = logits[..., 0], logits[..., 1]
        loss = None
        if start_positions is not None and end_positions is not None:
            loss = span_loss(start_logits, end_logits, start_positions, end_positions)
        result = QuestionAnsweringModelOutput(
            loss=loss,
            start_logits=start_logits,
            end_logits=end_logits,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
        return finish(result, return_dict, self.config)


for _model in (
    TFAlbertModel,
    TFAlbertForPreTraining,
    TFAlbertForMaskedLM,
    TFAlbertForSequenceClassification,
    TFAlbertForMultipleChoice,
    TFAlbertForTokenClassification,
    TFAlbertForQuestionAnswering,
):
    register_keras_serializable("albert_zoo")(_model)
