"""How good answers are: exact match and F1 as the scripts of SQuAD 1.1 and 2.0."""

import re
import string
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from albert_core.errors import InputError, shown

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)

Scores = dict[str, float]


def normalize(answer: str) -> str:
    """An answer in small letters, without punctuation, articles and extra spaces."""
    return " ".join(ARTICLES.sub(" ", answer.lower().translate(PUNCTUATION)).split())


def exact(prediction: str, answer: str) -> float:
    """1 if two answers are the same but for what `normalize` removes."""
    return float(normalize(prediction) == normalize(answer))


def overlap(prediction: str, answer: str, empty: bool = True) -> float:
    """The F1 of the words that two answers share.

    Args:
        prediction: What was predicted.
        answer: A right answer.
        empty: Whether two answers without words agree, as in SQuAD 2.0; in 1.1 they
            share nothing.
    """
    found, wanted = normalize(prediction).split(), normalize(answer).split()
    if empty and not (found and wanted):
        return float(found == wanted)
    both = (Counter(found) & Counter(wanted)).total()
    return 2 * both / (len(found) + len(wanted)) if both else 0.0


def squad_v1(
    predictions: Mapping[str, str], answers: Mapping[str, Sequence[str]]
) -> Scores:
    """Exact match and F1 in percent, as `evaluate-v1.1.py` has them.

    Args:
        predictions: The answer to each question, by its id; a question without one
            counts as wrong.
        answers: The right answers to each question; the best fit counts.

    Returns:
        "exact_match" and "f1".

    Raises:
        InputError: An id that is no question's, or a question without right answers.
    """
    _check_ids(predictions, answers)
    if bare := [name for name, right in answers.items() if not right]:
        raise InputError(
            f"{len(bare)} questions have no right answer, {shown(bare[0])} the first. "
            f"Use squad_v2."
        )
    total = {"exact_match": 0.0, "f1": 0.0}
    for name, prediction in predictions.items():
        right = answers[name]
        total["exact_match"] += max(exact(prediction, answer) for answer in right)
        total["f1"] += max(overlap(prediction, answer, empty=False) for answer in right)
    return {name: 100 * score / len(answers) for name, score in total.items()}


def squad_v2(
    predictions: Mapping[str, str],
    answers: Mapping[str, Sequence[str]],
    no_answer: Mapping[str, float] | None = None,
    threshold: float = 1.0,
) -> dict[str, Any]:
    """Exact match and F1 in percent, as `evaluate-v2.0.py` has them.

    Args:
        predictions: The answer to each question, by its id; "" for none.
        answers: The right answers to each question; none if it cannot be answered.
        no_answer: How sure it is that a question has no answer; then the best
            thresholds are found as well.
        threshold: Above it the prediction counts as "".

    Returns:
        "exact", "f1" and "total"; the same with "HasAns_" and "NoAns_" for questions
        with and without an answer, where there are such; with `no_answer` also
        "best_exact", "best_exact_thresh", "best_f1" and "best_f1_thresh".

    Raises:
        InputError: A question has no prediction, a prediction no question, or the
            ids of `no_answer` are others.
    """
    _check_ids(predictions, answers)
    _check_ids(answers, predictions, "predictions")
    unsure = dict.fromkeys(predictions, 0.0) if no_answer is None else no_answer
    _check_ids(answers, unsure, "no_answer")
    has = {name: bool(right) for name, right in answers.items()}
    raw: dict[str, Scores] = {"exact": {}, "f1": {}}
    for name, right in answers.items():
        # What normalizes to nothing is no answer.
        right = [answer for answer in right if normalize(answer)] or [""]
        prediction = predictions[name]
        raw["exact"][name] = max(exact(prediction, answer) for answer in right)
        raw["f1"][name] = max(overlap(prediction, answer) for answer in right)
    result: dict[str, Any] = {}
    groups = {
        "": [*answers],
        "HasAns_": [name for name in answers if has[name]],
        "NoAns_": [name for name in answers if not has[name]],
    }
    for prefix, names in groups.items():
        if not names:
            continue
        for measure, scores in raw.items():
            final = [
                float(not has[name]) if unsure[name] > threshold else scores[name]
                for name in names
            ]
            result[prefix + measure] = 100 * sum(final) / len(names)
        result[f"{prefix}total"] = len(names)
    if no_answer is not None:
        for measure, scores in raw.items():
            best, place = _best(predictions, scores, no_answer, has)
            result[f"best_{measure}"] = best
            result[f"best_{measure}_thresh"] = place
    return result


def _best(
    predictions: Mapping[str, str],
    scores: Scores,
    unsure: Mapping[str, float],
    has: Mapping[str, bool],
) -> tuple[float, float]:
    """The best score that a threshold gives, and the threshold.

    Begins with "" for every question, and takes the predictions in, the surest first.
    """
    score = best = float(sum(not answerable for answerable in has.values()))
    place = 0.0
    for name in sorted(has, key=lambda name: unsure[name]):
        if has[name]:
            score += scores[name]
        elif predictions[name]:
            score -= 1
        if score > best:
            best, place = score, unsure[name]
    return 100 * best / len(has), place


def _check_ids(
    found: Collection[str], known: Collection[str], what: str = "questions"
) -> None:
    if unknown := [name for name in found if name not in known]:
        raise InputError(
            f"{len(unknown)} ids are not among the {len(known)} of the {what}: "
            f"{', '.join(map(shown, unknown[:5]))}. Give those of one data set."
        )
    if not known:
        raise InputError(f"There are no {what}. Give at least one.")
