"""How every refusal is judged: in Python and on the command line."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

import conversion
from albert_core.errors import FormatError
from albert_zoo import cli, console

MOST_MEMORY = 64  # MiB above what good files of the same formats take
SECONDS = 60  # for all bombs; any of them would take longer, were it to go off


def whole(path):
    """Open a checkpoint and read every array of it, also those that are not known."""
    opened = conversion.open_checkpoint(path)
    for lazy in (*opened.lazy.values(), *opened.unexpected.values()):
        lazy.read()
    return opened


def command(*arguments):
    """Run `albert-zoo` in this process: exit code, output, errors."""
    out, err = io.StringIO(), io.StringIO()
    argv = ["albert-zoo", *map(str, arguments)]
    with (
        mock.patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        pytest.raises(SystemExit) as stop,
    ):
        cli.main()
    return stop.value.code, out.getvalue(), err.getvalue()


def files(folder):
    """All that is in a folder."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def refused(path, code, *words):
    """See that a checkpoint is refused with a code, in one line, and leaves nothing.

    Args:
        path: The checkpoint, in a folder in which nothing else goes on.
        code: The code.
        words: What the message must have besides the file.
    """
    before = files(path.parent)
    with pytest.raises(FormatError) as caught:
        whole(path)
    message = str(caught.value)
    assert caught.value.code == code, message
    assert message.startswith(f"{code} {path.parent}"), message
    assert message.endswith("."), message
    assert message.isprintable(), message
    assert len(message) < 1000, message
    for word in words:
        assert word in message, message
    assert command("hash", path) == (console.BAD_INPUT, "", f"albert-zoo: {message}\n")
    target = path.parent / "never"
    code, out, err = command("convert", path, target, "--to", "flax-msgpack")
    # Damage that only reading finds comes behind a configuration that is missing.
    assert (code, out, err.count("\n")) == (console.BAD_INPUT, "", 1), err
    assert files(path.parent) == before


# A process that opens good files first, and then bombs; it tells what those cost.
SCRIPT = """
import json, resource, sys
import conversion
from albert_core.errors import FormatError

def peak():
    lines = open("/proc/self/status").read().splitlines()
    own = next(int(x.split()[1]) for x in lines if x.startswith("VmHWM"))
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + child) / 1024

def read(path):
    try:
        opened = conversion.open_checkpoint(path)
        for lazy in (*opened.lazy.values(), *opened.unexpected.values()):
            lazy.read()
    except FormatError as problem:
        return problem.code

good, bombs = json.loads(sys.argv[1])
assert not any(map(read, good))
start = peak()
for path in bombs:
    print(json.dumps([path, read(path), peak() - start]), flush=True)
"""


def bombs(good, paths):
    """Open bombs in a process of its own.

    Args:
        good: Good files, one of each format, so that what is imported does not count.
        paths: The bombs.

    Returns:
        The code of the refusal of each, and the MiB of memory that it took besides.
    """
    arguments = json.dumps([list(map(str, good)), list(map(str, paths))])
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=SECONDS,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = map(json.loads, done.stdout.splitlines())
    return {Path(path): (code, cost) for path, code, cost in rows}
