"""The backward of the encoder: a method for each of `Reference`, in reverse order.

Nothing is kept from the forward but what its stages recorded; each method computes
again what it needs between a stage's inputs and its output.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import ConfigError, shown
from albert_core.numerics import DERIVATIVES, F64, softmax, softmax_gradient
from albert_core.reference import Reference, Stage


class Backward:
    """The backward pass of the last call of a reference model.

    A method takes the gradient of what its twin in `Reference` returns, adds to those
    of its parameters, and returns that of its input.

    Attributes:
        model: The model.
        parameters: The gradients so far, by name without prefix.
        stages: The gradients so far, by path.
    """

    def __init__(self, model: Reference) -> None:
        self.model = model
        self.parameters = {k: np.zeros_like(w) for k, w in model.weights.items()}
        self.stages = {s.path: np.zeros_like(s.output) for s in model.stages}
        self._calls = {stage.path: stage for stage in model.stages}
        act: Any = model.config.hidden_act
        if not isinstance(act, str):
            raise ConfigError(
                f"AlbertConfig.hidden_act is the function {shown(act)}, whose "
                f"derivative is not known. Use one of {', '.join(DERIVATIVES)}."
            )
        self.slope: Callable[[F64], F64] = DERIVATIVES[act]

    def enter(self, path: str, grad: F64) -> Stage:
        """Keep the gradient that reaches a stage's output, and return the stage."""
        self.stages[path] = grad
        return self.stage(path)

    def stage(self, path: str) -> Stage:
        """What a stage got and gave."""
        return self._calls[path]

    def dense(self, grad: F64, x: F64, layer: str) -> F64:
        """Of `dense(x, layer)`."""
        rows = grad.reshape(-1, grad.shape[-1])
        self.parameters[f"{layer}.weight"] += rows.T @ x.reshape(-1, x.shape[-1])
        self.parameters[f"{layer}.bias"] += rows.sum(0)
        return grad @ self.model.weights[f"{layer}.weight"]

    def norm(self, grad: F64, x: F64, layer: str) -> F64:
        """Of `norm(x, layer)`: what would change mean or variance is taken out."""
        centred = x - x.mean(-1, keepdims=True)
        variance = (centred**2).mean(-1, keepdims=True)
        deviation = np.sqrt(variance + self.model.config.layer_norm_eps)
        scaled = centred / deviation
        rows = tuple(range(grad.ndim - 1))
        self.parameters[f"{layer}.weight"] += (grad * scaled).sum(rows)
        self.parameters[f"{layer}.bias"] += grad.sum(rows)
        grad = grad * self.model.weights[f"{layer}.weight"]
        along = scaled * (grad * scaled).mean(-1, keepdims=True)
        return (grad - grad.mean(-1, keepdims=True) - along) / deviation

    def look_up(self, grad: F64, ids: NDArray[np.int64], layer: str) -> None:
        """Of the rows of a table: each row gets the sum over the places it is used."""
        np.add.at(self.parameters[f"{layer}.weight"], ids, grad)

    def encode(self, hidden: F64 | None, pooled: F64 | None) -> None:
        """From what reaches the last hidden states and the pooled output to the tables.

        Args:
            hidden: None where the head does not read them.
            pooled: The same.
        """
        blocks = [s for s in self.model.stages if s.path.startswith("layer.")]
        grad = np.zeros_like(blocks[-1].output)
        if hidden is not None:
            grad += hidden
        if pooled is not None:
            grad += self._pool(pooled)
        for stage in reversed(blocks):
            attends = stage.path.endswith("attention")
            grad = (self._attend if attends else self._feed_forward)(grad, stage)
        projection = self.enter("projection", grad)
        self._embed(self.dense(grad, projection.inputs[0], projection.module))

    def _pool(self, grad: F64) -> F64:
        stage = self.enter("pooler", grad)
        (hidden,) = stage.inputs
        first = np.zeros_like(hidden)
        slope = 1 - stage.output**2
        first[:, 0] = self.dense(grad * slope, hidden[:, 0], "pooler")
        return first

    def _feed_forward(self, grad: F64, stage: Stage) -> F64:
        self.enter(stage.path, grad)
        (attended,) = stage.inputs
        block = stage.module
        inner = self.model.dense(attended, f"{block}.ffn")
        expanded = self.model.act(inner)
        total = attended + self.model.dense(expanded, f"{block}.ffn_output")

        grad = self.norm(grad, total, f"{block}.full_layer_layer_norm")
        branch = self.dense(grad, expanded, f"{block}.ffn_output")
        branch = self.dense(branch * self.slope(inner), attended, f"{block}.ffn")
        return grad + branch

    def _attend(self, grad: F64, stage: Stage) -> F64:
        self.enter(stage.path, grad)
        hidden, bias, row = stage.inputs
        module = stage.module
        names = [f"{module}.{name}" for name in ("query", "key", "value")]
        query, key, value = (self.model.heads(hidden, name) for name in names)
        weights = softmax(self.model.scores(query, key, bias, module))
        kept = 1.0 if row is None else row[:, None, None]
        context = np.einsum("bhqk,bkhd->bqhd", weights * kept, value)
        merged = context.reshape(*context.shape[:2], -1)
        total = hidden + self.model.dense(merged, f"{module}.dense")

        grad = self.norm(grad, total, f"{module}.LayerNorm")
        to_merged = self.dense(grad, merged, f"{module}.dense")
        to_context = to_merged.reshape(context.shape)
        to_value = np.einsum("bhqk,bqhd->bkhd", weights * kept, to_context)
        to_weights = np.einsum("bqhd,bkhd->bhqk", to_context, value) * kept
        to_scores = softmax_gradient(to_weights, weights)
        if bias is not None:
            to_scores = np.where(bias == 0, to_scores, 0.0)  # the others were swallowed
        to_query, to_key = self._scores(to_scores, query, key, module)
        for name, back in zip(names, (to_query, to_key, to_value), strict=True):
            grad = grad + self.dense(back.reshape(merged.shape), hidden, name)
        return grad

    def _scores(self, grad: F64, query: F64, key: F64, module: str) -> tuple[F64, F64]:
        scaled = grad / math.sqrt(self.model.config.head_size)
        to_query = np.einsum("bhqk,bkhd->bqhd", scaled, key)
        to_key = np.einsum("bhqk,bqhd->bkhd", scaled, query)
        if self.model.config.is_relative:
            by_query, by_key = self._relative(grad, query, key, module)
            return to_query + by_query, to_key + by_key
        return to_query, to_key

    def _relative(
        self, grad: F64, query: F64, key: F64, module: str
    ) -> tuple[F64, F64]:
        layer = f"{module}.distance_embedding"
        steps = self.model.steps(query.shape[1])
        distances = self.model.weights[f"{layer}.weight"][steps]
        to_query = np.einsum("bhqk,qkd->bqhd", grad, distances)
        to_distances = np.einsum("bhqk,bqhd->qkd", grad, query)
        to_key = np.zeros_like(key)
        if self.model.config.position_embedding_type == "relative_key_query":
            to_key = np.einsum("bhqk,qkd->bkhd", grad, distances)
            to_distances += np.einsum("bhqk,bkhd->qkd", grad, key)
        self.look_up(to_distances, steps, layer)
        return to_query, to_key

    def _embed(self, grad: F64) -> None:
        stage = self.enter("embeddings", grad)
        ids, segments, positions, embeds = stage.inputs
        words = self.model.weights["embeddings.word_embeddings.weight"]
        words = embeds if ids is None else words[ids]
        total = self.model.sum_embeddings(words, segments, positions)
        grad = self.norm(grad, total, "embeddings.LayerNorm")
        if not self.model.config.is_relative:
            places = np.broadcast_to(positions, segments.shape)
            self.look_up(grad, places, "embeddings.position_embeddings")
        self.look_up(grad, segments, "embeddings.token_type_embeddings")
        if ids is not None:
            real = ids != self.model.config.pad_token_id  # all, if there is no padding
            self.look_up(grad[real], ids[real], "embeddings.word_embeddings")
