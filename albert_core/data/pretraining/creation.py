"""Make pretraining instances of text files, block by block, in several processes.

A block becomes a shard, whatever process works on it: all that is drawn comes from the
seed and the number of the block. A shard that is there is not made again, so that a run
that was stopped goes on where it was.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from dataclasses import asdict, replace
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random
from typing import Any, cast

from albert_core import folder as folders
from albert_core.data.pretraining.dataset import (
    MANIFEST,
    SHARD,
    Manifest,
    Recipe,
    read_manifest,
    read_shard,
    write_shard,
)
from albert_core.data.pretraining.documents import BLOCK, Block, blocks, documents
from albert_core.data.pretraining.instances import Columns, columns, instance
from albert_core.data.pretraining.masking import mask
from albert_core.data.pretraining.segments import pairs
from albert_core.data.pretraining.vocabulary import Vocabulary, vocabulary
from albert_core.errors import InputError, shown

Step = Callable[[str], None]


def create(
    paths: Sequence[Path],
    tokenizer: str,
    output: Path,
    recipe: Recipe | None = None,
    workers: int = 1,
    step: Callable[[int], Step] | None = None,
    block: int = BLOCK,
) -> Manifest:
    """Make pretraining instances of text files.

    Args:
        paths: Text in UTF-8, a sentence a line, an empty line between documents.
        tokenizer: A directory or a hub name.
        output: The folder for manifest and shards. If it holds some of the same files
            and recipe, only what is missing is made.
        recipe: How to make them.
        workers: How many processes work at once.
        step: Is told how many blocks there are, and gives what is called after each.
        block: The bytes of text that make a shard, at least.

    Raises:
        InputError: Files without text or not in UTF-8, a recipe that makes no
            instances, or a folder of other data.
        CheckpointError: There is no such tokenizer, or the folder is a file.
        TokenizerError: The tokenizer cannot be read.
        OSError: The disk is full, or a process was killed. What is done stays, and
            need not be done again.
    """
    recipe = recipe or Recipe()
    recipe.validate()
    words = vocabulary(tokenizer)
    parts = blocks(paths, block)
    names = [SHARD.format(i, len(parts)) for i in range(len(parts))]
    origin = {
        "recipe": asdict(recipe),
        "block": block,
        "sources": [[path.name, path.stat().st_size] for path in paths],
    }
    manifest = Manifest(
        origin, words.pieces, words.fingerprint, recipe.max_seq_length, None
    )
    _claim(folders.make(output), manifest)
    jobs = [
        (tokenizer, part, recipe, i, output / name)
        for i, (part, name) in enumerate(zip(parts, names, strict=True))
        if not (output / name).exists()
    ]
    tell = (step or _silent)(len(jobs))
    for block_done in _each(jobs, workers):
        tell(block_done)
    counts = [len(read_shard(output / name)["lengths"]) for name in names]
    if not sum(counts):
        raise InputError(
            f"The text makes no instances: no document in it has tokens. Give other "
            f"files than {', '.join(map(str, paths))}."
        )
    done = replace(manifest, shards=list(zip(names, counts, strict=True)))
    done.write(output)
    return done


def _silent(_: int) -> Step:
    return lambda _: None


def _claim(folder: Path, manifest: Manifest) -> None:
    """Begin with a folder, or go on in one that belongs to the same run."""
    if not (folder / MANIFEST).exists():
        if any(folder.glob("shard-*.safetensors")):
            raise InputError(
                f"{folder} holds shards, but no {MANIFEST} that says how they were "
                f"made. Choose another folder, or remove them."
            )
        manifest.write(folder)
        return
    found = read_manifest(folder)
    ours, theirs = _settings(manifest), _settings(found)
    differing = [
        f"{name}: {shown(theirs.get(name))} there, {shown(ours.get(name))} here"
        for name in ours | theirs
        if ours.get(name) != theirs.get(name)
    ]
    if differing:
        raise InputError(
            f"{folder} holds pretraining data that was made otherwise: "
            f"{'; '.join(differing)}. Choose another folder, or remove this one."
        )


def _settings(manifest: Manifest) -> dict[str, Any]:
    """All that two runs may differ in, each by its own name."""
    found: dict[str, Any] = {"vocabulary": manifest.vocabulary}
    waiting = [*_plain(manifest.origin).items()]
    while waiting:
        name, value = waiting.pop(0)
        if isinstance(value, dict):
            waiting += cast(dict[str, Any], value).items()
        elif isinstance(value, list):
            rows = enumerate(cast(list[Any], value), 1)
            found |= {f"{name} {number}": row for number, row in rows}
        else:
            found[name] = value
    return found


def _plain(value: Any) -> Any:
    """A value as JSON gives it back."""
    return json.loads(json.dumps(value))


Job = tuple[str, Block, Recipe, int, Path]


def _each(jobs: Sequence[Job], workers: int) -> Iterator[str]:
    """Work on all jobs, and yield the name of each as it is done."""
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield _work(job)
        return
    # Not by fork: the parent may have threads.
    with ExitStack() as stack:
        pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"))
        stack.callback(pool.shutdown, cancel_futures=True)
        waiting = iter(jobs)
        open_jobs: set[Future[str]] = {
            pool.submit(_work, job) for job in islice(waiting, 2 * workers)
        }
        while open_jobs:
            done, open_jobs = wait(open_jobs, return_when="FIRST_COMPLETED")
            for future in done:
                yield _result(future)
                open_jobs |= {pool.submit(_work, job) for job in islice(waiting, 1)}


def _result(future: Future[str]) -> str:
    try:
        return future.result()
    except BrokenProcessPool as problem:
        raise OSError(
            "A process that made instances was killed, perhaps because memory ran out. "
            "Run the same command again, with fewer workers: it goes on."
        ) from problem


def _work(job: Job) -> str:
    """Make the shard of a block."""
    tokenizer, block, recipe, number, path = job
    words = vocabulary(tokenizer)
    write_shard(path, _shard(words, block, recipe, number))
    return path.name


def _shard(words: Vocabulary, block: Block, recipe: Recipe, number: int) -> Columns:
    rng = Random(f"{recipe.seed}:{number}")
    texts = documents(block, words.encode)
    made = [
        instance(pair, words.starts, words.cls_id, words.sep_id)
        for _ in range(recipe.dupe_factor)
        for index in range(len(texts))
        for pair in pairs(
            texts,
            index,
            rng,
            recipe.max_seq_length - 3,
            recipe.short_seq_prob,
            recipe.random_next_sentence,
        )
    ]
    rng.shuffle(made)
    rows = [
        (one, mask(one.ids, one.starts, words.pieces, recipe.masking, rng))
        for one in made
    ]
    return columns(rows, recipe.max_seq_length, recipe.masking.max_predictions_per_seq)
