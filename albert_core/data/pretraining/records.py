"""Google's TFRecord files of pretraining instances, both ways."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from albert_core import folder as folders
from albert_core.data.google_records import read_pretraining, write_pretraining
from albert_core.data.pretraining.dataset import (
    MANIFEST,
    Manifest,
    read_manifest,
    read_shard,
    write_shard,
)
from albert_core.data.pretraining.instances import from_google, to_google
from albert_core.data.pretraining.vocabulary import Vocabulary, vocabulary
from albert_core.errors import InputError

ROWS = 2**14  # of a shard

Step = Callable[[str], None]
Row = Mapping[str, NDArray[Any]]


def from_records(
    paths: Sequence[Path], tokenizer: str, output: Path, step: Step = lambda _: None
) -> Manifest:
    """Take over records as a folder of instances.

    Args:
        paths: Files of records.
        tokenizer: The one that they were made with; a directory or a hub name.
        output: The folder, which must not hold instances.
        step: Is called after every shard.

    Raises:
        InputError: Records that are damaged, or of a larger vocabulary.
    """
    if (output / MANIFEST).exists():
        raise InputError(f"{output} holds pretraining data already. Choose another.")
    words = vocabulary(tokenizer)
    place, rows = folders.make(output), read_pretraining(list(paths))
    shards: list[tuple[str, int]] = []
    length = 0
    while part := list(islice(rows, ROWS)):
        _check_ids(part, words)
        name, length = f"shard-{len(shards):05}.safetensors", len(part[0]["input_ids"])
        write_shard(place / name, from_google(part))
        shards.append((name, len(part)))
        step(name)
    sources = [[path.name, path.stat().st_size] for path in paths]
    manifest = Manifest(
        {"records": sources}, words.pieces, words.fingerprint, length, shards
    )
    manifest.write(place)
    return manifest


def _check_ids(rows: Sequence[Row], words: Vocabulary) -> None:
    highest = max(
        int(max(row["input_ids"].max(), row["masked_lm_ids"].max())) for row in rows
    )
    if highest >= words.pieces.size:
        raise InputError(
            f"The records hold the id {highest}, but the tokenizer has "
            f"{words.pieces.size} pieces. Give the tokenizer that they were made with."
        )


def to_records(folder: Path, output: Path, step: Step = lambda _: None) -> int:
    """Write a folder of instances as records, a file for each shard.

    Returns:
        How many files there are.

    Raises:
        InputError: The folder holds no instances, or not yet all.
    """
    manifest = read_manifest(folder)
    if manifest.shards is None:
        raise InputError(f"{folder} is not complete. Make its instances first.")
    place = folders.make(output)
    for name, count in manifest.shards:
        rows: Iterator[Row] = iter(to_google(read_shard(folder / name, count)))
        write_pretraining(place / f"{Path(name).stem}.tfrecord", rows)
        step(name)
    return len(manifest.shards)
