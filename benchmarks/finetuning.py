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
from collections import Counter
from pathlib import Path

from albert_core.data import metrics
from albert_core.data.tasks import find

FRAMEWORKS = ("torch", "tf", "flax")
MAJORITY = "majority"  # what the most frequent label scores
# Folder, task, file to learn from, file to judge by, epochs, tokens of an example.
TASKS = (
    ("sentence_polarity", "sst-2", "train.tsv", "dev.tsv", 2, 64),
    ("rte", "rte", "train.tsv", "dev.tsv", 5, 128),
    ("conll2000", "chunking", "train.txt", "test.txt", 1, 64),
)
# Short texts together, and arithmetic that two cores do fastest.
OPTIONS = ("--recipe", "finetune-nano", "--precision", "bfloat16", "--max-tokens", 1024)


def run(data, row, framework, seed, untrained, model):
    """The scores of one run, of the command line in a process of its own."""
    folder, task, train, dev, epochs, length = row
    with tempfile.TemporaryDirectory() as place:
        command = [
            *(sys.executable, "-m", "albert_zoo", "finetune", "--task", task),
            *("--train", data / folder / train, "--dev", data / folder / dev),
            *("--model", model, "--output", f"{place}/run", "--framework", framework),
            *("--epochs", epochs, "--max-length", length, "--seed", seed, *OPTIONS),
            *("--keep", 1, "--quiet", "--json", "-"),
        ]
        if untrained:
            command.append("--untrained")
        if framework == "torch":
            command += ["--attention", "eager"]
        shown = subprocess.run(
            list(map(str, command)), check=True, capture_output=True, text=True
        )
    return json.loads(shown.stdout)["scores"]


def baseline(data, row):
    """What the most frequent label of the training file scores, in every place."""
    folder, name, train, dev, *_ = row
    task = find(name)
    learnt = task.read(data / folder / train)
    judged = task.read(data / folder / dev, learnt.labels).known()
    if name != "chunking":
        most = Counter(learnt.known()).most_common(1)[0][0]
        return metrics.accuracy([most] * len(judged), judged)
    tags = [[learnt.labels[number] for number in tags] for tags in judged]
    most = Counter(tag for tags in learnt.known() for tag in tags).most_common(1)[0][0]
    found = [[learnt.labels[most]] * len(row) for row in tags]
    return metrics.entity_f1(found, tags)["f1"]


def table(rows):
    """The lowest and the highest score of the seeds, as Markdown."""
    lines = [
        "| task | measure | model | PyTorch | TensorFlow | JAX | most frequent label |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in TASKS:
        folder, name, *_ = row
        metric = find(name).metric
        for untrained in (False, True):
            cells = []
            for framework in (*FRAMEWORKS, MAJORITY):
                key = {"task": folder, "framework": framework}
                if framework != MAJORITY:
                    key["untrained"] = untrained
                scores = [one["scores"] for one in rows if key.items() <= one.items()]
                found = [100 * one[metric] for one in scores]
                ends = " to ".join(
                    sorted({f"{x:.1f}" for x in (min(found), max(found))})
                )
                cells.append(ends)
            model = "random weights" if untrained else "albert-nano"
            lines.append(f"| {' | '.join([folder, metric, model, *cells])} |")
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
        if is_new(key := {"task": row[0], "framework": MAJORITY}):
            add(key, lambda row=row: {find(row[1]).metric: baseline(given.data, row)})
    for seed in range(given.seeds):
        for framework in given.frameworks.split(","):
            for row in TASKS:
                for untrained in (False, True):
                    key = {
                        "task": row[0],
                        "framework": framework,
                        "seed": seed,
                        "untrained": untrained,
                    }
                    parts = (row, framework, seed, untrained, given.model)
                    if is_new(key):
                        add(key, lambda parts=parts: run(given.data, *parts))
    print(table(rows))


if __name__ == "__main__":
    main()
