"""Question answering by the joint head of SQuAD 2."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np

from albert_zoo.pipelines.base import Outputs, Work
from albert_zoo.pipelines.question_answering import QuestionAnsweringPipeline
from albert_zoo.pipelines.spans import Window


class QuestionAnsweringBeamPipeline(QuestionAnsweringPipeline):
    """Answer questions by the spans that a beam search finds.

    The score of a span is the probability of its start times that of its end, given the
    start; that of no answer is the head's own. Where nothing of the context was found,
    the answer is "" though it was not asked for.
    """

    outputs = (
        "start_top_log_probs",
        "start_top_index",
        "end_top_log_probs",
        "end_top_index",
        "cls_logits",
    )

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The spans as (first token, last token, probability), and the head's score."""
        start, first, end, last, score = (outputs[name] for name in self.outputs)
        each = len(end) // len(start)
        scores = np.exp(np.repeat(start, each) + end)
        firsts = np.repeat(first, each).astype(int)
        return list(zip(firsts, last.astype(int), scores, strict=True)), float(score)

    def spans(
        self, window: Window, kept: Any, count: int, longest: int
    ) -> tuple[float, Iterable[tuple[int, int, float]]]:
        """See `QuestionAnsweringPipeline`; Google's rules for what is an answer."""
        found, score = kept
        context = {place for place, part in enumerate(window.parts) if part == 1}
        best = [
            (int(first), int(last), float(probability))
            for first, last, probability in found
            if {first, last} <= context and first <= last < first + longest
        ]
        best.sort(key=lambda span: -span[2])
        return float(1 / (1 + np.exp(-score))), best[:count]

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        forced = replace(options, handle_impossible_answer=True)
        decode = super().decode
        return decode(work, found, options) or decode(work, found, forced)
