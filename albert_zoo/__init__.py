"""The front door of albert-zoo: the command line, and what spans the frameworks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from albert_core.tokenization import load_tokenizer
    from albert_zoo.models import load_model
    from albert_zoo.pipelines import pipeline

    __version__: str

__all__ = ["__version__", "load_model", "load_tokenizer", "pipeline"]

# What is imported when it is first asked for, so that the front door opens fast.
_LAZY = {
    "load_model": "albert_zoo.models",
    "load_tokenizer": "albert_core.tokenization",
    "pipeline": "albert_zoo.pipelines",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return _version()
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def _version() -> str:
    """The version that is installed; looking for it takes as long as all else here."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("albert-zoo")
    except PackageNotFoundError:  # run from a source tree that is not installed
        return "0+unknown"
