"""Checkpoints, conversions and differences as tables for a terminal."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from albert_core.errors import shown
from albert_core.google import FIELDS
from albert_zoo.console import printable
from conversion.convert import Result
from conversion.difference import SAME, Row
from conversion.hashing import Digest
from conversion.inspection import Inspection
from conversion.plan import Plan


def in_bytes(size: float) -> str:
    """A size as people read it."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def by_shape(shape: tuple[int, ...]) -> str:
    """A shape as people read it."""
    return " × ".join(map(str, shape)) or "one number"


def text(name: str) -> str:
    """A name from a file, harmless to a terminal and to the tables."""
    return escape(printable(name)) if len(name) <= 300 else escape(shown(name))


def show_plan(plan: Plan, console: Console) -> None:
    """Print every array, every file and what it costs."""
    table = Table(title=f"{plan.source.store.title} → {plan.store.title}")
    for column in ("from", "to", "shape", "dtype"):
        table.add_column(column, overflow="fold")
    table.add_column("size", justify="right")
    for item in plan.items:
        dtype = item.dtype
        if item.source_dtype != dtype:
            dtype = f"{item.source_dtype} → {dtype}"
        table.add_row(
            "\n".join(map(text, item.sources)) or "[dim]an identity[/dim]",
            "\n".join(text(plan.store.to_file(one)) for one in item.targets)
            or "[dim]an identity[/dim]",
            by_shape(item.shape) + (", transposed" if item.turned else ""),
            dtype,
            in_bytes(item.size),
        )
    console.print(table)
    for name, why in plan.dropped.items():
        console.print(f"left out: {text(name)} ({why})")
    show_siblings(plan.source.siblings, console)
    console.print(f"files: {', '.join(plan.all_files)}")
    console.print(
        f"{in_bytes(plan.disk)} on the disk, at most {in_bytes(plan.memory)} of arrays "
        f"in memory. Nothing was written."
    )


def show_result(result: Result, target: Path, console: Console) -> None:
    """Print what was done."""
    plan = result.plan
    count = len(plan.items)
    console.print(
        f"{plan.source.store.title} → {plan.store.title}: {count} arrays, "
        f"{in_bytes(plan.disk)}, in {text(str(target))}",
        soft_wrap=True,
    )
    if plan.dropped:
        names = list(plan.dropped)
        more = f" and {len(names) - 5} more" if len(names) > 5 else ""
        console.print(f"left out: {', '.join(map(text, names[:5]))}{more}")
    show_siblings(plan.source.siblings, console)
    if not plan.copies:
        console.print("no tokenizer comes along: there is none beside the weights")
    if result.loss.nonfinite:
        console.print(
            f"{result.loss.nonfinite} numbers are NaN or infinite, and were copied"
        )
    if any(item.dtype != item.source_dtype for item in plan.items):
        loss = result.loss
        console.print(
            f"number type: {loss.overflowed} overflowed, {loss.underflowed} became 0, "
            f"largest relative error {loss.relative_error:.2g}"
        )
    proof = "read back and found the same" if result.verified else "not read back"
    console.print(f"sha256 {result.sha256} ({proof})", soft_wrap=True)


def show_siblings(paths: Sequence[Path], console: Console) -> None:
    """Print which weights of a folder are not looked at."""
    if paths:
        names = ", ".join(text(path.name) for path in paths)
        console.print(f"beside it and not read: {names}", soft_wrap=True)


def show_digests(found: Mapping[str, Digest], console: Console) -> None:
    """Print the digest of every array."""
    for name, one in sorted(found.items()):
        shape = "x".join(map(str, one.shape))
        console.print(f"{one.sha256}  {name} {one.dtype} {shape}", soft_wrap=True)


def show_difference(rows: list[Row], console: Console) -> None:
    """Print the arrays that are not the same."""
    others = [row for row in rows if row.verdict != SAME]
    same = len(rows) - len(others)
    if others:
        table = Table(title=f"{len(others)} of {len(rows)} arrays are not the same")
        table.add_column("array", overflow="fold")
        for column in ("first", "second", "verdict"):
            table.add_column(column)
        for column in ("norms", "largest difference", "numbers"):
            table.add_column(column, justify="right")
        for row in others:
            norms = "" if row.norms is None else "{:.6g}, {:.6g}".format(*row.norms)
            where = "" if row.worst is None else f"{row.largest:.3g} at {row.worst}"
            changed = "" if row.changed is None else str(row.changed)
            table.add_row(
                row.name, row.first, row.second, row.verdict, norms, where, changed
            )
        console.print(table)
    console.print(f"{same} of {len(rows)} arrays are the same, bit by bit.")


def show_inspection(found: Inspection, console: Console) -> None:
    """Print what a checkpoint is."""
    dtypes = ", ".join(f"{count} {name}" for name, count in found.dtypes.items())
    console.print(f"{text(found.path)}: {found.title}", soft_wrap=True)
    show_siblings(found.siblings, console)
    console.print(f"head: {found.head or 'not known'}")
    console.print(f"{found.weights:,} numbers in {len(found.arrays)} arrays: {dtypes}")
    if found.config:
        fields = ", ".join(
            f"{name} {found.config[name]}" for name in FIELDS if name in found.config
        )
        console.print(f"config: {escape(printable(fields))}", soft_wrap=True)
    table = Table()
    table.add_column("array", overflow="fold")
    table.add_column("stored as", overflow="fold")
    for column in ("shape", "dtype"):
        table.add_column(column)
    for name, (sources, dtype, shape) in found.arrays.items():
        stored = "\n".join(map(text, sources)) or "[dim]an identity[/dim]"
        table.add_row(name, stored, by_shape(shape), dtype)
    console.print(table)
    reasons = Counter(found.left.values())
    for why, count in reasons.items():
        console.print(f"besides: {count} of {why}")
    for problem in found.problems:
        console.print(f"[red]{escape(printable(problem))}[/red]", soft_wrap=True)
    if not found.problems:
        console.print("It is a whole ALBERT.")
