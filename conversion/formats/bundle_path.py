"""Which checkpoint a path to TensorFlow's files means."""

import re
from pathlib import Path

from albert_core.errors import FormatError, shown

_FILE = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")
_STATE = re.compile(r'^model_checkpoint_path: *"([^"\n]*)"', re.MULTILINE)
_LARGEST_STATE = 2**20


def find_prefix(path: Path) -> Path:
    """The path that `.index` and `.data-00000-of-00001` are put behind.

    Args:
        path: That prefix, one of its files, or a folder: with one checkpoint, with a
            file `checkpoint` that names one, or of a SavedModel. Of what the file names
            only the last part counts: nothing outside the folder is ever opened.

    Raises:
        FormatError: There is no checkpoint, or more than one.
    """
    if path.is_dir():
        return _in_folder(path)
    prefix = path.with_name(_FILE.sub("", path.name))
    if _index(prefix).exists():
        return prefix
    raise FormatError(
        "NOT_A_CHECKPOINT",
        path,
        f"there is no {_index(prefix).name} beside it",
        "Give the folder of a TensorFlow checkpoint, or the part that the names of its "
        "files have in common.",
    )


def _in_folder(folder: Path) -> Path:
    """The checkpoint in a folder."""
    named = _latest(folder / "checkpoint")
    if named and _index(folder / named).exists():
        return folder / named
    found = sorted(folder.glob("*.index"))
    if not found and _index(folder / "variables" / "variables").exists():
        return folder / "variables" / "variables"
    if len(found) != 1:
        names = ", ".join(shown(one.name) for one in found[:20])
        raise FormatError(
            "NOT_A_CHECKPOINT",
            folder,
            f"it has {len(found)} checkpoints: {names}"
            if found
            else "it has no file that ends with .index",
            "Give the path of one of them."
            if found
            else "Give the folder of a TensorFlow checkpoint.",
        )
    return found[0].with_suffix("")


def _latest(state: Path) -> str | None:
    """The name in the file that TensorFlow writes about the latest checkpoint."""
    if not state.is_file() or state.stat().st_size > _LARGEST_STATE:
        return None
    found = _STATE.search(state.read_text(errors="replace"))
    name = re.split(r"[/\\]", found[1])[-1] if found else ""
    return name if name.strip(".") and "\0" not in name else None


def _index(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".index")
