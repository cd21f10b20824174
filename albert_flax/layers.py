"""The encoder; its twins are albert_torch/layers.py and albert_tf/layers.py."""

from albert_core.config import AlbertConfig
from albert_core.outputs import BaseModelOutputWithPooling, ModelOutput, finish
from albert_flax.activations import activation
from albert_flax.modules import (
    Dropout,
    Embedding,
    LayerNorm,
    Linear,
    Module,
    Modules,
    each,
)
from albert_flax.ops import (
    attend,
    check_inputs,
    einsum,
    mask_to_bias,
    merge_heads,
    pick_heads,
    positions_for,
    repeat,
    split_heads,
    spread_head_mask,
    steps_for,
    tanh,
    zeros_for,
)
from albert_flax.pretrained import AlbertPreTrainedModule
from albert_flax.shapes import (
    Bias,
    Embedded,
    HeadMask,
    HeadMasks,
    Heads,
    Hidden,
    Mask,
    Pooled,
    Tokens,
    Weights,
)


class AlbertEmbeddings(Module):
    """Sum of word, segment and position embeddings, normed: norm(w + s + p).

    With relative positions the position table is kept but not used.

    Source: Lan et al. 2020 §3.1; google-research/albert `embedding_postprocessor`.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        width = config.embedding_size
        self.config = config
        self.word_embeddings = Embedding(config.vocab_size, width, config.pad_token_id)
        self.position_embeddings = Embedding(config.max_position_embeddings, width)
        self.token_type_embeddings = Embedding(config.type_vocab_size, width)
        self.LayerNorm = LayerNorm(width, config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def __call__(
        self,
        input_ids: Tokens | None = None,
        token_type_ids: Tokens | None = None,
        position_ids: Tokens | None = None,
        inputs_embeds: Embedded | None = None,
    ) -> Embedded:
        """Look the tokens up; segments default to 0, positions to 0, 1, ..."""
        if inputs_embeds is None:
            inputs_embeds = self.word_embeddings(input_ids)
        if token_type_ids is None:
            token_type_ids = zeros_for(inputs_embeds)
        embeddings = inputs_embeds + self.token_type_embeddings(token_type_ids)
        if not self.config.is_relative:
            if position_ids is None:
                position_ids = positions_for(embeddings)
            embeddings = embeddings + self.position_embeddings(position_ids)
        return self.dropout(self.LayerNorm(embeddings))


class AlbertAttention(Module):
    """Multi-head self-attention with residual and norm: norm(x + W attend(x)).

    Source: Vaswani et al. 2017 §3.2; google-research/albert `attention_ffn_block`.
    Relative positions: Shaw et al. 2018, and Huang et al. 2020, method 4; the scores
    are added after the scaling, as transformers 4.57 does.
    """

    def __init__(self, config: AlbertConfig, group: int = 0, inner: int = 0) -> None:
        super().__init__()
        self.config = config
        self.heads = config.kept_heads(group, inner)
        width = len(self.heads) * config.head_size
        self.query = Linear(config.hidden_size, width)
        self.key = Linear(config.hidden_size, width)
        self.value = Linear(config.hidden_size, width)
        if config.is_relative:
            self.distance_embedding = Embedding(config.num_distances, config.head_size)
        self.attention_dropout = Dropout(config.attention_probs_dropout_prob)
        self.dense = Linear(width, config.hidden_size)
        self.output_dropout = Dropout(config.hidden_dropout_prob)
        self.LayerNorm = LayerNorm(config.hidden_size, config.layer_norm_eps)

    def relative_scores(self, query: Heads, key: Heads) -> Weights:
        """How much each pair of positions attends for its distance alone."""
        steps = steps_for(query, self.config.max_position_embeddings)
        distances = self.distance_embedding(steps)
        scores = einsum("bqhd,qkd->bhqk", query, distances)
        if self.config.position_embedding_type == "relative_key_query":
            scores = scores + einsum("bkhd,qkd->bhqk", key, distances)
        return scores

    def __call__(
        self,
        hidden_states: Hidden,
        bias: Bias | None = None,
        head_mask: HeadMask | None = None,
        output_attentions: bool = False,
    ) -> tuple[Hidden, Weights | None]:
        """Return the new hidden states, and the probabilities if asked for."""
        query = split_heads(self.query(hidden_states), self.config.head_size)
        key = split_heads(self.key(hidden_states), self.config.head_size)
        value = split_heads(self.value(hidden_states), self.config.head_size)
        relative = None
        if self.config.is_relative:
            relative = self.relative_scores(query, key)
        context, weights = attend(
            query,
            key,
            value,
            bias,
            relative,
            pick_heads(head_mask, self.heads),
            self.attention_dropout,
            output_attentions,
            self.config.attn_implementation,
        )
        attended = self.output_dropout(self.dense(merge_heads(context)))
        return self.LayerNorm(hidden_states + attended), weights


class AlbertLayer(Module):
    """A block: attention, then feed-forward with residual and norm.

    The dropout after the feed-forward is the published one, which transformers creates
    but never applies.

    Source: google-research/albert `attention_ffn_block`.
    """

    def __init__(self, config: AlbertConfig, group: int = 0, inner: int = 0) -> None:
        super().__init__()
        self.attention = AlbertAttention(config, group, inner)
        self.ffn = Linear(config.hidden_size, config.intermediate_size)
        self.activation = activation(config.hidden_act)
        self.ffn_output = Linear(config.intermediate_size, config.hidden_size)
        self.dropout = Dropout(config.hidden_dropout_prob)
        self.full_layer_layer_norm = LayerNorm(
            config.hidden_size, config.layer_norm_eps
        )

    def feed_forward(self, attended: Hidden) -> Hidden:
        """Expand, activate, contract, add, norm."""
        expanded = self.activation(self.ffn(attended))
        contracted = self.dropout(self.ffn_output(expanded))
        return self.full_layer_layer_norm(attended + contracted)

    def __call__(
        self,
        hidden_states: Hidden,
        bias: Bias | None = None,
        head_mask: HeadMask | None = None,
        output_attentions: bool = False,
    ) -> tuple[Hidden, Weights | None]:
        """Return the new hidden states, and the probabilities if asked for."""
        attended, weights = self.attention(
            hidden_states, bias, head_mask, output_attentions
        )
        return self.feed_forward(attended), weights


class AlbertLayerGroup(Module):
    """The blocks that one layer runs in turn, shared by all layers of the group."""

    def __init__(self, config: AlbertConfig, group: int = 0) -> None:
        super().__init__()
        self.albert_layers = Modules(
            [AlbertLayer(config, group, k) for k in range(config.inner_group_num)]
        )

    def __call__(
        self,
        hidden_states: Hidden,
        bias: Bias | None = None,
        head_mask: HeadMask | None = None,
        output_attentions: bool = False,
    ) -> tuple[Hidden, tuple[Weights | None, ...]]:
        """Return the new hidden states, and all blocks' probabilities if asked for."""
        attentions = ()
        for layer in each(self.albert_layers):
            hidden_states, weights = layer(
                hidden_states, bias, head_mask, output_attentions
            )
            attentions = (*attentions, weights)
        return hidden_states, attentions


class AlbertTransformer(Module):
    """The projection to the hidden size, and all layers.

    Source: Lan et al. 2020 §3.1, factorised embedding and cross-layer sharing;
    google-research/albert `transformer_model`. Layer i uses group i * G // L, which the
    original gets wrong by rounding for some numbers of groups.
    """

    def __init__(self, config: AlbertConfig) -> None:
        super().__init__()
        groups = range(config.num_hidden_groups)
        self.config = config
        self.embedding_hidden_mapping_in = Linear(
            config.embedding_size, config.hidden_size
        )
        self.albert_layer_groups = Modules(
            [AlbertLayerGroup(config, g) for g in groups]
        )
        self.gradient_checkpointing = False

    def __call__(
        self,
        embeddings: Embedded,
        bias: Bias | None = None,
        head_mask: HeadMasks | None = None,
        output_attentions: bool = False,
        output_hidden_states: bool = False,
    ) -> tuple[Hidden, tuple[Hidden, ...], tuple[Weights, ...]]:
        """Return the last hidden states, all of them, and all probabilities."""
        hidden_states = self.embedding_hidden_mapping_in(embeddings)
        all_states, all_attentions = (hidden_states,), ()
        for index, group in enumerate(each(self.albert_layer_groups)):
            layers = self.config.layers_of(index)
            hidden_states, states, attentions = repeat(
                group,
                len(layers),
                hidden_states,
                bias,
                None if head_mask is None else head_mask[layers.start : layers.stop],
                output_attentions,
                output_hidden_states,
                self.gradient_checkpointing,
            )
            all_states = (*all_states, *states)
            all_attentions = (*all_attentions, *attentions)
        return hidden_states, all_states, all_attentions


class FlaxAlbertModule(AlbertPreTrainedModule):
    """The encoder without a head, with a pooler unless told otherwise.

    Args:
        config: The configuration.
        add_pooling_layer: Whether to pool: tanh of a dense layer on the first token.

    Examples:
        >>> import jax.numpy as jnp
        >>> config = AlbertConfig(vocab_size=9, embedding_size=4, hidden_size=6,
        ...     num_attention_heads=2, intermediate_size=8, num_hidden_layers=2)
        >>> FlaxAlbertModule(config)(jnp.array([[2, 5, 3]])).last_hidden_state.shape
        (1, 3, 6)
    """

    head = "Model"

    def __init__(self, config: AlbertConfig, add_pooling_layer: bool = True) -> None:
        super().__init__(config)
        self.embeddings = AlbertEmbeddings(config)
        self.encoder = AlbertTransformer(config)
        size = config.hidden_size
        self.pooler = Linear(size, size) if add_pooling_layer else None
        self.post_init()

    def pool(self, hidden_states: Hidden) -> Pooled:
        """What stands for the whole text: tanh of a dense layer on the first token."""
        return tanh(self.pooler(hidden_states[:, 0]))

    def __call__(
        self,
        input_ids: Tokens | None = None,
        attention_mask: Mask | None = None,
        token_type_ids: Tokens | None = None,
        position_ids: Tokens | None = None,
        head_mask: HeadMask | HeadMasks | None = None,
        inputs_embeds: Embedded | None = None,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
    ) -> ModelOutput | tuple:
        """Run the encoder.

        Args:
            input_ids: Token ids.
            attention_mask: 1 for tokens, 0 for padding; all tokens by default.
            token_type_ids: Segment of each token; 0 by default.
            position_ids: Position of each token; 0, 1, ... by default.
            head_mask: 1 to keep a head, 0 to silence it; one row for all layers, or one
                each.
            inputs_embeds: Word embeddings in place of `input_ids`.
            output_attentions: Also return the attention probabilities.
            output_hidden_states: Also return the output of every layer.
            return_dict: Return named outputs (the default), or a tuple of them.

        Raises:
            InputError: Ids outside their table, a sequence that is too long, or not
                exactly one of `input_ids` and `inputs_embeds`.
        """
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        check_inputs(
            self.config, input_ids, token_type_ids, position_ids, inputs_embeds
        )
        embeddings = self.embeddings(
            input_ids, token_type_ids, position_ids, inputs_embeds
        )
        last_hidden_state, hidden_states, attentions = self.encoder(
            embeddings,
            mask_to_bias(attention_mask, embeddings),
            spread_head_mask(head_mask, self.config, embeddings),
            output_attentions,
            output_hidden_states,
        )
        pooler_output = None
        if self.pooler is not None:
            pooler_output = self.pool(last_hidden_state)
        outputs = BaseModelOutputWithPooling(
            last_hidden_state=last_hidden_state,
            pooler_output=pooler_output,
            hidden_states=hidden_states if output_hidden_states else None,
            attentions=attentions if output_attentions else None,
        )
        return finish(outputs, return_dict, self.config)
