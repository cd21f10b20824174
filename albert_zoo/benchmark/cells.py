"""What was measured: a cell for each framework, task, number type and shape."""

from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from albert_zoo.benchmark.measure import Timing
from albert_zoo.console import CHECK_FAILED, INCONCLUSIVE, OK
from albert_zoo.parity import checks
from albert_zoo.parity.checks import Check, worst


@dataclass
class Cell:
    """One framework at one task.

    Attributes:
        framework: A key of `backends.BACKENDS`.
        task: A key of `jobs.TASKS`.
        mode: The number type.
        batch: Rows; 0 where it does not matter.
        length: Tokens of a row; likewise.
        timing: What was measured.
        checks: What the outputs that were timed are worth.
        tokens: Those of all rows.
        ratio: The median over that of the fastest whose outputs are right.
    """

    framework: str
    task: str
    mode: str
    batch: int
    length: int
    timing: Timing
    checks: list[Check]
    tokens: int = 0
    ratio: float | None = None

    @property
    def verdict(self) -> str:
        """The worst of all checks."""
        return worst(self.checks)

    @property
    def worst(self) -> Check:
        """The check that is the farthest off, of those with the worst verdict."""
        bad = [check for check in self.checks if check.verdict == self.verdict]
        return max(bad, key=lambda check: check.share)

    @property
    def measured(self) -> bool:
        """Whether there is a time."""
        return bool(self.timing.seconds) and self.timing.problem is None

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        timing = self.timing
        found: dict[str, Any] = {
            "framework": self.framework,
            "task": self.task,
            "dtype": self.mode,
            "batch": self.batch or None,
            "length": self.length or None,
            "verdict": self.verdict,
            "worst_check": _finite(self.worst.to_dict()),
        }
        if not self.measured:
            return found
        low, high = timing.spread
        return {
            **found,
            "median_seconds": timing.median,
            "p10_seconds": low,
            "p90_seconds": high,
            "ratio": self.ratio,
            "tokens_per_second": self.tokens / timing.median if self.tokens else None,
            "first_call_seconds": timing.first,
            "resident_peak_bytes": timing.resident,
            "resident_growth_bytes": timing.grown,
            "device_peak_bytes": timing.device,
            "seconds": timing.seconds,
        }


def _finite(value: Any) -> Any:
    """A value as JSON can say it: null for what is infinite or no number."""
    if isinstance(value, dict):
        return {key: _finite(part) for key, part in value.items()}
    return None if isinstance(value, float) and not isfinite(value) else value


def rank(cells: list[Cell]) -> list[Cell]:
    """Set the ratios of cells that were measured together.

    What is wrong is not compared, however fast it is.
    """
    right = [cell for cell in cells if cell.measured and cell.verdict == checks.PASS]
    fastest = min((cell.timing.median for cell in right), default=0.0)
    for cell in right:
        cell.ratio = cell.timing.median / fastest
    return cells


@dataclass
class Result:
    """All that was measured.

    Attributes:
        checkpoint: Where the weights are from.
        head: What the model is, a key of `schema.HEADS`.
        rounds: How often each cell was measured.
        cells: In the order of the table.
        settings: Versions, device and threads of each framework.
        environment: The machine, and how busy it was before.
    """

    checkpoint: str
    head: str
    rounds: int
    cells: list[Cell] = field(default_factory=list[Cell])
    settings: dict[str, dict[str, str]] = field(default_factory=dict[str, Any])
    environment: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def verdict(self) -> str:
        """The worst of all cells; without a single result it is an error."""
        found = {cell.verdict for cell in self.cells} - {checks.SKIPPED}
        return next((v for v in checks.VERDICTS if v in found), checks.ERROR)

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.verdict in checks.FAILED:
            return CHECK_FAILED
        return OK if self.verdict == checks.PASS else INCONCLUSIVE

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "class": f"Albert{self.head}",
            "verdict": self.verdict,
            "rounds": self.rounds,
            "environment": self.environment,
            "frameworks": self.settings,
            "cells": [cell.to_dict() for cell in self.cells],
        }
