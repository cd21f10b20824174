"""Token classification: a label for each token, or the entities that they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base, entities
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.batching import PER_TOKEN
from albert_zoo.pipelines.entities import STRATEGIES, Token
from albert_zoo.pipelines.scores import softmax
from albert_zoo.pipelines.texts import check_text


@dataclass(frozen=True)
class TokenClassificationOptions(base.Options):
    """Options of `token-classification`.

    Attributes:
        aggregation_strategy: "none" for tokens; "simple" joins neighbours of one kind;
            "first", "average" and "max" first give all tokens of a word one label.
        ignore_labels: What is left out of the result.
        stride: Read a long text in windows that share so many tokens; without it the
            text is cut.
        is_split_into_words: Whether an input is a list of words.
        delimiter: What stands between such words in the text that positions refer to.
    """

    truncation: bool | str | None = True
    aggregation_strategy: str = "none"
    ignore_labels: Sequence[str] = ("O",)
    stride: int | None = None
    is_split_into_words: bool = False
    delimiter: str = " "


@dataclass
class Window:
    """What is known of the tokens of a row."""

    ids: list[int]
    special: list[int]
    offsets: list[tuple[int, int]]


class TokenClassificationPipeline(Pipeline):
    """Find names, places and the like.

    A text gives a list of dicts: "entity" (or "entity_group"), "score", "index" (of
    tokens only), "word", "start" and "end". A list of texts gives a list of those.
    """

    task = "token-classification"
    Options = TokenClassificationOptions

    def __post_init__(self) -> None:
        from albert_core.tokenization import AlbertWordPieceTokenizer

        super().__post_init__()
        self._is_wordpiece = isinstance(self.tokenizer, AlbertWordPieceTokenizer)

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """See `Pipeline`; a list of words is one input where those are asked for."""
        split = options.get("is_split_into_words", self.options.is_split_into_words)
        if (
            split
            and isinstance(inputs, list)
            and any(isinstance(x, str) for x in inputs)
        ):
            inputs = [inputs]
        return super().__call__(inputs, **options)

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        strategy = str(settled.aggregation_strategy).lower()
        if strategy not in STRATEGIES:
            raise InputError(
                f"aggregation_strategy must be one of {', '.join(STRATEGIES)}, not "
                f"{shown(settled.aggregation_strategy)}."
            )
        if settled.stride is not None:
            self._check_stride(settled.stride, strategy)
        return settled

    def _check_stride(self, stride: int, strategy: str) -> None:
        room = self.longest - self.tokenizer.num_special_tokens_to_add(pair=False)
        if not 0 <= stride < room:
            raise InputError(
                f"stride must be at least 0 and below {room}, the tokens of a text in "
                f"one window, not {shown(stride)}."
            )
        if strategy == "none":
            raise InputError(
                "stride needs an aggregation_strategy other than 'none', so that what "
                "two windows find can be joined. Give 'simple'."
            )

    def check(self, item: Any, options: Any) -> Any:
        """A text, or a list of words."""
        if not options.is_split_into_words:
            return check_text(item)
        if not isinstance(item, list) or not item:
            raise InputError(
                f"With is_split_into_words an input must be a list of words, not "
                f"{shown(item)}."
            )
        return [check_text(word, "A word") for word in item]

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`: with a stride a row for each window."""
        given: dict[str, Any] = {
            "truncation": options.truncation,
            "max_length": options.max_length,
            "is_split_into_words": options.is_split_into_words,
            "return_special_tokens_mask": True,
            "return_offsets_mapping": True,
        }
        if options.stride is not None:
            given |= {"return_overflowing_tokens": True, "stride": options.stride}
        encoded = self.tokenize(items, **given)
        count = len(encoded["input_ids"])
        owners = encoded.get("overflow_to_sample_mapping", range(count))
        found = [Work([], (self._text(item, options), [])) for item in items]
        for row, owner in enumerate(owners):
            found[owner].rows.append({name: encoded[name][row] for name in PER_TOKEN})
            offsets = encoded["offset_mapping"][row]
            if options.is_split_into_words:
                words = encoded.word_ids(row)
                offsets = _in_text(offsets, words, items[owner], options)
            special = encoded["special_tokens_mask"][row]
            window = Window(encoded["input_ids"][row], special, offsets)
            found[owner].notes[1].append(window)
        return found

    @staticmethod
    def _text(item: Any, options: Any) -> str:
        return options.delimiter.join(item) if isinstance(item, list) else item

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The probabilities of each token's labels."""
        return softmax(outputs["logits"][: len(row["input_ids"])])

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        text, windows = work.notes
        strategy = options.aggregation_strategy.lower()
        labels = self.config.id2label
        results: list[dict[str, Any]] = []
        for window, scores in zip(windows, found, strict=True):
            tokens = self._tokens(text, window, scores)
            if strategy in ("none", "simple"):
                labelled = entities.label_tokens(tokens, labels)
            else:
                labelled = entities.label_words(tokens, labels, strategy, self._join)
            if strategy != "none":
                labelled = entities.group(labelled, self._join)
            name = "entity" if strategy == "none" else "entity_group"
            results += [e for e in labelled if e[name] not in options.ignore_labels]
        if len(windows) > 1:
            results = entities.without_overlaps(results)
        return [{**entity, "score": float(entity["score"])} for entity in results]

    def _join(self, pieces: list[str]) -> str:
        return self.tokenizer.convert_tokens_to_string(pieces)

    def _tokens(self, text: str, window: Window, scores: Any) -> list[Token]:
        found: list[Token] = []
        pieces = self.tokenizer.convert_ids_to_tokens(window.ids)
        for place, piece in enumerate(pieces):
            if window.special[place]:
                continue
            start, end = window.offsets[place]
            continues = self._continues(text, piece, start, end)
            if window.ids[place] == self.tokenizer.unk_token_id:
                piece, continues = text[start:end], False
            found.append(Token(piece, scores[place], start, end, place, continues))
        return found

    def _continues(self, text: str, piece: str, start: int, end: int) -> bool:
        """Whether a token goes on with a word, by Hugging Face's two rules.

        A WordPiece is longer than its text then, by "##". The pieces of sentencepiece
        are judged by the text: a word begins at its beginning and at a space.
        """
        if self._is_wordpiece:
            return len(piece) != end - start
        return start > 0 and " " not in text[start - 1 : start + 1]


def _in_text(
    offsets: Sequence[tuple[int, int]],
    word_ids: Sequence[int | None],
    words: Sequence[str],
    options: Any,
) -> list[tuple[int, int]]:
    """Positions in words as positions in the text that the words make."""
    lengths = [len(word) + len(options.delimiter) for word in words]
    begins = list(accumulate(lengths, initial=0))
    return [
        (start, end) if word is None else (start + begins[word], end + begins[word])
        for (start, end), word in zip(offsets, word_ids, strict=True)
    ]
