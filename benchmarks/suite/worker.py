"""One side in a process of its own: told what to run by a line, answers with seconds.

python worker.py WORK SIDE FOLDER DTYPE THREADS
"""

import json
import os
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))


def main():
    """Answer lines of standard input until it ends."""
    work, side, folder, dtype, threads = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    if hasattr(os, "sched_setaffinity"):  # which every library asks how many it has
        mine = sorted(os.sched_getaffinity(0))[: int(threads)]
        os.sched_setaffinity(0, mine)
    import numpy as np

    from benchmarks.suite.work import WORK

    def answer(**values):
        values["peak"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    start = time.perf_counter()
    run = WORK[work][side][1](folder, dtype)
    answer(seconds=time.perf_counter() - start)
    given = {}
    for line in sys.stdin:
        command = json.loads(line)
        if "inputs" in command:
            with np.load(command["inputs"], allow_pickle=False) as arrays:
                given = dict(arrays)
        times = command.get("times", 1)
        start = time.perf_counter()
        for _ in range(times):
            found = run(given)
        seconds = (time.perf_counter() - start) / times
        if "outputs" in command:
            np.save(command["outputs"], found)
        answer(seconds=seconds)


if __name__ == "__main__":
    main()
