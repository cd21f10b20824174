"""From one format to another: planned, whole or not at all, and read back."""

from pathlib import Path
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.folder import CONFIG_NAME
from albert_core.google import CONFIG_NAME as GOOGLE_CONFIG
from albert_core.tokenizer_names import TOKENIZER_FILES
from conversion import target
from conversion.amending import check_finite, check_siblings, resize_vocabulary
from conversion.checkpoint import open_checkpoint
from conversion.outgoing import Step
from conversion.plan import MANIFEST, Plan
from conversion.planning import make
from conversion.stores import STORES
from conversion.writing import NotTheSameError, Result, run

__all__ = ["NotTheSameError", "Result", "convert", "known_files", "prepare", "run"]


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

    Examples:
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
    allow_trailing: bool = False,
    verify_siblings: bool = False,
    resize_vocab: bool = False,
    reject_nonfinite: bool = False,
    **options: Any,
) -> Plan:
    """Think a conversion through, and see that it can be done; nothing is written.

    Args:
        source: See `open_checkpoint`.
        destination: See `convert`.
        to: See `convert`.
        config: Used in place of the one beside the weights.
        overwrite: Whether an existing target may be replaced.
        allow_trailing: See `open_checkpoint`.
        verify_siblings: Compare with all other weights in the source's folder.
        resize_vocab: See `conversion.amending.resize_vocabulary`.
        reject_nonfinite: Refuse NaN and infinity, in place of copying them.
        **options: Those of `conversion.planning.make`: `dtype`, `max_shard_size`,
            `include`, `drop_head`, `allow_unused`, `salvage`.

    Raises:
        CheckpointError: The source is damaged or not complete, or the format cannot
            hold it.
        ConfigError: An argument, or the configuration, is not valid.
        TargetError: The target exists, or cannot be written for another reason.
        OSError: The disk has not enough room.
    """
    opened = open_checkpoint(source, config, allow_trailing)
    if resize_vocab:
        resize_vocabulary(opened)
    if verify_siblings:
        check_siblings(opened)
    if reject_nonfinite:
        check_finite(opened)
    origin = Path(source).expanduser()
    origin = origin if origin.exists() else opened.directory
    place = Path(destination).expanduser()
    target.check(place, origin, known_files(place), overwrite)
    plan = make(opened, to, **options)
    target.check_space(place, plan.disk)
    return plan


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
