"""Every format of ALBERT's checkpoints, read and written without any framework.

Examples:
    >>> import conversion
    >>> source, target = "albert_base", "my-albert"
    >>> conversion.convert(source, target, to="safetensors")  # doctest: +SKIP
"""

from conversion.checkpoint import OpenCheckpoint, open_checkpoint
from conversion.convert import Result, convert

__all__ = ["OpenCheckpoint", "Result", "convert", "open_checkpoint"]
