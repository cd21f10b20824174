"""Feature extraction and sentence embeddings: what the encoder makes of a text."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base
from albert_zoo.pipelines.base import Outputs, Pipeline, Work

POOLINGS = ("mean", "cls")


@dataclass(frozen=True)
class FeatureExtractionOptions(base.Options):
    """Options of `feature-extraction`.

    Attributes:
        tokenize_kwargs: Further keywords for the tokenizer.
        return_tensors: Return the framework's tensors in place of lists.
    """

    tokenize_kwargs: Mapping[str, Any] | None = None
    return_tensors: bool = False


class FeatureExtractionPipeline(Pipeline):
    """The last hidden states of texts.

    One text gives a nested list [1, tokens, hidden], a list of texts a list of those.
    """

    task = "feature-extraction"
    Options = FeatureExtractionOptions
    outputs = ("last_hidden_state",)
    characters = 2**15  # the results are large

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`."""
        given = {"truncation": options.truncation, "max_length": options.max_length}
        more = options.tokenize_kwargs or {}
        if options.truncation and "truncation" in more:
            raise InputError(
                "truncation is given twice: by itself and in tokenize_kwargs. Give one."
            )
        return base.rows_of(self.tokenize(items, **{**given, **more}))

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """See the class."""
        states = outputs["last_hidden_state"][None, : len(row["input_ids"])]
        if options.return_tensors:
            return self.predictor.to_tensor(states.copy())
        return states.tolist()


@dataclass(frozen=True)
class SentenceEmbeddingOptions(base.Options):
    """Options of `sentence-embedding`.

    Attributes:
        pooling: "mean" of all tokens that are not padding, or "cls", the first token.
        normalize: Scale each embedding to length 1.
        return_tensors: Return the framework's tensors in place of lists.
        truncation: Cut what is too long, as sentence-transformers does.
    """

    truncation: bool | str | None = True
    pooling: str = "mean"
    normalize: bool = False
    return_tensors: bool = False


class SentenceEmbeddingPipeline(Pipeline):
    """One vector for each text, a list of numbers."""

    task = "sentence-embedding"
    Options = SentenceEmbeddingOptions
    outputs = ("last_hidden_state",)

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        if settled.pooling not in POOLINGS:
            raise InputError(
                f"pooling must be one of {', '.join(POOLINGS)}, not "
                f"{shown(settled.pooling)}."
            )
        return settled

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """See the class."""
        states = outputs["last_hidden_state"]
        vector = states[0]
        if options.pooling == "mean":
            kept = np.array(row["attention_mask"], bool)
            vector = states[: len(kept)][kept].mean(axis=0)
        if options.normalize:
            vector = vector / max(np.linalg.norm(vector), np.float32(1e-12))
        if options.return_tensors:
            return self.predictor.to_tensor(vector.copy())
        return vector.tolist()
