"""The folder that a conversion writes: whole, or not there at all.

All files are written into a hidden folder beside the target, which takes its place in
one step when they are complete, safe on the disk and read back. Whoever is killed on
the way leaves the old target, none, or the new one; what is finished of a hidden folder
serves those who go on.
"""

import errno
import hashlib
import json
import shutil
from collections.abc import Collection, Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from albert_core.errors import AlbertError, CheckpointError, shown
from albert_core.files import read_json, sync, write_text
from conversion.flushing import flushing

JOURNAL = "journal.json"


class TargetError(AlbertError):
    """The place to write to cannot be used as it is asked for."""


class BusyError(OSError):
    """Another process writes to the same place."""


@dataclass
class Workplace:
    """The hidden folder in which a target is made.

    Attributes:
        folder: Where the files go.
        journal: What has been finished by a process that was killed.
    """

    folder: Path
    plan: str
    journal: dict[str, Any] = field(default_factory=dict[str, Any])

    def finished(self, group: str) -> dict[str, Any] | None:
        """What was noted of files that belong together, if they are still so."""
        facts = self.journal.get(group)
        if facts and all(
            (self.folder / name).is_file() and file_digest(self.folder / name) == found
            for name, found in facts["files"].items()
        ):
            return facts
        return None

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()

    def empty(self, names: Sequence[str]) -> Path:
        """Remove what is left of files; gives the path of the first."""
        for name in names:
            _remove(self.folder / name)
        return self.folder / names[0]

    def finish(self, group: str, names: Sequence[str], facts: dict[str, Any]) -> None:
        """Note that files are complete, once they are safe on the disk."""
        paths = [path for name in names for path in files_in(self.folder / name)]
        for path in paths:
            sync(path)
        files = {self._name(path): file_digest(path) for path in paths}
        self.journal[group] = {"files": files, **facts}
        text = json.dumps({"plan": self.plan, "groups": self.journal})
        write_text(self.folder / JOURNAL, text)


def files_in(path: Path) -> list[Path]:
    """A file, or all files in a folder and the folders in it."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check(target: Path, source: Path, known: Collection[str], overwrite: bool) -> None:
    """Refuse a place that must not be written to.

    Args:
        target: The place.
        source: What the user gave as the source.
        known: Names of files that a conversion may replace.
        overwrite: Whether an existing target may be replaced.

    Raises:
        TargetError: It is in use, of another kind, or holds what would be lost.
    """
    if target.is_symlink():
        raise TargetError(f"{target} is a link. Give the folder that it leads to.")
    if target.exists() and not target.is_dir():
        raise TargetError(f"{target} is a file. Give a folder to write to.")
    place, origin = target.resolve(), source.resolve()
    if origin.is_dir() and (place == origin or origin in place.parents):
        raise TargetError(
            f"{target} is the source, or in it. Give a folder outside of {source}."
        )
    if place in origin.parents:
        raise TargetError(
            f"{target} holds the source {source}. Give another folder to write to."
        )
    found = {file.name for file in target.iterdir()} if target.is_dir() else set[str]()
    # Whoever was killed between the two steps of `_swap` has left the old one aside.
    hidden = _aside(target).exists()
    if (found or hidden) and not overwrite:
        raise TargetError(
            f"{target} exists and is not empty. Add --overwrite to replace it, or give "
            f"another folder."
        )
    if strange := sorted(found.difference(known)):
        raise TargetError(
            f"{target} holds files that no conversion has written, and that would be "
            f"lost: {', '.join(map(shown, strange[:10]))}. Move them, or give another "
            f"folder."
        )


def check_space(target: Path, size: int) -> None:
    """Refuse to begin what the disk has no room for.

    Raises:
        OSError: There is less free than `size` and 5 %.
    """
    place = next(p for p in (target, *target.resolve().parents) if p.exists())
    free = shutil.disk_usage(place).free
    if free < size * 1.05:
        raise OSError(
            errno.ENOSPC,
            f"{target} needs {size} bytes, but the disk has {free}. Make room",
        )


@contextmanager
def made(target: Path, plan: str, resume: bool = False) -> Generator[Workplace]:
    """Make a target: what is written inside takes its place at the end.

    Args:
        target: A folder; the old one is whole until the new one is.
        plan: What tells one conversion from another.
        resume: Go on where a killed process has stopped, and leave what is finished
            for the next one if this one fails.

    Raises:
        BusyError: Another process is at work on the same target.
        OSError: The disk is full, or the place cannot be written.
    """
    new = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _made(target, plan, resume) as work:
            yield work
    except BaseException:
        for folder in new:
            with suppress(OSError):  # not empty, so it is not ours alone
                folder.rmdir()
        raise


@contextmanager
def _made(target: Path, plan: str, resume: bool) -> Generator[Workplace]:
    place = target.with_name(f".{target.name}.part")
    aside = _aside(target)
    with _locked(target.with_name(f".{target.name}.lock"), target):
        if aside.exists() and not target.exists():
            aside.rename(target)  # killed between the two steps of `_swap`
        journal = _journal(place, plan) if resume else {}
        if not journal:
            shutil.rmtree(place, ignore_errors=True)
        place.mkdir(exist_ok=True)
        _clear(place, journal)
        try:
            with flushing(place):
                yield Workplace(place, plan, journal)
            (place / JOURNAL).unlink(missing_ok=True)
            for path in (*place.rglob("*"), place):
                sync(path)
            _swap(place, target, aside)
        except BaseException:
            if not resume:
                shutil.rmtree(place, ignore_errors=True)
            raise


def _aside(target: Path) -> Path:
    """Where the old target is while the new one takes its place."""
    return target.with_name(f".{target.name}.old")


def _journal(place: Path, plan: str) -> dict[str, Any]:
    """What another process has finished of the same plan."""
    if not (place / JOURNAL).is_file():
        return {}
    try:
        noted = read_json(place / JOURNAL, CheckpointError)
    except CheckpointError:
        return {}
    return noted.get("groups", {}) if noted.get("plan") == plan else {}


def _clear(place: Path, journal: dict[str, Any]) -> None:
    """Remove what was begun and not finished."""
    finished = {name for group in journal.values() for name in group["files"]}
    for file in files_in(place):
        if file.relative_to(place).as_posix() not in finished:
            file.unlink()


def _swap(place: Path, target: Path, aside: Path) -> None:
    """Put the new folder where the old one is."""
    if target.exists():
        place.chmod(target.stat().st_mode & 0o7777)
        shutil.rmtree(aside, ignore_errors=True)
        target.rename(aside)
        try:
            place.rename(target)
        except BaseException:
            aside.rename(target)
            raise
    else:
        place.rename(target)
    sync(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


@contextmanager
def _locked(lock: Path, target: Path) -> Generator[None]:
    from filelock import FileLock, Timeout

    guard = FileLock(lock)
    try:
        guard.acquire(timeout=0)
    except Timeout:
        raise BusyError(
            f"{target} is being written by another process. Wait until it has ended."
        ) from None
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()
        guard.release()
