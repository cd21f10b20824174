"""Judging recordings: the same levels, budgets and verdicts, without a framework."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.config import AlbertConfig
from albert_core.errors import AlbertError, CheckpointError, FormatError
from albert_core.reference import Stage
from albert_zoo.backends import Arrays
from albert_zoo.parity import checks, proof
from albert_zoo.parity.case import Case, open_case
from albert_zoo.parity.checks import Check, Run
from albert_zoo.parity.levels import Levels, as_loaded
from albert_zoo.parity.probes import Inputs
from albert_zoo.parity.proof import Proof
from albert_zoo.parity.recording import GRADIENTS, OUTPUTS, Recording
from albert_zoo.parity.tokens import compare_tokenizers
from conversion import hashing
from conversion.checkpoint import resolved
from conversion.hashing import Digest

Progress = Callable[[str], None]


class RecordedProbe:
    """See `probes.Probe`: answers what the recorded model has answered.

    Args:
        recording: The recording.
        case: What it is judged by; of the same weights and inputs.
    """

    def __init__(self, recording: Recording, case: Case) -> None:
        self.recording = recording
        self.case = case

    @property
    def config(self) -> AlbertConfig:
        """See `probes.Probe`."""
        return self.recording.config

    def outputs(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        batch = next(b for b, x in self.case.batches.items() if x is inputs)
        return self.recording.read(OUTPUTS, batch)

    def packed(self, inputs: Inputs) -> Arrays:
        """Nothing, which `RecordedLevels` says."""
        return {}

    def stage(self, stage: Stage) -> NDArray[Any]:
        """See `probes.Probe`."""
        of = self.case.answer.stages.items()
        batch = next(b for b, calls in of if calls.get(stage.path) is stage)
        return self.recording.call(batch, stage.path)

    def gradients(self, inputs: Inputs) -> tuple[float, Arrays]:
        """See `probes.Probe`."""
        return self.recording.loss, self.recording.read(GRADIENTS)

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """None are kept: `RecordedLevels` compares their digests."""
        yield from ()

    def switches(self) -> dict[str, str]:
        """See `probes.Probe`."""
        return self.recording.manifest.switches


class RecordedLevels(Levels):
    """The checks of a recording.

    Args:
        case: What it is judged by.
        recording: The recording.
        scale: What all budgets are multiplied with.
    """

    def __init__(self, case: Case, recording: Recording, scale: float) -> None:
        mode = recording.manifest.mode
        super().__init__(case, RecordedProbe(recording, case), mode, scale)
        self.manifest = recording.manifest

    def weights(self) -> Iterator[Check]:
        """Every weight, by its SHA-256."""
        wanted = dict(self.case.weights)
        for name, values in self.manifest.weights.items():
            if name not in wanted:
                why = "the checkpoint does not hold it"
                yield Check("bytes", name, checks.STRUCTURE, why)
                continue
            found, weight = Digest.from_dict(values), wanted.pop(name)
            if found.shape != weight.shape:
                why = f"shape {found.shape}, in the checkpoint {weight.shape}"
                yield Check("bytes", name, checks.STRUCTURE, why)
                continue
            twin = np.empty(0, found.dtype)
            expected = hashing.digest(as_loaded(name, weight, twin, self.mode))
            if found == expected:
                yield Check("bytes", name, checks.PASS)
            else:
                why = f"SHA-256 {found.sha256}, in the checkpoint {expected.sha256}"
                yield Check("bytes", name, checks.FAIL, why)
        for name in wanted:
            yield Check("bytes", name, checks.STRUCTURE, "the model does not have it")

    def packed(self) -> Iterator[Check]:
        """Nothing was recorded of fast paths."""
        yield Check("packed", "", checks.SKIPPED, "recordings do not hold it")

    def free(self) -> Iterator[Check]:
        """All outputs of the whole model, which was run twice."""
        for check in super().free():
            if check.place in self.manifest.changed:
                why = "a second run on the same inputs gave other numbers"
                check = Check("free", check.place, checks.NONDETERMINISTIC, why)
            yield check


def compare(
    folders: Sequence[str | Path],
    checkpoint: str | Path | None = None,
    scale: float = 1.0,
    progress: Progress = lambda step: None,
) -> Proof:
    """Judge recordings, which may be of any machines, by the reference.

    Args:
        folders: Recordings of one checkpoint on the same inputs.
        checkpoint: Where the checkpoint is; where the first recording found it if not
            given.
        scale: What all budgets are multiplied with; the proof says so.
        progress: Told what comes next.

    Raises:
        AlbertError: A recording is damaged, they do not belong together, or the
            checkpoint is not theirs.
    """
    progress("read the recordings")
    recordings = [Recording.open(folder) for folder in folders]
    _check_same(recordings)
    progress("compute the reference")
    case = _case(recordings[0], checkpoint)
    first = recordings[0].manifest
    shown = str(checkpoint or first.checkpoint)
    hashes = first.weights_sha256, first.inputs_sha256
    result = Proof(shown, case.head, *hashes, scale, [], [], proof.environment())
    result.config = case.config.to_dict()
    result.checks += compare_tokenizers(case.directory)
    for recording in recordings:
        progress(f"judge {recording.folder}")
        result.runs.append(judge(case, recording, scale))
    return result


def judge(case: Case, recording: Recording, scale: float = 1.0) -> Run:
    """Judge one recording; see `compare`."""
    found = recording.manifest
    switches = {**found.switches, "recording": str(recording.folder)}
    run = Run(found.framework, found.mode, [], found.versions, switches)
    proof.look(RecordedLevels(case, recording, scale), run)
    return run


def _check_same(recordings: Sequence[Recording]) -> None:
    """Refuse recordings that are not of one model on the same inputs."""
    first, *others = recordings
    for other in others:
        for field, title in (
            ("head", "the model Albert"),
            ("weights_sha256", "weights of the SHA-256 "),
            ("inputs_sha256", "inputs of the SHA-256 "),
        ):
            one, two = (getattr(x.manifest, field) for x in (first, other))
            if one != two:
                raise CheckpointError(
                    f"{first.folder} was recorded with {title}{one}, but "
                    f"{other.folder} with {title}{two}. Record both from one "
                    f"checkpoint, with the same --texts."
                )


def _case(recording: Recording, checkpoint: str | Path | None) -> Case:
    """What a recording is judged by: its inputs, and the checkpoint that it is of."""
    found = recording.manifest
    path = found.checkpoint if checkpoint is None else checkpoint
    try:
        resolved(path)
    except AlbertError as problem:
        if checkpoint is not None:
            raise
        raise CheckpointError(
            f"{recording.folder} was recorded from {path}, which is not here. Give the "
            f"checkpoint with --checkpoint."
        ) from problem
    inputs = recording.batches
    case = open_case(path, lambda config, head: inputs)
    if case.head != found.head:
        raise CheckpointError(
            f"{recording.folder} is a recording of Albert{found.head}, but {path} is "
            f"Albert{case.head}. Give the checkpoint that was recorded."
        )
    weights = proof.weights_digest(case)
    if weights != found.weights_sha256:
        raise CheckpointError(
            f"{recording.folder} was recorded with weights of the SHA-256 "
            f"{found.weights_sha256}, but those of {path} have {weights}. Give the "
            f"checkpoint that was recorded."
        )
    if proof.inputs_digest(case) != found.inputs_sha256:
        what = "its inputs are not those that its manifest has the SHA-256 of"
        raise FormatError("CHECKSUM", recording.folder, what, "Record it again.")
    try:
        _ = case.answer
    except AlbertError:
        raise
    except Exception as problem:  # shapes, names or types that no model takes
        what = f"its inputs cannot be run: {type(problem).__name__}: {problem}"
        raise FormatError("BAD_HEADER", recording.folder, what, "Record it.") from None
    return case
