"""Processes that tests start: the command itself, torchrun, and several devices."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "albert_zoo"]


def torchrun(count):
    """What starts so many processes of PyTorch."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return [*program, "--nproc-per-node", str(count)]


def start(command, environment=None, **options):
    """Start a process whose output is kept."""
    quiet = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "true", "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*map(str, command)],
        cwd=ROOT,
        env={**os.environ, **quiet, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        **options,
    )


def run(command, code=0, environment=None):
    """Run a process to its end, and return what it says."""
    process = start(command, environment)
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        process.kill()
    assert process.returncode == code, said
    return said
