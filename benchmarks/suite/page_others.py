"""The parts of docs/performance.md that are not prediction."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.suite.forward import FULL, RAGGED
from benchmarks.suite.limits import operations, size_of
from benchmarks.suite.others import PREDICTIONS, SAMPLE

# Part of the results -> its title, and what a step is of.
STEP_PARTS = {
    "step": (
        "Pretraining step",
        f"The batch {FULL}, {PREDICTIONS} predictions a row, both losses",
    ),
    "finetuning": ("Fine-tuning step", f"Classification of the batch {FULL}"),
    "ragged": (
        f"Fine-tuning step, {RAGGED}",
        "Classification of texts of different lengths",
    ),
}
PIPELINE_PARTS = {
    "pipeline": "",
    "stream": (
        "once, after {sample} of them have been run; of the peer's sizes of a batch "
        "the one that was the best for those"
    ),
}
PIPELINE_HEAD = ("side", "time", "texts a second")
STEP_HEAD = ("side", "step", "memory", "loss of the first")
ROAD_HEAD = ("from", "to", "albert-zoo", "transformers 4", "ratio", "same bits")


def sections(results: dict[str, Any]) -> Iterator[str]:
    """Steps, pipelines, tokenizers, conversions, and the start."""
    if any(results.get(part) for part in STEP_PARTS):
        yield (
            "## Steps of training\n\nIn float32, with AdamW, gradients clipped. Memory "
            "is the largest resident set of the process."
        )
    for part, (title, text) in STEP_PARTS.items():
        if rows := results.get(part):
            yield f"### {title}\n\n{text}:\n\n" + table(STEP_HEAD, _steps(rows))
    yield from _pipelines(results)
    if rows := results.get("tokenization"):
        lines = [
            [row["side"], f"{row['bytes'] / row['median'] / 1e6:.2f}", row["tokens"]]
            for row in rows
        ]
        yield (
            f"## Tokenizers\n\n{rows[0]['bytes'] / 1e6:.1f} MB of text in one call, to "
            "lists of ids. There is [more](benchmarks.md#tokenizers) of it.\n\n"
            + table(["side", "MB a second", "tokens"], lines)
        )
    if rows := results.get("conversion"):
        lines = [
            [
                f"`{row['from']}`",
                f"`{row['to']}`",
                *(f"{s:.2f} s, {m:.0f} MB" for s, m in (row["ours"], row["theirs"])),
                f"**{row['theirs'][0] / row['ours'][0]:.1f}**",
                "yes" if row["same"] else "no",
            ]
            for row in rows
        ]
        yield (
            "## Conversion\n\nOf albert-base for pretraining; whole processes, and the "
            "largest resident set of each. There is [more](benchmarks.md#conversion) "
            "of it.\n\n" + table(ROAD_HEAD, lines)
        )
    if rows := results.get("start"):
        lines = [[row["side"], f"{row['median']:.2f} s"] for row in rows]
        yield (
            "## Start\n\nWhole processes, from their start to their end.\n\n"
            + table(["", "time"], lines)
        )


def _steps(rows: list[dict[str, Any]]) -> list[list[str]]:
    return [
        [
            row["side"],
            f"{row['median']:.2f} s",
            f"{row['peak'] / 1e9:.2f} GB",
            f"{row['loss']:.6f}",
        ]
        for row in rows
    ]


def pipeline_heading(row: dict[str, Any]) -> str:
    """What a row of a pipeline is listed under."""
    return f"Pipeline, {row['texts']:,} texts"


def how(part: str) -> str:
    """What is to be said of a part of the pipelines."""
    return PIPELINE_PARTS[part].format(sample=SAMPLE)


def _pipelines(results: dict[str, Any]) -> Iterator[str]:
    parts = {part: rows for part in PIPELINE_PARTS if (rows := results.get(part))}
    if parts:
        yield (
            "## Pipelines\n\n`text-classification` of texts of different lengths, from "
            "strings to labels."
        )
    for part, rows in parts.items():
        count, tokens = rows[0]["texts"], rows[0]["tokens"]
        lines = [
            [row["side"], f"{row['median']:.2f} s", f"{count / row['median']:.1f}"]
            for row in rows
        ]
        yield f"### {count:,} texts"
        if text := how(part):
            yield f"{text.capitalize()}:"
        yield table(PIPELINE_HEAD, lines)
        if "peak" in results:
            work = operations(size_of(results), count, tokens / count)
            least = work / results["peak"]
            yield (
                f"They have {tokens:,} tokens, whose products alone would take "
                f"{least:.2f} s at the rate of oneDNN's product above, without "
                "padding, strings and all else."
            )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)
