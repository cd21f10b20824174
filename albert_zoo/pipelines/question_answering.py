"""Question answering: where in a text the answer stands."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import spans
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.batching import PER_TOKEN
from albert_zoo.pipelines.spans import Answers, Window
from albert_zoo.pipelines.texts import check_text

LONGEST = 384  # of a window, unless told otherwise


@dataclass(frozen=True)
class QuestionAnsweringOptions:
    """Options of `question-answering`.

    Attributes:
        top_k: The most answers, the best first.
        doc_stride: How many tokens two windows over a long context share; by default
            128, or half a window if that is less.
        max_answer_len: The most tokens of an answer.
        max_seq_len: Tokens of a window with its question; by default 384, or what the
            model takes if that is less.
        max_question_len: Cut the question after so many tokens; by default it is kept.
        handle_impossible_answer: Whether "" may be the answer, as in SQuAD 2.
        align_to_words: Whether an answer begins and ends with a word.
    """

    top_k: int = 1
    doc_stride: int | None = None
    max_answer_len: int = 15
    max_seq_len: int | None = None
    max_question_len: int | None = None
    handle_impossible_answer: bool = False
    align_to_words: bool = True


class QuestionAnsweringPipeline(Pipeline):
    """Answer questions by a span of their context.

    {"question": ..., "context": ...} gives a dict with "score", "start", "end" and
    "answer", or with `top_k` above 1 a list of those if there is more than one.
    """

    task = "question-answering"
    Options = QuestionAnsweringOptions
    outputs = ("start_logits", "end_logits")
    fields = ("question", "context")
    required = 2

    def __call__(self, inputs: Any = None, context: Any = None, **options: Any) -> Any:
        """See `Pipeline`; question and context may also be two arguments.

        Each of the two may be a list; a context alone is taken for every question. A
        list of one gives the answer itself.
        """
        question = options.pop("question", None)
        if question is not None or context is not None:
            inputs = _paired(inputs if question is None else question, context)
        if isinstance(inputs, list | tuple) and len(inputs) == 1:
            (inputs,) = inputs
        return super().__call__(inputs, **options)

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        for name in ("top_k", "max_answer_len", "max_seq_len", "max_question_len"):
            value = getattr(settled, name)
            if value is None and name not in ("top_k", "max_answer_len"):
                continue
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be 1 or more, not {shown(value)}.")
        length, stride = self._window(settled)
        if not 0 <= stride < length:
            raise InputError(
                f"doc_stride is {stride}, but a window has {length} tokens. Give a "
                f"smaller doc_stride or a larger max_seq_len."
            )
        return settled

    def _window(self, options: Any) -> tuple[int, int]:
        """Tokens of a window, and how many of them two windows share."""
        length = options.max_seq_len or min(self.longest, LONGEST)
        stride = options.doc_stride
        return length, min(length // 2, 128) if stride is None else stride

    def check(self, item: Any, options: Any) -> Any:
        """A question and its context."""
        if not isinstance(item, Mapping) or not {"question", "context"} <= item.keys():
            raise InputError(
                f'Give {{"question": ..., "context": ...}}, not {shown(item)}.'
            )
        question = check_text(item["question"], "The question")
        return question, check_text(item["context"], "The context")

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`: a row for each window over the context."""
        return [
            self._encode_one(question, context, options) for question, context in items
        ]

    def _encode_one(self, question: str, context: str, options: Any) -> Work:
        length, stride = self._window(options)
        asked = self.tokenizer(question, add_special_tokens=False)["input_ids"]
        if options.max_question_len and len(asked) > options.max_question_len:
            asked = asked[: options.max_question_len]
            question = self.tokenizer.decode(asked)
        special = self.tokenizer.num_special_tokens_to_add(pair=True)
        if (room := length - len(asked) - special) <= stride:
            raise InputError(
                f"The question has {len(asked)} tokens, which leaves {max(0, room)} of "
                f"a window of {length} for the context, and windows share {stride}. "
                f"Give a shorter question, max_question_len or a smaller doc_stride."
            )
        encoded = self.tokenize(
            [question],
            [context],
            truncation="only_second",
            max_length=length,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        work = Work([], (context, []))
        for row, ids in enumerate(encoded["input_ids"]):
            work.rows.append({name: encoded[name][row] for name in PER_TOKEN})
            allowed = [part == 1 for part in encoded.sequence_ids(row)]
            # Where a model points to when there is no answer.
            cls = self.tokenizer.cls_token_id
            allowed = [a or i == cls for a, i in zip(allowed, ids, strict=True)]
            offsets = encoded["offset_mapping"][row]
            words = encoded.word_ids(row)
            work.notes[1].append(
                Window(allowed, offsets, words, encoded.sequence_ids(row))
            )
        return work

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The logits of both ends."""
        count = len(row["input_ids"])
        return [outputs[name][:count].copy() for name in self.outputs]

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        context, windows = work.notes
        answers = Answers(context, options.align_to_words)
        # Aligned to words, several spans may become one.
        count = 2 * options.top_k + 10 if options.align_to_words else options.top_k
        impossible = 1e6
        for window, kept in zip(windows, found, strict=True):
            none, best = self.spans(window, kept, count, options.max_answer_len)
            impossible = min(impossible, none)
            for span in best:
                answers.add(window, *span)
        results = answers.found
        if options.handle_impossible_answer:
            results = [*results, spans.answer(impossible, 0, 0, "")]
        results = sorted(results, key=lambda each: -each["score"])[: options.top_k]
        return results[0] if len(results) == 1 else results

    def spans(
        self, window: Window, kept: Any, count: int, longest: int
    ) -> tuple[float, Iterable[tuple[int, int, float]]]:
        """How probable no answer is in a window, and its best answers.

        Args:
            window: What is known of its tokens.
            kept: What `reduce` kept of it.
            count: How many answers.
            longest: The most tokens of one.
        """
        start, end = (spans.probabilities(x, window.allowed) for x in kept)
        none = float(start[0] * end[0])
        start[0] = end[0] = 0
        return none, spans.best(start, end, count, longest, window)


def _paired(question: Any, context: Any) -> Sequence[Mapping[str, Any]]:
    questions = question if isinstance(question, list) else [question]
    contexts = context if isinstance(context, list) else [context] * len(questions)
    if len(contexts) != len(questions):
        raise InputError(
            f"There are {len(questions)} questions but {len(contexts)} contexts. Give "
            f"as many, or one context for all."
        )
    return [
        {"question": q, "context": c} for q, c in zip(questions, contexts, strict=True)
    ]
