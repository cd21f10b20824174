"""Which tokenizer a directory holds."""

from pathlib import Path
from typing import Any

from albert_core import folder, hub
from albert_core.errors import TokenizerError
from albert_core.files import read_json
from albert_core.tokenization import files, json_format
from albert_core.tokenization.albert import AlbertTokenizer, AlbertTokenizerFast
from albert_core.tokenization.tokenizer import Tokenizer
from albert_core.tokenization.wordpiece import AlbertWordPieceTokenizer
from albert_core.tokenizer_names import JSON_NAME, MODEL_NAMES, WORDS_NAME


def load_tokenizer(
    name_or_path: str | Path, use_fast: bool = True, **options: Any
) -> Tokenizer:
    """Load the tokenizer that belongs to the files of a directory.

    Args:
        name_or_path: The directory of a checkpoint or tokenizer, one file of a
            vocabulary, or a hub name.
        use_fast: Whether to read tokenizer.json where there is one; the ids are the
            same either way.
        **options: As `Tokenizer.from_pretrained` takes them.

    Raises:
        TokenizerError: There is no vocabulary, or one that ALBERT does not use.

    Examples:
        ```python
        tokenizer = load_tokenizer("albert/albert-base-v2")
        tokenizer("Hello, world!")["input_ids"]
        ```
    """
    where = {name: options.pop(name) for name in hub.OPTIONS if name in options}
    path = hub.resolve(name_or_path, **where)
    tokenizer = _choose(path, use_fast).from_pretrained(path, **options)
    tokenizer.name_or_path = str(name_or_path)
    return tokenizer


def _choose(path: Path, use_fast: bool) -> type[Tokenizer]:
    """The class for a vocabulary's file, or for a directory."""
    albert = AlbertTokenizerFast if use_fast else AlbertTokenizer
    if path.is_file():
        if path.suffix == ".json":
            return _of_json(path)
        return AlbertWordPieceTokenizer if path.suffix == ".txt" else albert
    json_file = folder.find(path, JSON_NAME)
    has_words = folder.find(path, WORDS_NAME).exists()
    has_model = any(folder.find(path, name).exists() for name in MODEL_NAMES)
    if has_model and has_words:
        said = str(files.read_config(path).get("tokenizer_class"))
        return AlbertWordPieceTokenizer if said.startswith("Bert") else albert
    if has_model:
        return albert
    if json_file.exists():
        return _of_json(json_file)
    if has_words:
        return AlbertWordPieceTokenizer
    names = ", ".join((JSON_NAME, *MODEL_NAMES, WORDS_NAME))
    raise TokenizerError(
        f"{path} holds no vocabulary: none of {names}; it holds {files.listing(path)}. "
        f"Get one of these files of the model."
    )


def _of_json(path: Path) -> type[Tokenizer]:
    kind = json_format.model_type(read_json(path, TokenizerError))
    return AlbertWordPieceTokenizer if kind == "WordPiece" else AlbertTokenizerFast
