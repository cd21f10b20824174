"""What a tokenizer returns: the inputs of a model, and where they come from."""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import numpy as np

from albert_core.errors import MissingPackageError, TokenizerError

# A framework's module, its function, its integers, by what `return_tensors` calls it.
KINDS: dict[str, tuple[str, str, str]] = {
    "np": ("numpy", "asarray", "int64"),
    "pt": ("torch", "from_numpy", "int64"),
    "tf": ("tensorflow", "convert_to_tensor", "int32"),
    "jax": ("jax.numpy", "asarray", "int32"),
}
EXTRAS = {"pt": "torch", "tf": "tf", "jax": "flax"}


@dataclass
class Origin:
    """Where the tokens of one row come from, token by token.

    Attributes:
        tokens: As they are written.
        sequences: 0 for the first text, 1 for the second, None for special tokens.
        words: The number of the word in its text, or None.
        offsets: The characters in its text, (0, 0) for special tokens.
    """

    tokens: list[str] = field(default_factory=list[str])
    sequences: list[int | None] = field(default_factory=list[int | None])
    words: list[int | None] = field(default_factory=list[int | None])
    offsets: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


class BatchEncoding(dict[str, Any]):
    """The inputs of a model by name, which are attributes as well.

    The methods tell where tokens come from; they work for what a tokenizer returned.

    Args:
        data: The columns.
        tensor_type: What to turn them into: "np", "pt", "tf" or "jax".
        origins: Finds the origin of every row; it is asked once, when it is needed.
    """

    def __init__(
        self,
        data: dict[str, Any] | None = None,
        tensor_type: str | None = None,
        origins: Callable[[], list[Origin]] | None = None,
    ) -> None:
        super().__init__(data or {})
        self._find_origins = origins
        self._origins: list[Origin] | None = None
        if tensor_type is not None:
            self.convert_to_tensors(tensor_type)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError as problem:
            raise AttributeError(
                f"There is no {name} here: {sorted(self)}"
            ) from problem

    def __reduce__(self) -> Any:
        return _rebuild, (dict(self), self._find_origins)

    def convert_to_tensors(
        self, tensor_type: str | None = None, prepend_batch_axis: bool = False
    ) -> "BatchEncoding":
        """Turn the columns into arrays of a framework, in place.

        Args:
            tensor_type: "np", "pt", "tf" or "jax".
            prepend_batch_axis: Whether to make a batch of one of a single row.

        Raises:
            TokenizerError: The rows have different lengths.
            MissingPackageError: The framework is not installed.
        """
        if tensor_type is None:
            return self
        convert = converter(tensor_type)
        for name, column in self.items():
            value = [column] if prepend_batch_axis else column
            try:
                self[name] = convert(value)
            except ValueError as problem:
                lengths = sorted({len(row) for row in value if hasattr(row, "__len__")})
                raise TokenizerError(
                    f"The rows of {name} have different lengths: "
                    f"{', '.join(map(str, lengths[:8]))}. Ask for padding=True and "
                    f"truncation=True to make an array of them."
                ) from problem
        return self

    def to(self, device: Any) -> "BatchEncoding":
        """Move all PyTorch tensors to a device, in place."""
        for name, value in self.items():
            if hasattr(value, "to"):
                self[name] = value.to(device)
        return self

    def tokens(self, batch_index: int = 0) -> list[str]:
        """The tokens of a row as they are written."""
        return self._origin(batch_index).tokens

    def word_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token the number of its word in its text; None for special ones."""
        return self._origin(batch_index).words

    def sequence_ids(self, batch_index: int = 0) -> list[int | None]:
        """For each token 0 or 1 for its text; None for special ones."""
        return self._origin(batch_index).sequences

    def token_to_chars(self, index: int, token_index: int | None = None) -> Any:
        """The characters (start, end) of a token in its text; None for special ones.

        Called with one number, that is the token of the first row.
        """
        row, token = (0, index) if token_index is None else (index, token_index)
        origin = self._origin(row)
        return None if origin.sequences[token] is None else origin.offsets[token]

    def token_to_word(self, index: int, token_index: int | None = None) -> int | None:
        """The number of a token's word in its text; None for special ones."""
        row, token = (0, index) if token_index is None else (index, token_index)
        return self._origin(row).words[token]

    def char_to_token(
        self, index: int, char_index: int | None = None, sequence_index: int = 0
    ) -> int | None:
        """The first token that holds a character of a text, or None."""
        row, char = (0, index) if char_index is None else (index, char_index)
        origin = self._origin(row)
        for i, (start, end) in enumerate(origin.offsets):
            if origin.sequences[i] == sequence_index and start <= char < end:
                return i
        return None

    def word_to_tokens(
        self, index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The tokens (first, last + 1) of a word, or None."""
        row, word = (0, index) if word_index is None else (index, word_index)
        origin = self._origin(row)
        places = [
            i
            for i, found in enumerate(origin.words)
            if found == word and origin.sequences[i] == sequence_index
        ]
        return (places[0], places[-1] + 1) if places else None

    def word_to_chars(
        self, index: int, word_index: int | None = None, sequence_index: int = 0
    ) -> tuple[int, int] | None:
        """The characters (start, end) of a word, or None."""
        row, word = (0, index) if word_index is None else (index, word_index)
        tokens = self.word_to_tokens(row, word, sequence_index)
        if tokens is None:
            return None
        offsets = self._origin(row).offsets[slice(*tokens)]
        return offsets[0][0], offsets[-1][1]

    def _origin(self, index: int) -> Origin:
        if self._origins is None:
            if self._find_origins is None:
                raise TokenizerError(
                    "Nothing is known of where these tokens come from: they were not "
                    "made from text by a tokenizer. Call the tokenizer on the text."
                )
            self._origins = self._find_origins()
        return self._origins[index]


def _rebuild(data: dict[str, Any], origins: Any) -> BatchEncoding:
    return BatchEncoding(data, origins=origins)


def converter(kind: str) -> Callable[[Any], Any]:
    """What turns nested lists into arrays of a framework.

    Raises:
        TokenizerError: There is no framework of that name.
        MissingPackageError: The framework is not installed.
    """
    if kind not in KINDS:
        raise TokenizerError(
            f"return_tensors={kind!r} is not known. Choose among {', '.join(KINDS)}."
        )
    module, function, integers = KINDS[kind]
    try:
        convert = getattr(import_module(module), function)
    except ImportError as problem:
        raise MissingPackageError(
            f"return_tensors={kind!r} needs {module}: {problem}. Install it with "
            f"pip install 'albert-zoo[{EXTRAS.get(kind, 'all')}]'"
        ) from problem

    def to_array(values: Any) -> Any:
        array = np.asarray(values)
        if array.dtype.kind in "iu" or not array.size:
            array = array.astype(integers)
        if array.dtype.kind == "O":
            raise ValueError("rows of different lengths")
        return convert(array)

    return to_array
