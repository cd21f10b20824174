"""`albert-zoo tokenize`: text to ids and pieces, and the training of a vocabulary."""

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from io import TextIOWrapper
from itertools import islice
from pathlib import Path
from typing import Any, cast

import click

from albert_zoo.console import Progress, print_result, printable

BATCH = 1000  # lines; the tokenizers are fast on many at once

Files = tuple[Path, ...]
TEXT_FILES = click.Path(exists=True, dir_okay=False, path_type=Path, allow_dash=True)


class DefaultGroup(click.Group):
    """A group that takes what is no sub-command for arguments of `encode`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the sub-command in where the user left it out."""
        known = {*self.commands, *ctx.help_option_names}
        if args and args[0] not in known:
            args = ["encode", *args]
        return super().parse_args(ctx, args)


@click.group(cls=DefaultGroup)
def tokenize() -> None:
    """Turn text into ids, or train a vocabulary.

    Without a sub-command it is `encode`.

    \b
    Examples:
      albert-zoo tokenize --tokenizer my-albert text.txt
      albert-zoo tokenize train text.txt --output my-vocabulary --vocab-size 8000
    """  # noqa: D301  (click reads the backspace)


@tokenize.command()
@click.argument("files", nargs=-1, type=TEXT_FILES)
@click.option(
    "--tokenizer",
    required=True,
    help="A directory with a tokenizer's files, or a hub name.",
)
@click.option("--pieces", is_flag=True, help="Print pieces in place of ids.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line.")
@click.option(
    "--special-tokens/--no-special-tokens",
    default=True,
    show_default=True,
    help="Whether to put [CLS] and [SEP] around each line.",
)
@click.option("--slow", is_flag=True, help="Take the slow tokenizer.")
def encode(
    files: Files,
    tokenizer: str,
    pieces: bool,
    as_json: bool,
    special_tokens: bool,
    slow: bool,
) -> None:
    """Print the ids of every line of FILES, or of the standard input.

    One line of text gives one line of ids with spaces between them. A piece that does
    not fit on a terminal is shown with escapes; --json has ids and pieces as they are.

    \b
    Examples:
      albert-zoo tokenize encode --tokenizer my-albert text.txt
      echo "Hello world" | albert-zoo tokenize encode --tokenizer my-albert --pieces
    """  # noqa: D301  (click reads the backspace)
    from albert_core.tokenization import load_tokenizer

    loaded: Any = load_tokenizer(tokenizer, use_fast=not slow)
    lines = (line.removesuffix("\n") for line in _lines(files))
    while batch := list(islice(lines, BATCH)):
        rows = loaded(
            batch,
            add_special_tokens=special_tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,  # a line may be longer than a model takes
        )["input_ids"]
        click.echo("\n".join(_shown(loaded, rows, pieces, as_json)))


@tokenize.command()
@click.argument("files", nargs=-1, required=True, type=TEXT_FILES)
@click.option(
    "--output",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory to write the vocabulary to.",
)
@click.option("--vocab-size", default=30_000, show_default=True, help="Pieces.")
@click.option(
    "--lower-case/--no-lower-case",
    default=True,
    show_default=True,
    help="Whether the tokenizer lower-cases text.",
)
@click.option("--keep-accents", is_flag=True, help="Keep accents on letters.")
@click.option(
    "--coverage",
    default=0.99995,
    show_default=True,
    help="The share of all characters that get a piece of their own.",
)
@click.option(
    "--sentences",
    default=10_000_000,
    show_default=True,
    help="The most lines to train on, drawn at random; they decide the memory.",
)
@click.option("--seed", default=0, show_default=True, help="Of the drawing.")
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the result to this file; - prints it in place of the line.",
)
def train(
    files: Files,
    output: Path,
    vocab_size: int,
    lower_case: bool,
    keep_accents: bool,
    coverage: float,
    sentences: int,
    seed: int,
    json_file: Path | None,
) -> None:
    """Train a sentencepiece vocabulary on FILES, with Google's settings for ALBERT.

    FILES are text in UTF-8, a sentence or a paragraph a line; - is the standard input.

    \b
    Example:
      albert-zoo tokenize train text.txt --output my-vocabulary --vocab-size 8000
    """  # noqa: D301  (click reads the backspace)
    from albert_core.tokenization.training import train_vocabulary

    with Progress(len(files) + 1) as step:
        model = train_vocabulary(
            _lines(files, step),
            output,
            vocab_size,
            do_lower_case=lower_case,
            keep_accents=keep_accents,
            seed=seed,
            character_coverage=coverage,
            input_sentence_size=sentences,
        )
    result = {"vocabulary": str(model), "vocab_size": vocab_size}
    line = f"{printable(str(model))} has {vocab_size} pieces"
    print_result(result, json_file, lambda to: to.print(line, markup=False))


def _lines(files: Files, step: Callable[[str], None] | None = None) -> Iterator[str]:
    """The lines of files one after another; - is the standard input."""
    for path in files or (Path("-"),):
        if step:
            step(f"reading {path}")
        yield from _lines_of(path)
    if step:
        step("training")


def _lines_of(path: Path) -> Iterator[str]:
    from albert_core.tokenization.training import read_lines

    if path == Path("-"):
        stream = cast(TextIOWrapper, sys.stdin)
        stream.reconfigure(encoding="utf-8", errors="strict")
        yield from read_lines(stream, "the standard input")
        return
    with path.open(encoding="utf-8") as file:
        yield from read_lines(file, str(path))


def _shown(
    tokenizer: Any, rows: list[list[int]], pieces: bool, as_json: bool
) -> Iterable[str]:
    """Rows of ids as lines to print."""
    if not pieces and not as_json:
        return (" ".join(map(str, row)) for row in rows)
    words: Iterator[list[str]] = (tokenizer.convert_ids_to_tokens(row) for row in rows)
    if not as_json:
        return (" ".join(map(printable, row)) for row in words)
    both = zip(rows, words, strict=True)
    return (json.dumps({"ids": ids, "pieces": row}) for ids, row in both)
