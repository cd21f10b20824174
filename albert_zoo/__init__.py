"""The front door of albert-zoo: the command line, and what spans the frameworks."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("albert-zoo")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

__all__ = ["__version__"]
