"""Fill-mask: which words fit where `[MASK]` stands."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import InputError, shown
from albert_zoo.pipelines import base
from albert_zoo.pipelines.base import Outputs, Pipeline, Work
from albert_zoo.pipelines.scores import highest, softmax
from albert_zoo.pipelines.texts import check_text

logger = logging.getLogger("albert_zoo")


@dataclass(frozen=True)
class FillMaskOptions(base.Options):
    """Options of `fill-mask`.

    Attributes:
        top_k: How many words for each mask.
        targets: The only words to choose from. Of one that is no piece of the
            vocabulary the first piece is taken, with a warning.
        tokenizer_kwargs: Further keywords for the tokenizer.
    """

    top_k: int = 5
    targets: str | Sequence[str] | None = None
    tokenizer_kwargs: Mapping[str, Any] | None = None


class FillMaskPipeline(Pipeline):
    """Predict masked words.

    One text gives a list of dicts with "score", "token", "token_str" and "sequence",
    the best first; a text with several masks a list of such lists.
    """

    task = "fill-mask"
    Options = FillMaskOptions

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.tokenizer.mask_token_id is None:
            raise InputError("The tokenizer has no mask token. Give one that has.")
        self._ids: dict[Any, NDArray[Any]] = {}

    def __call__(self, inputs: Any, **options: Any) -> Any:
        """See `Pipeline`; a list of one text gives the result of that text."""
        results = super().__call__(inputs, **options)
        if isinstance(inputs, list) and len(inputs) == 1:
            return results[0]
        return results

    def settle(self, options: Any, changes: Mapping[str, Any]) -> Any:
        """See `Pipeline`."""
        settled = super().settle(options, changes)
        most = self.config.vocab_size
        if not isinstance(settled.top_k, int) or not 1 <= settled.top_k <= most:
            raise InputError(
                f"top_k must be between 1 and {most}, the size of the vocabulary, not "
                f"{shown(settled.top_k)}."
            )
        return settled

    def encode(self, items: list[Any], options: Any) -> list[Work]:
        """See `Pipeline`; the masks must be there after any truncation."""
        given = {"truncation": options.truncation, "max_length": options.max_length}
        encoded = self.tokenize(items, **{**given, **(options.tokenizer_kwargs or {})})
        found = base.rows_of(encoded)
        mask = self.tokenizer.mask_token_id
        for (row,) in (work.rows for work in found):
            ids = row["input_ids"]
            row["positions"] = [place for place, i in enumerate(ids) if i == mask]
            if not row["positions"]:
                raise InputError(
                    f"There is no {self.tokenizer.mask_token} in the text, or it was "
                    f"cut off. Put it where a word is wanted."
                )
        return found

    def reduce(self, row: Any, outputs: Outputs, options: Any) -> Any:
        """The best words of each mask, as (scores, ids)."""
        scores = softmax(outputs["logits"][: len(row["positions"])])
        targets = self._targets(options.targets)
        if targets is not None:
            scores = scores[:, targets]
        best = highest(scores, min(options.top_k, scores.shape[1]))
        values = np.take_along_axis(scores, best, 1)
        return row, values, best if targets is None else targets[best]

    def decode(self, work: Work, found: list[Any], options: Any) -> Any:
        """See the class."""
        ((row, values, tokens),) = found
        single = len(values) == 1
        results: list[list[dict[str, Any]]] = []
        for place, scores, ids in zip(row["positions"], values, tokens, strict=True):
            results.append(
                [
                    {
                        "score": score,
                        "token": token,
                        "token_str": self.tokenizer.decode([token]),
                        "sequence": self._filled(
                            row["input_ids"], place, token, single
                        ),
                    }
                    for score, token in zip(scores.tolist(), ids.tolist(), strict=True)
                ]
            )
        return results[0] if single else results

    def _filled(self, ids: list[int], place: int, token: int, single: bool) -> str:
        """The text with a word in place; other masks must not be lost."""
        filled = [*ids[:place], token, *ids[place + 1 :]]
        filled = [i for i in filled if i != self.tokenizer.pad_token_id]
        return self.tokenizer.decode(filled, skip_special_tokens=single)

    def _targets(self, words: str | Sequence[str] | None) -> NDArray[Any] | None:
        """The ids of the words to choose from."""
        if words is None:
            return None
        key = (words,) if isinstance(words, str) else tuple(words)
        if key not in self._ids:
            vocabulary = self.tokenizer.get_vocab()
            found = [self._target(word, vocabulary) for word in key]
            ids = [token for token in dict.fromkeys(found) if token is not None]
            if not ids:
                raise InputError(
                    f"targets {shown(list(key))} are nothing that the tokenizer knows. "
                    f"Give at least one word."
                )
            self._ids = {key: np.array(ids)}
        return self._ids[key]

    def _target(self, word: str, vocabulary: Mapping[str, int]) -> int | None:
        check_text(word, "A target")
        if word in vocabulary:
            return vocabulary[word]
        pieces = self.tokenizer(word, add_special_tokens=False)["input_ids"]
        if not pieces:
            logger.warning("The target %r is no word of the tokenizer; left out.", word)
            return None
        piece = self.tokenizer.convert_ids_to_tokens(pieces[0])
        logger.warning(
            "The target %r is not in the vocabulary; %r is taken.", word, piece
        )
        return pieces[0]
