"""Text classification: which label, or how much of it, a text or a pair has."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base, scores
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.texts import check_text

FUNCTIONS = {
    "sigmoid": scores.sigmoid,
    "softmax": scores.softmax,
    "none": lambda logits: logits,
}


@dataclass(frozen=True)
class TextClassificationOptions(base.Options):
    """Options of `text-classification`.

    Attributes:
        top_k: How many labels, the best first; None for all. Where it is not given,
            the result is the best label alone.
        function_to_apply: "softmax", "sigmoid" or "none"; by default what suits the
            model: none for regression, sigmoid for several labels at once or a single
            one, softmax otherwise.
        padding: As the tokenizer has it; it changes nothing.
        add_special_tokens: The same.
    """

    top_k: int | str | None = ""
    function_to_apply: str | None = None
    padding: bool | str = False
    add_special_tokens: bool = True


class TextClassificationPipeline(Pipeline):
    """Classify texts, or pairs {"text": ..., "text_pair": ...}.

    One text gives a list with a dict of "label" and "score", a pair or each text of a
    list such a dict; with `top_k` a list of them.
    """

    task = "text-classification"
    Options = TextClassificationOptions
    fields = ("text", "text_pair")

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """See `Pipeline`; a single text gives a list unless `top_k` makes one."""
        result = super().__call__(inputs, **options)
        if isinstance(inputs, str) and "top_k" not in options:
            return [result]
        return result

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        name = settled.function_to_apply
        if name is not None and str(name).lower() not in FUNCTIONS:
            raise InputError(
                f"function_to_apply must be one of {', '.join(FUNCTIONS)}, not "
                f"{shown(name)}."
            )
        top_k = settled.top_k
        if top_k not in (None, "") and (not isinstance(top_k, int) or top_k < 1):
            raise InputError(f"top_k must be 1 or more, or None, not {shown(top_k)}.")
        return settled

    def check(self, item: Any, options: Any) -> tuple[str, str | None]:
        """A text, and the second one of a pair."""
        if not isinstance(item, Mapping):
            if isinstance(item, list | tuple):
                raise InputError(
                    f"A text must be a string, not {shown(item)}. Give a pair as "
                    '{"text": ..., "text_pair": ...}.'
                )
            return check_text(item), None
        if unknown := item.keys() - {"text", "text_pair"} or {"text"} - item.keys():
            raise InputError(
                f"A pair has 'text' and 'text_pair'; correct {sorted(unknown)}."
            )
        pair = item.get("text_pair")
        return check_text(item["text"]), pair and check_text(pair, "text_pair")

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`; pairs and single texts apart."""
        given = {
            "truncation": options.truncation,
            "max_length": options.max_length,
            "padding": options.padding,
            "add_special_tokens": options.add_special_tokens,
        }
        work: dict[int, Work] = {}
        for paired in (False, True):
            places = [
                i for i, (_, pair) in enumerate(items) if (pair is not None) is paired
            ]
            if places:
                texts = [items[i][0] for i in places]
                pairs = [items[i][1] for i in places] if paired else None
                found = base.rows_of(self.tokenize(texts, pairs, **given))
                work |= dict(zip(places, found, strict=True))
        return [work[place] for place in range(len(items))]

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """See the class."""
        values = FUNCTIONS[self._function(options)](outputs["logits"])
        names = self.config.id2label
        if options.top_k == "":
            best = int(values.argmax())
            return {"label": names[best], "score": float(values[best])}
        found = [
            {"label": names[i], "score": score}
            for i, score in enumerate(values.tolist())
        ]
        found.sort(key=lambda each: each["score"], reverse=True)
        return found[: options.top_k]

    def _function(self, options: Any) -> str:
        if options.function_to_apply is not None:
            return options.function_to_apply.lower()
        kind = self.config.problem_type
        if kind == "regression":
            return "none"
        if kind == "multi_label_classification" or self.config.num_labels == 1:
            return "sigmoid"
        return "softmax"
