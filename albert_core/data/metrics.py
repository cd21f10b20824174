"""How good predictions are: the measures of GLUE, of RACE and of CoNLL.

Predictions and labels are sequences of equal length; results go from 0 to 1, or from
-1 for correlations. The measures of SQuAD are in `albert_core.data.squad`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albert_core.errors import InputError, shown

AVERAGES = ("binary", "macro", "micro")


def _pair(
    predictions: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[Any], NDArray[Any]]:
    found, wanted = np.asarray(predictions).ravel(), np.asarray(labels).ravel()
    _check(len(found), len(wanted))
    return found, wanted


def _check(found: int, wanted: int, what: str = "labels") -> None:
    if found != wanted or not found:
        raise InputError(
            f"There are {found} predictions and {wanted} {what}. Give as many of both, "
            f"at least one."
        )


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """How many predictions are right.

    Examples:
        >>> accuracy([1, 0, 1, 1], [1, 0, 0, 1])
        0.75
    """
    found, wanted = _pair(predictions, labels)
    return float((found == wanted).mean())


def f1(
    predictions: ArrayLike,
    labels: ArrayLike,
    average: str = "binary",
    positive: Any = 1,
) -> float:
    """The harmonic mean of precision and recall; 0 where neither is defined.

    Args:
        predictions: The classes that were predicted.
        labels: The right ones.
        average: "binary" judges one class, "macro" is the mean over all classes, and
            "micro" counts all classes together.
        positive: The class that "binary" judges.

    Raises:
        InputError: The lengths differ, or there is no such average.
    """
    found, wanted = _pair(predictions, labels)
    if average not in AVERAGES:
        raise InputError(
            f"average must be one of {', '.join(AVERAGES)}, not {shown(average)}."
        )
    if average == "micro":  # every wrong prediction is one too many and one too few
        return accuracy(found, wanted)
    classes = [positive] if average == "binary" else np.union1d(found, wanted)
    return float(np.mean([_f1(found == name, wanted == name) for name in classes]))


def _f1(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    both = int((found & wanted).sum())
    total = int(found.sum() + wanted.sum())
    return 2 * both / total if total else 0.0


def matthews(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Matthews' correlation of classes, of two or more; 0 where it is not defined."""
    found, wanted = _pair(predictions, labels)
    classes = np.union1d(found, wanted)
    found, wanted = (np.searchsorted(classes, values) for values in (found, wanted))
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (wanted, found), 1)
    of_labels, of_found, total = table.sum(1), table.sum(0), table.sum()
    both = table.trace() * total - of_labels @ of_found
    spread = (total**2 - of_found @ of_found) * (total**2 - of_labels @ of_labels)
    return float(both / np.sqrt(spread)) if spread else 0.0


def pearson(predictions: ArrayLike, labels: ArrayLike) -> float:
    """The linear correlation of numbers; NaN if all of one side are the same."""
    found, wanted = (np.asarray(x, np.float64) for x in _pair(predictions, labels))
    found, wanted = found - found.mean(), wanted - wanted.mean()
    spread = np.linalg.norm(found) * np.linalg.norm(wanted)
    if spread == 0:
        return float("nan")
    return float(np.clip(found @ wanted / spread, -1, 1))


def spearman(predictions: ArrayLike, labels: ArrayLike) -> float:
    """The correlation of the ranks of numbers; equal numbers share a rank."""
    found, wanted = _pair(predictions, labels)
    return pearson(_ranks(found), _ranks(wanted))


def _ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[places]


Entity = tuple[str, int, int]


def entities(tags: Sequence[str]) -> list[Entity]:
    """The entities of a sentence as (kind, first token, last token).

    Tags are "O", "B-kind" and "I-kind". As in the script of CoNLL, an entity also
    begins where "I-" follows another kind or "O".
    """
    found: list[Entity] = []
    before = ""
    for place, tag in enumerate(tags):
        prefix, _, kind = tag.partition("-")
        if prefix not in ("B", "I") or not kind:
            if tag != "O":
                raise InputError(
                    f"{shown(tag)} is no tag. Use 'O', 'B-' and 'I-' with a kind."
                )
            before = ""
        elif prefix == "B" or kind != before:
            found.append((kind, place, place))
            before = kind
        else:
            found[-1] = (kind, found[-1][1], place)
    return found


def entity_f1(
    predictions: Sequence[Sequence[str]], labels: Sequence[Sequence[str]]
) -> dict[str, Any]:
    """Precision, recall and F1 of entities, all and by kind, as CoNLL counts them.

    An entity is right if its kind and both its ends are.

    Args:
        predictions: The tags of each sentence.
        labels: The right ones.

    Returns:
        "precision", "recall", "f1", "accuracy" of the tags, and "kinds": for each kind
        its "precision", "recall", "f1" and "number".

    Raises:
        InputError: The lengths differ, or a tag is none.
    """
    _check(len(predictions), len(labels), "sentences")
    found, wanted, both = Counter[str](), Counter[str](), Counter[str]()
    right = total = 0
    for ours, theirs in zip(predictions, labels, strict=True):
        _check(len(ours), len(theirs), "tags in a sentence")
        right += sum(a == b for a, b in zip(ours, theirs, strict=True))
        total += len(theirs)
        one, other = entities(ours), entities(theirs)
        found.update(kind for kind, _, _ in one)
        wanted.update(kind for kind, _, _ in other)
        both.update(kind for kind, _, _ in {*one} & {*other})
    every = _rates(both.total(), found.total(), wanted.total())
    kinds = {
        kind: {**_rates(both[kind], found[kind], wanted[kind]), "number": wanted[kind]}
        for kind in sorted({*found, *wanted})
    }
    return {**every, "accuracy": right / total, "kinds": kinds}


def _rates(both: int, found: int, wanted: int) -> dict[str, float]:
    return {
        "precision": both / found if found else 0.0,
        "recall": both / wanted if wanted else 0.0,
        "f1": 2 * both / (found + wanted) if found + wanted else 0.0,
    }
