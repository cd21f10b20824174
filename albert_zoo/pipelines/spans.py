"""From the logits of both ends to answers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Answer = dict[str, Any]


@dataclass
class Window:
    """What is known of the tokens of a row.

    Attributes:
        allowed: Which of them an answer may begin and end with.
        offsets: Where each begins and ends in its text.
        words: The word that each belongs to, None for special tokens.
        parts: 0 for the question, 1 for the context, None for special tokens.
    """

    allowed: list[bool]
    offsets: Sequence[tuple[int, int]]
    words: Sequence[int | None]
    parts: Sequence[int | None]
    _extents: dict[int, tuple[int, int]] | None = None

    def extent(self, word: int) -> tuple[int, int]:
        """Where a word of the context begins and ends, as far as the window goes."""
        if self._extents is None:
            self._extents = {}
            for place, (start, end) in enumerate(self.offsets):
                number = self.words[place]
                if self.parts[place] == 1 and number is not None:
                    first = self._extents.get(number, (start, end))[0]
                    self._extents[number] = first, end
        return self._extents[word]

    def characters(self, first: int, last: int, align: bool) -> tuple[int, int]:
        """The characters from one token to another, of whole words if asked for."""
        begin, end = self.words[first], self.words[last]
        if not align or begin is None or end is None:
            return self.offsets[first][0], self.offsets[last][1]
        return self.extent(begin)[0], self.extent(end)[1]


def probabilities(logits: NDArray[Any], allowed: Sequence[bool]) -> NDArray[Any]:
    """How probable each token is as an end of the answer."""
    logits = np.where(allowed, logits, np.float32(-10000))
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def best(
    start: NDArray[Any], end: NDArray[Any], count: int, longest: int, window: Window
) -> Iterator[tuple[int, int, float]]:
    """The most probable spans, as (first token, last token, probability).

    Args:
        start: The probability of each token as the first.
        end: The same as the last.
        count: How many spans; those outside of the context are then left out.
        longest: The most tokens of a span.
        window: What is known of the tokens.
    """
    scores = np.tril(np.triu(np.outer(start, end)), longest - 1).flatten()
    if count == 1:
        order = [int(scores.argmax())]
    elif len(scores) < count:
        order = np.argsort(-scores, kind="stable")
    else:
        some = np.sort(np.argpartition(-scores, count - 1)[:count])
        order = some[np.argsort(-scores[some], kind="stable")]
    for first, last in zip(
        *np.unravel_index(order, (len(start), len(end))), strict=True
    ):
        if window.allowed[first] and window.allowed[last]:
            yield int(first), int(last), float(scores[first * len(end) + last])


def answer(score: float, start: int, end: int, text: str) -> Answer:
    """An answer in Hugging Face's form."""
    return {"score": score, "start": start, "end": end, "answer": text}


@dataclass
class Answers:
    """The answers of all windows; those that read the same are one.

    Attributes:
        context: The text.
        align: Whether answers are whole words.
        found: The answers, in the order in which they were found.
    """

    context: str
    align: bool
    found: list[Answer] = field(default_factory=list[Answer])
    _by_text: dict[str, Answer] = field(default_factory=dict[str, Answer])
    _by_place: dict[tuple[int, int], Answer] = field(
        default_factory=dict[tuple[int, int], Answer]
    )

    def add(self, window: Window, first: int, last: int, score: float) -> None:
        """Count a span for its answer."""
        place = window.characters(first, last, self.align)
        known = self._by_place.get(place)
        if known is None:
            text = self.context[place[0] : place[1]]
            new = answer(0.0, *place, text)
            known = self._by_text.setdefault(text.lower(), new)
            if known is new:
                self.found.append(new)
            self._by_place[place] = known
        known["score"] += score
