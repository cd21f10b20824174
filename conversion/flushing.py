"""Bringing files to the disk while they are still being written.

A disk that is told to at the end has nothing to do until then. Here it is told all the
time, so that little is left to wait for at the end.
"""

import os
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event

from albert_core.files import sync

EVERY = 0.05  # seconds
SMALL = 2**26  # bytes; what is smaller is quick to bring there at the end


@contextmanager
def flushing(folder: Path) -> Generator[None]:
    """Bring what is in a folder to the disk, again and again, while a block runs.

    Raises:
        OSError: The disk failed. The system says so once only, so that it is not left
            to whoever asks next.
    """
    ended = Event()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(_flush, folder, ended)
        try:
            yield
        finally:
            ended.set()
        running.result()


def _flush(folder: Path, ended: Event) -> None:
    while not ended.wait(EVERY):
        for place, _, names in os.walk(folder):
            for name in names:
                # Not there any more, it is another name's turn.
                with suppress(FileNotFoundError):
                    path = Path(place, name)
                    if path.stat().st_size > SMALL:
                        sync(path)
