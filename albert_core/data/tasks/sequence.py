"""One label, or one number, for a text or a pair of texts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from albert_core.data import metrics
from albert_core.data.tasks.examples import Examples
from albert_core.data.tasks.form import Feature, Lengths, Output, ids_of, logits_of, row
from albert_core.errors import InputError
from albert_core.numerics import softmax
from albert_core.tokenization import Tokenizer
from albert_core.tokenization.truncation import remaining

Measure = Callable[[Sequence[Any], Sequence[Any]], float]


def _macro(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    return metrics.f1(found, wanted, "macro")


def _error(found: Sequence[Any], wanted: Sequence[Any]) -> float:
    pairs = zip(found, wanted, strict=True)
    return sum((a - b) ** 2 for a, b in pairs) / len(wanted)


def _or_none(measure: Measure) -> Measure:
    # NaN would win or lose every comparison of checkpoints by chance.
    def safe(found: Sequence[Any], wanted: Sequence[Any]) -> float:
        value = measure(found, wanted)
        return value if value == value else 0.0

    return safe


MEASURES: Mapping[str, Measure] = {
    "accuracy": metrics.accuracy,
    "f1": metrics.f1,
    "macro_f1": _macro,
    "matthews": metrics.matthews,
    "pearson": _or_none(metrics.pearson),
    "spearman": _or_none(metrics.spearman),
    "mse": _error,
}


@dataclass(frozen=True)
class SequenceForm:
    """Texts and pairs, for a sequence classifier.

    Attributes:
        measures: Keys of `MEASURES`; correlations that are not defined are 0.
        numbers: Whether labels are numbers, not classes.
    """

    measures: tuple[str, ...]
    numbers: bool = False

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        lengths: Lengths,
        training: bool,
    ) -> list[Feature]:
        """See `Task.features`; of a pair the longer text loses its tail first."""
        ids = ids_of(tokenizer, [text for item in examples for text in item.texts])
        found: list[Feature] = []
        for item in examples:
            pair = len(item.texts) > 1
            first = ids[item.texts[0]]
            second = ids[item.texts[1]] if pair else None
            room = lengths.room(tokenizer, pair)
            # The original pops the last token of the longer text, of two that are as
            # long that of the second, until both fit: "longest_first".
            left, right = remaining(
                len(first), len(second or ()), room, "longest_first"
            )
            rest = None if second is None else second[:right]
            feature = row(tokenizer, first[:left], rest)
            if item.label is not None:
                feature["labels"] = item.label
            found.append(feature)
        return found

    def score(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> dict[str, float]:
        """See `Task.score`."""
        wanted = examples.known()
        if self.numbers:
            found = self._numbers(examples, features, outputs)
        else:
            width = len(examples.labels)
            rows = logits_of(examples, features, outputs, width)
            found = [int(logits.argmax()) for logits in rows]
        return {name: MEASURES[name](found, wanted) for name in self.measures}

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """See `Task.predictions`: the label and all probabilities, or the number."""
        if self.numbers:
            values = self._numbers(examples, features, outputs)
            return [
                {"id": item.id, "value": value}
                for item, value in zip(examples, values, strict=True)
            ]
        names = examples.labels
        found: list[dict[str, Any]] = []
        rows = logits_of(examples, features, outputs, len(names))
        for item, logits in zip(examples, rows, strict=True):
            chances = dict(zip(names, softmax(logits).tolist(), strict=True))
            label = names[int(logits.argmax())]
            found.append({"id": item.id, "label": label, "probabilities": chances})
        return found

    def _numbers(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[float]:
        rows = logits_of(examples, features, outputs, None)
        if rows[0].size != 1:
            raise InputError(
                f"The model gives {rows[0].size} numbers, but the labels are one "
                f"number each. Use a model with num_labels=1."
            )
        return [float(logits.reshape(-1)[0]) for logits in rows]
