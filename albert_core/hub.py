"""From what a user calls a model to a directory on this machine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from albert_core.errors import CheckpointError, MissingPackageError

# Only what the readers here open; never pickles, never code.
PATTERNS = (
    "*.json",
    "*.safetensors",
    "spiece.model",
    "30k-clean.model",
    "vocab.txt",
)
# Names from before models had an owner on the hub.
OWNERLESS = tuple(
    f"albert-{size}-{version}"
    for size in ("base", "large", "xlarge", "xxlarge")
    for version in ("v1", "v2")
)


# The model that comes with the package, and where it lies.
BUNDLED = "albert-nano"
ASSETS = Path(__file__).parents[1] / "albert_zoo" / "assets"

# What `resolve` takes besides the name.
OPTIONS = (
    "cache_dir",
    "force_download",
    "local_files_only",
    "revision",
    "subfolder",
    "token",
)


def looks_like_path(name: str) -> bool:
    """Whether a name can only mean a place on this machine."""
    return name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1


def resolve(
    name_or_path: str | Path, patterns: Sequence[str] = PATTERNS, **options: Any
) -> Path:
    """Find a checkpoint on this machine, or fetch it from the Hugging Face hub.

    An existing path wins, then "albert-nano", the small model that comes with the
    package. Otherwise the name is taken for a hub name
    ("albert/albert-base-v2", or the older "albert-base-v2"), which is looked up in the
    cache and on the network.

    Args:
        name_or_path: A path or a hub name.
        patterns: Names of the files to fetch.
        **options: Those of `OPTIONS`: `subfolder`, and the others as
            `huggingface_hub.snapshot_download` has them.

    Raises:
        CheckpointError: Neither a path nor a hub model of that name can be had.
    """
    subfolder = options.pop("subfolder", None) or ""
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path / subfolder
    name = str(name_or_path)
    if name == BUNDLED and (ASSETS / BUNDLED).is_dir():
        return ASSETS / BUNDLED / subfolder
    if isinstance(name_or_path, Path) or looks_like_path(name):
        raise CheckpointError(
            f"{name} does not exist. Give the directory of a checkpoint, or a hub name "
            f"such as 'albert/albert-base-v2'."
        )
    try:
        import huggingface_hub
    except ImportError as problem:
        raise MissingPackageError(
            f"{name} is not a directory here, and to look for it on the hub the "
            f"package huggingface_hub is needed: pip install huggingface_hub"
        ) from problem
    if name in OWNERLESS:
        name = f"albert/{name}"
    given = {key: value for key, value in options.items() if value is not None}
    hub = cast(Any, huggingface_hub)
    try:
        found = hub.snapshot_download(name, allow_patterns=list(patterns), **given)
    except Exception as problem:  # of many kinds, by the version and its HTTP library
        reason = (str(problem).strip() or type(problem).__name__).split("\n")[0]
        raise CheckpointError(
            f"{name_or_path!r} is neither a directory here nor a model that can be had "
            f"from the hub or its cache: {reason} Check the name, the network, or give "
            f"a directory."
        ) from problem
    return Path(found) / subfolder
