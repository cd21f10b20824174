"""The files of a tokenizer: which are there, what they say, and saving them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tokenizers import AddedToken

from albert_core import folder, hub
from albert_core.errors import TokenizerError
from albert_core.files import read_json
from albert_core.tokenization.special import ADDITIONAL, ROLES, as_token
from albert_core.tokenizer_names import (
    ADDED_NAME,
    CONFIG_NAME,
    MAP_NAME,
)

if TYPE_CHECKING:
    from albert_core.tokenization.tokenizer import Tokenizer

T = TypeVar("T", bound="Tokenizer")

LARGEST_MODEL = 512 * 2**20  # bytes
FLAGS = ("lstrip", "normalized", "rstrip", "single_word", "special")

# What tokenizer_config.json may say of any tokenizer.
COMMON = (
    "model_max_length",
    "padding_side",
    "truncation_side",
    "model_input_names",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
)
BOOLEANS = (
    "do_lower_case",
    "remove_space",
    "keep_accents",
    "clean_up_tokenization_spaces",
    "split_special_tokens",
    "strip_accents",
    "tokenize_chinese_chars",
)


def load(cls: type[T], name_or_path: str | Path, options: dict[str, Any]) -> T:
    """See `Tokenizer.from_pretrained`."""
    where = {name: options.pop(name) for name in hub.OPTIONS if name in options}
    path = hub.resolve(name_or_path, **where)
    found = find_files(cls, path)
    config = read_config(path) if path.is_dir() else {}
    mine = {*COMMON, *ROLES, ADDITIONAL, "added_tokens_decoder", *cls.own_settings}
    said = {k: v for k, v in config.items() if k in mine and v is not None}
    arguments = {**said, **found, "name_or_path": str(name_or_path), **options}
    return cast(Any, cls)(**arguments)


def find_files(cls: type["Tokenizer"], path: Path) -> dict[str, Path]:
    """The files of a vocabulary, by the argument that takes them.

    Raises:
        TokenizerError: None is there.
    """
    if path.is_file():
        for argument, names in cls.vocab_files_names.items():
            if {Path(name).suffix for name in names} == {path.suffix}:
                return {argument: path}
        # A model under another name.
        return {next(iter(cls.vocab_files_names)): path}
    found: dict[str, Path] = {}
    for argument, names in cls.vocab_files_names.items():
        for file in (folder.find(path, name) for name in names):
            if file.exists():
                found.setdefault(argument, file)
    if not found:
        wanted = [name for names in cls.vocab_files_names.values() for name in names]
        raise TokenizerError(
            f"{path} holds no {' or '.join(wanted)}; {cls.__name__} needs one of them. "
            f"It holds {listing(path)}. Get the vocabulary of the model."
        )
    return found


def read_config(directory: Path) -> dict[str, Any]:
    """What the files beside the vocabulary say, as arguments.

    Raises:
        TokenizerError: A file is damaged, or a value is of another type.
    """
    values: dict[str, Any] = {}
    for name in (MAP_NAME, CONFIG_NAME):
        path = folder.find(directory, name)
        if path.exists():
            # The map counts only where the newer file does not hold the same.
            values |= read_json(path, TokenizerError)
    path = folder.find(directory, ADDED_NAME)
    if path.exists() and "added_tokens_decoder" not in values:
        old = read_json(path, TokenizerError)
        values["added_tokens_decoder"] = {
            str(index): {"content": token, "special": False}
            for token, index in old.items()
        }
    if "max_len" in values:
        values.setdefault("model_max_length", values["max_len"])
    _check_types(values, directory / CONFIG_NAME)
    added: dict[str, Any] = values.get("added_tokens_decoder") or {}
    values["added_tokens_decoder"] = {int(i): token for i, token in added.items()}
    # Where the table of added tokens has a special token's rules, those count.
    rules = {as_token(t, "added token").content: t for t in added.values()}
    for role in ROLES:
        if isinstance(values.get(role), str) and values[role] in rules:
            values[role] = rules[values[role]]
    return values


def _check_types(values: Mapping[str, Any], path: Path) -> None:
    wrong = [
        f"{name}={values[name]!r}"
        for name in BOOLEANS
        if not isinstance(values.get(name), bool | None)
    ]
    length = values.get("model_max_length")
    if length is not None and not (
        isinstance(length, int | float)
        and not isinstance(length, bool)
        and 0 < length < float("inf")
    ):
        wrong.append(f"model_max_length={length!r}")
    wrong += [
        f"{name}={values[name]!r}"
        for name in (ADDITIONAL, "model_input_names")
        if not isinstance(values.get(name), list | None)
    ]
    if not isinstance(values.get("sp_model_kwargs"), dict | None):
        wrong.append(f"sp_model_kwargs={values['sp_model_kwargs']!r}")
    added: Any = values.get("added_tokens_decoder") or {}
    if not isinstance(added, dict) or not all(map(str.isdigit, cast(Any, added))):
        wrong.append(f"added_tokens_decoder={added!r}")
    if wrong:
        raise TokenizerError(
            f"{path} says {', '.join(wrong)[:300]}, which has the wrong type. Correct "
            f"the file."
        )


def save(tokenizer: "Tokenizer", save_directory: str | Path) -> tuple[str, ...]:
    """See `Tokenizer.save_pretrained`."""
    directory = folder.make(save_directory)
    contents = tokenizer.vocabulary_files()
    contents[CONFIG_NAME] = _to_json(_config(tokenizer))
    contents[MAP_NAME] = _to_json(_map(tokenizer))
    with folder.replaced(directory) as place:
        for name, data in contents.items():
            (place / name).write_bytes(data)
    return tuple(str(directory / name) for name in contents)


def save_vocabulary(
    tokenizer: "Tokenizer", directory: Path, prefix: str | None
) -> tuple[str, ...]:
    """See `Tokenizer.save_vocabulary`."""
    if not directory.is_dir():
        raise TokenizerError(f"{directory} is no directory. Make it first.")
    start = f"{prefix}-" if prefix else ""
    files = tokenizer.vocabulary_files()
    with folder.replaced(directory) as place:
        for name, data in files.items():
            (place / (start + name)).write_bytes(data)
    return tuple(str(directory / (start + name)) for name in files)


def read_bytes(path: str | Path) -> bytes:
    """Read a vocabulary.

    Raises:
        TokenizerError: There is none, or it is no regular file of a sensible size.
    """
    path = Path(path).expanduser()
    try:
        if not path.is_file():
            raise TokenizerError(
                f"{path} {'is no file' if path.exists() else 'does not exist'}. Give "
                f"the file of a vocabulary, such as spiece.model."
            )
        size = path.stat().st_size
        if size > LARGEST_MODEL:
            raise TokenizerError(
                f"{path} has {size} bytes; at most {LARGEST_MODEL} are expected. It is "
                f"not the right file."
            )
        return path.read_bytes()
    except OSError as problem:
        raise TokenizerError(f"{path} cannot be read: {problem.strerror}.") from problem


def listing(path: Path) -> str:
    """What a directory holds, for messages."""
    if not path.is_dir():
        return "nothing: it is no directory"
    names = sorted(p.name for p in path.iterdir())
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "") or "nothing"


def _config(tokenizer: "Tokenizer") -> dict[str, Any]:
    values = {name: getattr(tokenizer, name) for name in COMMON} | tokenizer.settings()
    values["added_tokens_decoder"] = {
        str(i): _fields(token) for i, token in tokenizer.added_tokens_decoder.items()
    }
    return dict(sorted((values | tokenizer.special_tokens_map).items()))


def _map(tokenizer: "Tokenizer") -> dict[str, Any]:
    roles: dict[str, Any] = {
        role: _fields(token) if token.lstrip or token.rstrip else token.content
        for role, token in tokenizer.roles.items()
        if token is not None
    }
    more = tokenizer.additional_special_tokens
    return roles | ({ADDITIONAL: more} if more else {})


def _fields(token: AddedToken) -> dict[str, Any]:
    return {"content": token.content} | {name: getattr(token, name) for name in FLAGS}


def _to_json(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
