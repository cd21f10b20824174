"""Doing what is planned: written whole or not at all, and read back."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from albert_core.errors import AlbertError
from albert_core.schema import base_name
from conversion import dtypes, hashing, target
from conversion.checkpoint import open_checkpoint
from conversion.hashing import Digest
from conversion.outgoing import Outgoing, Step
from conversion.plan import MANIFEST, Plan


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
            "nonfinite": self.loss.nonfinite,
            "largest_relative_error": self.loss.relative_error,
            "verified": self.verified,
        }


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
