"""A proof as a table for a terminal."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from albert_zoo.backends import BACKENDS
from albert_zoo.parity.proof import PASS, Proof


def show(proof: Proof, console: Console) -> None:
    """Print one line for each framework and number type."""
    table = Table(title=f"Albert{proof.head} from {escape(proof.checkpoint)}")
    table.add_column("framework")
    table.add_column("dtype")
    for column in ("relative error", "budget", "max abs error", "argmax"):
        table.add_column(column, justify="right")
    table.add_column("worst output")
    table.add_column("verdict")
    for row in proof.rows:
        colour = "green" if row.verdict == PASS else "red"
        table.add_row(
            BACKENDS[row.framework].title,
            row.dtype,
            f"{row.worst.relative:.1e}",
            f"{row.budget:.1e}",
            f"{row.largest:.1e}",
            f"{row.agreeing}/{row.decided}" if row.decided else "-",
            row.worst.output,
            f"[{colour}]{row.verdict}[/{colour}]",
        )
    console.print(table)
    if proof.passed:
        console.print("Every framework computes what the float64 reference computes.")
    else:
        console.print("The frameworks do not all compute the same numbers.")
