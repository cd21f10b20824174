"""The configuration of an ALBERT model: every field of Hugging Face's, checked."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from albert_core import fields, folder, google, keras_hub
from albert_core.errors import ConfigError, shown
from albert_core.files import read_json, write_text
from albert_core.hub import OPTIONS, resolve
from albert_core.rules import ACTIVATIONS

# Written to a file only where they differ from the default, as Hugging Face does.
QUIET = (
    "problem_type",
    "start_n_top",
    "end_n_top",
    "output_attentions",
    "output_hidden_states",
    "return_dict",
    "tie_word_embeddings",
    "pruned_heads",
    "dtype",
    "architectures",
)
LABELS = ("num_labels", "id2label", "label2id")
DEFAULT_LABELS = {0: "LABEL_0", 1: "LABEL_1"}, {"LABEL_0": 0, "LABEL_1": 1}


class AlbertConfig(fields.Fields):
    """The shape of an ALBERT model and how it computes.

    The names and defaults are Hugging Face's; the defaults are those of the xxlarge
    model. Each field is checked when it is set. Keys that are no field are kept in
    `extra`, can be read as attributes unless the class has one of that name, and are
    written back; they never change what the model does.

    Raises:
        ConfigError: A field has a value that it cannot have, or two fields disagree.

    Examples:
        >>> config = AlbertConfig(
        ...     hidden_size=768, num_attention_heads=12, intermediate_size=3072
        ... )
        >>> config.head_size
        64
    """

    model_type = "albert"

    def __init__(self, **values: Any) -> None:
        values = _renamed(values)
        labels = [values.pop(name, None) for name in LABELS]
        self.extra: dict[str, Any] = {}
        wrong: list[str] = []
        self.pruned_heads = {}
        for name, value in values.items():
            try:
                if name in fields.RULES:
                    setattr(self, name, value)
                else:
                    self.extra[name] = value
            except ConfigError as problem:
                wrong.append(str(problem))
        if wrong:
            raise ConfigError("\n".join(wrong))
        self._set_labels(*labels)
        self.validate()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in fields.RULES:
            super().__setattr__(name, fields.RULES[name].apply(name, value))
            if name == "id2label":
                self.label2id = {label: key for key, label in self.id2label.items()}
        elif name in vars(self).get("extra", {}) or self._is_new(name):
            self.extra[name] = value
        else:
            super().__setattr__(name, value)

    def _is_new(self, name: str) -> bool:
        """Whether setting an attribute keeps a new key."""
        known = name in vars(self) or hasattr(type(self), name) or name[0] == "_"
        return "extra" in vars(self) and not known

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are nothing else: the keys that were kept. What
        # Python itself looks for is never among them.
        extra = vars(self).get("extra", {})
        if name in extra and not name.startswith("__"):
            return extra[name]
        raise AttributeError(f"AlbertConfig has no field and kept no key {name!r}")

    def __repr__(self) -> str:
        values = ", ".join(f"{k}={v!r}" for k, v in self._values().items())
        return f"{type(self).__name__}({values})"

    def _set_labels(self, num_labels: Any, id2label: Any, label2id: Any) -> None:
        if id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
        else:
            self.id2label = id2label
            if num_labels not in (None, self.num_labels):
                raise ConfigError(
                    f"AlbertConfig.num_labels is {shown(num_labels)}, but id2label "
                    f"names {self.num_labels} labels. Give one of the two."
                )
        if label2id is not None:
            self.label2id = label2id

    def validate(self) -> None:
        """Check the fields against each other.

        Raises:
            ConfigError: Some do not fit together; the message names all that do not.
        """
        if wrong := list(self.disagreements()):
            raise ConfigError("\n".join(wrong))

    @property
    def num_labels(self) -> int:
        """Number of classes of a classifier; setting it renames them LABEL_0, ..."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        count = fields.COUNT.apply("num_labels", count)
        if "id2label" not in self.__dict__ or len(self.id2label) != count:
            self.id2label = {label: f"LABEL_{label}" for label in range(count)}

    @classmethod
    def is_field(cls, name: str) -> bool:
        """Whether a keyword names a configuration field."""
        return name in fields.RULES or name == "num_labels"

    def _values(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in fields.RULES}
        del values["attn_implementation"]  # of the machine, not of the model
        for name in QUIET:
            if values[name] == getattr(type(self), name, {}):
                del values[name]
        if (self.id2label, self.label2id) == DEFAULT_LABELS:
            del values["id2label"], values["label2id"]
        return {**self.extra, **values, "model_type": self.model_type}

    def to_dict(self) -> dict[str, Any]:
        """All fields that a file should hold, and the keys that were kept.

        Raises:
            ConfigError: `hidden_act` is a function, which no file can hold.
        """
        if not isinstance(self.hidden_act, str):
            raise ConfigError(
                f"AlbertConfig.hidden_act is the function {shown(self.hidden_act)}, "
                f"which cannot be written to a file. Use one of "
                f"{', '.join(ACTIVATIONS)}."
            )
        return copy.deepcopy(self._values())

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build a configuration from `to_dict`'s result, with some fields changed."""
        values, overrides = _renamed(values), _renamed(overrides)
        stored = {name: values.pop(name) for name in LABELS if name in values}
        given = [overrides.get(name) for name in ("num_labels", "id2label")]
        if given == [None, None] or given == [cls(**stored).num_labels, None]:
            values |= stored  # otherwise they name other classes
        return cls(**{**values, **overrides})

    def to_json_string(self) -> str:
        """The text of `config.json`.

        Raises:
            ConfigError: A value is one that JSON does not have.
        """
        values = self.to_dict()
        wrong = [name for name, value in values.items() if not _is_json(value)]
        if wrong:
            found = ", ".join(f"{name} {shown(values[name])}" for name in wrong)
            raise ConfigError(
                f"AlbertConfig keeps {found}, which cannot be written to a file. "
                f"Remove it, or put numbers, texts, lists or tables in its place."
            )
        return json.dumps(values, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` into a directory, which is made if it is not there."""
        text = self.to_json_string()
        directory = folder.make(directory)
        folder.finish(directory)
        write_text(directory / folder.CONFIG_NAME, text)

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Read the configuration of a checkpoint.

        Args:
            name_or_path: A directory that holds `config.json`, or that of keras-hub,
                or Google's `albert_config.json`, such a file, or a hub name.
            **options: Fields and kept keys to change, and the options of
                `albert_core.hub.resolve`.

        Raises:
            ConfigError: There is no configuration, or it is not valid.
            CheckpointError: There is no such path or hub name.
        """
        hub = {name: options.pop(name) for name in OPTIONS if name in options}
        path = resolve(name_or_path, **hub)
        if path.is_dir():
            path = _find(path)
        values = read_json(path, ConfigError)
        if keras_hub.is_theirs(values):
            task = path.with_name(keras_hub.TASK_NAME)
            told = read_json(task, ConfigError) if task.exists() else None
            values = keras_hub.read(values, told)
        stated = values.get("model_type", cls.model_type)
        if stated != cls.model_type:
            raise ConfigError(
                f"{path} is the configuration of a model of type {shown(stated)}, not "
                f"of 'albert'. Give an ALBERT checkpoint."
            )
        if path.name == google.CONFIG_NAME:
            values = google.read(values)
        known = {*fields.RULES, *LABELS, *values, "torch_dtype"}
        if unknown := sorted(options.keys() - known):
            raise ConfigError(
                f"AlbertConfig.from_pretrained cannot change {', '.join(unknown)}, "
                f"which is no field and not in {path}. Correct the name."
            )
        return cls.from_dict(values, **options)

    @classmethod
    def from_google(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from google-research/albert's `albert_config.json`.

        "gelu" means the tanh form there, so it becomes "gelu_new".
        """
        return cls(**google.read(values))

    def to_google(self) -> dict[str, Any]:
        """The content of an `albert_config.json` that describes the same model.

        Raises:
            ConfigError: The original code cannot express a field of this model.
        """
        return google.write(self)


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields by their present names; the type of the model is known."""
    renamed = {name: value for name, value in values.items() if name != "model_type"}
    old = renamed.pop("torch_dtype", None)
    if renamed.get("dtype") is None and old is not None:
        renamed["dtype"] = old
    return renamed


def _is_json(value: object) -> bool:
    try:
        json.dumps(value, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _find(directory: Path) -> Path:
    known = folder.find(directory, folder.CONFIG_NAME), directory / google.CONFIG_NAME
    for path in known:
        if path.exists():
            return path
    raise ConfigError(
        f"{directory} holds no {folder.CONFIG_NAME} and no {google.CONFIG_NAME}, so "
        f"the shape of the model is not known. Put it beside the weights."
    )
