"""Steps of training, pipelines, tokenizers, and the start of a program."""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.suite.forward import FULL, SEED, SHAPES, VOCABULARY, inputs
from benchmarks.suite.processes import in_turns, workers
from benchmarks.suite.sides import OURS
from benchmarks.suite.steps import FINETUNING, PRETRAINING
from benchmarks.suite.work import PIPELINES, TOKENIZERS, WORK

(ROWS, LENGTH, _), PREDICTIONS = SHAPES[FULL], 20
# What texts are made of, so that the tokenizers have work.
WORDS = """
the of and to a in that he was it his with as for had you not be her on at by which have
or from this him but all she they were my are me one their so an said them we who would
been will no when there if more out up into do any your what has man could other time
very upon about may its only now like little then can made should did us such great
before must two these see know over much down after first good men old shall day
"""

# In a small process: the system counts what a parent had as its child's, too.
ROADS = """
import json, sys
from pathlib import Path
from benchmarks.conversion import roads
print(json.dumps([*roads(Path(sys.argv[1]), sys.argv[2], 2)]))
"""
TEXTS = 10_000  # of the tokenizers, and of a stream through pipelines
SAMPLE = 128  # of them, to compile for, and to choose a batch size by
SAY = "He opened the [MASK] and went out."
STARTS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "`import albert_zoo`": ("zoo", ("-c", "import albert_zoo")),
    "`import transformers`": ("transformers5", ("-c", "import transformers")),
    "`albert-zoo --help`": ("zoo", ("-m", "albert_zoo", "--help")),
    "`albert-zoo run`, to the first answer": (
        "zoo",
        (
            *("-m", "albert_zoo", "run", "--task", "fill-mask"),
            *("--model", "{nano}", "--framework", "torch"),
        ),
    ),
    "transformers' `pipeline`, to the first answer": (
        "transformers5",
        (
            "-c",
            "from transformers import pipeline;"
            "print(pipeline('fill-mask', r'{nano}', device='cpu')"
            f"('{SAY}'))",
        ),
    ),
}


def pretraining_steps(
    pythons: Mapping[str, str], folder: Path, threads: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """A step of pretraining: the same batch, the same loss, AdamW."""
    stream = np.random.default_rng(SEED)
    places = [stream.choice(LENGTH, PREDICTIONS, replace=False) for _ in range(ROWS)]
    shape = (ROWS, LENGTH)
    given = {
        "input_ids": stream.integers(5, VOCABULARY, shape, np.int32),
        "attention_mask": np.ones(shape, np.int32),
        "token_type_ids": np.zeros(shape, np.int32),
        "masked_lm_positions": np.array(places, np.int32),
        "masked_lm_labels": stream.integers(5, VOCABULARY, (ROWS, PREDICTIONS)),
        "sentence_order_label": np.arange(ROWS) % 2,
    }
    yield from _steps(PRETRAINING, given, pythons, folder, threads, rounds)


def finetuning_steps(
    pythons: Mapping[str, str], folder: Path, threads: int, rounds: int, shape: str
) -> Iterator[dict[str, Any]]:
    """A step of fine-tuning with two classes: the same batch, the same loss, AdamW."""
    given = inputs(shape, VOCABULARY)
    labels = np.arange(len(given["input_ids"])) % 2
    given |= {"labels": labels, "token_type_ids": np.zeros_like(given["input_ids"])}
    yield from _steps(FINETUNING, given, pythons, folder, threads, rounds)


def _steps(
    work: str,
    given: Mapping[str, np.ndarray],
    pythons: Mapping[str, str],
    folder: Path,
    threads: int,
    rounds: int,
) -> Iterator[dict[str, Any]]:
    with workers(work, WORK[work], pythons, folder, "float32", threads) as sides:
        rows, outputs = in_turns(sides, given, folder, rounds)
    for name, row in rows.items():
        yield row | {"loss": float(outputs[name])}


def tokenizers(
    pythons: Mapping[str, str], folder: Path, threads: int, rounds: int
) -> Iterator[dict[str, Any]]:
    """Many texts at once, to lists of ids."""
    given = {"texts": np.array(texts(TEXTS))}
    size = sum(len(text.encode()) for text in given["texts"].tolist())
    with workers("tokenize", TOKENIZERS, pythons, folder, "float32", threads) as sides:
        rows, outputs = in_turns(sides, given, folder, rounds)
    for name, row in rows.items():
        yield row | {"bytes": size, "tokens": int(outputs[name])}


def texts(count: int) -> list[str]:
    """Texts of random words, most of them short."""
    stream = np.random.default_rng(SEED)
    sizes = stream.lognormal(np.log(28), 0.6, count).astype(int).clip(2, 110)
    words = WORDS.split()
    return [" ".join(stream.choice(words, size)) + "." for size in sizes]


def pipelines(
    pythons: Mapping[str, str], folder: Path, threads: int, rounds: int, count: int
) -> Iterator[dict[str, Any]]:
    """Texts in, labels out; each side by itself in memory, as they are many."""
    given = texts(count)
    with workers("pipeline", PIPELINES, pythons, folder, "float32", threads) as sides:
        rows, outputs = in_turns(sides, {"texts": np.array(given)}, folder, rounds)
    yield from _labelled(rows, outputs, given, folder)


def streams(
    pythons: Mapping[str, str], folder: Path, threads: int
) -> Iterator[dict[str, Any]]:
    """Far more texts, once: ours, and the peer at the batch size that suits it best."""
    given = texts(TEXTS)
    few, many = ({"texts": np.array(part)} for part in (given[:SAMPLE], given))
    with workers("pipeline", PIPELINES, pythons, folder, "float32", threads) as sides:
        tried, _ = in_turns(sides, few, folder, 1)
        theirs = [name for name in tried if OURS not in name]
        best = sorted(theirs, key=lambda name: tried[name]["median"])[:1]
        chosen = {x: sides[x] for x in sides if OURS in x or x in best}
        rows, outputs = in_turns(chosen, many, folder, 0)
    yield from _labelled(rows, outputs, given, folder)


def _labelled(
    rows: dict[str, dict[str, Any]],
    outputs: dict[str, Any],
    given: list[str],
    folder: Path,
) -> Iterator[dict[str, Any]]:
    from albert_core.tokenization import load_tokenizer

    tokens = sum(map(len, load_tokenizer(folder)(given)["input_ids"]))
    first = next(iter(outputs.values()))
    for name, row in rows.items():
        apart = float(np.abs(outputs[name] - first).max())
        yield row | {"texts": len(given), "tokens": tokens, "apart": apart}


def conversions(pythons: Mapping[str, str], folder: Path) -> list[dict[str, Any]]:
    """What transformers 4 can convert, beside it."""
    if (python := pythons.get("transformers4")) is None:
        return []
    shown = subprocess.run(
        [pythons["zoo"], "-c", ROADS, str(folder), python],
        cwd=Path(__file__).parents[2],
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(shown.stdout)


def starts(
    pythons: Mapping[str, str], nano: Path, rounds: int
) -> Iterator[dict[str, Any]]:
    """Seconds of whole processes, in turns."""
    turns: dict[str, list[float]] = {name: [] for name in STARTS}
    for turn in range(rounds + 1):
        for name, (environment, arguments) in STARTS.items():
            if python := pythons.get(environment):
                filled = [part.replace("{nano}", str(nano)) for part in arguments]
                start = time.perf_counter()
                subprocess.run(
                    [python, *filled],
                    check=True,
                    capture_output=True,
                    input=f"{SAY}\n".encode(),
                )
                if turn:  # the first reads files that the others find in memory
                    turns[name].append(time.perf_counter() - start)
    for name, seconds in turns.items():
        if seconds:
            median = statistics.median(seconds)
            yield {"side": name, "seconds": seconds, "median": median}
