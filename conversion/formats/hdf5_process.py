"""Run `hdf5_child.py`, and survive it."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import cast

from albert_core.errors import FormatError

SCRIPT = Path(__file__).with_name("hdf5_child.py")
SECONDS = 60.0
BYTES_A_SECOND = 10 * 2**20  # at the least, when an array is unpacked


@dataclass(frozen=True)
class Window:
    """The part of a file that is HDF5.

    Attributes:
        path: The file.
        start: Where the part begins.
        size: Its bytes.
        state: What the file was, as `Stored` has it.
    """

    path: Path
    start: int
    size: int
    state: tuple[int, int]


@contextlib.contextmanager
def child(window: Window, *wanted: str, size: int = 0) -> Generator[BufferedReader]:
    """What the child writes.

    Args:
        window: The file.
        wanted: Nothing, or the bytes and the name of an array.
        size: The bytes of the array.

    Raises:
        FormatError: It crashed, or did not come to an end.
    """
    # Without site (-S) a start is quick and runs no .pth files; so the child is told
    # where this process has its modules from.
    command = [sys.executable, "-I", "-S", str(SCRIPT)]
    command += [os.pathsep.join(filter(os.path.isabs, sys.path))]
    command += [str(window.path.absolute()), str(window.start), str(window.size)]
    process = subprocess.Popen(
        [*command, *wanted],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    seconds = SECONDS + size / BYTES_A_SECOND
    clock = threading.Timer(seconds, process.kill)
    clock.start()
    try:
        with cast(BufferedReader, process.stdout) as output:
            yield output
        process.wait()
    finally:
        in_time = clock.is_alive()
        clock.cancel()
        process.kill()
        process.wait()
    if process.returncode:
        code = process.returncode
        stopped = not in_time or -code == getattr(signal, "SIGXCPU", None)
        how = "did not come to an end" if stopped else f"crashed on it, code {code}"
        raise FormatError(
            "READER_CRASHED",
            window.path,
            f"the HDF5 library {how}",
            "The file is damaged or hostile: get it again, from someone you trust.",
        )


def environment() -> dict[str, str]:
    """The variables of this process, but none that changes what HDF5 or Python does."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("HDF5_", "H5", "PYTHON"))
    }
    # No plugins, also not from where the library looks by itself; no lock on the file;
    # no threads that would take addresses.
    return kept | {
        "HDF5_PLUGIN_PRELOAD": "::",
        "HDF5_USE_FILE_LOCKING": "FALSE",
        "OPENBLAS_NUM_THREADS": "1",
    }
