"""What pretraining is worth: albert-nano on real tasks, in every framework.

    python -m benchmarks.finetuning DATA --output results.jsonl

DATA holds sentence_polarity/{train,dev}.tsv, rte/{train,dev}.tsv and
conll2000/{train,test}.txt. Every line of the result is one run; runs that are there are
not repeated. At the end the table of docs/training/nano.md is printed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import NamedTuple

from albert_core.data.tasks import find
from benchmarks.baselines import BASELINES, score

FRAMEWORKS = ("torch", "tf", "flax")


class Row(NamedTuple):
    """A row of the table.

    Attributes:
        title: What it is called.
        folder: Where its files are.
        task: As `find` takes it.
        train: The file to learn from.
        dev: The file to judge by.
        epochs: How often the first is gone through.
        length: Tokens of an example.
        frameworks: Those that are run.
    """

    title: str
    folder: str
    task: str
    train: str
    dev: str
    epochs: int
    length: int
    frameworks: tuple[str, ...] = FRAMEWORKS


POLARITY = ("sentence_polarity", "sst-2", "train.tsv", "dev.tsv")
TASKS = (
    Row("sentence_polarity", *POLARITY, 2, 64),
    Row("sentence_polarity, 5 epochs", *POLARITY, 5, 64, ("torch",)),
    Row("rte", "rte", "rte", "train.tsv", "dev.tsv", 5, 128),
    Row("conll2000", "conll2000", "chunking", "train.txt", "test.txt", 1, 64),
)
# Short texts together, and arithmetic that two cores do fastest.
OPTIONS = ("--recipe", "finetune-nano", "--precision", "bfloat16", "--max-tokens", 1024)


def run(data, row, framework, seed, untrained, model):
    """The scores of one run, of the command line in a process of its own."""
    files = (data / row.folder / row.train, data / row.folder / row.dev)
    with tempfile.TemporaryDirectory() as place:
        command = [
            *(sys.executable, "-m", "albert_zoo", "finetune", "--task", row.task),
            *("--train", files[0], "--dev", files[1]),
            *("--model", model, "--output", f"{place}/run", "--framework", framework),
            *("--epochs", row.epochs, "--max-length", row.length, *OPTIONS),
            *("--seed", seed, "--keep", 1, "--quiet", "--json", "-"),
        ]
        if untrained:
            command.append("--untrained")
        if framework == "torch":
            command += ["--attention", "eager"]
        shown = subprocess.run(
            list(map(str, command)), check=True, capture_output=True, text=True
        )
    return json.loads(shown.stdout)["scores"]


def table(rows):
    """The lowest and the highest score of the seeds, as Markdown."""
    heads = ["task", "measure", "model", "PyTorch", "TensorFlow", "JAX"]
    heads += [title for title, *_ in BASELINES.values()]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for row in TASKS:
        metric = find(row.task).metric
        for untrained in (False, True):
            cells = []
            for framework in (*FRAMEWORKS, *BASELINES):
                key = {"task": row.title, "framework": framework}
                if framework not in BASELINES:
                    key["untrained"] = untrained
                scores = [one["scores"] for one in rows if key.items() <= one.items()]
                found = sorted(100 * one[metric] for one in scores)
                ends = dict.fromkeys(f"{x:.1f}" for x in found[:1] + found[-1:])
                cells.append(" to ".join(ends) or "not run")
            model = "random weights" if untrained else "albert-nano"
            lines.append(f"| {' | '.join([row.title, metric, model, *cells])} |")
    return "\n".join(lines)


def main():
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--model", default="albert-nano")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frameworks", default=",".join(FRAMEWORKS))
    given = parser.parse_args()
    rows = []
    if given.output.exists():
        rows = [json.loads(line) for line in given.output.read_text().splitlines()]

    def add(key, scores):
        rows.append({**key, "scores": scores()})
        with given.output.open("a") as file:
            file.write(json.dumps(rows[-1]) + "\n")
        print(rows[-1], file=sys.stderr, flush=True)

    def is_new(key):
        return not any(key.items() <= one.items() for one in rows)

    for row in TASKS:
        folder = given.data / row.folder
        for kind in BASELINES:
            if is_new(key := {"task": row.title, "framework": kind}):
                files = (folder / row.train, folder / row.dev)
                add(key, partial(score, kind, row.task, *files))
    for seed in range(given.seeds):
        for framework in given.frameworks.split(","):
            for row in (row for row in TASKS if framework in row.frameworks):
                for untrained in (False, True):
                    key = {
                        "task": row.title,
                        "framework": framework,
                        "seed": seed,
                        "untrained": untrained,
                    }
                    parts = (row, framework, seed, untrained, given.model)
                    if is_new(key):
                        add(key, partial(run, given.data, *parts))
    print(table(rows))


if __name__ == "__main__":
    main()
