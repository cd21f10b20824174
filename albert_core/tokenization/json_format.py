"""Hugging Face's tokenizer.json for ALBERT, read and written.

The file holds the same vocabulary as spiece.model, so it becomes a sentencepiece model
when it is read: then text is cut by sentencepiece whatever file a tokenizer is from.
"""

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tokenizers import AddedToken

from albert_core.errors import TokenizerError, shown
from albert_core.files import read_json
from albert_core.tokenization.normalizer import QUOTES, Normalizer
from albert_core.tokenization.proto import Entry, Kind, PieceModel
from albert_core.tokenization.sentencepieces import SPACE, ends_in_digit_comma
from albert_core.tokenization.special import as_token

# The file has no comma rule. Its makers lower the score of the pieces in question by
# so much that no text is cut into them.
PENALTY = 100.0
LARGEST_SCORE = 3e38  # of a float32, which sentencepiece has
SPACES = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}
METASPACE = {
    "type": "Metaspace",
    "replacement": SPACE,
    "prepend_scheme": "always",
    "split": True,
}
FLAGS = ("single_word", "lstrip", "rstrip", "normalized", "special")


@dataclass(frozen=True)
class TokenizerJson:
    """What a tokenizer.json says.

    Attributes:
        model: Its vocabulary.
        normalizer: What it does to text.
        added: Its added tokens by id; without symbols that the vocabulary defines.
        values: The file.
    """

    model: PieceModel
    normalizer: Normalizer
    added: Mapping[int, AddedToken]
    values: Mapping[str, Any]


def read(path: Path) -> TokenizerJson:
    """Read a tokenizer.json.

    Raises:
        TokenizerError: It is damaged, or of a model that ALBERT does not use.
    """
    values = read_json(path, TokenizerError)
    kind = model_type(values)
    if kind != "Unigram":
        raise TokenizerError(
            f"{path} holds a tokenizer of type {shown(kind)}, and ALBERT's is Unigram "
            f"(or WordPiece, see AlbertWordPieceTokenizer). Get the right file."
        )
    try:
        added = {int(t["id"]): _added(t) for t in values.get("added_tokens") or ()}
        normalizers = list(_steps(values.get("normalizer")))
        entries = tuple(_entries(values["model"], added))
        charsmap = b"".join(
            base64.b64decode(step["precompiled_charsmap"] or "", validate=True)
            for step in normalizers
            if step["type"] == "Precompiled"
        )
    except TokenizerError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as problem:
        # The package tokenizers would read it too, but a bad file makes it panic.
        reason = str(problem).split("\n")[0][:200]
        raise TokenizerError(
            f"{path} is no tokenizer.json that can be read: {type(problem).__name__}: "
            f"{reason}. Get the file again."
        ) from problem
    unknown = [step for step in normalizers if not _is_known(step)]
    if unknown:
        raise TokenizerError(
            f"{path} normalises text with {shown(unknown)}, which ALBERT does not. Use "
            f"the spiece.model of the same model."
        )
    found = {step["type"] for step in normalizers}
    normalizer = Normalizer(
        do_lower_case="Lowercase" in found, keep_accents="StripAccents" not in found
    )
    model = PieceModel(entries, charsmap)
    return TokenizerJson(model, normalizer, _not_symbols(added, entries), values)


def model_type(values: Mapping[str, Any]) -> str | None:
    """The type of a tokenizer.json: "Unigram", "WordPiece", "BPE", or None."""
    model = values.get("model")
    fields = cast(dict[str, Any], model) if isinstance(model, dict) else {}
    if "type" not in fields:  # files of old do not say
        marks = {"unk_id": "Unigram", "max_input_chars_per_word": "WordPiece"}
        return next((kind for mark, kind in marks.items() if mark in fields), None)
    return fields["type"]


def write(
    model: PieceModel,
    normalizer: Normalizer,
    added: Mapping[int, AddedToken],
    cls: tuple[str, int],
    sep: tuple[str, int],
) -> dict[str, Any]:
    """Make a tokenizer.json that Hugging Face's library reads.

    Args:
        model: The vocabulary.
        normalizer: What is done to text.
        added: The added tokens by id.
        cls: The token at the start of an input, and its id.
        sep: The token at the end of each text, and its id.
    """
    symbols = {
        i: AddedToken(entry.text, normalized=False)
        for i, entry in enumerate(model.entries)
        if entry.kind == Kind.USER_DEFINED
    }
    unknown = [i for i, e in enumerate(model.entries) if e.kind == Kind.UNKNOWN]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": i, "content": token.content}
            | {flag: getattr(token, flag) for flag in FLAGS}
            for i, token in sorted((symbols | dict(added)).items())
        ],
        "normalizer": normalizer_steps(normalizer, model.charsmap),
        "pre_tokenizer": METASPACE,
        "post_processor": _template(cls, sep),
        "decoder": METASPACE,
        "model": {
            "type": "Unigram",
            "unk_id": unknown[0] if unknown else None,
            "vocab": [
                [e.text, e.score - PENALTY * ends_in_digit_comma(e.text)]
                for e in model.entries
            ],
            "byte_fallback": False,
        },
    }


def normalizer_steps(normalizer: Normalizer, charsmap: bytes) -> dict[str, Any]:
    """The normaliser as the file spells it."""
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": quote}, "content": '"'}
        for quote in QUOTES
    ]
    if not normalizer.keep_accents:
        steps += [{"type": "NFKD"}, {"type": "StripAccents"}]
    if normalizer.do_lower_case:
        steps.append({"type": "Lowercase"})
    if charsmap:
        text = base64.b64encode(charsmap).decode()
        steps.append({"type": "Precompiled", "precompiled_charsmap": text})
    return {"type": "Sequence", "normalizers": [*steps, SPACES]}


def _template(cls: tuple[str, int], sep: tuple[str, int]) -> dict[str, Any]:
    def special(token: str, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def text(name: str, segment: int) -> dict[str, Any]:
        return {"Sequence": {"id": name, "type_id": segment}}

    single = [special(cls[0], 0), text("A", 0), special(sep[0], 0)]
    return {
        "type": "TemplateProcessing",
        "single": single,
        "pair": [*single, text("B", 1), special(sep[0], 1)],
        "special_tokens": {
            token: {"id": token, "ids": [index], "tokens": [token]}
            for token, index in (cls, sep)
        },
    }


def _added(fields: Mapping[str, Any]) -> AddedToken:
    return as_token({k: v for k, v in fields.items() if k != "id"}, "added token")


def _entries(
    model: Mapping[str, Any], added: Mapping[int, AddedToken]
) -> Iterator[Entry]:
    """The vocabulary with the kinds that the file does not tell."""
    for i, (text, score) in enumerate(model["vocab"]):
        if ends_in_digit_comma(text) and score <= -PENALTY:
            score += PENALTY
        kind = Kind.NORMAL
        if i == model["unk_id"]:
            kind = Kind.UNKNOWN
        elif i in added and added[i].special and added[i].content == text:
            kind = Kind.CONTROL
        elif score == 0:
            kind = Kind.USER_DEFINED
        if abs(score) > LARGEST_SCORE:
            raise ValueError(f"the score of {text!r} is {score}")
        yield Entry(text, float(score), kind)


def _not_symbols(
    added: Mapping[int, AddedToken], entries: tuple[Entry, ...]
) -> dict[int, AddedToken]:
    """The added tokens but for symbols, which sentencepiece itself looks for.

    Splitting the text at them, as the package tokenizers does, would make the rest of
    a word a new word: "3.5" became "▁3", ".", "▁5".
    """
    return {
        i: token
        for i, token in added.items()
        if token.special or i >= len(entries) or entries[i].kind != Kind.USER_DEFINED
    }


def _steps(normalizer: Any) -> Iterator[dict[str, Any]]:
    if normalizer is None:
        return
    if normalizer["type"] == "Sequence":
        for step in normalizer["normalizers"]:
            yield from _steps(step)
    else:
        yield normalizer


def _is_known(step: Mapping[str, Any]) -> bool:
    if step["type"] == "Replace":
        quotes = [{"String": quote} for quote in QUOTES]
        return step == SPACES or (step["pattern"] in quotes and step["content"] == '"')
    return step["type"] in ("NFKD", "StripAccents", "Lowercase", "Precompiled")
