"""What the backends load models from: a checkpoint of any format."""

import copy
from pathlib import Path
from typing import Any

from albert_core.checkpoint import Checkpoint
from albert_core.config import AlbertConfig
from albert_core.hub import OPTIONS
from conversion.checkpoint import complete, open_checkpoint, resolved
from conversion.locate import locate

LABELS = ("num_labels", "id2label")


def open_pretrained(
    name_or_path: str | Path, config: AlbertConfig | None, options: dict[str, Any]
) -> tuple[AlbertConfig, Checkpoint]:
    """Open a checkpoint of any format, and its configuration.

    Args:
        name_or_path: What `open_checkpoint` takes.
        config: Used in place of the stored one when given; a copy of it is returned.
        options: Keywords of `from_pretrained`; the hub's options and the fields of the
            configuration are taken out of it.

    Raises:
        CheckpointError: There is no checkpoint, or it is damaged.
        ConfigError: There is no configuration, or it is not valid.
    """
    hub = {key: options.pop(key) for key in OPTIONS if key in options}
    fields = {k: options.pop(k) for k in list(options) if AlbertConfig.is_field(k)}
    path = resolved(name_or_path, **hub)
    located, given = locate(path), config
    if config is None:
        config = AlbertConfig.from_pretrained(located.folder, **fields)
    else:
        config = copy.deepcopy(config)
        for key, value in fields.items():
            setattr(config, key, value)
        config.validate()
    if located.store.name == "safetensors" and path.is_dir():
        return config, Checkpoint.open(path)
    opened = open_checkpoint(path, config)
    if given is None:
        labels = {name: fields[name] for name in LABELS if name in fields}
        complete(config, opened)
        for name, value in labels.items():
            setattr(config, name, value)
    stored = {**opened.lazy, **opened.unexpected}
    return config, Checkpoint(opened.directory, stored)
