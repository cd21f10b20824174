"""Time and memory of several sides, which take turns in one process."""

import gc
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

PROCESS = Path("/proc/self")
REST = 0.05  # seconds in which the threads of the side before come to rest
WARM = 2  # calls that are not counted; the first of them is timed by itself


@dataclass
class Timing:
    """What was measured of one side.

    Attributes:
        first: Seconds of the first call, in which a framework traces and compiles.
        seconds: Those of every round that counts.
        result: What the last of these rounds gave.
        resident: The most memory of the whole process while the side was at work.
        grown: By how much that is more than there was before the side's first call.
        device: The most memory in use on an accelerator; None on a processor.
        problem: The exception that ended it.
    """

    first: float = 0.0
    seconds: list[float] = field(default_factory=list[float])
    result: Any = None
    resident: int = 0
    grown: int = 0
    device: int | None = None
    problem: Exception | None = None

    @property
    def median(self) -> float:
        """Of the rounds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> tuple[float, float]:
        """The tenth and the ninetieth percentile of the rounds."""
        low, high = np.percentile(self.seconds, (10, 90))
        return float(low), float(high)


@dataclass(frozen=True)
class Side:
    """One of those that take turns.

    Attributes:
        run: What is timed; it is done when it returns.
        reset: Runs before every turn, and is not timed.
        device_peak: The most memory in use on the accelerator since it was last asked,
            in bytes; None where there is none, or nobody knows.
    """

    run: Callable[[], Any]
    reset: Callable[[], None] = lambda: None
    device_peak: Callable[[], int | None] = lambda: None


def in_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, Timing]:
    """Time several sides, one after another, again and again.

    Every round begins with another side, so that none always follows the same one. A
    side that raises takes no further turns.

    Args:
        sides: By name.
        rounds: How many count.
    """
    found = {name: Timing() for name in sides}
    names = list(sides)
    gc.collect()
    gc.disable()  # so that it falls into nobody's time
    try:
        for turn in range(WARM + rounds):
            start = turn % len(names) if names else 0
            for name in names[start:] + names[:start]:
                if found[name].problem is None:
                    _turn(sides[name], found[name], turn)
    finally:
        gc.enable()
    return found


def _turn(side: Side, timing: Timing, turn: int) -> None:
    timing.result = None
    try:
        side.reset()
        time.sleep(REST)
        before = resident(since_now=True)
        side.device_peak()
        start = time.perf_counter()
        timing.result = side.run()
        seconds = time.perf_counter() - start
        timing.device = side.device_peak()
    except Exception as problem:  # any framework's own, such as too little memory
        # Its frames hold what the side had made, which the others may need.
        timing.problem = problem.with_traceback(None)
        return
    most = resident_peak()
    if turn == 0:
        timing.first, timing.grown = seconds, max(0, most - before)
    if turn >= WARM:
        timing.seconds.append(seconds)
    timing.resident = max(timing.resident, most)


def resident(since_now: bool = False) -> int:
    """Bytes of the process that are in memory.

    Args:
        since_now: Also start the peak anew, where the system can.
    """
    if since_now and (PROCESS / "clear_refs").exists():
        try:
            (PROCESS / "clear_refs").write_text("5")
        except OSError:  # then the peak is that of all turns before, too
            return resident_peak()
    return _status("VmRSS:") or resident_peak()


def resident_peak() -> int:
    """The most bytes of the process that were in memory at once."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return _status("VmHWM:") or (used if sys.platform == "darwin" else used * 1024)


def _status(name: str) -> int:
    """A line of what Linux knows about the process, in bytes; 0 elsewhere."""
    file = PROCESS / "status"
    lines: Sequence[str] = file.read_text().splitlines() if file.exists() else ()
    found = [int(line.split()[1]) * 1024 for line in lines if line.startswith(name)]
    return found[0] if found else 0
