"""From one format to another: planned, whole or not at all, and read back."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.errors import AlbertError
from albert_core.folder import CONFIG_NAME
from albert_core.google import CONFIG_NAME as GOOGLE_CONFIG
from albert_core.schema import base_name
from albert_core.tokenizer_names import TOKENIZER_FILES
from conversion import dtypes, hashing, target
from conversion.checkpoint import open_checkpoint
from conversion.hashing import Digest
from conversion.outgoing import Outgoing, Step
from conversion.plan import MANIFEST, Plan
from conversion.planning import make
from conversion.stores import STORES


class NotTheSameError(AlbertError):
    """What was read back is not what was written."""


@dataclass(frozen=True)
class Result:
    """What a conversion has done.

    Attributes:
        plan: What was planned.
        sha256: The canonical digest of what was written.
        loss: What a change of number type has cost.
        verified: Whether it was read back and found the same.
    """

    plan: Plan
    sha256: str
    loss: dtypes.Loss
    verified: bool

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            **self.plan.to_dict(),
            "sha256": self.sha256,
            "overflowed": self.loss.overflowed,
            "underflowed": self.loss.underflowed,
            "largest_relative_error": self.loss.relative_error,
            "verified": self.verified,
        }


def convert(
    source: str | Path,
    destination: str | Path,
    to: str,
    *,
    saturate: bool = False,
    resume: bool = False,
    verify: bool = True,
    step: Step = lambda name: None,
    **options: Any,
) -> Result:
    """Convert a checkpoint of any format to another format, and prove it.

    Args:
        source: See `open_checkpoint`.
        destination: A folder. It appears when all of it is complete, and replaces an
            old one in one step.
        to: A key of `conversion.stores.STORES`.
        saturate: See `run`.
        resume: See `run`.
        verify: See `run`.
        step: See `run`.
        **options: Further ones of `prepare`.

    Raises:
        CheckpointError: See `prepare` and `run`, as for all others.
        ConfigError: See there.
        TargetError: See there.
        NotTheSameError: See there.
        OSError: See there.

    Example:
        >>> source, target = "albert_base", "my-albert"
        >>> convert(source, target, to="safetensors")  # doctest: +SKIP
    """
    plan = prepare(source, destination, to, **options)
    return run(
        plan, destination, saturate=saturate, resume=resume, verify=verify, step=step
    )


def prepare(
    source: str | Path,
    destination: str | Path,
    to: str,
    *,
    config: AlbertConfig | None = None,
    overwrite: bool = False,
    **options: Any,
) -> Plan:
    """Think a conversion through, and see that it can be done; nothing is written.

    Args:
        source: See `open_checkpoint`.
        destination: See `convert`.
        to: See `convert`.
        config: Used in place of the one beside the weights.
        overwrite: Whether an existing target may be replaced.
        **options: Those of `conversion.planning.make`: `dtype`, `max_shard_size`,
            `include`, `drop_head`, `allow_unused`.

    Raises:
        CheckpointError: The source is damaged or not complete, or the format cannot
            hold it.
        ConfigError: An argument, or the configuration, is not valid.
        TargetError: The target exists, or cannot be written for another reason.
        OSError: The disk has not enough room.
    """
    opened = open_checkpoint(source, config)
    origin = Path(source).expanduser()
    origin = origin if origin.exists() else opened.directory
    place = Path(destination).expanduser()
    target.check(place, origin, known_files(place), overwrite)
    plan = make(opened, to, **options)
    target.check_space(place, plan.disk)
    return plan


def run(
    plan: Plan,
    destination: str | Path,
    *,
    saturate: bool = False,
    resume: bool = False,
    verify: bool = True,
    step: Step = lambda name: None,
) -> Result:
    """Do what is planned.

    Args:
        plan: From `prepare`.
        destination: The same place.
        saturate: Turn numbers beyond the largest of a new number type into the largest,
            in place of an error.
        resume: Go on where a killed process has stopped.
        verify: Read the result back before it takes its place.
        step: Called with a text for every array that was written or read back.

    Raises:
        CheckpointError: The source is damaged, or a number is too large.
        NotTheSameError: What was read back differs. Nothing is left behind.
        OSError: The disk is full or not writable, or another process writes to the same
            place. The old target is whole.
    """
    place = Path(destination).expanduser()
    with target.made(place, f"{plan.fingerprint} {saturate}", resume) as work:
        written, loss = _write(plan, work, saturate, step)
        _write_others(plan, work)
        if verify:
            _verify(plan, work, written, step)
        _write_manifest(plan, work, written)
    return Result(plan, hashing.whole(written), loss, verify)


def known_files(place: Path) -> set[str]:
    """The names in a folder that belong to a checkpoint, and may be replaced."""
    if not place.is_dir():
        return set()
    fixed = {CONFIG_NAME, GOOGLE_CONFIG, MANIFEST, *TOKENIZER_FILES}

    def is_known(path: Path) -> bool:
        name = path.relative_to(place).as_posix()
        if name in fixed or any(store.owns(name) for store in STORES.values()):
            return True
        return path.is_dir() and all(map(is_known, path.iterdir()))

    return {path.name for path in place.iterdir() if is_known(path)}


def _write(
    plan: Plan, work: target.Workplace, saturate: bool, step: Step
) -> tuple[dict[str, Digest], dtypes.Loss]:
    """Write the files of weights; gives the digests of what is in them."""
    items = {name: item for item in plan.items for name in item.targets}
    written: dict[str, Digest] = {}
    for item in plan.items:
        if not item.targets:  # read back all the same
            array, _ = dtypes.cast(plan.source[item.name], item.dtype)
            written[base_name(item.name)] = hashing.digest(array)
    total = dtypes.Loss()
    for file, names in plan.files.items():
        facts = work.finished(file)
        if facts is None:
            out = {n: Outgoing(items[n], plan.source, saturate, step) for n in names}
            plan.store.write(work.empty(plan.store.files(file)), out)
            digests = {base_name(o.item.name): o.digest for o in out.values()}
            loss = dtypes.Loss()
            for name, one in out.items():
                if name == one.item.targets[0]:
                    loss.add(one.loss)
            known = {name: d.to_dict() for name, d in digests.items() if d}
            facts: dict[str, Any] | None = {"arrays": known, "loss": vars(loss)}
            if len(plan.files) > 1:  # else there is nothing to go on from
                work.finish(file, plan.store.files(file), facts)
        written |= {name: Digest.from_dict(d) for name, d in facts["arrays"].items()}
        total.add(dtypes.Loss(**facts["loss"]))
    if len(plan.files) > 1 and plan.store.shards:
        homes = {name: file for file, names in plan.files.items() for name in names}
        sizes = {name: items[name].size for name in homes}
        text = plan.store.index_of(homes, sum(sizes.values()))
        (work.folder / plan.store.index).write_text(text, "utf-8")
    return written, total


def _write_others(plan: Plan, work: target.Workplace) -> None:
    """Write what belongs to the weights."""
    for name, text in plan.texts.items():
        (work.folder / name).write_text(text, "utf-8")
    for name, path in plan.copies.items():
        (work.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, work.folder / name)


def _verify(
    plan: Plan, work: target.Workplace, written: Mapping[str, Digest], step: Step
) -> None:
    """Read what was written, by the reader that everybody uses.

    Raises:
        NotTheSameError: It is not what was to be written.
    """
    found = hashing.digests(open_checkpoint(work.folder), step)
    wrong = [
        name
        for name in sorted(found.keys() | written.keys())
        if found.get(name) != written.get(name)
    ]
    if wrong:
        raise NotTheSameError(
            f"What was written is not what was read, in {', '.join(wrong[:20])}. "
            f"Nothing was kept; look at the disk, and tell us about it."
        )


def _write_manifest(
    plan: Plan, work: target.Workplace, written: Mapping[str, Digest]
) -> None:
    """Write what proves the conversion, after all else."""
    others = [*plan.texts, *plan.copies]
    files = {name: target.file_digest(work.folder / name) for name in sorted(others)}
    facts = {
        "format": plan.store.name,
        "source_format": plan.source.store.name,
        "sha256": hashing.whole(written),
        "arrays": {name: one.to_dict() for name, one in sorted(written.items())},
        "files": files,
        "dropped": dict(plan.dropped),
    }
    text = json.dumps(facts, indent=2, sort_keys=True) + "\n"
    (work.folder / MANIFEST).write_text(text, "utf-8")
