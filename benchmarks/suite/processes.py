"""The sides of a comparison in processes, one of which runs at a time."""

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.work import WORK

WORKER = Path(__file__).with_name("worker.py")
PAUSE = 0.2  # seconds; threads of some libraries stay awake after a turn


class Worker:
    """A side in its own process.

    Args:
        work: A key of `WORK`.
        side: A key of what it has.
        python: The interpreter of its environment.
        folder: The checkpoint.
        dtype: The number type.
        threads: How many threads it may use.

    Attributes:
        loading: Seconds that it took to load.
        loaded: Bytes of memory that it had had at most by then.
        peak: Bytes of memory that it has had at most.
    """

    def __init__(
        self, work: str, side: str, python: str, folder: Path, dtype: str, threads: int
    ) -> None:
        command = [python, WORKER, work, side, folder, dtype, threads]
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "HF_HUB_OFFLINE": "1"}
        quiet["OMP_NUM_THREADS"] = str(threads)
        self.said = tempfile.TemporaryFile("w+")  # noqa: SIM115  (as long as it)
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            text=True,
            env={**os.environ, **quiet},
        )
        self.peak = 0
        self.loading = self._answer()
        self.loaded = self.peak

    def run(self, **command: str | int) -> float:
        """Seconds of one run, the mean of as many as "times" says."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def close(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.said.close()

    def _answer(self) -> float:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            self.said.seek(0)
            said = self.said.read()[-2000:]
            raise RuntimeError(f"{self.process.args} ended:\n{said}")
        found = json.loads(line)
        self.peak = found["peak"]
        return found["seconds"]


@contextmanager
def workers(
    work: str,
    sides: Iterable[str],
    pythons: Mapping[str, str],
    folder: Path,
    dtype: str,
    threads: int,
) -> Iterator[dict[str, Worker]]:
    """The sides that have an environment, until they are no longer needed."""
    with ExitStack() as stack:
        found: dict[str, Worker] = {}
        for side in sides:
            if python := pythons.get(WORK[work][side][0]):
                worker = Worker(work, side, python, folder, dtype, threads)
                stack.callback(worker.close)
                found[side] = worker
        yield found


def in_turns(
    sides: Mapping[str, Worker],
    inputs: Mapping[str, Any],
    place: Path,
    rounds: int,
    times: int = 1,
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Run the same on all sides: a first call each, then in turns of some calls.

    Without rounds the first call counts.

    Returns:
        What was measured by side, and the outputs of the first call.
    """
    given = place / "inputs.npz"
    np.savez(given, **inputs)
    rows: dict[str, dict[str, Any]] = {}
    outputs: dict[str, Any] = {}
    for name, side in sides.items():
        path = str(place / "outputs.npy")
        first = side.run(inputs=str(given), outputs=path)
        rows[name] = {"side": name, "first": first, "seconds": []}
        outputs[name] = np.load(path)
    for _ in range(rounds):
        for name, side in sides.items():
            time.sleep(PAUSE)
            rows[name]["seconds"].append(side.run(times=times))
    for name, row in rows.items():
        row["median"] = statistics.median(row["seconds"] or [row["first"]])
        side = sides[name]
        row |= {"peak": side.peak, "loading": side.loading, "loaded": side.loaded}
    return rows, outputs
