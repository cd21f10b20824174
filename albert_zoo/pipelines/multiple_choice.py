"""Multiple choice: which continuation or answer fits best."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.scores import softmax
from albert_zoo.pipelines.texts import check_text


@dataclass(frozen=True)
class MultipleChoiceOptions(base.Options):
    """Options of `multiple-choice`: `truncation` and `max_length`."""


class MultipleChoicePipeline(Pipeline):
    """Choose among texts: {"prompt": ..., "choices": [...]}.

    The result is a dict with the "index" of the best choice from 0, the "choice"
    itself, its "score", and the "scores" of all in their order, which sum up to 1.
    Choices need not be equally many in every input.
    """

    task = "multiple-choice"
    Options = MultipleChoiceOptions
    fields = ("prompt", "choices")
    required = 2

    def __call__(self, inputs: Any, choices: Any = None, **options: Any) -> Any:
        """See `Pipeline`; prompt and choices may also be two arguments."""
        if choices is not None:
            inputs = {"prompt": inputs, "choices": choices}
        return super().__call__(inputs, **options)

    def check(self, item: Any, options: Any) -> tuple[str, list[str]]:
        """A prompt and its choices."""
        if not isinstance(item, Mapping) or item.keys() != {"prompt", "choices"}:
            raise InputError(
                f'Give {{"prompt": ..., "choices": [...]}}, not {shown(item)}.'
            )
        choices = item["choices"]
        if not isinstance(choices, list | tuple) or not choices:
            raise InputError(
                f"choices must be a list of at least one text, not {shown(choices)}."
            )
        prompt = check_text(item["prompt"], "The prompt")
        return prompt, [check_text(choice, "A choice") for choice in choices]

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`: a row for each choice."""
        encoded = self.tokenize(
            [prompt for prompt, choices in items for _ in choices],
            [choice for _, choices in items for choice in choices],
            truncation=options.truncation,
            max_length=options.max_length,
        )
        rows = (row for work in base.rows_of(encoded) for row in work.rows)
        return [Work([next(rows) for _ in item[1]], item) for item in items]

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The logit."""
        return outputs["logits"][0].copy()

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        _, choices = work.notes
        scores = softmax(np.stack(found))
        best = int(scores.argmax())
        return {
            "index": best,
            "choice": choices[best],
            "score": float(scores[best]),
            "scores": scores.tolist(),
        }
