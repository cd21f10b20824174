"""Recipes: small TOML files that say how to train; the command line changes values."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.data.pretraining.dataset import Recipe as DataRecipe
from albert_core.data.pretraining.masking import Masking
from albert_core.errors import InputError, listed, shown
from albert_zoo.training.option_fields import Options


@dataclass(frozen=True)
class Recipe:
    """A recipe as its file has it.

    Attributes:
        training: Of `Options`.
        model: Fields of the configuration.
        data: Fields of the pretraining data, and of its masking.
    """

    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: Mapping[str, Any] = field(default_factory=dict[str, Any])
    data: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def options(self, changes: Mapping[str, Any]) -> Options:
        """The options, some of them changed; None changes nothing.

        Raises:
            InputError: They cannot be.
        """
        given = {name: value for name, value in changes.items() if value is not None}
        kept = dict(self.training)
        if "steps" in given or "epochs" in given:
            kept = {k: v for k, v in kept.items() if k not in ("steps", "epochs")}
        options = Options(**{**kept, **given})
        options.validate()
        return options

    def data_recipe(self, changes: Mapping[str, Any]) -> DataRecipe:
        """How to make pretraining data, with some values changed."""
        given = {name: value for name, value in changes.items() if value is not None}
        values = {**self.data, **given}
        names = {row.name for row in fields(Masking)}
        masking = Masking(**{k: v for k, v in values.items() if k in names})
        rest = {k: v for k, v in values.items() if k not in names}
        return DataRecipe(masking=masking, **rest)


def _shelf() -> Any:
    return resources.files("albert_zoo.training") / "recipes"


def names() -> tuple[str, ...]:
    """The recipes that come with the package."""
    files = (file.name for file in _shelf().iterdir())
    return tuple(sorted(name[:-5] for name in files if name.endswith(".toml")))


def read(name_or_path: str) -> Recipe:
    """Read a recipe of the package by its name, or a file.

    Raises:
        InputError: There is none, it is no TOML, or it has fields that nobody reads.
    """
    path = Path(name_or_path)
    if name_or_path in names():
        text = (_shelf() / f"{name_or_path}.toml").read_text("utf-8")
    elif path.is_file():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError as problem:
            raise InputError(
                f"{path} is not UTF-8: {problem}. Convert it."
            ) from problem
    else:
        raise InputError(
            f"There is no recipe {shown(name_or_path)}. Give a TOML file, or one of "
            f"{', '.join(names())}."
        )
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        raise InputError(
            f"{name_or_path} is not TOML: {problem}. Mend it."
        ) from problem
    return _checked(name_or_path, values)


def _checked(name: str, values: dict[str, Any]) -> Recipe:
    data = {
        row.name: type(row.default)
        for kind in (DataRecipe, Masking)
        for row in fields(kind)
    }
    known: dict[str, Any] = {
        "training": {row.name: type(row.default) for row in fields(Options)},
        "data": {name: kind for name, kind in data.items() if name != "masking"},
        "model": None,
    }
    wrong = [key for key in values if key not in known]
    for table, kinds in known.items():
        given = values.get(table, {})
        if not isinstance(given, dict):
            wrong.append(table)
            continue
        for key, value in given.items():
            if kinds is None:
                if not AlbertConfig.is_field(key):
                    wrong.append(f"{table}.{key}")
            elif key not in kinds or not _fits(value, kinds[key]):
                wrong.append(f"{table}.{key} = {value!r}")
    if wrong:
        raise InputError(
            f"{name} holds what no recipe has: {listed(wrong)}. Its tables are "
            f"training, model and data; albert-zoo pretrain --help names the fields."
        )
    return Recipe(**{table: values.get(table, {}) for table in known})


def _fits(value: Any, kind: Any) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind
