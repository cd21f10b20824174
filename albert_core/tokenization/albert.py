"""ALBERT's own tokenizers: from spiece.model, and from tokenizer.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tokenizers import Tokenizer as Backend

from albert_core.errors import TokenizerError
from albert_core.tokenization import json_format
from albert_core.tokenization.files import read_bytes
from albert_core.tokenization.normalizer import Normalizer
from albert_core.tokenization.proto import PieceModel
from albert_core.tokenization.sentencepieces import SentencePieces
from albert_core.tokenization.tokenizer import Tokenizer
from albert_core.tokenizer_names import JSON_NAME, MODEL_NAMES

ROLES = {
    "bos_token": "[CLS]",
    "eos_token": "[SEP]",
    "unk_token": "<unk>",
    "sep_token": "[SEP]",
    "pad_token": "<pad>",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}


class _SentencePieceTokenizer(Tokenizer):
    """What a vocabulary of sentencepiece brings, whatever file it is from."""

    own_settings: ClassVar[tuple[str, ...]] = (
        "do_lower_case",
        "remove_space",
        "keep_accents",
        "sp_model_kwargs",
    )
    _cutter: SentencePieces
    sp_model_kwargs: dict[str, Any]

    def _begin(
        self,
        model: bytes,
        source: object,
        normalizer: Normalizer,
        sp_model_kwargs: Mapping[str, Any] | None,
        options: dict[str, Any],
    ) -> None:
        self.sp_model_kwargs = dict(sp_model_kwargs or {})
        self._cutter = SentencePieces(
            model, normalizer, self.sp_model_kwargs, str(source)
        )
        roles = {role: options.pop(role, token) for role, token in ROLES.items()}
        Tokenizer.__init__(
            self,
            self._cutter,
            roles,
            do_lower_case=normalizer.do_lower_case,
            **options,
        )

    @property
    def sp_model(self) -> Any:
        """The `sentencepiece.SentencePieceProcessor`."""
        return self._cutter.processor

    @property
    def do_lower_case(self) -> bool:
        """Whether capitals become small letters."""
        return self._cutter.normalizer.do_lower_case

    @property
    def remove_space(self) -> bool:
        """Whether white space is tidied up."""
        return self._cutter.normalizer.remove_space

    @property
    def keep_accents(self) -> bool:
        """Whether accents stay."""
        return self._cutter.normalizer.keep_accents

    def preprocess_text(self, text: str) -> str:
        """A text as sentencepiece gets it."""
        return self._cutter.normalizer(text)

    def convert_tokens_to_string(self, tokens: list[str]) -> str:
        """Put tokens together to a text; special ones stay as they are."""
        special = set(self.all_special_tokens)
        text, run, after_special = "", list[str](), False
        for token in tokens:
            if token not in special:
                run.append(token)
                after_special = False
                continue
            text += ("" if after_special else " ") + self._cutter.to_text(run) + token
            run, after_special = [], True
        return (text + self._cutter.to_text(run)).strip()

    def vocabulary_files(self) -> dict[str, bytes]:
        """See `Tokenizer`."""
        return {MODEL_NAMES[0]: self._cutter.model}

    def settings(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        return {
            "do_lower_case": self.do_lower_case,
            "remove_space": self.remove_space,
            "keep_accents": self.keep_accents,
            "sp_model_kwargs": self.sp_model_kwargs,
            # Both classes load what either saves, here and in transformers.
            "tokenizer_class": "AlbertTokenizer",
        }


class AlbertTokenizer(_SentencePieceTokenizer):
    """ALBERT's tokenizer on a sentencepiece model, `spiece.model`.

    It gives the ids of transformers 4.57.6 `AlbertTokenizer`, and offsets besides.

    Args:
        vocab_file: The sentencepiece model.
        do_lower_case: Whether capitals become small letters.
        remove_space: Whether runs of white space become one space.
        keep_accents: Whether accents stay; IndicBERT needs it.
        sp_model_kwargs: Keywords of `sentencepiece.SentencePieceProcessor`, such as
            `enable_sampling`, `nbest_size` and `alpha` for subword regularisation.
        **options: The special tokens by role ("mask_token" and so on), and the
            arguments of `Tokenizer`.

    Raises:
        TokenizerError: The file is missing, damaged or something else.

    Examples:
        ```python
        tokenizer = AlbertTokenizer("spiece.model")
        tokenizer("Plants create [MASK].", return_tensors="np")
        ```
    """

    vocab_files_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "vocab_file": MODEL_NAMES
    }

    def __init__(
        self,
        vocab_file: str | Path,
        do_lower_case: bool = True,
        remove_space: bool = True,
        keep_accents: bool = False,
        sp_model_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        self.vocab_file = str(vocab_file)
        normalizer = Normalizer(do_lower_case, remove_space, keep_accents)
        model = read_bytes(vocab_file)
        self._begin(model, vocab_file, normalizer, sp_model_kwargs, options)


class AlbertTokenizerFast(_SentencePieceTokenizer):
    """ALBERT's tokenizer on the file of Hugging Face's tokenizers, `tokenizer.json`.

    It reads a hub's `tokenizer.json` as it is, and gives the ids of `AlbertTokenizer`
    for every text: sentencepiece does the cutting here too, with the vocabulary that
    the file holds. `backend_tokenizer` is the same as an object of the package
    tokenizers, whose ids differ for some texts.

    Args:
        vocab_file: A sentencepiece model; needed if there is no `tokenizer_file`.
        tokenizer_file: A tokenizer.json, which counts more.
        do_lower_case: Whether capitals become small letters; None for what the file
            says.
        remove_space: Whether runs of white space become one space.
        keep_accents: Whether accents stay; None for what the file says.
        sp_model_kwargs: As in `AlbertTokenizer`.
        **options: As in `AlbertTokenizer`.

    Raises:
        TokenizerError: A file is missing, damaged or something else.
    """

    vocab_files_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "vocab_file": MODEL_NAMES,
        "tokenizer_file": (JSON_NAME,),
    }
    is_fast: ClassVar[bool] = True

    def __init__(
        self,
        vocab_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        do_lower_case: bool | None = None,
        remove_space: bool = True,
        keep_accents: bool | None = None,
        sp_model_kwargs: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        said = Normalizer()
        self.vocab_file = None if vocab_file is None else str(vocab_file)
        if tokenizer_file is not None:
            found = json_format.read(Path(tokenizer_file))
            said, model = found.normalizer, found.model.to_bytes()
            if vocab_file is not None:
                model = self._same_model(found.model, vocab_file, tokenizer_file)
            added: dict[int, Any] = options.get("added_tokens_decoder") or {}
            options["added_tokens_decoder"] = {**found.added, **added}
        elif vocab_file is not None:
            model = read_bytes(vocab_file)
        else:
            raise TokenizerError(
                "AlbertTokenizerFast needs a vocabulary. Give vocab_file, a "
                "spiece.model, or tokenizer_file, a tokenizer.json."
            )
        normalizer = Normalizer(
            said.do_lower_case if do_lower_case is None else do_lower_case,
            remove_space,
            said.keep_accents if keep_accents is None else keep_accents,
        )
        source = tokenizer_file or vocab_file
        self._begin(model, source, normalizer, sp_model_kwargs, options)

    @staticmethod
    def _same_model(
        found: PieceModel, vocab_file: str | Path, tokenizer_file: str | Path
    ) -> bytes:
        """The model of two files that must hold the same vocabulary."""
        data = read_bytes(vocab_file)
        theirs = read_model(data, vocab_file)
        ours, other = ([e.text for e in m.entries] for m in (found, theirs))
        if ours != other:
            pairs = zip(ours, other, strict=False)
            first = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
            where = "in length" if first is None else f"first at id {first}"
            raise TokenizerError(
                f"{tokenizer_file} has {len(ours)} tokens and {vocab_file} has "
                f"{len(other)}, and they differ {where}. Remove the file that is not "
                f"of this model."
            )
        return data

    @property
    def backend_tokenizer(self) -> Backend:
        """A `tokenizers.Tokenizer` with this vocabulary."""
        return Backend.from_str(self._json())

    def vocabulary_files(self) -> dict[str, bytes]:
        """See `Tokenizer`."""
        return super().vocabulary_files() | {JSON_NAME: self._json().encode()}

    def _json(self) -> str:
        cls, sep = self._around()
        values = json_format.write(
            read_model(self._cutter.model, "the model"),
            self._cutter.normalizer,
            self.added_tokens_decoder,
            (str(self.cls_token), cls),
            (str(self.sep_token), sep),
        )
        return json.dumps(values, ensure_ascii=False, indent=2)


def read_model(data: bytes, source: str | Path) -> PieceModel:
    """Look inside a sentencepiece model.

    Raises:
        TokenizerError: It is damaged, or something else.
    """
    try:
        return PieceModel.from_bytes(data)
    except (ValueError, TypeError) as problem:
        raise TokenizerError(
            f"{source} is not a sentencepiece model: {problem}. Get the file again."
        ) from problem
