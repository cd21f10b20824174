"""A proof as tables for a terminal."""

from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from albert_zoo.backends import BACKENDS
from albert_zoo.console import printable
from albert_zoo.parity import checks
from albert_zoo.parity.checks import LEVELS, Check, Run, worst
from albert_zoo.parity.proof import Proof

MOST_ROWS = 5  # failed places of a run that are listed
COLOURS = {checks.PASS: "green", checks.SKIPPED: "dim"}


def show(proof: Proof, console: Console) -> None:
    """Print a line for each framework and number type, and what is wrong."""
    title = f"Albert{proof.head} from {escape(printable(proof.checkpoint))}"
    table = Table(title=title)
    table.add_column("framework")
    table.add_column("dtype")
    for column in ("places", "relative error", "of budget"):
        table.add_column(column, justify="right")
    for column in ("worst place", "failed levels"):
        table.add_column(column, overflow="fold")
    table.add_column("verdict", no_wrap=True)
    for run in proof.runs:
        metrics = run.worst.metrics
        table.add_row(
            title_of(run),
            run.mode,
            str(len(run.checks)),
            f"{metrics.relative:.1e}" if metrics else "-",
            f"{run.worst.share:.1%}" if metrics else "-",
            f"{run.worst.level} {escape(run.worst.place)}",
            ", ".join(failed_levels(run)) or "none",
            coloured(run.verdict),
        )
    console.print(table)
    for line in dict.fromkeys(map(switches_of, proof.runs)):
        console.print(line, style="dim", soft_wrap=True)
    for check in proof.checks:
        if check.verdict != checks.PASS:
            console.print(said(check), soft_wrap=True)
    for run in proof.runs:
        if run.verdict != checks.PASS:
            show_failure(run, console)
    if proof.scale != 1:
        console.print(f"All budgets were multiplied with {proof.scale:g}.")
    if proof.passed:
        console.print("Every framework computes what the float64 reference computes.")
    elif proof.verdict in checks.FAILED:
        console.print("The frameworks do not all compute the same numbers.")
    else:
        console.print("It cannot be said whether they compute the same numbers.")


def title_of(run: Run) -> str:
    """The framework of a run, and the recording that it is from."""
    title, place = BACKENDS[run.framework].title, run.switches.get("recording")
    return f"{title} ({escape(printable(Path(place).name))})" if place else title


def switches_of(run: Run) -> str:
    """What decided the precision of a run, on a line."""
    facts = {**run.versions, **run.switches}
    said = ", ".join(f"{k} {v}" for k, v in facts.items() if k != "recording")
    return f"{title_of(run)}: {escape(printable(said))}"


def failed_levels(run: Run) -> list[str]:
    """The levels that a run did not pass."""
    fine = (checks.PASS, checks.SKIPPED)
    return [level for level in LEVELS if worst(run.of(level)) not in fine]


def show_failure(run: Run, console: Console) -> None:
    """Print where and why a run differs."""
    title = f"{title_of(run)} in {run.mode}"
    if run.first:
        first = f"the first difference is in {escape(run.first)}"
        console.print(f"{title}: {first}", soft_wrap=True)
    if run.causes:
        named = "; or ".join(escape(printable(cause)) for cause in run.causes)
        console.print(f"{title}: the likely cause is: {named}", soft_wrap=True)
    elif run.verdict in checks.FAILED:
        console.print(f"{title}: no mistake that we know explains it")
    bad = [c for c in run.checks if c.verdict not in (checks.PASS, checks.SKIPPED)]
    for check in bad[:MOST_ROWS]:
        console.print(f"  {said(check)}", soft_wrap=True)
    if len(bad) > MOST_ROWS:
        console.print(f"  and {len(bad) - MOST_ROWS} more")


def said(check: Check) -> str:
    """A check as a line."""
    text = f"{check.level} {check.place}: {coloured(check.verdict)}"
    if check.metrics and check.budget:
        text += f", off by {check.metrics.relative:.1e}, budget {check.budget:.1e}"
    return text + (f" ({escape(printable(check.why))})" if check.why else "")


def coloured(verdict: str) -> str:
    """A verdict in its colour."""
    colour = COLOURS.get(verdict, "red")
    return f"[{colour}]{verdict}[/{colour}]"
