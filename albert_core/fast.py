"""Whether fast paths are taken; every one gives what the plain path gives."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

VARIABLE = "ALBERT_ZOO_FAST"  # 0 turns all fast paths off

_allowed: ContextVar[bool | None] = ContextVar("fast_paths", default=None)


def allowed() -> bool:
    """Whether fast paths may be taken: by `fast_paths`, else by the environment."""
    chosen = _allowed.get()
    return os.environ.get(VARIABLE) != "0" if chosen is None else chosen


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
