"""docs/performance.md, from what was measured and nothing else."""

from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.suite import page_others
from benchmarks.suite.forward import FULL, LARGER, SHAPES, TIMES
from benchmarks.suite.limits import operations, size_of
from benchmarks.suite.page_others import table
from benchmarks.suite.picture import draw
from benchmarks.suite.sides import OURS

EXPORTED = "ONNX Runtime"  # which loads no checkpoint
PICTURE = "performance.svg"
HEADINGS = {
    ("torch", "float32"): "PyTorch, float32",
    ("torch", "bfloat16"): "PyTorch, bfloat16",
    ("torch", "int8"): "PyTorch, int8",
    ("tf", "float32"): "TensorFlow, float32",
    ("tf", "bfloat16"): "TensorFlow, bfloat16",
    ("tf", "int8"): "TensorFlow, int8",
    ("flax", "float32"): "JAX, float32",
    ("flax", "bfloat16"): "JAX, bfloat16",
    ("flax", "int8"): "JAX, int8",
}
FRAMEWORKS = {"torch": "PyTorch", "tf": "TensorFlow", "flax": "JAX"}
BESIDE = ("albert-zoo", "best peer", "", "ratio")
Row = dict[str, Any]


def write(
    results: dict[str, Any], docs: Path, others: Sequence[dict[str, Any]] = ()
) -> None:
    """Write the page and its picture into a folder.

    Args:
        results: Of the machine that the page is about.
        docs: The folder.
        others: Of other machines, which get a section at the end.
    """
    sections = [*_sections(results), *map(_elsewhere, others)]
    text = "\n\n".join(sections) + "\n"
    (docs / "performance.md").write_text(text, encoding="utf-8")
    found = [
        (f"{heading}  {work}".strip(), ratio(ours, theirs))
        for heading, work, ours, theirs in compared(results)
    ]
    draw(found, docs / PICTURE)


def compared(results: dict[str, Any]) -> Iterator[tuple[str, str, Row, list[Row]]]:
    """Everything that has peers: heading, work, our row, theirs."""
    for (group, dtype), heading in HEADINGS.items():
        for shape in SHAPES:
            rows = [
                row
                for row in results.get("forward", ())
                if (row["group"], row["dtype"], row["shape"]) == (group, dtype, shape)
            ]
            yield from _split(heading, shape, rows)
    for size, heading, shape, rows in _larger(results):
        yield from _split(heading, f"{size}, {shape}", rows)
    for (part, (heading, _)), (group, name) in product(
        page_others.STEP_PARTS.items(), FRAMEWORKS.items()
    ):
        rows = [x for x in results.get(part, []) if x["side"].startswith(group)]
        yield from _split(heading, name, rows)
    for part in page_others.PIPELINE_PARTS:
        rows = results.get(part, [])
        theirs = [row for row in rows if OURS not in row["side"]]
        for row in rows:
            if OURS in row["side"] and theirs:
                heading = page_others.pipeline_heading(row)
                yield heading, row["side"].split(":")[0], row, theirs


def _split(
    heading: str, work: str, rows: list[Row]
) -> Iterator[tuple[str, str, Row, list[Row]]]:
    ours = [row for row in rows if OURS in row["side"]]
    theirs = [row for row in rows if OURS not in row["side"]]
    if ours and theirs:
        yield heading, work, ours[0], theirs


def _larger(results: dict[str, Any]) -> Iterator[tuple[str, str, str, list[Row]]]:
    for size, (kind, heading), shape in product(LARGER, HEADINGS.items(), SHAPES):
        key = (size, *kind, shape)
        rows = [
            row
            for row in results.get("sizes", [])
            if (row["size"], row["group"], row["dtype"], row["shape"]) == key
        ]
        if rows:
            yield size, heading, shape, rows


def ratio(ours: Row, theirs: list[Row]) -> float:
    """How many times the best of the peers takes of our time."""
    return min(row["median"] for row in theirs) / ours["median"]


def _sections(results: dict[str, Any]) -> Iterator[str]:
    machine = results["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    peers = "; ".join(f"{k}: {', '.join(v)}" for k, v in machine["peers"].items())
    yield f"""# Performance

This page is written by `python -m benchmarks.suite page` from what
`python -m benchmarks.suite run` measured; nothing in it was typed. Sides that are
compared run in turns, a process each, in one run; times are medians. Take the ratios,
not the milliseconds, and measure your own:

```text
python -m benchmarks.suite peers envs
python -m benchmarks.suite run results.json --peers envs
python -m benchmarks.suite page results.json docs
```

- Machine: {_named(machine)}.
- Model: ALBERT {machine["size"]}, version 2's sizes, random weights, without dropout.
- Ours: {versions}.
- Peers: {peers}."""
    yield f"![How many times the best peer takes of our time]({PICTURE})"
    behind = [
        f"- {heading}{', ' + work if work else ''}: {ratio(ours, theirs):.2f}"
        for heading, work, ours, theirs in compared(results)
        if ratio(ours, theirs) < 1
    ]
    if behind:
        text = "\n".join(behind)
        yield f"## Where a peer is faster\n\nThe best peer's time over ours:\n\n{text}"
    yield from _forward(results)
    yield from page_others.sections(results)


def _named(machine: dict[str, Any]) -> str:
    return (
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} "
        f"threads a side, {machine['system']}, no GPU, Python {machine['python']}"
    )


def _elsewhere(results: dict[str, Any]) -> str:
    """The ratios of another machine, and what its processor can do."""
    lines = [
        [heading, work, *_beside([ours, *theirs])]
        for heading, work, ours, theirs in compared(results)
    ]
    text = f"## Another machine\n\n{_named(results['machine'])}."
    if "peak" in results:
        peak = results["peak"] / 1e9
        text += f" oneDNN's product of above reaches {peak:.0f} GFLOP/s there."
    if "stream" in results:
        text += f" The most texts run {page_others.how('stream')}."
    text += " All else is as above:\n\n"
    return text + table(["", "batch", *BESIDE], lines)


def _forward(results: dict[str, Any]) -> Iterator[str]:
    calls = ", ".join(f"{number} of {shape}" for shape, number in TIMES.items())
    yield f"""## Prediction

Arrays in, last hidden states out. Ours is what pipelines and
`albert-zoo bench` run, with its [fast paths](fast-paths.md). The ragged batch has texts
of different lengths; the peers compute its padding. A turn is one call, but
{calls}. The ratio is the best peer's time over ours."""
    for (group, dtype), heading in HEADINGS.items():
        shown = _forward_table(results, group, dtype)
        if shown:
            yield f"### {heading}\n\n{shown}"
    lines = [
        [size, heading, shape, *_beside(rows)]
        for size, heading, shape, rows in _larger(results)
    ]
    if lines:
        yield "### Larger models\n\nIn fewer turns than the base size:"
        yield table(["size", "", "batch", *BESIDE], lines)
    if "peak" in results:
        yield _limit(results)
    if profiles := results.get("profile"):
        yield (
            "### Where PyTorch's time goes\n\nOurs, by PyTorch's profiler. Products "
            "have gelu in them, and those of a long text's attention are among them:"
        )
        names = list(profiles[0]["shares"])
        parts = [
            [row["batch"], *(f"{row['shares'][name]:.0%}" for name in names)]
            for row in profiles
        ]
        yield table(["batch", *names], parts)
    firsts = [
        [
            row["side"],
            f"{row['loading']:.2f} s",
            f"{row['loaded'] / 1e9:.2f} GB",
            f"{row['first']:.2f} s",
        ]
        for row in results.get("forward", ())
        if row["shape"] == FULL
        and row["dtype"] == "float32"
        and row["side"] != EXPORTED
    ]
    if firsts:
        yield (
            "### The first call\n\nLoading a checkpoint, with the imports for it, and "
            "then the first call of 8 x 128, with all that is traced and compiled. "
            "Memory is the largest resident set until then, imports and all:"
        )
        yield table(["side", "loading", "memory", "first call"], firsts)


def _beside(rows: list[Row]) -> list[str]:
    """Our time, the best peer's, who that is, and the ratio."""
    ours, *theirs = (f"{row['median']:.3g} s" for row in rows)
    if not theirs:
        return [ours, "", "", ""]
    best = min(rows[1:], key=lambda row: row["median"])
    quotient = f"**{ratio(rows[0], rows[1:]):.2f}**"
    return [ours, f"{best['median']:.3g} s", best["side"], quotient]


def _forward_table(results: dict[str, Any], group: str, dtype: str) -> str:
    rows = [
        row
        for row in results.get("forward", ())
        if (row["group"], row["dtype"]) == (group, dtype)
    ]
    sides = list(dict.fromkeys(row["side"] for row in rows))
    if not sides:
        return ""
    lines: list[list[str]] = []
    for shape in SHAPES:
        found = {row["side"]: row for row in rows if row["shape"] == shape}
        theirs = [row for side, row in found.items() if OURS not in side]
        cells = [f"{1000 * found[side]['median']:.0f} ms" for side in sides]
        quotient = f"**{ratio(found[sides[0]], theirs):.2f}**" if theirs else ""
        lines.append([shape, *cells, quotient])
    return table(["", *sides, "ratio"], lines)


def _limit(results: dict[str, Any]) -> str:
    size, peak = size_of(results), results["peak"]
    lines: list[list[str]] = []
    for row in results.get("forward", ()):
        rows, length, ragged = SHAPES[row["shape"]]
        if row["dtype"] == "float32" and not ragged:
            rate = operations(size, rows, length) / row["median"]
            shown = f"{rate / 1e9:.0f} GFLOP/s"
            lines.append([row["side"], row["shape"], shown, f"{rate / peak:.0%}"])
    return (
        "### How close to the machine\n\n"
        f"oneDNN's product of 1024 x 768 with 768 x 3072 in float32 reaches "
        f"{peak / 1e9:.0f} GFLOP/s here, on all threads, measured by itself. The "
        "products of a forward pass, over the whole time of the pass:\n\n"
        + table(["side", "batch", "rate", "of the product's"], lines)
    )
