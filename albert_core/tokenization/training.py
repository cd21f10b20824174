"""Train a vocabulary for ALBERT, with the settings of the released ones."""

import io
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO, cast

from albert_core import folder
from albert_core.errors import TokenizerError, shown
from albert_core.tokenization.normalizer import Normalizer, lower_each
from albert_core.tokenization.proto import PieceModel
from albert_core.tokenizer_names import (
    CONFIG_NAME,
    LISTING_NAME,
    MODEL_NAMES,
    TOKENIZER_FILES,
)

# Source: google-research/albert README.md, the spm_train command of 30k-clean.model.
GOOGLE_FLAGS: dict[str, Any] = {
    "model_type": "unigram",
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": -1,
    "eos_id": -1,
    "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
    "user_defined_symbols": ["(", ")", '"', "-", ".", "–", "£", "€"],
    "character_coverage": 0.99995,
    "input_sentence_size": 10_000_000,
    "shuffle_input_sentence": True,
}
# sentencepiece leaves out longer lines without a word (max_sentence_length, in bytes).
LONGEST_LINE = 4000
# It also leaves out lines with these: they have a meaning of their own inside it.
RESERVED = str.maketrans(dict.fromkeys("\0▅", " "))

Input = str | Path


def train_vocabulary(
    inputs: Input | Sequence[Input] | Iterator[str],
    output_dir: Input,
    vocab_size: int = 30_000,
    *,
    do_lower_case: bool = True,
    keep_accents: bool = False,
    model_max_length: int = 512,
    seed: int = 0,
    **flags: Any,
) -> Path:
    r"""Train a sentencepiece vocabulary such as the released models have.

    The text is first treated as the tokenizer will treat it: white space, quotation
    marks, and, unless told otherwise, capitals and accents. (Google published its
    training command, and not what was done to the text before it; the released
    vocabulary has no capitals although its sentencepiece normaliser keeps them, so its
    text was lower-cased as well.) Lines too long for sentencepiece are cut at spaces.

    Text is read once, line by line. Memory holds at most `input_sentence_size` lines, a
    random choice of all.

    Args:
        inputs: Text files in UTF-8, one or several; or an iterator over texts.
        output_dir: Gets spiece.model, spiece.vocab and tokenizer_config.json, all of
            them or none; `load_tokenizer` reads them. It must not hold a tokenizer.
        vocab_size: The number of pieces, with the 13 special ones.
        do_lower_case: Whether the tokenizer lower-cases.
        keep_accents: Whether the tokenizer keeps accents.
        model_max_length: The most tokens that the model will take.
        seed: Of the random choice of lines.
        **flags: Other flags of spm_train, which win over `GOOGLE_FLAGS`.

    Returns:
        The path of spiece.model.

    Raises:
        TokenizerError: There is no text, not enough of it, or text that is not UTF-8;
            the directory holds a tokenizer; or sentencepiece does not know a flag.

    Examples:
        >>> import tempfile
        >>> lines = ["the river and the garden", "the ancient garden"] * 20
        >>> folder = tempfile.mkdtemp()
        >>> train_vocabulary(iter(lines), folder, vocab_size=28).name
        'spiece.model'
    """
    target = folder.make(output_dir)
    found = [name for name in TOKENIZER_FILES if folder.find(target, name).exists()]
    if found:
        raise TokenizerError(
            f"{target} holds a tokenizer already: {', '.join(found)}. Choose another "
            f"directory, or remove these files."
        )
    normalizer = Normalizer(do_lower_case=do_lower_case, keep_accents=keep_accents)
    lines = prepared(_texts(inputs), normalizer)
    model = _train(lines, {**GOOGLE_FLAGS, "vocab_size": vocab_size, **flags}, seed)
    settings = {
        "do_lower_case": do_lower_case,
        "keep_accents": keep_accents,
        "model_max_length": model_max_length,
        "tokenizer_class": "AlbertTokenizer",
    }
    with folder.replaced(target) as place:
        (place / MODEL_NAMES[0]).write_bytes(model)
        (place / LISTING_NAME).write_text(_listing(model), "utf-8")
        (place / CONFIG_NAME).write_text(json.dumps(settings, indent=2) + "\n")
    return target / MODEL_NAMES[0]


def prepared(texts: Iterable[str], normalizer: Normalizer) -> Iterator[str]:
    """Texts as the tokenizer normalises them, in lines that sentencepiece takes.

    Args:
        texts: Any texts; those without words are left out.
        normalizer: That of the tokenizer.
    """
    for text in texts:
        text = text.translate(RESERVED)
        clean = normalizer(lower_each(text) if normalizer.do_lower_case else text)
        while len(clean.encode()) > LONGEST_LINE:
            # A quarter of the bytes: there are at most four to a character.
            end = clean.rfind(" ", 1, LONGEST_LINE // 4)
            end = LONGEST_LINE // 4 if end < 0 else end
            yield clean[:end]
            clean = clean[end:].lstrip(" ")
        if clean:
            yield clean


def _texts(inputs: Input | Sequence[Input] | Iterator[str]) -> Iterator[str]:
    """The lines of files, which must all be there, or the texts of an iterator."""
    if isinstance(inputs, str | Path):
        inputs = [inputs]
    if isinstance(inputs, Iterator):
        return inputs
    paths = [Path(path) for path in inputs]
    missing = [str(path) for path in paths if not path.is_file()]
    if missing:
        more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
        raise TokenizerError(
            f"There is no text file {', '.join(map(shown, missing[:5]))}{more}. Give "
            f"files of text, or an iterator over texts."
        )
    return chain.from_iterable(map(_lines, paths))


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        yield from read_lines(file, str(path))


def read_lines(file: TextIO, name: str) -> Iterator[str]:
    """The lines of a file that is opened as UTF-8.

    Args:
        file: An open file.
        name: What to call it in an error.

    Raises:
        TokenizerError: It is not UTF-8.
    """
    count = 0
    try:
        for line in file:
            yield line
            count += 1
    except UnicodeDecodeError as problem:
        raise TokenizerError(
            f"{name} is not UTF-8, somewhere after line {count}: {problem.reason}. "
            f"Convert it to UTF-8."
        ) from problem


def _train(lines: Iterator[str], flags: dict[str, Any], seed: int) -> bytes:
    """Run sentencepiece over the lines; its own errors are hard to read."""
    import sentencepiece

    package, trained = cast(Any, sentencepiece), io.BytesIO()
    quiet = {"minloglevel": 1, **flags}  # warnings only
    failed: list[BaseException] = []
    package.set_random_generator_seed(seed)
    try:
        package.SentencePieceTrainer.train(
            sentence_iterator=_noting(lines, failed), model_writer=trained, **quiet
        )
    except (RuntimeError, ValueError, TypeError, OSError) as problem:
        if failed:
            raise failed[0] from None
        raise TokenizerError(_explained(str(problem), flags)) from problem
    if failed:
        raise failed[0]
    return trained.getvalue()


def _noting(lines: Iterator[str], failed: list[BaseException]) -> Iterator[bytes]:
    """Lines as bytes; sentencepiece would turn an error on the way into text."""
    try:
        for line in lines:
            yield line.encode()
    except UnicodeEncodeError as problem:
        failed.append(
            TokenizerError(
                f"A text holds half of a surrogate pair, which is no character: "
                f"{shown(problem.object[: problem.end])}. Read the text with its right "
                f"encoding."
            )
        )
        raise
    except BaseException as problem:  # Ctrl-C too
        failed.append(problem)
        raise


def _explained(problem: str, flags: dict[str, Any]) -> str:
    """What an error of sentencepiece means, in one line with a remedy."""
    size = flags["vocab_size"]
    if "sentences_.empty()" in problem:
        return "There is no text to train on. Give files with at least a few sentences."
    if most := re.search(r"value <= (\d+)", problem):
        return (
            f"vocab_size={size} is more than this text has pieces for: at most "
            f"{most[1]}. Ask for fewer pieces, or give more text."
        )
    if least := re.search(r"required_chars\. \d+ vs (\d+)", problem):
        return (
            f"vocab_size={size} is too small for the characters of this text: they and "
            f"the special pieces are {least[1]} already. Ask for more pieces, or set a "
            f"lower character_coverage."
        )
    if unknown := re.search(r'unknown field name "([^"]*)"', problem):
        return f"spm_train has no flag {unknown[1]}. Leave it out, or mend its name."
    given = {k: v for k, v in flags.items() if v is not GOOGLE_FLAGS.get(k)}
    shown_flags = ", ".join(f"{name}={shown(value)}" for name, value in given.items())
    return (
        f"sentencepiece does not train with {shown_flags}: {problem.strip(' .')}. "
        f"Change the flag that it names."
    )


def _listing(model: bytes) -> str:
    """The vocabulary as spm_train lists it: pieces and their scores."""
    entries = PieceModel.from_bytes(model).entries
    return "".join(f"{entry.text}\t{entry.score:g}\n" for entry in entries)
