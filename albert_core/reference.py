"""ALBERT in NumPy float64, forward: the oracle that the backends are judged by.

It favours being plain over being fast: one formula a line, nothing shared with the
backends. It records what goes into every stage and what comes out, one record for each
call (layers share weights, so a layer of the model is many calls).

Sources: Lan et al. 2020; google-research/albert `modeling.py`; transformers 4.57
`modeling_albert.py` for heads, relative positions and head masks.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albert_core import inputs, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError
from albert_core.numerics import ACTIVATIONS, F64, mask_to_bias, softmax
from albert_core.outputs import ModelOutput
from albert_core.reference_heads import HEADS

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """One call inside a forward pass.

    Attributes:
        path: The call, such as "layer.3.inner.0.attention".
        module: The module that runs, in the model without prefix; "" for the base.
        inputs: What went in.
        output: What came out.
    """

    path: str
    module: str
    inputs: tuple[Any, ...]
    output: F64


class Reference:
    """A whole model with one head.

    Args:
        config: The configuration.
        weights: Canonical names and layout, with or without the "albert." prefix.
        head: A key of `schema.HEADS`.
        pools: Whether it pools; None for what the head does by itself.

    Examples:
        >>> from albert_core.initial import initial_value
        >>> config = AlbertConfig(vocab_size=9, embedding_size=4, hidden_size=6,
        ...     num_attention_heads=2, intermediate_size=8, num_hidden_layers=2)
        >>> weights = {p.name: initial_value(p, 0.02, 0)
        ...            for p in schema.parameters(config)}
        >>> Reference(config, weights)([[2, 5, 3]]).last_hidden_state.shape
        (1, 3, 6)
    """

    def __init__(
        self,
        config: AlbertConfig,
        weights: Mapping[str, NDArray[Any]],
        head: str = schema.BASE,
        pools: bool | None = None,
    ) -> None:
        self.config = config
        self.head = head
        self.pools = schema.HEADS[head].pools if pools is None else pools
        self.stages: list[Stage] = []
        act: Any = config.hidden_act
        named = isinstance(act, str)
        self.act: Callable[[F64], F64] = ACTIVATIONS[act] if named else act
        given = {schema.base_name(name): name for name in weights}
        self.weights: dict[str, F64] = {}
        for p in schema.parameters(config, head, self.pools):
            name = schema.base_name(p.name)
            self.weights[name] = np.asarray(weights[given[name]], np.float64)
            if self.weights[name].shape != p.shape:
                raise CheckpointError(
                    f"{name} has shape {self.weights[name].shape}, but the "
                    f"configuration makes it {p.shape}. Give the model's own."
                )

    def __call__(
        self,
        input_ids: ArrayLike | None = None,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
        position_ids: ArrayLike | None = None,
        head_mask: ArrayLike | None = None,
        inputs_embeds: ArrayLike | None = None,
        labels: ArrayLike | None = None,
        sentence_order_label: ArrayLike | None = None,
        start_positions: ArrayLike | None = None,
        end_positions: ArrayLike | None = None,
        is_impossible: ArrayLike | None = None,
        cls_index: ArrayLike | None = None,
        p_mask: ArrayLike | None = None,
    ) -> ModelOutput:
        """Run the model, without dropout, with all that it can return.

        Args:
            input_ids: [batch, seq]; for multiple choice [batch, choices, seq].
            attention_mask: 1 for tokens, 0 for padding, of the same shape.
            token_type_ids: Segments, of the same shape.
            position_ids: Positions, of the same shape or [1, seq].
            head_mask: [heads] or [layers, heads], 1 to keep a head.
            inputs_embeds: Word embeddings in place of `input_ids`, with a last axis of
                width `embedding_size`.
            labels: What most heads learn.
            sentence_order_label: What `ForPreTraining` learns besides.
            start_positions: What both heads for question answering learn.
            end_positions: The same.
            is_impossible: What `ForQuestionAnsweringBeam` learns besides.
            cls_index: Where its [CLS] is.
            p_mask: Where its answers cannot begin or end.

        Raises:
            InputError: The inputs do not fit the model.
        """
        self.stages = []
        inputs.check_one_given(input_ids, inputs_embeds)
        ids, mask, segments, positions = (
            None if x is None else np.asarray(x)
            for x in (input_ids, attention_mask, token_type_ids, position_ids)
        )
        words = self._words(ids, inputs_embeds)
        batch, length, width = words.shape[:-2], words.shape[-2], words.shape[-1]
        inputs.check_length(self.config, length)
        inputs.check_width(self.config, width)
        words = words.reshape(-1, length, width)
        ids, mask, segments, positions = (
            None if x is None else x.reshape(-1, length)
            for x in (ids, mask, segments, positions)
        )
        embedded = self._embed(ids, words, segments, positions)
        bias = None if mask is None else mask_to_bias(mask)
        hidden, states, attentions = self._encode(embedded, bias, head_mask)
        pooled = None
        if self.pools:
            pooled = self.pool(hidden)
            self.record("pooler", "", (hidden,), pooled)
        targets = {
            "labels": labels,
            "sentence_order_label": sentence_order_label,
            "start_positions": start_positions,
            "end_positions": end_positions,
            "is_impossible": is_impossible,
            "cls_index": cls_index,
            "p_mask": p_mask,
            "attention_mask": mask,
            "token_type_ids": segments,
        }
        known = {k: np.asarray(v) for k, v in targets.items() if v is not None}
        kind, compute = HEADS[self.head]
        fields = compute(self, hidden, pooled, batch, known)
        return kind(**fields, hidden_states=states, attentions=attentions)

    def record(self, path: str, module: str, inputs: tuple[Any, ...], out: F64) -> F64:
        """Keep what a call got and gave, and pass on what it gave."""
        self.stages.append(Stage(path, module, inputs, out))
        return out

    def dense(self, x: F64, layer: str) -> F64:
        """Apply a dense layer."""
        kernel = self.weights[f"{layer}.weight"]
        return x @ kernel.T + self.weights[f"{layer}.bias"]

    def norm(self, x: F64, layer: str) -> F64:
        """Apply a layer norm over the last axis."""
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        scaled = centred / np.sqrt(variance + self.config.layer_norm_eps)
        return scaled * self.weights[f"{layer}.weight"] + self.weights[f"{layer}.bias"]

    def pool(self, hidden: F64) -> F64:
        """What stands for the whole text."""
        return np.tanh(self.dense(hidden[:, 0], "pooler"))

    def _words(self, ids: Ints | None, embeds: ArrayLike | None) -> F64:
        if ids is None:
            return np.asarray(embeds, np.float64)
        self._check_range("input_ids", ids)
        return self.weights["embeddings.word_embeddings.weight"][ids]

    def _check_range(self, name: str, ids: Ints) -> None:
        inputs.check_range(self.config, name, int(ids.min()), int(ids.max()))

    def _embed(
        self,
        ids: Ints | None,
        words: F64,
        segments: Ints | None,
        positions: Ints | None,
    ) -> F64:
        batch, length = words.shape[:2]
        embeds = words if ids is None else None
        if segments is None:
            segments = np.zeros((batch, length), np.int64)
        if positions is None:
            positions = np.arange(length, dtype=np.int64)[None]
        self._check_range("token_type_ids", segments)
        self._check_range("position_ids", positions)
        total = self.sum_embeddings(words, segments, positions)
        normed = self.norm(total, "embeddings.LayerNorm")
        stage_inputs = (ids, segments, positions, embeds)
        return self.record("embeddings", "embeddings", stage_inputs, normed)

    def sum_embeddings(self, words: F64, segments: Ints, positions: Ints) -> F64:
        """Add those of segments and, unless relative, of positions to the words'."""
        table = self.weights["embeddings.token_type_embeddings.weight"]
        total = words + table[segments]
        if not self.config.is_relative:
            table = self.weights["embeddings.position_embeddings.weight"]
            total = total + table[positions]
        return total

    def _encode(
        self, embedded: F64, bias: F64 | None, head_mask: ArrayLike | None
    ) -> tuple[F64, tuple[F64, ...], tuple[F64, ...]]:
        config = self.config
        module = "encoder.embedding_hidden_mapping_in"
        hidden = self.dense(embedded, module)
        self.record("projection", module, (embedded,), hidden)
        masks = None
        if head_mask is not None:
            shape = (config.num_hidden_layers, config.num_attention_heads)
            masks = np.broadcast_to(np.asarray(head_mask, np.float64), shape)
        states, attentions = [hidden], list[F64]()
        for layer in range(config.num_hidden_layers):
            group = config.group_of(layer)
            for inner in range(config.inner_group_num):
                path = f"layer.{layer}.inner.{inner}"
                block = schema.BLOCK.format(group=group, inner=inner)
                kept = list(config.kept_heads(group, inner))
                row = None if masks is None else masks[layer, kept]
                attended, weights = self._attend(hidden, bias, row, block, path)
                hidden = self._feed_forward(attended, block, path)
                attentions.append(weights)
            states.append(hidden)
        return hidden, tuple(states), tuple(attentions)

    def _attend(
        self, hidden: F64, bias: F64 | None, row: F64 | None, block: str, path: str
    ) -> tuple[F64, F64]:
        module = f"{block}.attention"
        query = self.heads(hidden, f"{module}.query")
        key = self.heads(hidden, f"{module}.key")
        value = self.heads(hidden, f"{module}.value")
        weights = softmax(self.scores(query, key, bias, module))
        if row is not None:
            weights = weights * row[:, None, None]
        context = np.einsum("bhqk,bkhd->bqhd", weights, value)
        merged = context.reshape(*context.shape[:2], -1)
        out = hidden + self.dense(merged, f"{module}.dense")
        out = self.norm(out, f"{module}.LayerNorm")
        return self.record(
            f"{path}.attention", module, (hidden, bias, row), out
        ), weights

    def heads(self, hidden: F64, layer: str) -> F64:
        """Project to the heads: [batch, seq, heads, width of a head]."""
        projected = self.dense(hidden, layer)
        return projected.reshape(*hidden.shape[:2], -1, self.config.head_size)

    def scores(self, query: F64, key: F64, bias: F64 | None, module: str) -> F64:
        """How much each token attends to each, before the softmax."""
        width = self.config.head_size
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(width)
        if self.config.is_relative:
            scores = scores + self._relative(query, key, module)
        return scores if bias is None else scores + bias

    def steps(self, length: int) -> Ints:
        """The row of the distance table for every pair of positions."""
        places = np.arange(length, dtype=np.int64)
        return places[:, None] - places[None] + self.config.max_position_embeddings - 1

    def _relative(self, query: F64, key: F64, module: str) -> F64:
        """The position scores of Shaw et al. 2018 and Huang et al. 2020."""
        table = self.weights[f"{module}.distance_embedding.weight"]
        distances = table[self.steps(query.shape[1])]
        scores = np.einsum("bqhd,qkd->bhqk", query, distances)
        if self.config.position_embedding_type == "relative_key_query":
            scores = scores + np.einsum("bkhd,qkd->bhqk", key, distances)
        return scores

    def _feed_forward(self, attended: F64, block: str, path: str) -> F64:
        expanded = self.act(self.dense(attended, f"{block}.ffn"))
        out = attended + self.dense(expanded, f"{block}.ffn_output")
        out = self.norm(out, f"{block}.full_layer_layer_norm")
        return self.record(f"{path}.feed_forward", block, (attended,), out)
