"""Recording what one framework makes of a checkpoint, to be judged elsewhere."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from albert_core.errors import AlbertError
from albert_core.files import write_text
from albert_core.reference import Stage
from albert_core.safetensors_file import write
from albert_zoo import backends, models
from albert_zoo.parity import probes, proof
from albert_zoo.parity.case import LEARNT, Case, open_case
from albert_zoo.parity.inputs import Inputs, batches
from albert_zoo.parity.probes import Probe
from albert_zoo.parity.recording import (
    CALLS,
    GRADIENTS,
    INPUTS,
    MANIFEST,
    OUTPUTS,
    Manifest,
    file_name,
)
from conversion import hashing, target
from conversion.checkpoint import resolved


class RecordingFailedError(OSError):
    """A framework gave up; nothing was recorded."""


class Calls(Mapping[str, NDArray[Any]]):
    """What a model gives at every call: made when asked for, so that none is held."""

    def __init__(self, probe: Probe, stages: list[Stage]) -> None:
        self.probe = probe
        self.stages = {stage.path: stage for stage in stages}

    def __getitem__(self, path: str) -> NDArray[Any]:
        return self.probe.stage(self.stages[path])

    def __iter__(self) -> Iterator[str]:
        return iter(self.stages)

    def __len__(self) -> int:
        return len(self.stages)


def record(
    path: str | Path,
    out: Path,
    framework: str,
    mode: str = "float32",
    *,
    make: Callable[[Any, str], Mapping[str, Inputs]] = batches,
    device: Any = None,
    overwrite: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> Manifest:
    """Write a recording.

    Args:
        path: A checkpoint of any format, or a hub name.
        out: The folder, which appears when it is complete.
        framework: A key of `backends.BACKENDS`.
        mode: A key of `budgets.MODES`.
        make: Makes the inputs of configuration and head.
        device: As `models.place` has it; the framework's own choice if not given.
        overwrite: Replace a recording that is there.
        progress: Told what comes next.

    Raises:
        AlbertError: The checkpoint cannot be used, or `out` must not be written.
        MissingPackageError: The framework is not installed.
        OSError: The disk is full, or the framework failed.
    """
    target.check(out, resolved(path), _known(out), overwrite)
    progress(f"start {framework}")
    backends.require(backends.BACKENDS[framework])
    case = open_case(path, make)
    options = dict(case.options)
    if device is not None:
        options["device_map"] = models.place(framework, device)
    with _told(framework, "loading"):
        probe = probes.load(framework, case.directory, case.head, mode, **options)
    with target.made(out, "recording") as place:
        changed = _write(case, probe, place.folder, framework, progress)
        manifest = Manifest(
            checkpoint=_lasting(path),
            head=case.head,
            config=probe.config.to_dict(),
            weights_sha256=proof.weights_digest(case),
            inputs_sha256=proof.inputs_digest(case),
            framework=framework,
            mode=mode,
            versions=backends.versions(backends.BACKENDS[framework]),
            switches=probe.switches(),
            environment=proof.environment(),
            batches=list(case.batches),
            weights={k: hashing.digest(x).to_dict() for k, x in probe.weights()},
            changed=changed,
            files={
                file.name: target.file_digest(file)
                for file in sorted(place.folder.glob("*.safetensors"))
            },
        )
        text = json.dumps(manifest.to_dict(), indent=2) + "\n"
        write_text(place.folder / MANIFEST, text)
    return manifest


def _write(
    case: Case,
    probe: Probe,
    folder: Path,
    framework: str,
    progress: Callable[[str], None],
) -> list[str]:
    """Write all arrays; gives the outputs that changed from run to run."""
    reference = case.model()
    changed: dict[str, None] = {}
    for batch, inputs in case.batches.items():
        write(folder / file_name(INPUTS, batch), inputs)
        progress(f"{batch}: outputs")
        with _told(framework, f"the outputs of batch {batch!r}"):
            found, again = (probe.outputs(inputs) for _ in range(2))
            write(folder / file_name(OUTPUTS, batch), found)
        changed |= {k: None for k, x in found.items() if not _same(x, again.get(k))}
        progress(f"{batch}: calls")
        reference(**inputs)
        with _told(framework, f"the calls of batch {batch!r}"):
            write(folder / file_name(CALLS, batch), Calls(probe, reference.stages))
    if case.learns:
        progress("gradients")
        with _told(framework, "the gradients"):
            loss, gradients = probe.gradients(case.batches[LEARNT])
            texts = {"loss": loss.hex()}
            write(folder / file_name(GRADIENTS), gradients, metadata=texts)
    return list(changed)


def _same(one: NDArray[Any], other: NDArray[Any] | None) -> bool:
    return other is not None and one.tobytes() == other.tobytes()


def _known(out: Path) -> set[str]:
    """The files of an old recording, which a new one may replace."""
    if not (out / MANIFEST).is_file():
        return set()
    return {MANIFEST, *(file.name for file in out.glob("*.safetensors"))}


def _lasting(path: str | Path) -> str:
    """What leads to a checkpoint from elsewhere as well, if anything does."""
    place = resolved(path)
    local = place == Path(path).expanduser()
    return str(place.absolute() if local else path)


@contextmanager
def _told(framework: str, doing: str) -> Iterator[None]:
    """Turn a framework's own exceptions into one of ours."""
    try:
        yield
    except (AlbertError, OSError):
        raise
    except Exception as problem:  # any framework's own
        title = backends.BACKENDS[framework].title
        why = f"{type(problem).__name__}: {problem}"
        raise RecordingFailedError(
            f"{title} failed at {doing}: {why[:500]}. Nothing was recorded; try "
            f"another --device or --dtype."
        ) from problem
