"""What was measured, as a table for a terminal."""

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from albert_zoo.backends import BACKENDS
from albert_zoo.benchmark.cells import Cell, Result
from albert_zoo.console import printable
from albert_zoo.parity import checks
from albert_zoo.parity.checks import Check
from albert_zoo.parity.report import coloured, said

MIB = 2**20
COLUMNS = ("median (p10-p90)", "ratio", "tokens/s", "first call", "memory")


def show(result: Result, console: Console) -> None:
    """Print a line for each cell, and why some have no result."""
    title = f"Albert{result.head} from {escape(printable(result.checkpoint))}"
    title = f"{title}, {result.rounds} rounds in turns"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for column in ("task", "dtype", "shape", "framework"):
        table.add_column(column, no_wrap=True)
    for column in COLUMNS:
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("parity", no_wrap=True)
    before = None
    for cell in result.cells:
        group = _group(cell)
        if before not in (None, group):
            table.add_section()
        named = group if group != before else ("", "", "")
        table.add_row(*named, cell.framework, *_figures(cell))
        before = group
    console.print(table)
    for name, settings in result.settings.items():
        found = ", ".join(f"{key} {value}" for key, value in settings.items())
        line = f"{BACKENDS[name].title}: {found}"
        console.print(escape(printable(line)), soft_wrap=True)
    machine = ", ".join(f"{key} {value}" for key, value in result.environment.items())
    console.print(escape(printable(machine)), soft_wrap=True)
    for cell in result.cells:
        if cell.verdict not in (checks.PASS, checks.SKIPPED):
            title = " ".join([*_group(cell), BACKENDS[cell.framework].title])
            console.print(f"{title}: {_said(cell.worst)}", soft_wrap=True)


def _group(cell: Cell) -> tuple[str, str, str]:
    shape = f"{cell.batch} x {cell.length}" if cell.batch else "-"
    return cell.task, cell.mode, shape


def _figures(cell: Cell) -> tuple[str, ...]:
    verdict = coloured(cell.verdict)
    if not cell.measured:
        return (*["-"] * len(COLUMNS), verdict)
    timing = cell.timing
    low, high = timing.spread
    memory = timing.grown if timing.device is None else timing.device
    if cell.worst.budget:
        verdict += f" {cell.worst.share:.0%}" if cell.worst.share < 10 else " > 999%"
    unit, factor = ("s", 1) if timing.median >= 1 else ("ms", 1000)
    median, low, high = (_short(factor * x) for x in (timing.median, low, high))
    return (
        f"{median} ({low}-{high}) {unit}",
        "-" if cell.ratio is None else f"{cell.ratio:.2f}",
        f"{cell.tokens / timing.median:,.0f}" if cell.tokens else "-",
        f"{timing.first:.2f} s",
        f"{'+' if timing.device is None else ''}{memory / MIB:.0f} MiB",
        verdict,
    )


def _said(check: Check) -> str:
    if check.place:
        return said(check)
    return f"{coloured(check.verdict)} ({escape(printable(check.why))})"


def _short(number: float) -> str:
    return f"{number:.0f}" if number >= 100 else f"{number:.3g}"
