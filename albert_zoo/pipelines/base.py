"""What all pipelines share: inputs in, results out in the same order, in batches."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from numpy.typing import NDArray

from albert_core import fast
from albert_core.errors import AlbertError, InputError, shown
from albert_zoo.pipelines.batching import (
    PER_TOKEN,
    Batch,
    batches,
    packed_batches,
    stack,
    windows,
)
from albert_zoo.pipelines.texts import check_text, check_vocabulary, lines_of
from albert_zoo.predictors import Predictor

Outputs = Mapping[str, NDArray[Any]]

LOOKAHEAD = 1024
# What older Hugging Face pipelines take, and what stands for it here.
RENAMED = {
    "batch_size": "batch_tokens, when the pipeline is made",
    "grouped_entities": "aggregation_strategy='simple'",
    "ignore_subwords": "aggregation_strategy='first'",
    "multi_class": "multi_label",
    "return_all_scores": "top_k=None",
    "topk": "top_k",
}


@dataclass(frozen=True)
class Options:
    """What a call of a pipeline can be told.

    Attributes:
        truncation: As the tokenizer has it: True cuts what is too long for the model,
            which is an error otherwise; None is True where there is a `max_length`.
        max_length: Cut there; by default at the model's length.
    """

    truncation: bool | str | None = None
    max_length: int | None = None


@dataclass
class Work:
    """An item on its way to a result.

    Attributes:
        rows: What the model runs, token ids and the like by name.
        notes: What the result is made of besides the outputs.
    """

    rows: list[dict[str, list[int]]]
    notes: Any = None


@dataclass
class Pipeline:
    """A tokenizer and a model that do one task.

    Attributes:
        predictor: The model.
        tokenizer: Its tokenizer.
        batch_tokens: About the most tokens that run at once; None for as many as are
            fastest.
        lookahead: The most items that are read ahead, to sort them by length.
        given: The options in place of the defaults.
    """

    predictor: Predictor
    tokenizer: Any
    batch_tokens: int | None = None
    lookahead: int = LOOKAHEAD
    given: dict[str, Any] = field(default_factory=dict[str, Any])

    task: ClassVar[str]
    Options: ClassVar[type[Any]] = Options
    outputs: ClassVar[tuple[str, ...]] = ("logits",)
    # What a record of a file holds, and how much of it cannot be missing.
    fields: ClassVar[tuple[str, ...]] = ("text",)
    required: ClassVar[int] = 1
    # Read ahead no more than this, so that results fit into memory.
    characters: ClassVar[int] = 2**20

    def __post_init__(self) -> None:
        for name in ("batch_tokens", "lookahead"):
            value = getattr(self, name)
            if value is None and name == "batch_tokens":
                continue
            if not isinstance(value, int) or value < 1:
                raise InputError(f"{name} must be 1 or more, not {shown(value)}.")
        check_vocabulary(self.tokenizer, self.config.vocab_size)
        self.options = self.settle(self.Options(), self.given)

    @property
    def config(self) -> Any:
        """The configuration of the model."""
        return self.predictor.config

    @property
    def longest(self) -> int:
        """The most tokens that a row can have."""
        return min(
            self.config.max_position_embeddings, int(self.tokenizer.model_max_length)
        )

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """Options with some changed, checked.

        Raises:
            InputError: There is no such option, or it cannot have this value.
        """
        known = [each.name for each in fields(options)]
        for name in changes:
            if name in RENAMED:
                raise InputError(
                    f"{self.task} has no option {name}. Give {RENAMED[name]}."
                )
            if name not in known:
                raise InputError(
                    f"{self.task} has no option {shown(name)}. It takes "
                    f"{', '.join(known)}."
                )
        return replace(options, **changes)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """Run on one input, a list of them, or a stream.

        Args:
            inputs: One input, a list or tuple of them, any other iterable, an open
                text file, or the `Path` of one; each line of a file is an input.
            **options: In place of those that the pipeline was made with.

        Returns:
            A result, a list of results, or an iterator over results. They come in the
            order of the inputs.

        Raises:
            InputError: An input or an option that cannot be used.
        """
        settled = self.settle(self.options, options)
        if isinstance(inputs, list | tuple):
            return list(self._results(inputs, settled))
        if isinstance(inputs, Path):
            return self._results(lines_of(inputs), settled)
        if hasattr(inputs, "readline"):
            return self._results((line.rstrip("\n") for line in inputs), settled)
        if isinstance(inputs, Iterable) and not isinstance(inputs, str | Mapping):
            return self._results(inputs, settled)
        return self._single(inputs, settled)

    def _single(self, item: Any, options: Any) -> Any:
        return next(self._results([item], options))

    def _results(self, items: Iterable[Any], options: Any) -> Iterator[Any]:
        for result in self.stream(items, options):
            if isinstance(result, AlbertError):
                raise result
            yield result

    def stream(
        self, items: Iterable[Any], options: Any = None, skip: int = 0
    ) -> Iterator[Any]:
        """Results in order; for an item that cannot be used, the error.

        Args:
            items: Inputs; an error among them is passed on in its place.
            options: What `settle` returned.
            skip: Leave out as many results, and what need not be computed for the
                others. They are the same, bit by bit, as without.
        """
        options = self.options if options is None else options
        for window in windows(items, self.lookahead, self.characters):
            if skip >= len(window):
                skip -= len(window)
                continue
            yield from self._run(window, options)[skip:]
            skip = 0

    def _run(self, items: list[Any], options: Any) -> list[Any]:
        work = self._encode_all(items, options)
        rows = [row for each in work if isinstance(each, Work) for row in each.rows]
        done = iter(self._predict(rows, options))
        results: list[Any] = []
        for each in work:
            if isinstance(each, AlbertError):
                results.append(each)
            else:
                found = list(islice(done, len(each.rows)))
                results.append(self.decode(each, found, options))
        return results

    def _encode_all(self, items: list[Any], options: Any) -> list[Work | AlbertError]:
        """What each item asks of the model, or the error why there is nothing."""
        checked: dict[int, Any] = {}
        work: dict[int, Work | AlbertError] = {}
        for place, item in enumerate(items):
            try:
                if isinstance(item, AlbertError):
                    raise item
                checked[place] = self.check(item, options)
            except AlbertError as problem:
                work[place] = problem
        found = self._encode_each(list(checked.values()), options)
        work |= dict(zip(checked, found, strict=True))
        return [work[place] for place in range(len(items))]

    def _encode_each(self, items: list[Any], options: Any) -> list[Work | AlbertError]:
        """The same, at once; in halves, to find them, if some are at fault."""
        try:
            encoded = self.encode(items, options) if items else []
            for work in encoded:
                self._check_lengths(work)
        except AlbertError as problem:
            if len(items) == 1:
                return [problem]
            half = len(items) // 2
            first = self._encode_each(items[:half], options)
            return [*first, *self._encode_each(items[half:], options)]
        return [*encoded]

    def _check_lengths(self, work: Work) -> None:
        most = self.config.max_position_embeddings
        for row in work.rows:
            length = len(row["input_ids"])
            if length == 0:
                raise InputError(
                    "The text has 0 tokens, so that there is nothing to look at. Give "
                    "another, or leave add_special_tokens as it is."
                )
            if length > most:
                raise InputError(
                    f"The text has {length} tokens, but the model takes at most {most}."
                    f" {self._remedy()}"
                )

    def _remedy(self) -> str:
        return "Give truncation=True, or a shorter text."

    def batches_of(self, lengths: Sequence[int]) -> Iterator[Batch]:
        """Which rows run together, by their lengths."""
        tokens = self.batch_tokens or self.predictor.batch_tokens
        most = self.config.max_position_embeddings
        if self.predictor.shares_rows and fast.allowed():
            return packed_batches(lengths, tokens, most)
        return batches(lengths, tokens, most, self.predictor.shares_rows)

    def _predict(self, rows: Sequence[Any], options: Any) -> list[Any]:
        """What `reduce` makes of the outputs of each row, in order."""
        few = self.predictor.shares_rows
        lengths = [len(row["input_ids"]) for row in rows]
        padding = self.tokenizer.pad_token_id or 0
        done: list[Any] = [None] * len(rows)
        for batch in self.batches_of(lengths):
            together = [rows[row] for row in batch.rows]
            arrays = stack(together, batch, padding, few)
            # A tokenizer that was told to pad has made padding part of the text.
            real = arrays["attention_mask"][: len(together)].sum(1)
            padded = any(real < [lengths[row] for row in batch.rows])
            outputs = self.predictor.run(arrays, self.outputs, padded)
            for place, row in enumerate(batch.rows):
                own = {name: array[place] for name, array in outputs.items()}
                done[row] = self.reduce(rows[row], own, options)
        return done

    def tokenize(self, texts: Any, pairs: Any = None, **options: Any) -> Any:
        """Call the tokenizer, with the model's length as the longest."""
        if options.get("truncation") and options.get("max_length") is None:
            options["max_length"] = self.longest
        return self.tokenizer(
            texts,
            pairs,
            return_token_type_ids=True,
            return_attention_mask=True,
            **options,
        )

    def check(self, item: Any, options: Any) -> Any:
        """An input in the form that `encode` takes.

        Raises:
            InputError: It cannot be used.
        """
        return check_text(item)

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """What each of some inputs asks of the model; one row each here."""
        encoded = self.tokenize(
            items, truncation=options.truncation, max_length=options.max_length
        )
        return rows_of(encoded)

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """What to keep of the outputs of a row until all of its window are there."""
        raise NotImplementedError

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """The result, of what `reduce` kept of each row."""
        return found[0]


def rows_of(encoded: Mapping[str, Any]) -> list[Work]:
    """One piece of work for each row that a tokenizer returned."""
    columns = [encoded[name] for name in PER_TOKEN]
    return [
        Work([dict(zip(PER_TOKEN, row, strict=True))])
        for row in zip(*columns, strict=True)
    ]
