"""A folder of programs that is safe to share, for TensorFlow, whose own is not.

TensorFlow fails at a program that is damaged, and at a folder that it cannot write to.
So it gets a folder of its own, of programs that are whole, and what it adds to them is
put beside the others when the process ends.
"""

import atexit
import os
import secrets
import shutil
import string
import tempfile
import time
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path

NAME = "albert-zoo-"  # what borrowed folders begin with; then their process
OLD = 24 * 60 * 60  # seconds
MOST = 256  # programs that are kept, of 0.3 MB or so each; the oldest go first
DIGEST = sha256().digest_size * 2  # letters, before a dash and TensorFlow's name


def is_usable(store: Path) -> bool:
    """Whether programs can be kept in a folder, which is made."""
    try:
        store.mkdir(0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(store, os.W_OK)


def borrowed(store: Path) -> Path | None:
    """A folder for this process alone, with what the store has.

    Returns:
        The folder; None where there cannot be one, or the store cannot be used.
    """
    if not is_usable(store):
        return None
    try:
        for path in store.glob(".*"):  # what a killed process began
            path.unlink(missing_ok=True)
        _clear_up(Path(tempfile.gettempdir()))
        own = Path(tempfile.mkdtemp(prefix=f"{NAME}{os.getpid()}-"))
    except OSError:
        return None
    if set(str(own)) & set(string.whitespace):  # where TensorFlow would end the path
        own.rmdir()
        return None
    atexit.register(partial(give_back, own, store))
    try:
        for path in _programs(store):
            data = path.read_bytes()
            if path.name[:DIGEST] == sha256(data).hexdigest():
                (own / path.name[DIGEST + 1 :]).write_bytes(data)
            else:
                path.unlink(missing_ok=True)
    except OSError:
        pass  # what could not be read is made again
    return own


def give_back(own: Path, store: Path) -> None:
    """Add what is new to the store, each file whole or not at all, and clear up."""
    try:
        known = {path.name[DIGEST + 1 :] for path in _programs(store)}
        for path in own.iterdir():
            if path.name not in known:
                data = path.read_bytes()
                part = store / f".{secrets.token_hex(8)}"
                part.write_bytes(data)
                part.replace(store / f"{sha256(data).hexdigest()}-{path.name}")
        for path in _programs(store)[MOST:]:
            path.unlink(missing_ok=True)
    except OSError:
        pass  # a full disk costs the next process a little time, and nothing else
    finally:
        shutil.rmtree(own, ignore_errors=True)


def _clear_up(place: Path) -> None:
    """Remove the folders of processes that were killed.

    They must be old too: a process in another container has a number of its own.
    """
    for path in place.glob(f"{NAME}*"):
        number = path.name.removeprefix(NAME).partition("-")[0]
        with suppress(OSError):
            old = time.time() - path.stat().st_mtime > OLD
            if old and number.isdecimal() and not _is_alive(int(number)):
                shutil.rmtree(path, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if os.name != "posix":
        return True  # asking would end it
    try:
        os.kill(process, 0)
    except OSError as problem:
        return not isinstance(problem, ProcessLookupError)
    return True


def _programs(store: Path) -> list[Path]:
    """The newest first."""
    found = [path for path in store.iterdir() if path.name[DIGEST : DIGEST + 1] == "-"]
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
