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

from albert_core import losses, outputs, schema
from albert_core.config import AlbertConfig
from albert_core.errors import InputError

F64 = NDArray[np.float64]
_erf: Callable[[F64], F64] = np.vectorize(math.erf, otypes=[np.float64])


def gelu_new(x: F64) -> F64:
    """The tanh form of gelu (Hendrycks and Gimpel 2016), as Google computes it."""
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu(x: F64) -> F64:
    """The exact gelu: x times the normal distribution function."""
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _sigmoid(x: F64) -> F64:
    return 0.5 * (1 + np.tanh(0.5 * x))  # no overflow at either end


ACTIVATIONS: Mapping[str, Callable[[F64], F64]] = {
    "gelu": gelu,
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "quick_gelu": lambda x: x * _sigmoid(1.702 * x),
    "relu": lambda x: np.maximum(x, 0.0),
    "silu": lambda x: x * _sigmoid(x),
    "swish": lambda x: x * _sigmoid(x),
    "tanh": np.tanh,
    "linear": lambda x: x,
}


def softmax(x: F64) -> F64:
    """Softmax over the last axis."""
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


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

    Example:
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
        act = config.hidden_act
        self.act = act if callable(act) else ACTIVATIONS[act]
        wanted = schema.parameters(config, head, self.pools)
        self.weights = {
            schema.base_name(p.name): np.asarray(weights[p.name], np.float64)
            for p in wanted
        }

    def __call__(
        self,
        input_ids: ArrayLike | None = None,
        attention_mask: ArrayLike | None = None,
        token_type_ids: ArrayLike | None = None,
        position_ids: ArrayLike | None = None,
        head_mask: ArrayLike | None = None,
        inputs_embeds: ArrayLike | None = None,
        **labels: ArrayLike,
    ) -> outputs.ModelOutput:
        """Run the model, without dropout, with all that it can return.

        Args:
            input_ids: [batch, seq]; for multiple choice [batch, choices, seq].
            attention_mask: 1 for tokens, 0 for padding, of the same shape.
            token_type_ids: Segments, of the same shape.
            position_ids: Positions, of the same shape or [1, seq].
            head_mask: [heads] or [layers, heads], 1 to keep a head.
            inputs_embeds: Word embeddings in place of `input_ids`, with a last axis of
                width `embedding_size`.
            **labels: `labels`, `sentence_order_label`, `start_positions`,
                `end_positions`, as the head takes them.
        """
        self.stages = []
        given: list[Any] = [input_ids, attention_mask, token_type_ids, position_ids]
        embeds = None if inputs_embeds is None else np.asarray(inputs_embeds, np.float64)
        arrays = [None if x is None else np.asarray(x) for x in given]
        ids, mask, segments, positions = arrays
        if (ids is None) == (embeds is None):
            raise InputError("Give one of input_ids and inputs_embeds.")
        shape = embeds.shape[:-1] if ids is None else ids.shape  # pyright: ignore
        batch, length = shape[:-1], shape[-1]
        ids, mask, segments, positions = (
            None if x is None else x.reshape(-1, length)
            for x in (ids, mask, segments, positions)
        )
        embeds = None if embeds is None else embeds.reshape(-1, *embeds.shape[-2:])
        embedded = self._embed(ids, segments, positions, embeds)
        bias = None if mask is None else mask_to_bias(mask)
        hidden, states, attentions = self._encode(embedded, bias, head_mask)
        pooled = None
        if self.pools:
            pooled = np.tanh(self._dense(hidden[:, 0], "pooler"))
            self._record("pooler", "", (hidden,), pooled)
        fields = self._heads(hidden, pooled, batch, labels)
        return fields(hidden_states=tuple(states), attentions=tuple(attentions))

    def _record(self, path: str, module: str, inputs: tuple[Any, ...], out: F64) -> F64:
        self.stages.append(Stage(path, module, inputs, out))
        return out

    def _dense(self, x: F64, layer: str) -> F64:
        kernel = self.weights[f"{layer}.weight"]
        return x @ kernel.T + self.weights[f"{layer}.bias"]

    def _norm(self, x: F64, layer: str) -> F64:
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        scaled = centred / np.sqrt(variance + self.config.layer_norm_eps)
        return scaled * self.weights[f"{layer}.weight"] + self.weights[f"{layer}.bias"]

    def _embed(
        self,
        ids: NDArray[Any] | None,
        segments: NDArray[Any] | None,
        positions: NDArray[Any] | None,
        embeds: F64 | None,
    ) -> F64:
        tables = {
            kind: self.weights[f"embeddings.{kind}_embeddings.weight"]
            for kind in ("word", "token_type", "position")
        }
        words = tables["word"][ids] if embeds is None else embeds
        batch, length = words.shape[:2]
        if segments is None:
            segments = np.zeros((batch, length), int)
        if positions is None:
            positions = np.arange(length)[None]
        total = words + tables["token_type"][segments]
        if not self.config.is_relative:
            total = total + tables["position"][positions]
        normed = self._norm(total, "embeddings.LayerNorm")
        inputs = (ids, segments, positions, embeds)
        return self._record("embeddings", "embeddings", inputs, normed)

    def _encode(
        self, embedded: F64, bias: F64 | None, head_mask: ArrayLike | None
    ) -> tuple[F64, list[F64], list[F64]]:
        config = self.config
        module = "encoder.embedding_hidden_mapping_in"
        hidden = self._dense(embedded, module)
        self._record("projection", module, (embedded,), hidden)
        masks = None
        if head_mask is not None:
            shape = (config.num_hidden_layers, config.num_attention_heads)
            masks = np.broadcast_to(np.asarray(head_mask, np.float64), shape)
        states, attentions = [hidden], []
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
        return hidden, states, attentions

    def _attend(
        self, hidden: F64, bias: F64 | None, row: F64 | None, block: str, path: str
    ) -> tuple[F64, F64]:
        module = f"{block}.attention"
        width = self.config.head_size

        def heads(x: F64) -> F64:
            return x.reshape(*x.shape[:2], -1, width)

        query = heads(self._dense(hidden, f"{module}.query"))
        key = heads(self._dense(hidden, f"{module}.key"))
        value = heads(self._dense(hidden, f"{module}.value"))
        scores = np.einsum("bqhd,bkhd->bhqk", query, key) / math.sqrt(width)
        if self.config.is_relative:
            scores = scores + self._relative(query, key, module)
        if bias is not None:
            scores = scores + bias
        weights = softmax(scores)
        if row is not None:
            weights = weights * row[:, None, None]
        context = np.einsum("bhqk,bkhd->bqhd", weights, value)
        merged = context.reshape(*context.shape[:2], -1)
        out = hidden + self._dense(merged, f"{module}.dense")
        out = self._norm(out, f"{module}.LayerNorm")
        return self._record(f"{path}.attention", module, (hidden, bias, row), out), weights

    def _relative(self, query: F64, key: F64, module: str) -> F64:
        """The position scores of Shaw et al. 2018 and Huang et al. 2020."""
        length = query.shape[1]
        steps = np.arange(length)[:, None] - np.arange(length)[None]
        table = self.weights[f"{module}.distance_embedding.weight"]
        distances = table[steps + self.config.max_position_embeddings - 1]
        scores = np.einsum("bqhd,qkd->bhqk", query, distances)
        if self.config.position_embedding_type == "relative_key_query":
            scores = scores + np.einsum("bkhd,qkd->bhqk", key, distances)
        return scores

    def _feed_forward(self, attended: F64, block: str, path: str) -> F64:
        expanded = self.act(self._dense(attended, f"{block}.ffn"))
        out = attended + self._dense(expanded, f"{block}.ffn_output")
        out = self._norm(out, f"{block}.full_layer_layer_norm")
        return self._record(f"{path}.feed_forward", block, (attended,), out)

    def _predict(self, hidden: F64) -> F64:
        own = not self.config.tie_word_embeddings
        owner = "predictions.decoder" if own else "embeddings.word_embeddings"
        table = self.weights[f"{owner}.weight"]
        narrow = self.act(self._dense(hidden, "predictions.dense"))
        normed = self._norm(narrow, "predictions.LayerNorm")
        logits = normed @ table.T + self.weights["predictions.bias"]
        return self._record("predictions", "predictions", (hidden, table), logits)

    def _classify(self, x: F64, layer: str) -> F64:
        return self._record(layer, layer, (x,), self._dense(x, layer))

    def _heads(
        self,
        hidden: F64,
        pooled: F64 | None,
        batch: tuple[int, ...],
        labels: Mapping[str, ArrayLike],
    ) -> Callable[..., outputs.ModelOutput]:
        """Run the head; return its outputs, still to be joined by those of the base."""

        def fields(**made: Any) -> Callable[..., outputs.ModelOutput]:
            return lambda **base: kind(**made, **base)

        known = {k: np.asarray(v) for k, v in labels.items() if v is not None}
        target = known.get("labels")
        loss = None
        kind: type[outputs.ModelOutput]
        match self.head:
            case "ForPreTraining":
                kind = outputs.AlbertForPreTrainingOutput
                words = self._predict(hidden)
                order = self._classify(_there(pooled), "sop_classifier.classifier")
                if target is not None and "sentence_order_label" in known:
                    loss = losses.cross_entropy(words, target)
                    loss += losses.cross_entropy(order, known["sentence_order_label"])
                return fields(loss=loss, prediction_logits=words, sop_logits=order)
            case "ForMaskedLM":
                kind = outputs.MaskedLMOutput
                logits = self._predict(hidden)
                if target is not None:
                    loss = losses.cross_entropy(logits, target)
            case "ForSequenceClassification":
                kind = outputs.SequenceClassifierOutput
                logits = self._classify(_there(pooled), "classifier")
                if target is not None:
                    loss = losses.sequence(logits, target, self.config.problem_type)
            case "ForMultipleChoice":
                kind = outputs.MultipleChoiceModelOutput
                logits = self._classify(_there(pooled), "classifier").reshape(batch)
                if target is not None:
                    loss = losses.cross_entropy(logits, target)
            case "ForTokenClassification":
                kind = outputs.TokenClassifierOutput
                logits = self._classify(hidden, "classifier")
                if target is not None:
                    loss = losses.cross_entropy(logits, target)
            case "ForQuestionAnswering":
                kind = outputs.QuestionAnsweringModelOutput
                both = self._classify(hidden, "qa_outputs")
                start, end = both[..., 0], both[..., 1]
                if {"start_positions", "end_positions"} <= known.keys():
                    ends = known["start_positions"], known["end_positions"]
                    loss = losses.span(start, end, *ends)
                return fields(loss=loss, start_logits=start, end_logits=end)
            case _:
                kind = outputs.BaseModelOutputWithPooling
                return fields(last_hidden_state=hidden, pooler_output=pooled)
        return fields(loss=loss, logits=logits)


def mask_to_bias(mask: NDArray[Any]) -> F64:
    """Turn a mask [batch, seq] into what is added to scores [batch, heads, seq, seq].

    The lowest number swallows every score, so that padding gets no weight beside a real
    token, and a row without any real token attends uniformly.
    """
    lowest = np.finfo(np.float64).min
    return (1.0 - mask.astype(np.float64))[:, None, None, :] * lowest


def _there(pooled: F64 | None) -> F64:
    if pooled is None:
        raise InputError("This head reads the pooled output; build it with pools=True.")
    return pooled
