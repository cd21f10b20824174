"""What the three backends share: configuration, schema, checkpoint, outputs, reference.

No framework is imported here, ever.
"""

from albert_core.config import AlbertConfig
from albert_core.errors import (
    AlbertError,
    CheckpointError,
    ConfigError,
    InputError,
    MissingPackageError,
)
from albert_core.presets import PRESETS, Preset, preset

__all__ = [
    "PRESETS",
    "AlbertConfig",
    "AlbertError",
    "CheckpointError",
    "ConfigError",
    "InputError",
    "MissingPackageError",
    "Preset",
    "preset",
]
