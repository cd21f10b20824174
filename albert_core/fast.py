"""Whether fast paths are taken; every one gives what the plain path gives."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "ALBERT_ZOO_FAST"  # one of `OFF` turns all fast paths off
OFF = ("0", "false", "no", "off")

_allowed: ContextVar[bool | None] = ContextVar("fast_paths", default=None)


def allowed() -> bool:
    """Whether fast paths may be taken: by `fast_paths`, else by the environment."""
    chosen = _allowed.get()
    return not is_off(VARIABLE) if chosen is None else chosen


def is_off(variable: str) -> bool:
    """Whether a variable of the environment turns off what it is for."""
    return os.environ.get(variable, "").lower() in OFF


@contextmanager
def fast_paths(on: bool) -> Generator[None]:
    """Take fast paths, or none, whatever the environment says.

    Programs that JAX or TensorFlow has compiled before stay as they are.

    Examples:
        >>> with fast_paths(False):
        ...     allowed()
        False
    """
    token = _allowed.set(on)
    try:
        yield
    finally:
        _allowed.reset(token)
