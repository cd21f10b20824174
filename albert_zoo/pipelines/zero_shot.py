"""Zero-shot classification: labels of the caller's own, by entailment."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.scores import softmax
from albert_zoo.pipelines.texts import check_text

logger = logging.getLogger("albert_zoo")


@dataclass(frozen=True)
class ZeroShotOptions(base.Options):
    """Options of `zero-shot-classification`.

    Attributes:
        candidate_labels: The labels: a list, or a string with commas between them.
        hypothesis_template: The sentence that a label is put into, at {}.
        multi_label: Whether more than one label can be true: then each has a
            probability of its own, otherwise they sum up to 1.
    """

    truncation: bool | str | None = "only_first"
    candidate_labels: str | Sequence[str] | None = None
    hypothesis_template: str = "This example is {}."
    multi_label: bool = False


class ZeroShotClassificationPipeline(Pipeline):
    """Classify texts by a model that was trained on entailment.

    A text gives a dict with "sequence", "labels" and "scores", the best label first.
    """

    task = "zero-shot-classification"
    Options = ZeroShotOptions

    def __post_init__(self) -> None:
        super().__post_init__()
        found = [
            number
            for label, number in self.config.label2id.items()
            if label.lower().startswith("entail")
        ]
        self.entailment = found[0] if found else -1
        if not found:
            logger.warning(
                "No label of the model begins with 'entail': %s. The last one is "
                "taken; name it in label2id of config.json.",
                ", ".join(self.config.label2id),
            )

    def __call__(self, inputs: Any, *labels: Any, **options: Any) -> Any:
        """See `Pipeline`; the candidate labels may be the second argument."""
        if labels:
            (options["candidate_labels"],) = labels
        return super().__call__(inputs, **options)

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        template = settled.hypothesis_template
        try:
            wrong = template.format("a") == template
        except (AttributeError, IndexError, KeyError, ValueError):
            wrong = True
        if wrong:
            raise InputError(
                f"hypothesis_template {shown(template)} has no place for the label. "
                f"Put {{}} into it."
            )
        return settled

    def check(self, item: Any, options: Any) -> Any:
        """A text and its hypotheses."""
        labels = options.candidate_labels
        if isinstance(labels, str):
            labels = [label.strip() for label in labels.split(",") if label.strip()]
        if not labels:
            raise InputError(
                "zero-shot-classification needs candidate_labels, a list of at least "
                "one label."
            )
        labels = [check_text(label, "A label") for label in labels]
        return check_text(item), labels

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`: a row for each label."""
        texts = [text for text, labels in items for _ in labels]
        template = options.hypothesis_template
        hypotheses = [template.format(label) for _, labels in items for label in labels]
        encoded = self.tokenize(
            texts,
            hypotheses,
            truncation=options.truncation,
            max_length=options.max_length,
        )
        rows = (row for work in base.rows_of(encoded) for row in work.rows)
        return [Work([next(rows) for _ in item[1]], item) for item in items]

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The logits."""
        return outputs["logits"].copy()

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        text, labels = work.notes
        logits = np.stack(found)
        if options.multi_label or len(labels) == 1:
            contradiction = -1 if self.entailment == 0 else 0
            scores = softmax(logits[:, [contradiction, self.entailment]])[:, 1]
        else:
            scores = softmax(logits[:, self.entailment])
        order = scores.argsort()[::-1]
        return {
            "sequence": text,
            "labels": [labels[place] for place in order],
            "scores": scores[order].tolist(),
        }
