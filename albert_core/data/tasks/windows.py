"""Windows over a context that is too long for one row, and the answers in them.

Source: google-research/albert `squad_utils`; where tokens stand in the text is known
from the tokenizer here, and need not be guessed.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError

BEST = 20  # starts and ends of a window that are tried
LONGEST = 30  # tokens of an answer

# First token, last token, how good the span is.
Span = tuple[int, int, float]


def windows(length: int, size: int, stride: int) -> list[tuple[int, int]]:
    """Where windows over tokens begin, and how many each has.

    Args:
        length: The number of tokens; none make one empty window.
        size: The most tokens of a window.
        stride: How far apart windows begin; less where that would leave tokens out.

    Examples:
        >>> windows(10, 6, 3)
        [(0, 6), (3, 6), (6, 4)]
    """
    found: list[tuple[int, int]] = []
    start = 0
    while True:
        count = min(length - start, size)
        found.append((start, count))
        if start + count >= length:
            return found
        start += min(count, stride)


def in_best_window(spans: Sequence[tuple[int, int]], length: int) -> NDArray[np.int64]:
    """The window in which each of the tokens has the most context around it.

    That is min(tokens before, tokens after) + 0.01 * window; of equals the first.

    Args:
        spans: What `windows` gave.
        length: The number of tokens.
    """
    places = np.arange(length)
    scores = np.full((len(spans), length), -np.inf)
    for number, (start, count) in enumerate(spans):
        inside = places[start : start + count]
        least = np.minimum(inside - start, start + count - 1 - inside)
        scores[number, start : start + count] = least + 0.01 * count
    return scores.argmax(0)


def token_span(offsets: NDArray[Any], start: int, end: int) -> tuple[int, int] | None:
    """The first and the last token of characters; None if no token has any of them.

    Args:
        offsets: [tokens, 2] where each token begins and ends.
        start: The first character.
        end: The one after the last.
    """
    # A token of no character at all belongs to nothing.
    has = (offsets[:, 1] > start) & (offsets[:, 0] < end)
    places = np.flatnonzero(has & (offsets[:, 1] > offsets[:, 0]))
    return (int(places[0]), int(places[-1])) if len(places) else None


def character_span(
    offsets: NDArray[Any], first: int, last: int, context: str
) -> tuple[int, int]:
    """The characters of tokens, without white space around them."""
    start, end = int(offsets[first][0]), int(offsets[last][1])
    text = context[start:end]
    start += len(text) - len(text.lstrip())
    return start, max(start, start + len(text.strip()))


def best_spans(
    start: NDArray[np.float64], end: NDArray[np.float64], best: NDArray[np.bool_]
) -> Iterator[Span]:
    """The spans of the 20 best starts and ends of a row that can be answers.

    Args:
        start: Logits [tokens] of the whole row, without padding.
        end: The same.
        best: [tokens] whether an answer may begin there: in the context, where no other
            window has more around the token.

    Yields:
        Spans, of each start all its ends; the score is the sum of both logits.
    """
    inside = np.flatnonzero(best)
    if not len(inside):
        return
    starts = np.argsort(-start, kind="stable")[:BEST]
    ends = np.argsort(-end, kind="stable")[:BEST]
    for first in starts[best[starts]]:
        for last in ends[(ends >= first) & (ends - first < LONGEST)]:
            yield int(first), int(last), float(start[first] + end[last])


def beam_spans(output: Any, best: NDArray[np.bool_]) -> Iterator[Span]:
    """The spans of a beam search that can be answers.

    Args:
        output: The arrays of the beam head for a row.
        best: As in `best_spans`.

    Yields:
        Spans; the score is the sum of both log-probabilities.
    """
    names = ("start_top_log_probs", "start_top_index")
    starts, first_places = (np.asarray(output[name]).reshape(-1) for name in names)
    names = ("end_top_log_probs", "end_top_index")
    ends, last_places = (np.asarray(output[name]).reshape(-1) for name in names)
    if len(starts) == 0 or len(ends) % len(starts):
        raise InputError(
            f"The head gives {len(starts)} starts and {len(ends)} ends, which is no "
            f"whole number for each start. Give the arrays of one beam search."
        )
    each = len(ends) // len(starts)
    # Places are whole numbers in any type: a learner gives all outputs as float64.
    for place, last in enumerate(last_places.astype(np.int64)):
        first = int(first_places[place // each])
        if not (0 <= first < len(best) and best[first]):
            continue
        if first <= last < first + LONGEST and last < len(best):
            score = float(starts[place // each]) + float(ends[place])
            yield int(first), int(last), score
