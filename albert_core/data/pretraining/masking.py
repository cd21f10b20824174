"""Which tokens are hidden: whole words, in runs of one to three.

Source: google-research/albert create_pretraining_data.py,
`create_masked_lm_predictions`; Lan et al. 2020 §4.1 (n-gram masking).
"""

import string
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from random import Random

WORD_MARK = "▁"
CONTINUED = "##"  # how a piece of WordPiece begins that goes on with a word
LETTERS = frozenset(string.ascii_lowercase)
PUNCTUATION = frozenset(string.punctuation) - frozenset("'<=>")


@dataclass(frozen=True)
class Masking:
    """How tokens are chosen, with the values of the published recipe.

    Attributes:
        masked_lm_prob: The share of all tokens that are chosen.
        max_predictions_per_seq: The most in one instance.
        ngram: The most words in a run.
        favor_shorter_ngram: A run of n words has a probability in proportion to 1/n;
            otherwise these are reversed.
        do_whole_word_mask: Hide all pieces of a word together.
    """

    masked_lm_prob: float = 0.15
    max_predictions_per_seq: int = 20
    ngram: int = 3
    favor_shorter_ngram: bool = True
    do_whole_word_mask: bool = True

    def weights(self) -> list[float]:
        """How likely runs of 1, 2, ... words are, in proportion."""
        weights = [1 / n for n in range(1, self.ngram + 1)]
        return weights if self.favor_shorter_ngram else weights[::-1]


@dataclass(frozen=True)
class Pieces:
    """What masking knows of a vocabulary.

    Attributes:
        size: The number of its pieces; a random token is any of them.
        mask_id: What hides a token.
        special_ids: What is never hidden: [CLS] and [SEP].
    """

    size: int
    mask_id: int
    special_ids: frozenset[int]


@dataclass(frozen=True)
class Masked:
    """An instance with some of its tokens hidden.

    Attributes:
        ids: The tokens as the model sees them.
        positions: Where they were chosen, in ascending order.
        labels: What stood there.
    """

    ids: list[int]
    positions: list[int]
    labels: list[int]


def starts_word(piece: str, sentencepiece: bool = True) -> bool:
    """Whether a piece begins a word; all do that are not lower-case letters only.

    Args:
        piece: A piece of the vocabulary.
        sentencepiece: Whether it is of sentencepiece, and not of WordPiece.
    """
    if not sentencepiece:
        return not piece.startswith(CONTINUED)
    if piece.startswith((WORD_MARK, "<")) or piece in PUNCTUATION:
        return True
    return not set(piece.lower()) <= LETTERS | PUNCTUATION


def words(
    ids: Sequence[int],
    starts: Sequence[bool],
    special_ids: Collection[int],
    whole: bool,
) -> list[list[int]]:
    """The positions that are hidden together, in order.

    Unlike the original's, a word does not go on behind a separator, where a second
    segment may begin within a word.

    Args:
        ids: An instance, with its special tokens.
        starts: Which of its tokens begin a word.
        special_ids: Those that are in no word.
        whole: Whether pieces of a word stay together.
    """
    found: list[list[int]] = []
    inside = False
    for position, (token, start) in enumerate(zip(ids, starts, strict=True)):
        if token in special_ids:
            inside = False
            continue
        if whole and inside and not start:
            found[-1].append(position)
        else:
            found.append([position])
        inside = True
    return found


def mask(
    ids: Sequence[int],
    starts: Sequence[bool],
    pieces: Pieces,
    masking: Masking,
    rng: Random,
) -> Masked:
    """Choose tokens, and hide them: 80 % as [MASK], 10 % as another, 10 % not at all.

    Args:
        ids: An instance, with its special tokens and without padding.
        starts: Which of its tokens begin a word.
        pieces: Of the vocabulary.
        masking: How to choose.
        rng: All that is drawn comes from here.
    """
    chosen = _chosen(
        words(ids, starts, pieces.special_ids, masking.do_whole_word_mask),
        budget(len(ids), masking),
        masking,
        rng,
    )
    seen = list(ids)
    for position in chosen:
        if rng.random() < 0.8:
            seen[position] = pieces.mask_id
        elif rng.random() >= 0.5:
            seen[position] = rng.randint(0, pieces.size - 1)
    return Masked(seen, chosen, [ids[position] for position in chosen])


def budget(length: int, masking: Masking) -> int:
    """How many tokens of an instance are hidden at most, halves rounded to even."""
    share = max(1, round(length * masking.masked_lm_prob))
    return min(masking.max_predictions_per_seq, share)


def _chosen(
    words: list[list[int]], most: int, masking: Masking, rng: Random
) -> list[int]:
    """Positions of random runs of words that do not overlap, at most `most`."""
    lengths, weights = range(1, masking.ngram + 1), masking.weights()
    order = list(range(len(words)))
    rng.shuffle(order)
    covered: set[int] = set()
    for start in order:
        if len(covered) >= most:
            break
        (length,) = rng.choices(lengths, weights)
        run = _run(words, start, length, most - len(covered))
        if covered.isdisjoint(run):
            covered.update(run)
    return sorted(covered)


def _run(words: list[list[int]], start: int, length: int, room: int) -> list[int]:
    """The positions of as many words, up to `length`, as there is room for."""
    for count in range(length, 0, -1):
        run = [position for word in words[start : start + count] for position in word]
        if len(run) <= room:
            return run
    return []
