"""Whether the proof can be believed: it must find mistakes that are planted."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from albert_zoo.parity import checks, plants
from albert_zoo.parity.case import Case, open_case
from albert_zoo.parity.checks import Run
from albert_zoo.parity.inputs import batches
from albert_zoo.parity.levels import Levels
from albert_zoo.parity.plants import Plant
from albert_zoo.parity.proof import look
from albert_zoo.parity.sample import write_sample

# The levels below would find what is in a checkpoint without looking at a number.
LEVELS = ("free", "forced", "loss", "gradients")
NAMED = 0.9  # of the mistakes that have a name; the others must all be found
FEW = (  # what the small self-test plants
    "query and key swapped (in the checkpoint)",
    "value kernel transposed (in the checkpoint)",
    "layer norm epsilon of 1e-6 (in the checkpoint)",
    "gelu by erf in place of tanh (in the checkpoint)",
    "inner blocks in the wrong order (in the checkpoint)",
    "mask ignored",
    "positions from 1",
    "no gradient through attention",
)


@dataclass(frozen=True)
class Finding:
    """What became of a planted mistake.

    Attributes:
        framework: Where it was planted.
        mistake: Its name.
        verdict: What the proof said.
        first: The call that it found first.
        expected: The calls that it should have found.
        causes: What it named.
        cause: What it should have named, "" if there is no name.
    """

    framework: str
    mistake: str
    verdict: str
    first: str
    expected: Sequence[str]
    causes: Sequence[str]
    cause: str

    @property
    def caught(self) -> bool:
        """Whether the proof failed, as it had to."""
        return self.verdict not in (checks.PASS, checks.SKIPPED, checks.ERROR)

    @property
    def placed(self) -> bool:
        """Whether it was found at the right call."""
        return self.first.split(":")[0] in self.expected

    @property
    def named(self) -> bool:
        """Whether the cause, which has a name, was named first."""
        return bool(self.cause) and list(self.causes[:1]) == [self.cause]

    def said(self) -> str:
        """The finding as a line."""
        return (
            f"{self.framework}, {self.mistake}: {self.verdict}, first in "
            f"{self.first or 'nothing'}, not {' or '.join(self.expected)}; causes "
            f"{'; '.join(self.causes) or 'none'} (expected {self.cause or 'none'})"
        )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        facts = {"caught": self.caught, "placed": self.placed, "named": self.named}
        return {**asdict(self), **facts}


def enough(findings: Sequence[Finding]) -> bool:
    """Whether all mistakes were found in the right place, and most were named."""
    named = [finding.named for finding in findings if finding.cause]
    found = all(finding.caught and finding.placed for finding in findings)
    return bool(findings) and found and sum(named) >= NAMED * len(named)


def summary(findings: Sequence[Finding]) -> str:
    """How much of what was planted was found, on a line."""
    count = len(findings)
    return (
        f"Self-test: of {count} planted mistakes {sum(f.caught for f in findings)} "
        f"were caught, {sum(f.placed for f in findings)} at the right call; of "
        f"{sum(bool(f.cause) for f in findings)} causes with a name "
        f"{sum(f.named for f in findings)} were named first."
    )


def run(
    frameworks: Sequence[str],
    few: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> list[Finding]:
    """Plant every mistake in every framework, and see what the proof says.

    Args:
        frameworks: Keys of `backends.BACKENDS`.
        few: Plant only `FEW`.
        progress: Told what comes next.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        case = open_case(write_sample(folder / "sample"), batches)
        mistakes = [*plants.in_checkpoints(case), *plants.IN_CODE]
        mistakes = [one for one in mistakes if not few or one.name in FEW]
        findings: list[Finding] = []
        for framework in frameworks:
            for number, plant in enumerate(mistakes):
                progress(f"{framework}: {plant.name}")
                spot = folder / f"{framework}-{number}"
                spot.mkdir()
                findings.append(_found(case, plant, framework, spot))
        return findings


def steps(few: bool) -> int:
    """How many mistakes there are for each framework, at most."""
    return len(FEW) if few else len(plants.CAUSES) + len(plants.IN_CODE)


def _found(case: Case, plant: Plant, framework: str, folder: Path) -> Finding:
    with plants.planted(case, plant, framework, folder) as probe:
        result = Run(framework, "float64", [])
        look(Levels(case, probe, result.mode, scale=1.0), result, LEVELS)
    return Finding(
        framework,
        plant.name,
        result.verdict,
        result.first,
        plant.at,
        result.causes,
        plant.cause,
    )
