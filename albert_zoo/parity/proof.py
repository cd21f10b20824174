"""The proof: every framework and number type against the NumPy reference."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from albert_core import checkpoint as canonical
from albert_core import loading, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError
from albert_core.initial import initial_value
from albert_core.reference import Reference
from albert_zoo import backends
from albert_zoo.parity import budgets
from albert_zoo.parity.inputs import Inputs, batches
from albert_zoo.parity.measure import Difference, compare
from conversion.pretrained import open_pretrained

PASS, FAIL, NONFINITE = "PASS", "FAIL", "NONFINITE"


@dataclass
class Row:
    """One framework in one number type.

    Attributes:
        framework: A key of `backends.BACKENDS`.
        dtype: What it computed in.
        budget: The largest relative error that passes.
        differences: One for each output.
        versions: Of the framework's packages.
        switches: What decided its precision.
    """

    framework: str
    dtype: str
    budget: float
    differences: list[Difference]
    versions: dict[str, str] = field(default_factory=dict[str, str])
    switches: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def worst(self) -> Difference:
        """The output with the largest relative error; a NaN is larger than any."""
        return max(
            self.differences,
            key=lambda d: np.inf if np.isnan(d.relative) else d.relative,
        )

    @property
    def largest(self) -> float:
        """The largest absolute difference."""
        return float(np.max([d.largest for d in self.differences]))

    @property
    def decided(self) -> int:
        """Rows of scores whose largest entry is clear."""
        return sum(d.decided for d in self.differences)

    @property
    def agreeing(self) -> int:
        """Those of them in which the framework chooses the same."""
        return sum(d.agreeing for d in self.differences)

    @property
    def verdict(self) -> str:
        """PASS, FAIL or NONFINITE; no comparison at all is no pass."""
        if not all(d.finite for d in self.differences):
            return NONFINITE
        within = bool(self.differences) and self.worst.relative <= self.budget
        return PASS if within and self.agreeing == self.decided else FAIL

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "framework": self.framework,
            "dtype": self.dtype,
            "verdict": self.verdict,
            "budget": self.budget,
            "relative_error": self.worst.relative,
            "worst_output": self.worst.output,
            "max_abs_error": self.largest,
            "argmax_agreeing": self.agreeing,
            "argmax_decided": self.decided,
            "versions": self.versions,
            "switches": self.switches,
            "outputs": [asdict(difference) for difference in self.differences],
        }


@dataclass
class Proof:
    """All rows about one checkpoint.

    Attributes:
        checkpoint: Where it is.
        head: What it is, a key of `schema.HEADS`.
        rows: One for each framework and number type.
    """

    checkpoint: str
    head: str
    rows: list[Row]

    @property
    def passed(self) -> bool:
        """Whether there are rows and every one of them passed."""
        return bool(self.rows) and all(row.verdict == PASS for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "checkpoint": self.checkpoint,
            "class": f"Albert{self.head}",
            "passed": self.passed,
            "rows": [row.to_dict() for row in self.rows],
        }


def prove(
    path: str | Path,
    frameworks: Sequence[str],
    dtypes: Sequence[str],
    progress: Callable[[str], None] = lambda step: None,
) -> Proof:
    """Compare frameworks with the reference on one checkpoint.

    Args:
        path: A canonical checkpoint, or a hub name.
        frameworks: Keys of `backends.BACKENDS`.
        dtypes: "float64", "float32".
        progress: Told what comes next.

    Raises:
        AlbertError: The checkpoint cannot be used.
        MissingPackageError: A framework is not installed.
    """
    for name in frameworks:
        progress(f"start {name}")
        backends.require(backends.BACKENDS[name])
    config, stored = open_pretrained(path, None, {})
    head = schema.guess_head(list(stored), config.architectures)
    names = {schema.base_name(name) for name in stored}
    pools = schema.HEADS[head].pools
    options: dict[str, Any] = {}
    if head == schema.BASE and "pooler.weight" not in names:
        pools, options = False, {"add_pooling_layer": False}
    given = batches(config, head)
    progress("compute the reference")
    expected = _reference(config, stored, head, pools, given)
    rows: list[Row] = []
    for name, dtype in _pairs(frameworks, dtypes):
        progress(f"run {name} in {dtype}")
        backend = backends.BACKENDS[name]
        run = backend.load(stored.directory, head, dtype, **options)
        found = {batch: run(_as(inputs, dtype)) for batch, inputs in given.items()}
        differences = compare(found, expected)
        blocks = config.num_hidden_layers * config.inner_group_num
        budget = budgets.relative_error(dtype, blocks)
        row = Row(name, dtype, budget, differences)
        row.versions = backends.versions(backend)
        row.switches = backend.switches()
        rows.append(row)
    return Proof(str(path), head, rows)


def steps(frameworks: Sequence[str], dtypes: Sequence[str]) -> int:
    """How often `prove` tells its progress."""
    return len(frameworks) * (1 + len(dtypes)) + 1


def _pairs(first: Sequence[str], second: Sequence[str]) -> Iterator[tuple[str, str]]:
    return ((a, b) for a in first for b in second)


def _as(inputs: Inputs, dtype: str) -> Inputs:
    """Labels that are numbers, in the type that the model computes in."""
    return {k: v.astype(dtype) if v.dtype.kind == "f" else v for k, v in inputs.items()}


def _reference(
    config: AlbertConfig,
    stored: canonical.Checkpoint,
    head: str,
    pools: bool,
    given: Mapping[str, Inputs],
) -> dict[str, backends.Arrays]:
    wanted = {p.name: p.shape for p in schema.parameters(config, head, pools)}
    found = loading.match(wanted, stored, f"Albert{head}")
    if found.missing:
        raise CheckpointError(
            f"{stored.directory} lacks weights of Albert{head}, so there is nothing to "
            f"compare: {', '.join(found.missing)}. Train the head first."
        )
    weights = {name: stored[source] for name, source in found.sources.items()}
    model = Reference(config, weights, head, pools)
    return {
        name: backends.flatten(model(**inputs), np.asarray)
        for name, inputs in given.items()
    }


def write_sample(directory: Path) -> Path:
    """Write the small checkpoint that a run without a path is about.

    Its weights are random but not special: no bias is 0 and no scale is 1, so that none
    of them can be forgotten unseen.
    """
    config = AlbertConfig(
        vocab_size=320,
        embedding_size=16,
        hidden_size=48,
        num_hidden_layers=6,
        num_hidden_groups=2,
        inner_group_num=2,
        num_attention_heads=4,
        intermediate_size=96,
        max_position_embeddings=64,
        architectures=["AlbertForPreTraining"],
    )
    stream = np.random.default_rng(0)
    arrays = {
        p.name: initial_value(p, 0.08, 0)
        + stream.normal(0, 0.05, p.shape).astype(np.float32)
        for p in schema.parameters(config, "ForPreTraining")
    }
    canonical.save(directory, config, arrays)
    return directory
