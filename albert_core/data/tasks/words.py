"""A tag for every word of a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.data import metrics
from albert_core.data.tasks.examples import Examples, is_tag
from albert_core.data.tasks.form import (
    Feature,
    Lengths,
    Output,
    ids_of,
    logits_of,
    row,
)
from albert_core.losses import IGNORED
from albert_core.tokenization import Tokenizer

OUTSIDE = "O"  # the tag of a word that no token stands for


@dataclass(frozen=True)
class WordsForm:
    """Sentences, for a token classifier; the first piece of a word has its tag."""

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        lengths: Lengths,
        training: bool,
    ) -> list[Feature]:
        """See `Task.features`; "heads" are the numbers of the words and their tokens.

        What does not fit is cut off; its words have no token.
        """
        ids = ids_of(tokenizer, [word for item in examples for word in item.texts])
        room = lengths.room(tokenizer, pair=False)
        found: list[Feature] = []
        for item in examples:
            pieces: list[int] = []
            heads: list[tuple[int, int]] = []
            for number, word in enumerate(item.texts):
                # 1 for [CLS]; a word of odd characters alone can have no pieces.
                if ids[word] and len(pieces) < room:
                    heads.append((number, len(pieces) + 1))
                pieces += ids[word]
            feature = row(tokenizer, pieces[:room], None)
            feature["heads"] = np.array(heads, np.int32).reshape(-1, 2)
            if item.label is not None:
                labels = np.full(len(feature["input_ids"]), IGNORED, np.int32)
                for number, place in heads:
                    labels[place] = item.label[number]
                feature["labels"] = labels
            found.append(feature)
        return found

    def score(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> dict[str, float]:
        """See `Task.score`; a word without a token counts as outside.

        Where tags are not those of entities, "f1" counts each word, as its accuracy.
        """
        wanted: list[list[str]] = []
        for label in examples.known():
            wanted.append([examples.labels[number] for number in label])
        found = self._tags(examples, features, outputs)
        if not all(map(is_tag, examples.labels)):
            flat = [[tag for tags in side for tag in tags] for side in (found, wanted)]
            rate = metrics.accuracy(*flat)
            return {"f1": rate, "accuracy": rate}
        whole = metrics.entity_f1(found, wanted)
        return {key: whole[key] for key in ("precision", "recall", "f1", "accuracy")}

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """See `Task.predictions`: the words and their tags."""
        tags = self._tags(examples, features, outputs)
        return [
            {"id": item.id, "words": list(item.texts), "tags": found}
            for item, found in zip(examples, tags, strict=True)
        ]

    def _tags(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[list[str]]:
        rows = logits_of(examples, features, outputs, len(examples.labels))
        result: list[list[str]] = []
        for item, feature, logits in zip(examples, features, rows, strict=True):
            tags = [OUTSIDE] * len(item.texts)
            best = logits.argmax(-1)
            for number, place in feature["heads"]:
                tags[number] = examples.labels[best[place]]
            result.append(tags)
        return result
