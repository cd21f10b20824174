"""BERT's tokenizer, for the Chinese, Korean and Japanese models with a vocab.txt."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, cast

from tokenizers import AddedToken, processors
from tokenizers import Tokenizer as Backend

from albert_core.errors import TokenizerError, shown
from albert_core.files import read_json
from albert_core.tokenization.files import FLAGS, read_bytes
from albert_core.tokenization.json_format import model_type
from albert_core.tokenization.special import as_token
from albert_core.tokenization.tokenizer import Tokenizer
from albert_core.tokenization.wordpieces import CONTINUED, WordPieces
from albert_core.tokenizer_names import JSON_NAME, WORDS_NAME

ROLES: dict[str, str | None] = {
    "bos_token": None,
    "eos_token": None,
    "unk_token": "[UNK]",
    "sep_token": "[SEP]",
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}
# Our arguments, and their names in a tokenizer.json.
SWITCHES = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}


class AlbertWordPieceTokenizer(Tokenizer):
    r"""BERT's basic and WordPiece tokenizer on a `vocab.txt`, or a `tokenizer.json`.

    The ids are those of transformers 4.57.6 `BertTokenizer` and `BertTokenizerFast`.
    Where these two differ: characters that Unicode has not assigned are unknown words,
    as in the fast one, and a letter and an accent of its own stay two characters where
    accents are kept (the slow one drops the former and composes the latter). A pair
    that is too long is cut as by the slow one.

    Args:
        vocab_file: One token a line; the number of the line, from 0, is its id.
        tokenizer_file: A tokenizer.json of type WordPiece. Its switches count where the
            arguments are None; beside a `vocab_file` it must hold the same tokens.
        do_lower_case: Whether capitals become small letters; None for yes.
        strip_accents: Whether accents are removed; None for what `do_lower_case` says.
        tokenize_chinese_chars: Whether every Chinese character is a word; None for yes.
            Japanese models do without.
        **options: The special tokens by role ("mask_token" and so on), and the
            arguments of `Tokenizer`.

    Raises:
        TokenizerError: A file is missing, damaged or something else; the vocabulary has
            a token twice, or lacks the unknown token.
    """

    vocab_files_names: ClassVar[dict[str, tuple[str, ...]]] = {
        "vocab_file": (WORDS_NAME,),
        "tokenizer_file": (JSON_NAME,),
    }
    own_settings: ClassVar[tuple[str, ...]] = tuple(SWITCHES)
    is_fast: ClassVar[bool] = True

    def __init__(
        self,
        vocab_file: str | Path | None = None,
        tokenizer_file: str | Path | None = None,
        do_lower_case: bool | None = None,
        strip_accents: bool | None = None,
        tokenize_chinese_chars: bool | None = None,
        **options: Any,
    ) -> None:
        self.vocab_file = None if vocab_file is None else str(vocab_file)
        switches: dict[str, Any] = {
            "do_lower_case": do_lower_case,
            "strip_accents": strip_accents,
            "tokenize_chinese_chars": tokenize_chinese_chars,
        }
        longest = None
        if tokenizer_file is not None:
            values = _read_json(Path(tokenizer_file))
            vocabulary = _from_json(values, tokenizer_file)
            if vocab_file is not None:
                _check_same(vocabulary, vocab_file, tokenizer_file)
            longest = values["model"].get("max_input_chars_per_word")
            for ours, theirs in SWITCHES.items():
                if switches[ours] is None:
                    switches[ours] = values["normalizer"].get(theirs)
            added = {
                t["id"]: {k: v for k, v in t.items() if k != "id"}
                for t in values.get("added_tokens") or ()
            }
            given: dict[int, Any] = options.get("added_tokens_decoder") or {}
            options["added_tokens_decoder"] = {**added, **given}
        elif vocab_file is not None:
            vocabulary = read_vocabulary(vocab_file)
        else:
            raise TokenizerError(
                "AlbertWordPieceTokenizer needs a vocabulary. Give vocab_file, a "
                "vocab.txt, or tokenizer_file, a tokenizer.json."
            )
        self.do_lower_case = switches["do_lower_case"] is not False
        self.strip_accents: bool | None = switches["strip_accents"]
        self.tokenize_chinese_chars = switches["tokenize_chinese_chars"] is not False
        roles = {role: _plain(role, options.pop(role, t)) for role, t in ROLES.items()}
        unknown = roles["unk_token"]
        self._words = WordPieces(
            vocabulary,
            "[UNK]" if unknown is None else unknown.content,
            do_lower_case=self.do_lower_case,
            strip_accents=self.strip_accents,
            tokenize_chinese_chars=self.tokenize_chinese_chars,
            **({} if longest is None else {"longest_word": longest}),
        )
        options.setdefault("clean_up_tokenization_spaces", True)
        super().__init__(
            self._words, roles, do_lower_case=self.do_lower_case, **options
        )

    @property
    def backend_tokenizer(self) -> Backend:
        """A `tokenizers.Tokenizer` with this vocabulary."""
        return Backend.from_str(self._json())

    def vocabulary_files(self) -> dict[str, bytes]:
        """See `Tokenizer`."""
        tokens = [self._words.to_token(i) for i in range(self._words.size)]
        lines = "".join(f"{token}\n" for token in tokens)
        return {WORDS_NAME: lines.encode(), JSON_NAME: self._json().encode()}

    def settings(self) -> dict[str, Any]:
        """See `Tokenizer`."""
        own = {name: getattr(self, name) for name in SWITCHES}
        # The class that reads these files in transformers.
        return own | {"tokenizer_class": "BertTokenizer"}

    def _json(self) -> str:
        cls, sep = self._around()
        first, last = f"{self.cls_token}:0", f"{self.sep_token}:0"
        whole = Backend.from_str(self._words.engine.to_str())
        whole.post_processor = processors.TemplateProcessing(
            single=[first, "$A:0", last],
            pair=[first, "$A:0", last, "$B:1", f"{self.sep_token}:1"],
            special_tokens=[(str(self.cls_token), cls), (str(self.sep_token), sep)],
        )
        values = json.loads(whole.to_str())
        values["decoder"] = {
            "type": "WordPiece",
            "prefix": CONTINUED,
            "cleanup": self.clean_up_tokenization_spaces,
        }
        values["added_tokens"] = [
            {"id": i, "content": token.content}
            | {flag: getattr(token, flag) for flag in FLAGS}
            for i, token in self.added_tokens_decoder.items()
        ]
        return json.dumps(values, ensure_ascii=False, indent=2)


def read_vocabulary(path: str | Path) -> dict[str, int]:
    """Read a vocab.txt: one token a line.

    Raises:
        TokenizerError: It is missing, no text, empty, or has a token twice.
    """
    data = read_bytes(path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise TokenizerError(
            f"{path} is not UTF-8 text, so it is no vocab.txt: {problem.reason} at "
            f"byte {problem.start}. Get the right file."
        ) from problem
    tokens = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    if not text.strip() or "\0" in text or text.lstrip()[0] == "{":
        raise TokenizerError(
            f"{path} has no token on each line: it begins with {shown(text[:40])}. Get "
            f"the vocab.txt of the model."
        )
    twice = [f"{shown(t)} ({n} times)" for t, n in Counter(tokens).items() if n > 1]
    if twice:
        more = f" and {len(twice) - 5} more" if len(twice) > 5 else ""
        raise TokenizerError(
            f"{path} does not hold each token once: {', '.join(twice[:5])}{more}. Get "
            f"the file again."
        )
    return {token: i for i, token in enumerate(tokens)}


def _read_json(path: Path) -> dict[str, Any]:
    """Read a tokenizer.json that cuts text as BERT does."""
    values = read_json(path, TokenizerError)
    kind = model_type(values)
    if kind != "WordPiece":
        raise TokenizerError(
            f"{path} holds a tokenizer of type {shown(kind)}, where WordPiece is "
            f"expected. Get the right file, or use load_tokenizer."
        )
    for part, wanted in (
        ("normalizer", "BertNormalizer"),
        ("pre_tokenizer", "BertPreTokenizer"),
    ):
        step = values.get(part)
        found = (
            cast(dict[str, Any], step).get("type") if isinstance(step, dict) else step
        )
        if found != wanted:
            raise TokenizerError(
                f"{path} has the {part} {shown(found)}, where BERT's is {wanted}. Use "
                f"the vocab.txt of the same model."
            )
    try:
        Backend.from_str(json.dumps(values))
    except Exception as problem:  # what the package tokenizers raises is bare
        reason = str(problem).split("\n")[0][:200]
        raise TokenizerError(
            f"{path} is no tokenizer.json that can be read: {reason}. Get it again."
        ) from problem
    return values


def _from_json(values: Mapping[str, Any], path: str | Path) -> dict[str, int]:
    vocabulary: dict[str, int] = values["model"]["vocab"]
    if sorted(vocabulary.values()) != list(range(len(vocabulary))):
        raise TokenizerError(
            f"{path} has {len(vocabulary)} tokens whose ids are not 0 to "
            f"{len(vocabulary) - 1}, each once. Get the file again."
        )
    return vocabulary


def _check_same(
    vocabulary: dict[str, int], vocab_file: str | Path, tokenizer_file: str | Path
) -> None:
    other = read_vocabulary(vocab_file)
    differ = sorted(token for token, _ in vocabulary.items() ^ other.items())
    if differ:
        raise TokenizerError(
            f"{tokenizer_file} and {vocab_file} differ in {len({*differ})} tokens, "
            f"{shown(differ[0])} among them. Remove the file that is not of this model."
        )


def _plain(role: str, token: Any) -> AddedToken | None:
    """A special token; unlike ALBERT's, BERT's mask leaves the space before it."""
    if isinstance(token, str) and token:
        return AddedToken(token, normalized=False, special=True)
    return None if token is None else as_token(token, role)
