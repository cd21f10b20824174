"""What the three tokenizers share: from text to the inputs of a model, and back."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

from albert_core.errors import TokenizerError
from albert_core.tokenization import files
from albert_core.tokenization.assembly import Assembly, ids_of, pieces_of
from albert_core.tokenization.decoding import Decoding
from albert_core.tokenization.encoding import BatchEncoding, Origin
from albert_core.tokenization.garbage import collector_paused
from albert_core.tokenization.lengths import UNLIMITED, Lengths, Warnings, settle
from albert_core.tokenization.padding import Padding, check_side
from albert_core.tokenization.segmenter import Segmenter
from albert_core.tokenization.texts import Source, as_lists, is_list, sort_out


class Tokenizer(Decoding):
    """Text to the inputs of a model, with the arguments of Hugging Face's tokenizers.

    Args:
        segmenter: Cuts text into pieces.
        roles: The special tokens by role.
        do_lower_case: Whether text is lower-cased before it is split at added tokens.
        added_tokens_decoder: Further tokens by id, as tokenizer_config.json holds them.
        additional_special_tokens: Special tokens without a role.
        model_max_length: The most tokens that the model takes.
        padding_side: "right" or "left".
        truncation_side: "right" or "left".
        model_input_names: The columns that are returned unless others are asked for.
        clean_up_tokenization_spaces: Whether decoding removes spaces before
            punctuation.
        split_special_tokens: Whether special tokens inside a text are ordinary text.
        name_or_path: Where the tokenizer is from.
    """

    # Argument of the constructor -> names of its file, the first that is there counts.
    vocab_files_names: ClassVar[dict[str, tuple[str, ...]]] = {}
    # Further arguments of the constructor that tokenizer_config.json may hold.
    own_settings: ClassVar[tuple[str, ...]] = ()
    is_fast: ClassVar[bool] = False

    def __init__(
        self,
        segmenter: Segmenter,
        roles: dict[str, Any],
        *,
        do_lower_case: bool,
        added_tokens_decoder: dict[int, Any] | None = None,
        additional_special_tokens: Sequence[Any] = (),
        model_max_length: float | None = None,
        padding_side: str = "right",
        truncation_side: str = "right",
        model_input_names: Sequence[str] | None = None,
        clean_up_tokenization_spaces: bool = False,
        split_special_tokens: bool = False,
        name_or_path: str = "",
    ) -> None:
        super().__init__(segmenter, do_lower_case)
        self.model_max_length = int(model_max_length or UNLIMITED)
        self.padding_side = check_side(padding_side)
        self.truncation_side = check_side(truncation_side)
        self.model_input_names = list(
            model_input_names or ("input_ids", "token_type_ids", "attention_mask")
        )
        self.clean_up_tokenization_spaces = clean_up_tokenization_spaces
        self.split_special_tokens = split_special_tokens
        self.name_or_path = name_or_path
        self.pad_token_type_id = 0
        self._warnings = Warnings(self.model_max_length)
        self._start(roles, added_tokens_decoder or {}, additional_special_tokens)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(name_or_path={self.name_or_path!r}, "
            f"vocab_size={self.vocab_size}, length={len(self)}, "
            f"model_max_length={self.model_max_length}, "
            f"padding_side={self.padding_side!r}, "
            f"special_tokens={self.special_tokens_map})"
        )

    @property
    def max_len_single_sentence(self) -> int:
        """The most tokens that one text can have, without special ones."""
        return self.model_max_length - self.num_special_tokens_to_add()

    @property
    def max_len_sentences_pair(self) -> int:
        """The most tokens that two texts can have together, without special ones."""
        return self.model_max_length - self.num_special_tokens_to_add(pair=True)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Load a tokenizer from a directory, a file, or the Hugging Face hub.

        Args:
            name_or_path: The directory of a checkpoint or tokenizer, one file of a
                vocabulary, or a hub name.
            **options: Those of the constructor, which count more than what the files
                say, and those of `hub.resolve`.

        Raises:
            TokenizerError: A file is missing or cannot be used.
        """
        return files.load(cls, name_or_path, options)

    def save_pretrained(self, save_directory: str | Path) -> tuple[str, ...]:
        """Write all files of the tokenizer; all appear at once, or none.

        Returns:
            The paths of the files.
        """
        return files.save(self, save_directory)

    def vocabulary_files(self) -> dict[str, bytes]:
        """The files of the vocabulary by name, as `save_vocabulary` writes them."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What tokenizer_config.json says of this class's own arguments."""
        raise NotImplementedError

    def save_vocabulary(
        self, save_directory: str | Path, filename_prefix: str | None = None
    ) -> tuple[str, ...]:
        """Write the vocabulary alone.

        Args:
            save_directory: The directory, which must be there.
            filename_prefix: What to put before the file's name, and a hyphen.

        Returns:
            The paths of the files.
        """
        return files.save_vocabulary(self, Path(save_directory), filename_prefix)

    @collector_paused()
    def __call__(
        self,
        text: Any = None,
        text_pair: Any = None,
        *,
        add_special_tokens: bool = True,
        padding: bool | str = False,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        stride: int = 0,
        is_split_into_words: bool = False,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_tensors: str | None = None,
        return_token_type_ids: bool | None = None,
        return_attention_mask: bool | None = None,
        return_overflowing_tokens: bool = False,
        return_special_tokens_mask: bool = False,
        return_offsets_mapping: bool = False,
        return_length: bool = False,
        split_special_tokens: bool | None = None,
        verbose: bool = True,
    ) -> BatchEncoding:
        """Turn texts, or pairs of texts, into the inputs of a model.

        Args:
            text: A text or a list of texts; with `is_split_into_words` a list of words
                or a list of lists of words. A list of (text, pair) works too.
            text_pair: The second text of each pair, in the form of `text`.
            add_special_tokens: Whether to put [CLS] and [SEP] around the texts.
            padding: True or "longest" for the longest row, "max_length", or False.
            truncation: True or "longest_first", "only_first", "only_second", or False.
            max_length: The length for both; `model_max_length` if None.
            stride: How many tokens neighbouring windows share.
            is_split_into_words: Whether the texts are lists of words.
            pad_to_multiple_of: Round lengths up to a multiple.
            padding_side: "right" or "left", in place of the tokenizer's.
            return_tensors: "np", "pt", "tf" or "jax" for arrays in place of lists.
            return_token_type_ids: Whether to return 0 for the first text, 1 for the
                second; yes if None.
            return_attention_mask: Whether to return 1 for tokens, 0 for padding; yes if
                None.
            return_overflowing_tokens: Whether what does not fit makes rows of its own;
                `overflow_to_sample_mapping` tells whose they are.
            return_special_tokens_mask: Whether to return 1 for special tokens.
            return_offsets_mapping: Whether to return the characters of each token.
            return_length: Whether to return the length of each row.
            split_special_tokens: Whether special tokens inside a text are ordinary
                text, in place of the tokenizer's setting.
            verbose: Whether to warn, once, of lengths that do not fit.

        Returns:
            Columns by name. One text gives rows without a batch, unless arrays or
            overflowing tokens are asked for.

        Raises:
            TokenizerError: An argument does not fit.
            MissingPackageError: The framework of `return_tensors` is not installed.
        """
        firsts, seconds, batched = sort_out(text, text_pair, is_split_into_words)
        lengths = settle(
            padding, truncation, max_length, pad_to_multiple_of, self.model_max_length
        )
        padder = self._padding(lengths, padding_side)
        assembly = Assembly(
            lengths.max_length,
            lengths.truncation,
            self.truncation_side,
            stride,
            return_overflowing_tokens,
            self.build_inputs_with_special_tokens if add_special_tokens else None,
        )
        if split_special_tokens is None:
            split_special_tokens = self.split_special_tokens
        find_origins = partial(
            self._origins, firsts, seconds, assembly, padder, split_special_tokens
        )
        names = set(self.model_input_names)
        types = return_token_type_ids
        mask = return_attention_mask
        first_ids = ids_of(self.vocabulary, firsts, split_special_tokens)
        second_ids = None
        if seconds is not None:
            second_ids = ids_of(self.vocabulary, seconds, split_special_tokens)
        columns = self._columns(
            first_ids,
            second_ids,
            assembly,
            types if types is not None else "token_type_ids" in names,
            return_special_tokens_mask,
        )
        samples = columns.pop("overflow_to_sample_mapping")
        if mask if mask is not None else "attention_mask" in names:
            columns["attention_mask"] = [[1] * len(r) for r in columns["input_ids"]]
        if verbose:
            self._warnings.of_settled((padding, truncation), lengths)
            self._warnings.of_rows(columns["input_ids"])
        if return_length and batched:  # of a single text with its padding, as ever
            columns["length"] = [len(row) for row in columns["input_ids"]]
        padder.apply(columns)
        if return_length and not batched:
            columns["length"] = [len(row) for row in columns["input_ids"]]
        if return_offsets_mapping:
            columns["offset_mapping"] = [origin.offsets for origin in find_origins()]
        if return_overflowing_tokens:
            columns["overflow_to_sample_mapping"] = samples
        flat = not batched and not return_tensors and not return_overflowing_tokens
        data = {k: v[0] for k, v in columns.items()} if flat else columns
        return BatchEncoding(data, return_tensors, find_origins)

    def encode(self, text: Any, text_pair: Any = None, **options: Any) -> Any:
        """The ids of a text or a pair; the options are those of a call."""
        return self(text, text_pair, **options)["input_ids"]

    def encode_plus(
        self, text: Any, text_pair: Any = None, **opts: Any
    ) -> BatchEncoding:
        """The same as a call, by its older name."""
        return self(text, text_pair, **opts)

    def batch_encode_plus(
        self, batch_text_or_text_pairs: Sequence[Any], **options: Any
    ) -> BatchEncoding:
        """The same as a call with a list, by its older name."""
        return self(list(batch_text_or_text_pairs), **options)

    def tokenize(self, text: str, pair: str | None = None) -> list[str]:
        """The tokens of a text as they are written, without special ones around."""
        whole = self.split_special_tokens
        tokens = self.vocabulary.tokenize(text, whole)
        return tokens + (self.vocabulary.tokenize(pair, whole) if pair else [])

    def prepare_for_model(
        self,
        ids: list[int],
        pair_ids: list[int] | None = None,
        add_special_tokens: bool = True,
        truncation: bool | str | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> BatchEncoding:
        """Put special tokens around ids; the options are those of `pad`."""
        lengths = settle(False, truncation, max_length, None, self.model_max_length)
        build = self.build_inputs_with_special_tokens if add_special_tokens else None
        cut = (lengths.max_length, lengths.truncation, self.truncation_side)
        assembly = Assembly(*cut, stride=0, overflow=False, build=build)
        pairs = None if pair_ids is None else [pair_ids]
        columns = self._columns([ids], pairs, assembly, True, False)
        del columns["overflow_to_sample_mapping"]
        return self.pad({k: v[0] for k, v in columns.items()}, **options)

    def pad(
        self,
        encoded_inputs: Any,
        padding: bool | str = True,
        max_length: int | None = None,
        pad_to_multiple_of: int | None = None,
        padding_side: str | None = None,
        return_attention_mask: bool | None = None,
        return_tensors: str | None = None,
    ) -> BatchEncoding:
        """Make rows of ids, already made by a tokenizer, equally long.

        Args:
            encoded_inputs: A row, columns of rows, or a list of rows.
            padding: As in a call.
            max_length: As in a call.
            pad_to_multiple_of: As in a call.
            padding_side: As in a call.
            return_attention_mask: As in a call.
            return_tensors: As in a call.

        Returns:
            The columns; those that no token fills, such as labels, as they are.
        """
        columns: dict[str, Any] = (
            {name: [row[name] for row in encoded_inputs] for name in encoded_inputs[0]}
            if is_list(encoded_inputs) and encoded_inputs
            else dict(encoded_inputs or {})
        )
        if "input_ids" not in columns:
            raise TokenizerError(
                f"There are no input_ids to pad, only {sorted(columns)}. Give what the "
                f"tokenizer returned."
            )
        ids = as_lists(columns["input_ids"])
        single = bool(len(ids)) and not isinstance(ids[0], list)
        if single:
            columns = {name: [value] for name, value in columns.items()}
        columns = {name: as_lists(value) for name, value in columns.items()}
        wanted = return_attention_mask
        if wanted is None:
            wanted = "attention_mask" in self.model_input_names
        if wanted and "attention_mask" not in columns:
            columns["attention_mask"] = [[1] * len(row) for row in columns["input_ids"]]
        lengths = settle(
            padding, False, max_length, pad_to_multiple_of, self.model_max_length
        )
        self._padding(lengths, padding_side).apply(columns)
        if single and not return_tensors:
            columns = {name: value[0] for name, value in columns.items()}
        return BatchEncoding(columns, return_tensors)

    def _columns(
        self,
        firsts: list[list[int]],
        seconds: list[list[int]] | None,
        assembly: Assembly,
        types: bool,
        special: bool,
    ) -> dict[str, list[Any]]:
        """The rows of all texts, not yet padded."""
        rows, samples = assembly.cut(firsts, seconds)
        build = assembly.build
        columns: dict[str, list[Any]] = {}
        if build is None:
            columns["input_ids"] = [[*a, *(b or ())] for a, b in rows]
        else:
            columns["input_ids"] = [build(a, b) for a, b in rows]
        if types:
            mark = self.create_token_type_ids_from_sequences
            columns["token_type_ids"] = (
                [[0] * len(a) + [0] * len(b or ()) for a, b in rows]
                if build is None
                else [mark(a, b) for a, b in rows]
            )
        if special:
            columns["special_tokens_mask"] = (
                [[0] * len(row) for row in columns["input_ids"]]
                if build is None
                else [self.get_special_tokens_mask(a, b) for a, b in rows]
            )
        columns["overflow_to_sample_mapping"] = samples
        return columns

    def _origins(
        self,
        firsts: list[Source],
        seconds: list[Source] | None,
        assembly: Assembly,
        padder: Padding,
        whole: bool,
    ) -> list[Origin]:
        """Where the tokens of every row come from, in the order of the rows."""
        origins: list[Origin] = []
        for i, source in enumerate(firsts):
            first = pieces_of(self.vocabulary, source, whole)
            second = None
            if seconds is not None:
                second = pieces_of(self.vocabulary, seconds[i], whole)
            sizes = len(first), None if second is None else len(second)
            for left, right in assembly.windows(*sizes):
                rest = None if second is None else second[right]
                token = self.vocabulary.to_token
                origins.append(assembly.origin(first[left], rest, token))
        columns = {
            "input_ids": [origin.tokens for origin in origins],
            "sequences": [origin.sequences for origin in origins],
            "words": [origin.words for origin in origins],
            "offsets": [origin.offsets for origin in origins],
        }
        fill = {
            "input_ids": self.pad_token,
            "sequences": None,
            "words": None,
            "offsets": (0, 0),
        }
        padder.refilled(fill).apply(columns)
        return [Origin(*row) for row in zip(*columns.values(), strict=True)]

    def _padding(self, lengths: Lengths, side: str | None) -> Padding:
        if lengths.padding != "do_not_pad" and self.pad_token_id is None:
            raise TokenizerError(
                "There is no padding token to pad with. Set one: "
                "tokenizer.pad_token = '<pad>'."
            )
        fill = {
            "input_ids": self.pad_token_id,
            "token_type_ids": self.pad_token_type_id,
            "attention_mask": 0,
            "special_tokens_mask": 1,
            "offset_mapping": (0, 0),
        }
        side = check_side(side or self.padding_side)
        return Padding(
            lengths.padding, side, fill, lengths.max_length, lengths.multiple
        )
