"""What a proof consists of: checks with verdicts, by framework and number type."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from albert_zoo.parity.level_names import LEVELS
from albert_zoo.parity.measure import Metrics

PASS, FAIL, NONFINITE = "PASS", "FAIL", "NONFINITE"
NONDETERMINISTIC, STRUCTURE = "NONDETERMINISTIC", "STRUCTURE"
SKIPPED, ERROR = "SKIPPED", "ERROR"
# From the worst to the best: a row of checks has the worst verdict of any of them.
VERDICTS = (STRUCTURE, NONFINITE, FAIL, NONDETERMINISTIC, ERROR, PASS, SKIPPED)
FAILED = (STRUCTURE, NONFINITE, FAIL)
INCONCLUSIVE = (NONDETERMINISTIC, ERROR)

# The largest budget that says anything: zeros are off by 1, and must not pass.
TELLING = 0.5


@dataclass(frozen=True)
class Check:
    """One place that was compared.

    Attributes:
        level: A key of `LEVELS`.
        place: A call such as "layer.3.inner.0.attention", an output, a parameter.
        verdict: One of `VERDICTS`.
        why: What was found, where the verdict does not say it all.
        budget: The largest relative error that passes, None where bits are compared.
        metrics: How far off it is, None where it could not be measured.
    """

    level: str
    place: str
    verdict: str
    why: str = ""
    budget: float | None = None
    metrics: Metrics | None = None

    @property
    def share(self) -> float:
        """The relative error as a share of the budget; a NaN is more than any."""
        if self.metrics is None or not self.budget:
            return 0.0 if self.verdict in (PASS, SKIPPED) else np.inf
        share = self.metrics.relative / self.budget
        return np.inf if np.isnan(share) else share

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {**asdict(self), "share_of_budget": self.share}


def judged(
    level: str, place: str, metrics: Metrics, budget: float, why: str = ""
) -> Check:
    """The check of a place that was measured."""
    verdict = PASS
    if budget > TELLING:
        verdict = SKIPPED
        why = "rounding alone may be as large as the numbers, so nothing can be said"
    if metrics.nonfinite:
        verdict, why = NONFINITE, f"{metrics.nonfinite} numbers are not finite"
    elif not metrics.relative <= budget:  # a NaN is not within it, either
        verdict, why = FAIL, ""
    elif metrics.agreeing != metrics.decided:
        other = metrics.decided - metrics.agreeing
        verdict, why = FAIL, f"{other} clear decisions of {metrics.decided} differ"
    return Check(level, place, verdict, why, budget, metrics)


def worst(checks: Iterable[Check]) -> str:
    """The worst verdict of some checks; nothing at all is SKIPPED, and no pass."""
    found = {check.verdict for check in checks}
    return next((verdict for verdict in VERDICTS if verdict in found), SKIPPED)


@dataclass
class Run:
    """One framework in one number type.

    Attributes:
        framework: A key of `backends.BACKENDS`.
        mode: A key of `budgets.MODES`.
        checks: One for each place.
        versions: Of the framework's packages.
        switches: What decided its precision, and its device.
        first: The first call that differs, "" if none does.
        causes: What explains it, the most likely first.
    """

    framework: str
    mode: str
    checks: list[Check]
    versions: dict[str, str] = field(default_factory=dict[str, str])
    switches: dict[str, str] = field(default_factory=dict[str, str])
    first: str = ""
    causes: Sequence[str] = ()

    @property
    def verdict(self) -> str:
        """The worst of all; SKIPPED if all of a level was too coarse to judge."""
        measured = [c for c in self.checks if c.metrics]
        judged = {c.level for c in measured if c.verdict != SKIPPED}
        found = worst(self.checks)
        untold = {c.level for c in measured} - judged
        return SKIPPED if found == PASS and untold else found

    @property
    def worst(self) -> Check:
        """The check that is the most over its budget, or the nearest to it."""
        measured = [c for c in self.checks if c.metrics] or self.checks
        return max(measured, key=lambda check: check.share)

    def of(self, level: str) -> list[Check]:
        """The checks of a level."""
        return [check for check in self.checks if check.level == level]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "framework": self.framework,
            "dtype": self.mode,
            "verdict": self.verdict,
            "levels": {level: worst(self.of(level)) for level in LEVELS},
            "counts": dict(Counter(check.verdict for check in self.checks)),
            "first_divergence": self.first,
            "causes": list(self.causes),
            "versions": self.versions,
            "switches": self.switches,
            "checks": [check.to_dict() for check in self.checks],
        }
