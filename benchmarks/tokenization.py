"""Speed of the tokenizers on a text file, beside transformers'.

    python -m benchmarks.tokenization text.txt --vocabulary DIR \
        --peer-python OTHER/bin/python

DIR holds a spiece.model, such as `albert-zoo tokenize train` makes. The peers run in a
Python of their own, where transformers 4.57 is installed (for the fast one with a
protobuf that it can convert spiece.model with, or a tokenizer.json in DIR). All sides
encode the same lines in turns; medians in MB of UTF-8 text per second are printed.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import islice
from pathlib import Path

import click

OURS = ("AlbertTokenizer", "AlbertTokenizerFast")
# A process that has everything ready, and encodes whenever it gets a line.
SERVER = """
import json, sys, time
package, name, vocabulary, text, count = sys.argv[1:]
module = __import__(package, fromlist=[name])
with open(text, encoding="utf-8") as file:
    lines = [line.rstrip("\\n") for line, _ in zip(file, range(int(count)))]
tokenizer = getattr(module, name).from_pretrained(vocabulary)
tokenizer(lines[:200])
print("ready", flush=True)
for _ in sys.stdin:
    start = time.perf_counter()
    rows = tokenizer(lines, verbose=False)["input_ids"]
    seconds = time.perf_counter() - start
    print(json.dumps([seconds, sum(map(len, rows))]), flush=True)
"""


class Side:
    """A tokenizer in a process of its own, which waits for its turn."""

    def __init__(self, python: str, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [python, "-c", SERVER, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "USE_TORCH": "0", "USE_TF": "0", "USE_FLAX": "0"},
        )
        self.seconds: list[float] = []
        self.tokens = 0

    def ready(self) -> None:
        """Wait until it is loaded and warm."""
        if self.process.stdout.readline() != "ready\n":
            raise click.ClickException(f"{self.process.args[3:5]} did not start")

    def turn(self) -> None:
        """Let it encode all lines once."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        seconds, self.tokens = json.loads(self.process.stdout.readline())
        self.seconds.append(seconds)

    def stop(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


@click.command()
@click.argument("text", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--vocabulary", required=True, help="A directory with spiece.model.")
@click.option("--peer-python", help="A Python that has transformers 4.57.")
@click.option("--lines", default=40_000, show_default=True)
@click.option("--rounds", default=5, show_default=True)
def cli(
    text: Path, vocabulary: str, peer_python: str | None, lines: int, rounds: int
) -> None:
    """Compare encoding in batches, to plain lists."""
    with text.open(encoding="utf-8") as file:
        size = sum(len(line.encode()) for line in islice(file, lines)) / 1e6
    rest = (vocabulary, str(text), str(lines))
    sides = {
        f"albert-zoo {name}": Side(
            sys.executable, "albert_core.tokenization", name, *rest
        )
        for name in OURS
    }
    if peer_python:
        for name in OURS:
            side = Side(peer_python, "transformers", name, *rest)
            sides[f"transformers {name}"] = side
    for side in sides.values():
        side.ready()
    for _ in range(rounds):
        for side in sides.values():
            time.sleep(0.5)  # let the last one's threads come to rest
            side.turn()
    speeds = {n: size / statistics.median(s.seconds) for n, s in sides.items()}
    click.echo(f"{lines} lines, {size:.1f} MB, {rounds} rounds")
    for name, side in sides.items():
        side.stop()
        peer = speeds.get(name.replace("albert-zoo", "transformers"), 0)
        ours = peer and name.startswith("albert-zoo")
        ratio = f"  {speeds[name] / peer:.2f} x transformers" if ours else ""
        click.echo(f"{name}: {speeds[name]:.2f} MB/s, {side.tokens} tokens{ratio}")


if __name__ == "__main__":
    cli()
