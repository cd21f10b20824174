"""Two segments of a document, in order or swapped: what sentence order learns from.

Source: google-research/albert create_pretraining_data.py,
`create_instances_from_document`; Lan et al. 2020 §3.1.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

IN_ORDER, SWAPPED = 0, 1

Sentence = list[int]
Document = list[Sentence]


@dataclass(frozen=True)
class Pair:
    """Two segments of token ids.

    Attributes:
        first: The first segment, without [CLS] and [SEP].
        second: The second one.
        label: `IN_ORDER`, or `SWAPPED` where the second came before the first in the
            text, or from elsewhere.
    """

    first: list[int]
    second: list[int]
    label: int


def pairs(
    documents: Sequence[Document],
    index: int,
    rng: Random,
    max_tokens: int,
    short_seq_prob: float = 0.1,
    random_next_sentence: bool = False,
) -> Iterator[Pair]:
    """Cut a document into pairs of segments.

    A chunk of one sentence has nothing to swap, so that its second segment comes from
    another document; BERT's `random_next_sentence` does so for half of all chunks.

    Args:
        documents: Token ids of documents, of their sentences; none is empty.
        index: Which document to cut.
        rng: All that is drawn comes from here.
        max_tokens: The most tokens of both segments, without special ones.
        short_seq_prob: How often a document is cut into shorter pairs.
        random_next_sentence: Whether negatives come from elsewhere, as in BERT.
    """
    document = documents[index]
    target = max_tokens
    if rng.random() < short_seq_prob:
        target = rng.randint(2, max_tokens)
    start = 0
    while start < len(document):
        end = _end(document, start, target)
        chunk = document[start:end]
        split = rng.randint(1, len(chunk) - 1) if len(chunk) > 1 else 1
        first = _joined(chunk[:split])
        if len(chunk) == 1 or (random_next_sentence and rng.random() < 0.5):
            room = target - len(first)
            second, label = _from_elsewhere(documents, index, room, rng), SWAPPED
            start += split  # the rest of the chunk is used next
        else:
            second, label = _joined(chunk[split:]), IN_ORDER
            if not random_next_sentence and rng.random() < 0.5:
                first, second, label = second, first, SWAPPED
            start = end
        yield Pair(*truncated(first, second, max_tokens, rng), label)


def _end(document: Document, start: int, target: int) -> int:
    """Where a chunk ends that has `target` tokens, or is the rest of the document."""
    length = 0
    for end in range(start, len(document)):
        length += len(document[end])
        if length >= target:
            return end + 1
    return len(document)


def _joined(sentences: Sequence[Sentence]) -> list[int]:
    return [token for sentence in sentences for token in sentence]


def _from_elsewhere(
    documents: Sequence[Document], index: int, room: int, rng: Random
) -> list[int]:
    """Sentences of a random other document, enough to fill what room there is."""
    other = index
    for _ in range(10):
        other = rng.randint(0, len(documents) - 1)
        if other != index:
            break
    document = documents[other]
    start = rng.randint(0, len(document) - 1)
    return _joined(document[start : _end(document, start, room)])


def truncated(
    first: list[int], second: list[int], max_tokens: int, rng: Random
) -> tuple[list[int], list[int]]:
    """Shorten the longer segment, at either end by chance, until both fit."""
    spans = [[0, len(first)], [0, len(second)]]
    while sum(end - start for start, end in spans) > max_tokens:
        sizes = [end - start for start, end in spans]
        longer = spans[0] if sizes[0] > sizes[1] else spans[1]
        if rng.random() < 0.5:
            longer[0] += 1
        else:
            longer[1] -= 1
    return first[slice(*spans[0])], second[slice(*spans[1])]
