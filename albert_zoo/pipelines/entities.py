"""From labels of tokens to entities, by Hugging Face's strategies."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

STRATEGIES = ("none", "simple", "first", "average", "max")

Entity = dict[str, Any]
Join = Callable[[list[str]], str]


@dataclass
class Token:
    """A token that is no special one.

    Attributes:
        word: Its piece, or the text where the piece is unknown.
        scores: The probability of each label.
        start: Where it begins in the text.
        end: Where it ends.
        index: Its place among all tokens.
        continues: Whether it goes on with the word before it.
    """

    word: str
    scores: NDArray[Any]
    start: int
    end: int
    index: int
    continues: bool


def label_tokens(tokens: Iterable[Token], labels: Mapping[int, str]) -> list[Entity]:
    """Each token with its best label."""
    found: list[Entity] = []
    for token in tokens:
        best = int(token.scores.argmax())
        found.append(
            {
                "entity": labels[best],
                "score": token.scores[best],
                "index": token.index,
                "word": token.word,
                "start": token.start,
                "end": token.end,
            }
        )
    return found


def label_words(
    tokens: Iterable[Token], labels: Mapping[int, str], strategy: str, join: Join
) -> list[Entity]:
    """Each word with one label: of its first token, of its surest, or of their mean."""
    words: list[list[Token]] = []
    for token in tokens:
        if words and token.continues:
            words[-1].append(token)
        else:
            words.append([token])
    found: list[Entity] = []
    for word in words:
        if strategy == "first":
            scores = word[0].scores
        elif strategy == "max":
            scores = max((token.scores for token in word), key=lambda s: s.max())
        else:
            scores = np.nanmean(np.stack([token.scores for token in word]), axis=0)
        best = int(scores.argmax())
        found.append(
            {
                "entity": labels[best],
                "score": scores[best],
                "word": join([token.word for token in word]),
                "start": word[0].start,
                "end": word[-1].end,
            }
        )
    return found


def _tag(label: str) -> str:
    return label[2:] if label.startswith(("B-", "I-")) else label


def group(entities: Iterable[Entity], join: Join) -> list[Entity]:
    """Put neighbours of one kind together; "B-" begins a new one."""
    groups: list[list[Entity]] = []
    for entity in entities:
        begins = entity["entity"].startswith("B-")
        if groups and not begins:
            begins = _tag(entity["entity"]) != _tag(groups[-1][-1]["entity"])
        if groups and not begins:
            groups[-1].append(entity)
        else:
            groups.append([entity])
    return [
        {
            "entity_group": members[0]["entity"].split("-", 1)[-1],
            "score": np.nanmean([member["score"] for member in members]),
            "word": join([member["word"] for member in members]),
            "start": members[0]["start"],
            "end": members[-1]["end"],
        }
        for members in groups
    ]


def without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """Of entities that windows found twice keep the longest, then the surest."""
    ordered = sorted(entities, key=lambda entity: entity["start"])
    kept: list[Entity] = ordered[:1]
    for entity in ordered[1:]:
        last = kept[-1]
        if not last["start"] <= entity["start"] < last["end"]:
            kept.append(entity)
        elif (_length(entity), entity["score"]) > (_length(last), last["score"]):
            kept[-1] = entity
    return kept


def _length(entity: Entity) -> int:
    return entity["end"] - entity["start"]
