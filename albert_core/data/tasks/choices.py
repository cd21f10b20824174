"""The right one of several answers to a question on a text.

Source: google-research/albert `race_utils`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from albert_core.data import metrics
from albert_core.data.tasks.examples import Example, Examples
from albert_core.data.tasks.form import (
    Feature,
    Lengths,
    Output,
    ids_of,
    logits_of,
    row,
)
from albert_core.errors import InputError, listed
from albert_core.numerics import softmax
from albert_core.tokenization import Tokenizer

LONGEST_ANSWER = 128  # tokens of a question with an option; the original keeps the last
BLANK = "_"


def asked(item: Example) -> list[str]:
    """The question with each of its options: in its blank, or else after it."""
    question = item.texts[1]
    if not question:
        return list(item.choices)
    if BLANK in question:
        return [question.replace(BLANK, option) for option in item.choices]
    return [f"{question} {option}" for option in item.choices]


@dataclass(frozen=True)
class ChoicesForm:
    """Multiple choice: a row for every option, [CLS] context [SEP] question [SEP]."""

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        lengths: Lengths,
        training: bool,
    ) -> list[Feature]:
        """See `Task.features`; inputs are lists with a row for each option."""
        counts = sorted({len(item.choices) for item in examples})
        if len(counts) > 1:
            raise InputError(
                f"{examples.source} has questions with {listed(counts)} choices. Give "
                f"all of them as many."
            )
        room = lengths.room(tokenizer, pair=True)
        contexts = ids_of(tokenizer, [item.texts[0] for item in examples])
        longest = min(LONGEST_ANSWER, room)
        found: list[Feature] = []
        questions = [asked(item) for item in examples]
        ids = ids_of(tokenizer, [text for texts in questions for text in texts])
        for item, texts in zip(examples, questions, strict=True):
            feature: Feature = {"input_ids": [], "token_type_ids": []}
            for text in texts:
                answer = ids[text][-longest:]
                context = contexts[item.texts[0]][: room - len(answer)]
                for name, values in row(tokenizer, context, answer).items():
                    feature[name].append(values)
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
        """See `Task.score`: accuracy, of all and of each part of the data."""
        wanted = examples.known()
        rows = logits_of(examples, features, outputs, len(examples[0].choices))
        found = [int(logits.argmax()) for logits in rows]
        result = {"accuracy": metrics.accuracy(found, wanted)}
        for group in sorted({item.group for item in examples if item.group}):
            pairs = zip(examples, found, wanted, strict=True)
            right = [a == b for item, a, b in pairs if item.group == group]
            result[f"accuracy_{group}"] = sum(right) / len(right)
        return result

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """See `Task.predictions`: the number and text of a choice, all chances."""
        rows = logits_of(examples, features, outputs, len(examples[0].choices))
        found: list[dict[str, Any]] = []
        for item, logits in zip(examples, rows, strict=True):
            best = int(logits.argmax())
            chances = softmax(logits).tolist()
            found.append(
                {
                    "id": item.id,
                    "choice": best,
                    "text": item.choices[best],
                    "probabilities": chances,
                }
            )
        return found
