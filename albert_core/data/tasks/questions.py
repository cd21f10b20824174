"""The answer to a question as a part of its context.

Source: google-research/albert `squad_utils`. Of what a feature holds,
`albert_core.data.batching.INPUTS` go into the model; the rest is for judging:

- "example": the number of the example;
- "first": the first token of the context;
- "offsets": [tokens, 2] where the tokens of the window stand in the context;
- "best": [tokens] whether no other window has more context around the token.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from albert_core.data import squad
from albert_core.data.tasks import windows
from albert_core.data.tasks.examples import Example, Examples
from albert_core.data.tasks.form import (
    Feature,
    Lengths,
    Output,
    check_outputs,
    ids_of,
    row,
)
from albert_core.errors import InputError, listed
from albert_core.tokenization import Tokenizer

SPAN = ("start_logits", "end_logits")
BEAM = (
    "start_top_log_probs",
    "start_top_index",
    "end_top_log_probs",
    "end_top_index",
    "cls_logits",
)


@dataclass(frozen=True)
class QuestionsForm:
    """Questions on contexts, for the span head or, with `beam`, for the joint head.

    Attributes:
        impossible: Whether a question may have no answer; None if the data tell.
        beam: Whether it is for the joint head of SQuAD 2.
    """

    impossible: bool | None = False
    beam: bool = False

    def features(
        self,
        examples: Examples,
        tokenizer: Tokenizer,
        lengths: Lengths,
        training: bool,
    ) -> list[Feature]:
        """See `Task.features`: a row for every window over a context."""
        queries = ids_of(tokenizer, [item.texts[0] for item in examples])
        room = lengths.room(tokenizer, pair=True)
        found: list[Feature] = []
        context, tokens, offsets = "", [0], np.zeros((0, 2), np.int32)
        for number, item in enumerate(examples):
            if not number or item.texts[1] != context:  # questions on one text adjoin
                context = item.texts[1]
                tokens, offsets = _tokens(tokenizer, context)
            query = queries[item.texts[0]][: lengths.max_query_length]
            size = room - len(query)
            if size < 1:
                raise InputError(
                    f"max_length is {lengths.max_length}, and question {item.id!r} "
                    f"takes {len(query)} tokens of it, which leaves none for its "
                    f"context. Give a larger max_length or a smaller max_query_length."
                )
            spans = windows.windows(len(tokens), size, lengths.doc_stride)
            best = windows.in_best_window(spans, len(tokens))
            answer = _answer(item, offsets) if training else None
            for window, (start, count) in enumerate(spans):
                inside = slice(start, start + count)
                feature = row(tokenizer, query, tokens[inside])
                # The last token is [SEP].
                first = len(feature["input_ids"]) - 1 - count
                feature["example"] = number
                feature["first"] = first
                feature["offsets"] = offsets[inside]
                feature["best"] = best[inside] == window
                if self.beam:
                    mask = np.ones(len(feature["input_ids"]), np.int8)
                    mask[0] = 0  # [CLS], where a model points if there is no answer
                    mask[first : first + count] = 0
                    feature["p_mask"] = mask
                if training:
                    feature |= self._label(answer, start, count, first)
                found.append(feature)
        return found

    def _label(
        self, answer: tuple[int, int] | None, start: int, count: int, first: int
    ) -> Feature:
        """The places of an answer in a window; both [CLS] if it is not whole there."""
        places = (0, 0)
        whole = answer and start <= answer[0] and answer[1] < start + count
        if answer and whole:
            places = answer[0] - start + first, answer[1] - start + first
        label = {"start_positions": places[0], "end_positions": places[1]}
        return label | ({"is_impossible": int(not whole)} if self.beam else {})

    def score(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> dict[str, float]:
        """See `Task.score`: exact match and F1 in percent, as the scripts of SQuAD.

        Where questions may have no answer, "f1" is that of the threshold 0, and
        "best_f1" that of "best_f1_thresh", found on these examples.
        """
        answers = {
            item.id: [text for text, _ in label]
            for item, label in zip(examples, examples.known(), strict=True)
        }
        found = self._found(examples, features, outputs)
        texts = {item.id: text for item, text, _, _ in found}
        if not self._may_lack(examples):
            return squad.squad_v1(texts, answers)
        doubts = {item.id: doubt for item, _, _, doubt in found}
        return squad.squad_v2(texts, answers, doubts, threshold=0.0)

    def predictions(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[dict[str, Any]]:
        """See `Task.predictions`: the answer, and "no_answer", above 0 for none."""
        may_lack = self._may_lack(examples)
        records: list[dict[str, Any]] = []
        for item, text, score, doubt in self._found(examples, features, outputs):
            record: dict[str, Any] = {"id": item.id, "answer": text}
            if np.isfinite(score):
                record["score"] = score
            if may_lack:
                record["answer"] = "" if doubt > 0 else text
                record["best_answer"] = text
                record["no_answer"] = doubt
            records.append(record)
        return records

    def _may_lack(self, examples: Examples) -> bool:
        if self.impossible is None:
            return any(item.label == () for item in examples)
        return self.impossible

    def _found(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[tuple[Example, str, float, float]]:
        """Each example, its best answer, its score, and how sure there is none."""
        rows = self._by_example(examples, features, outputs)
        pairs = zip(examples, rows, strict=True)
        return [(item, *self._best(item, some)) for item, some in pairs]

    def _by_example(
        self,
        examples: Examples,
        features: Sequence[Feature],
        outputs: Sequence[Output],
    ) -> list[list[tuple[Feature, Output]]]:
        check_outputs(features, outputs, BEAM if self.beam else SPAN)
        rows: list[list[tuple[Feature, Output]]] = [[] for _ in examples]
        for feature, output in zip(features, outputs, strict=True):
            number: int = feature["example"]
            if not 0 <= number < len(rows):
                raise InputError(
                    f"A feature is of example {number}, but there are {len(rows)}. "
                    f"Give the examples that the features are of."
                )
            rows[number].append((feature, output))
        pairs = zip(examples, rows, strict=True)
        if bare := [item.id for item, some in pairs if not some]:
            raise InputError(
                f"{len(bare)} of {len(rows)} examples have no feature: {listed(bare)}. "
                f"Give the features of all of them."
            )
        return rows

    def _best(
        self, item: Example, rows: Sequence[tuple[Feature, Output]]
    ) -> tuple[str, float, float]:
        text, top, doubt = "", -np.inf, np.inf
        for feature, output in rows:
            length, first = len(feature["input_ids"]), feature["first"]
            best = np.zeros(length, np.bool_)
            best[first : first + len(feature["best"])] = feature["best"]
            if self.beam:
                spans = windows.beam_spans(output, best)
                doubt = min(doubt, float(np.asarray(output["cls_logits"]).reshape(())))
            else:
                start, end = (
                    np.asarray(output[name], np.float64)[:length] for name in SPAN
                )
                spans = windows.best_spans(start, end, best)
                doubt = min(doubt, float(start[0] + end[0]))
            last_token = first + len(feature["offsets"]) - 1
            for begin, last, score in spans:
                if score > top and last <= last_token:  # of equals the first counts
                    places = feature["offsets"], begin - first, last - first
                    span = windows.character_span(*places, item.texts[1])
                    if span[0] == span[1]:
                        continue  # a token of white space alone is no answer
                    text, top = item.texts[1][slice(*span)], score
        if not self.beam:
            # Without an answer, so sure as can be said in JSON.
            doubt = doubt - top if np.isfinite(top) else 1e6
        return text, float(top), float(doubt)


def _tokens(tokenizer: Tokenizer, context: str) -> tuple[list[int], Any]:
    """The ids of a context, and where they stand in it."""
    options: dict[str, Any] = {
        "add_special_tokens": False,
        "truncation": False,
        "verbose": False,
    }
    found = tokenizer(context, return_offsets_mapping=True, **options)
    offsets = np.array(found["offset_mapping"], np.int32).reshape(-1, 2)
    return found["input_ids"], offsets


def _answer(item: Example, offsets: Any) -> tuple[int, int] | None:
    """The tokens of the first answer; None if there is none."""
    if not item.label:
        return None
    text, start = item.label[0]
    return windows.token_span(offsets, start, start + len(text))
