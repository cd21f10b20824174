"""What the commands on checkpoints share."""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import click


class LazyChoice(click.ParamType):
    """One of some words, which are looked up when they are needed."""

    name = "choice"

    def __init__(self, load: Callable[[], Collection[str]]) -> None:
        self.load = load

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """What --help shows."""
        return "[" + "|".join(self.load()) + "]"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        """Refuse words that are not known."""
        if value not in self.load():
            self.fail(f"{value} is not among {', '.join(self.load())}", param, ctx)
        return value


def formats() -> Collection[str]:
    """The names of all formats."""
    from conversion.stores import STORES

    return STORES


def dtypes() -> Collection[str]:
    """The number types that can be asked for."""
    from conversion.dtypes import DTYPES

    return DTYPES


json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the result to this file; - prints it in place of the table.",
)
config_option = click.option(
    "--config",
    "config_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A config.json or albert_config.json, in place of the one beside the weights.",
)


def opened(path: str, config_file: Path | None = None) -> Any:
    """Open a checkpoint of any format."""
    from albert_core.config import AlbertConfig
    from conversion import open_checkpoint

    config = AlbertConfig.from_pretrained(config_file) if config_file else None
    return open_checkpoint(path, config)
