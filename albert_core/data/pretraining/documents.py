"""Documents of text files: a sentence a line, an empty line between documents.

A file is read in blocks that end where a document does, so that a block is all that is
in memory, and blocks can be worked on side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from albert_core.data.pretraining.segments import Document, Sentence
from albert_core.errors import InputError, listed

BLOCK = 4 * 2**20  # bytes
LONGEST_DOCUMENT = 8  # blocks; a longer one is cut into several
LONGEST_LINE = 2**20  # bytes
BATCH = 1000  # lines that are tokenized at once
MARK = b"\xef\xbb\xbf"  # what some programs begin UTF-8 with

Encode = Callable[[list[str]], list[Sentence]]


@dataclass(frozen=True)
class Block:
    """A part of a file.

    Attributes:
        path: The file.
        start: Its first byte.
        end: The byte behind its last one.
        line: The number of its first line, from 1.
    """

    path: Path
    start: int
    end: int
    line: int


def blocks(paths: Sequence[Path], size: int = BLOCK) -> list[Block]:
    """Cut files into blocks, looking at every line once.

    Args:
        paths: Text files.
        size: The bytes that a block has at least, but for the last of a file.

    Raises:
        InputError: A file holds no text, or a line that no sentence is as long as.
        OSError: One cannot be read.
    """
    found: list[Block] = []
    empty: list[str] = []
    for path in paths:
        parts = list(_blocks(path, size))
        found += parts
        if not parts:
            empty.append(str(path))
    if empty:
        raise InputError(
            f"There is no text in {listed(empty)}. Leave out what is empty, or give "
            f"the files that the text is in."
        )
    return found


def _blocks(path: Path, size: int) -> Iterator[Block]:
    start, first, end, number, full = 0, 1, 0, 0, False
    with path.open("rb") as file:
        while line := file.readline(LONGEST_LINE + 1):
            number += 1
            if len(line) > LONGEST_LINE:
                raise InputError(
                    f"{path}: line {number} has more than {LONGEST_LINE} bytes. Give "
                    f"text with one sentence a line and an empty line between "
                    f"documents."
                )
            end += len(line)
            full = full or bool(line.removeprefix(MARK).strip())
            over = end - start >= size and not line.strip()
            if full and (over or end - start >= LONGEST_DOCUMENT * size):
                yield Block(path, start, end, first)
                start, first, full = end, number + 1, False
    if full:
        yield Block(path, start, end, first)


def documents(block: Block, encode: Encode) -> list[Document]:
    """The documents of a block as token ids; those without tokens are left out.

    Args:
        block: Where they are.
        encode: Gives the ids of lines, without special tokens.

    Raises:
        InputError: A line is not UTF-8.
    """
    found: list[Document] = [[]]
    lines = _lines(block)
    while batch := list(islice(lines, BATCH)):
        ids = iter(encode([line for line in batch if line]))
        for line in batch:
            if not line:
                found.append([])
            elif sentence := next(ids):
                found[-1].append(sentence)
    return [document for document in found if document]


def _lines(block: Block) -> Iterator[str]:
    """The lines of a block, stripped."""
    with block.path.open("rb") as file:
        file.seek(block.start)
        number = block.line
        while (at := file.tell()) < block.end:
            line = file.readline()
            try:
                text = line.decode()
            except UnicodeDecodeError as problem:
                raise InputError(
                    f"{block.path}: line {number} is not UTF-8: byte "
                    f"{line[problem.start]:#x} at {at + problem.start}. Convert the "
                    f"file."
                ) from problem
            yield (text.removeprefix("\ufeff") if at == 0 else text).strip()
            number += 1
