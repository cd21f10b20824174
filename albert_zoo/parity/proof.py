"""The proof: every framework and number type against the NumPy reference."""

import hashlib
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from albert_core.errors import AlbertError
from albert_core.schema import base_name
from albert_zoo import backends, models
from albert_zoo.console import CHECK_FAILED, INCONCLUSIVE, OK
from albert_zoo.parity import budgets, checks, probes
from albert_zoo.parity.case import Case, open_case
from albert_zoo.parity.checks import Check, Run, worst
from albert_zoo.parity.diagnosis import causes, first_divergence
from albert_zoo.parity.inputs import Inputs, batches
from albert_zoo.parity.levels import Levels
from albert_zoo.parity.tokens import compare_tokenizers
from conversion import hashing

LEVELS = tuple(checks.LEVELS)
Progress = Callable[[str], None]


@dataclass
class Proof:
    """All that was found out about one checkpoint.

    Attributes:
        checkpoint: Where it is.
        head: What it is, a key of `schema.HEADS`.
        weights: The canonical SHA-256 of its weights.
        inputs: A SHA-256 of what it was run on.
        scale: What all budgets were multiplied with.
        checks: Those that no framework takes part in.
        runs: One for each framework and number type.
        environment: Where it was done.
        config: The fields of its configuration.
    """

    checkpoint: str
    head: str
    weights: str
    inputs: str
    scale: float
    checks: list[Check]
    runs: list[Run]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    config: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def verdict(self) -> str:
        """The worst of all, where a run without a single pass is no pass."""
        found = worst(self.checks)
        verdicts = [*([] if found == checks.SKIPPED else [found])]
        verdicts += [
            checks.ERROR if run.verdict == checks.SKIPPED else run.verdict
            for run in self.runs
        ]
        if not self.runs:
            return checks.ERROR
        return next(verdict for verdict in checks.VERDICTS if verdict in verdicts)

    @property
    def passed(self) -> bool:
        """Whether there are runs, and all of them passed."""
        return self.verdict == checks.PASS

    @property
    def exit_code(self) -> int:
        """What the command ends with."""
        if self.verdict in checks.FAILED:
            return CHECK_FAILED
        return OK if self.passed else INCONCLUSIVE

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "class": f"Albert{self.head}",
            "config": self.config,
            "verdict": self.verdict,
            "passed": self.passed,
            "weights_sha256": self.weights,
            "inputs_sha256": self.inputs,
            "budget_table": budgets.VERSION,
            "budget_scale": self.scale,
            "environment": self.environment,
            "checks": [check.to_dict() for check in self.checks],
            "runs": [run.to_dict() for run in self.runs],
        }


def prove(
    path: str | Path,
    frameworks: Sequence[str],
    modes: Sequence[str] = ("float64", "float32"),
    levels: Sequence[str] = LEVELS,
    scale: float = 1.0,
    progress: Progress = lambda step: None,
    device: Any = None,
    make: Callable[[Any, str], Mapping[str, Inputs]] = batches,
) -> Proof:
    """Compare frameworks with the reference on one checkpoint.

    Args:
        path: A checkpoint of any format, or a hub name.
        frameworks: Keys of `backends.BACKENDS`.
        modes: Keys of `budgets.MODES`.
        levels: Keys of `checks.LEVELS`.
        scale: What all budgets are multiplied with; the proof says so.
        progress: Told what comes next.
        device: As `models.place` has it; each framework's own choice if not given.
        make: Makes the inputs of configuration and head.

    Raises:
        AlbertError: The checkpoint cannot be used.
        MissingPackageError: A framework is not installed.
    """
    for name in frameworks:
        progress(f"start {name}")
        backends.require(backends.BACKENDS[name])
        models.place(name, device)  # refuses what is no device
    progress("compute the reference")
    case = open_case(path, make)
    proof = Proof(
        str(path),
        case.head,
        weights_digest(case),
        inputs_digest(case),
        scale,
        [],
        [],
        environment(),
    )
    proof.config = case.config.to_dict()
    if "tokens" in levels:
        proof.checks += compare_tokenizers(case.directory)
    for name, mode in ((name, mode) for name in frameworks for mode in modes):
        proof.runs.append(examine(case, name, mode, levels, scale, progress, device))
    return proof


def examine(
    case: Case,
    framework: str,
    mode: str,
    levels: Sequence[str] = LEVELS,
    scale: float = 1.0,
    progress: Progress = lambda step: None,
    device: Any = None,
) -> Run:
    """Look at one framework in one number type; see `prove`."""
    backend = backends.BACKENDS[framework]
    options = dict(case.options)
    if device is not None:
        options["device_map"] = models.place(framework, device)
    run = Run(framework, mode, [], backends.versions(backend))
    try:
        probe = probes.load(framework, case.directory, case.head, mode, **options)
    except AlbertError:
        raise
    except Exception as problem:  # any framework's own
        why = f"{type(problem).__name__}: {problem}"
        run.checks.append(Check(levels[0], "", checks.ERROR, why[:500]))
        return run
    look(Levels(case, probe, mode, scale), run, levels, progress)
    run.switches = probe.switches()  # as the runs have set them
    return run


def look(
    judge: Levels,
    run: Run,
    levels: Sequence[str] = LEVELS,
    progress: Progress = lambda step: None,
) -> None:
    """Put what a judge says of some levels into a run, and why it differs."""
    for level in levels:
        if level != "tokens":
            progress(f"{run.framework}, {run.mode}: {level}")
            run.checks += judge.run(level)
    run.first = first_divergence(run, judge.case)
    broken = any(check.verdict == checks.ERROR for check in run.checks)
    # What cannot be run cannot be looked into, either.
    if not broken and run.verdict in (*checks.FAILED, checks.NONDETERMINISTIC):
        progress(f"{run.framework}, {run.mode}: look for the cause")
        run.causes = causes(judge.case, judge.probe, run)


def steps(
    frameworks: Sequence[str], modes: Sequence[str], levels: Sequence[str]
) -> int:
    """How often `prove` tells its progress, if all is well."""
    each = len([level for level in levels if level != "tokens"])
    return len(frameworks) * (1 + len(modes) * each) + 1


def weights_digest(case: Case) -> str:
    """The canonical SHA-256 of the weights."""
    found = {base_name(k): hashing.digest(x) for k, x in case.weights.items()}
    return hashing.whole(found)


def inputs_digest(case: Case) -> str:
    """A SHA-256 of what all models are run on."""
    found = hashlib.sha256()
    for batch, name, array in _arrays(case):
        found.update(f"{batch} {name} {array.dtype} {array.shape}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _arrays(case: Case) -> Iterator[tuple[str, str, Any]]:
    for batch, inputs in sorted(case.batches.items()):
        for name, array in sorted(inputs.items()):
            yield batch, name, array


def environment() -> dict[str, str]:
    """The machine and the packages that the reference ran with."""
    return {
        "python": platform.python_version(),
        "system": platform.platform(terse=True),
        "machine": platform.machine(),
        "numpy": np.__version__,
        "albert-zoo": version("albert-zoo"),
    }
