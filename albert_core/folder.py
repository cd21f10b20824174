"""The folder of a checkpoint: which files count, and how all change in one step.

A save writes its files into a hidden folder inside the checkpoint's. Renaming that to
`PENDING` is the step from the old checkpoint to the new one: files in there count more
than those beside it, which they then replace one by one. Whoever is killed on the way
leaves the old checkpoint or the new one, never some of each.
"""

import re
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from albert_core.errors import CheckpointError
from albert_core.files import read_json, sync

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
INDEX_NAME = "model.safetensors.index.json"
SHARD_NAME = "model-{:05}-of-{:05}.safetensors"
A_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
PENDING = ".albert-save"
OLD = 24 * 60 * 60  # seconds


def find(directory: Path, name: str) -> Path:
    """Where a file of a checkpoint is, or would be."""
    pending = directory / PENDING / name
    return pending if pending.exists() else directory / name


def find_weights(directory: Path) -> Path | None:
    """The file of all weights, or else the index of several, if there is either."""
    for place in (directory / PENDING, directory):
        for name in (WEIGHTS_NAME, INDEX_NAME):
            if (place / name).exists():
                return place / name
    return None


def make(directory: str | Path) -> Path:
    """Make a directory, unless it is there.

    Raises:
        CheckpointError: There is a file of that name.
        OSError: It cannot be made.
    """
    directory = Path(directory).expanduser()
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as problem:
        places = (directory, *directory.parents)
        file = next(p for p in places if p.exists() or p.is_symlink())
        raise CheckpointError(
            f"{directory} cannot be a directory, because {file} is a file. Give "
            f"another place to save to."
        ) from problem
    return directory


@contextmanager
def replaced(directory: Path) -> Generator[Path]:
    """Give a place for new files, which replace those of their names all at once.

    An error inside, or a full disk, leaves everything as it was.
    """
    _sweep(directory)
    place = Path(tempfile.mkdtemp(prefix=f"{PENDING}-", dir=directory))
    try:
        yield place
        for file in place.iterdir():
            sync(file)
        sync(place)
        _commit(place, directory / PENDING)
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    finish(directory)


def _sweep(directory: Path) -> None:
    """Remove what killed saves have left; one that is at work is not that old."""
    for place in directory.glob(f"{PENDING}-*"):
        if time.time() - place.stat().st_mtime > OLD:
            shutil.rmtree(place, ignore_errors=True)


def _commit(place: Path, pending: Path) -> None:
    while True:
        try:
            place.rename(pending)
            return
        except OSError:
            if not pending.is_dir():
                raise
        finish(pending.parent)  # another process has just saved here


def finish(directory: Path) -> None:
    """Put the files of a complete save in place, where a killed one may have stopped.

    The file that leads to the weights goes last, so that until then it is known which
    files it makes useless.
    """
    pending = directory / PENDING
    if not pending.is_dir():
        return
    sync(directory)
    names = sorted(file.name for file in pending.iterdir())
    names.sort(key=lambda name: name in (WEIGHTS_NAME, INDEX_NAME))
    if INDEX_NAME in names:
        (directory / WEIGHTS_NAME).unlink(missing_ok=True)
    elif WEIGHTS_NAME in names:
        (directory / INDEX_NAME).unlink(missing_ok=True)
    for name in names:
        with suppress(FileNotFoundError):  # another process is at it too
            (pending / name).replace(directory / name)
    for file in _useless(directory):
        file.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        pending.rmdir()
    sync(directory)


def _useless(directory: Path) -> list[Path]:
    """Shards that no index names, left by a save with other sizes."""
    index, used = directory / INDEX_NAME, set[str]()
    if index.exists():
        used = set(read_json(index, CheckpointError)["weight_map"].values())
    return [
        file
        for file in directory.iterdir()
        if A_SHARD.fullmatch(file.name) and file.name not in used
    ]
