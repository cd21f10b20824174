"""The configuration of an ALBERT model: every field that Hugging Face's has, checked."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from albert_core import fields as rules
from albert_core.errors import ConfigError
from albert_core.files import read_json, write_text
from albert_core.hub import resolve

CONFIG_NAME = "config.json"
GOOGLE_CONFIG_NAME = "albert_config.json"

# Keys of Google's file that its own code never reads, with the values it ships.
GOOGLE_DEAD_KEYS: Mapping[str, Any] = {
    "down_scale_factor": 1,
    "gap_size": 0,
    "net_structure_type": 0,
    "num_memory_blocks": 0,
}
# Google's "gelu" is the tanh form; Hugging Face gives that name to the erf form.
GOOGLE_ACTIVATIONS = {
    "gelu": "gelu_new",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
    "": "linear",
    None: "linear",
}

logger = logging.getLogger("albert_zoo")


class AlbertConfig:
    """The shape of an ALBERT model and how it computes.

    The names and defaults are Hugging Face's; the defaults are those of the xxlarge
    model. Each field is checked when it is set. Keys that are no field are kept, can be
    read as attributes, and are written back; they never change what the model does.

    Sources: Lan et al. 2020 (arXiv 1909.11942) §3; google-research/albert
    `modeling.AlbertConfig`; transformers 4.57 `AlbertConfig`.

    Raises:
        ConfigError: A field has a value that it cannot have, or two fields disagree.

    Example:
        >>> config = AlbertConfig(
        ...     hidden_size=768, num_attention_heads=12, intermediate_size=3072
        ... )
        >>> config.head_size
        64
    """

    model_type = "albert"

    vocab_size: int = 30000
    """Number of entries in the vocabulary."""
    embedding_size: int = 128
    """Width E of the embedding tables."""
    hidden_size: int = 4096
    """Width H of the encoder and the pooler."""
    num_hidden_layers: int = 12
    """Number of layers, counted as calls: layers of a group share their weights."""
    num_hidden_groups: int = 1
    """Number of groups of layers; each group has weights of its own."""
    num_attention_heads: int = 64
    """Attention heads in each block; must divide `hidden_size`."""
    intermediate_size: int = 16384
    """Width of the feed-forward expansion."""
    inner_group_num: int = 1
    """Blocks (attention and feed-forward) that each layer runs in turn."""
    hidden_act: Any = "gelu_new"
    """Activation of the feed-forward and the masked language model head."""
    hidden_dropout_prob: float = 0.0
    """Dropout after the embeddings, the attention output and the feed-forward."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout on the attention probabilities."""
    max_position_embeddings: int = 512
    """Longest sequence, in tokens."""
    type_vocab_size: int = 2
    """Number of segments that `token_type_ids` can tell apart."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-12
    """Added to the variance in every layer norm."""
    classifier_dropout_prob: float | None = 0.1
    """Dropout before a classifier; None means `hidden_dropout_prob`."""
    position_embedding_type: str = "absolute"
    """"absolute", "relative_key" (Shaw et al. 2018) or "relative_key_query" (Huang et
    al. 2020, method 4)."""
    pad_token_id: int | None = 0
    """Id of padding; its embedding gets no gradient."""
    bos_token_id: int | None = 2
    """Id of [CLS]."""
    eos_token_id: int | None = 3
    """Id of [SEP]."""

    id2label: dict[int, str]
    """Labels of a classifier's outputs."""
    label2id: dict[str, int]
    """The inverse of `id2label`."""
    problem_type: str | None = None
    """Loss of a sequence classifier; None lets the labels decide."""
    output_attentions: bool = False
    """Return the attention probabilities unless a call says otherwise."""
    output_hidden_states: bool = False
    """Return every layer's output unless a call says otherwise."""
    return_dict: bool = True
    """Return named outputs, not tuples, unless a call says otherwise."""
    tie_word_embeddings: bool = True
    """Decode with the word embedding table."""
    pruned_heads: dict[int, list[int]]
    """Heads cut from each distinct block, numbered `group * inner_group_num + inner`."""
    dtype: str | None = None
    """Number type of the stored weights."""
    architectures: list[str] | None = None
    """The classes that the checkpoint was saved from."""
    attn_implementation: str | None = None
    """"eager" or "sdpa"; None takes the fastest that gives what a call asks for."""

    _RULES: Mapping[str, rules.Rule] = {
        "vocab_size": rules.SIZE,
        "embedding_size": rules.SIZE,
        "hidden_size": rules.SIZE,
        "num_hidden_layers": rules.DEPTH,
        "num_hidden_groups": rules.DEPTH,
        "num_attention_heads": rules.SIZE,
        "intermediate_size": rules.SIZE,
        "inner_group_num": rules.DEPTH,
        "hidden_act": rules.ACTIVATION,
        "hidden_dropout_prob": rules.PROBABILITY,
        "attention_probs_dropout_prob": rules.PROBABILITY,
        "max_position_embeddings": rules.SIZE,
        "type_vocab_size": rules.SIZE,
        "initializer_range": rules.POSITIVE,
        "layer_norm_eps": rules.POSITIVE,
        "classifier_dropout_prob": rules.optional(rules.PROBABILITY),
        "position_embedding_type": rules.one_of(rules.POSITION_EMBEDDINGS),
        "pad_token_id": rules.TOKEN,
        "bos_token_id": rules.TOKEN,
        "eos_token_id": rules.TOKEN,
        "id2label": rules.LABELS,
        "label2id": rules.LABEL_NUMBERS,
        "problem_type": rules.optional(rules.one_of(rules.PROBLEM_TYPES)),
        "output_attentions": rules.FLAG,
        "output_hidden_states": rules.FLAG,
        "return_dict": rules.FLAG,
        "tie_word_embeddings": rules.FLAG,
        "pruned_heads": rules.PRUNING,
        "dtype": rules.optional(rules.one_of(rules.DTYPES)),
        "architectures": rules.NAMES,
        "attn_implementation": rules.optional(
            rules.one_of(rules.ATTENTION_IMPLEMENTATIONS)
        ),
    }
    # Written to a file only where they differ from the default, as Hugging Face does.
    _QUIET = (
        "problem_type",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
        "tie_word_embeddings",
        "dtype",
        "architectures",
    )

    def __init__(self, **values: Any) -> None:
        values.pop("model_type", None)
        old_dtype = values.pop("torch_dtype", None)
        if values.get("dtype") is None and old_dtype is not None:
            values["dtype"] = old_dtype
        num_labels = values.pop("num_labels", None)
        id2label = values.pop("id2label", None)
        label2id = values.pop("label2id", None)
        self.extra: dict[str, Any] = {
            name: value for name, value in values.items() if name not in self._RULES
        }
        self.pruned_heads = values.pop("pruned_heads", None) or {}
        for name in self._RULES.keys() & values.keys():
            setattr(self, name, values[name])
        self._set_labels(num_labels, id2label, label2id)
        self.validate()

    def __setattr__(self, name: str, value: Any) -> None:
        rule = self._RULES.get(name)
        if rule is not None:
            value = self._normal(name, value)
            if not rule.accepts(value):
                raise ConfigError(
                    f"AlbertConfig.{name} must be {rule.expected}, "
                    f"but it is {value!r}. Correct it in config.json or in the call."
                )
        elif name in self.__dict__.get("extra", {}):
            self.extra[name] = value
            return
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        # Reached only for names that are no field: the keys that were kept.
        extra = self.__dict__.get("extra", {})
        if name in extra:
            return extra[name]
        raise AttributeError(f"AlbertConfig has no field and kept no key {name!r}")

    def __repr__(self) -> str:
        return f"AlbertConfig {self.to_json_string()}"

    @staticmethod
    def _normal(name: str, value: Any) -> Any:
        """Give one form to values that JSON or a framework spells in several."""
        if name in ("id2label", "pruned_heads") and isinstance(value, Mapping):
            value = {
                int(key) if isinstance(key, str) and key.isdecimal() else key: item
                for key, item in value.items()
            }
            if name == "pruned_heads" and rules.PRUNING.accepts(value):
                value = {layer: sorted(set(heads)) for layer, heads in value.items()}
        if name == "dtype" and value is not None and not isinstance(value, str):
            # torch.float32, jnp.float32 and np.dtype("float32") all end in the name.
            value = getattr(value, "__name__", None) or str(value).split(".")[-1]
        return value

    def _set_labels(
        self, num_labels: Any, id2label: Any, label2id: Mapping[str, int] | None
    ) -> None:
        if id2label is None:
            self.num_labels = 2 if num_labels is None else num_labels
        else:
            self.id2label = id2label
            if num_labels is not None and num_labels != len(self.id2label):
                raise ConfigError(
                    f"AlbertConfig.num_labels is {num_labels}, but id2label names "
                    f"{len(self.id2label)} labels. Give one of the two."
                )
            self.label2id = {label: key for key, label in self.id2label.items()}
        if label2id is not None:
            self.label2id = dict(label2id)

    def validate(self) -> None:
        """Check the fields against each other.

        Raises:
            ConfigError: Two fields do not fit together.
        """
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"AlbertConfig.num_attention_heads is {self.num_attention_heads}, which "
                f"does not divide hidden_size {self.hidden_size}. Change one of the two."
            )
        if self.num_hidden_groups > self.num_hidden_layers:
            raise ConfigError(
                f"AlbertConfig.num_hidden_groups is {self.num_hidden_groups}, more than "
                f"the {self.num_hidden_layers} of num_hidden_layers; a group without a "
                f"layer has no use. Change one of the two."
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            raise ConfigError(
                f"AlbertConfig.pad_token_id is {self.pad_token_id}, outside the "
                f"vocabulary of {self.vocab_size}. Change one of the two."
            )
        blocks = self.num_hidden_groups * self.inner_group_num
        for block, heads in self.pruned_heads.items():
            if not 0 <= block < blocks or any(
                head >= self.num_attention_heads for head in heads
            ):
                raise ConfigError(
                    f"AlbertConfig.pruned_heads names heads {heads} of block {block}, "
                    f"but there are {blocks} blocks of {self.num_attention_heads} heads, "
                    f"both counted from 0."
                )
            if len(heads) == self.num_attention_heads:
                raise ConfigError(
                    f"AlbertConfig.pruned_heads cuts all {len(heads)} heads of block "
                    f"{block}. Leave at least one."
                )

    @property
    def num_labels(self) -> int:
        """Number of classes of a classifier; setting it renames them LABEL_0, ..."""
        return len(self.id2label)

    @num_labels.setter
    def num_labels(self, count: int) -> None:
        if not rules.SIZE.accepts(count):
            raise ConfigError(
                f"AlbertConfig.num_labels must be {rules.SIZE.expected}, "
                f"but it is {count!r}."
            )
        if "id2label" not in self.__dict__ or len(self.id2label) != count:
            self.id2label = {label: f"LABEL_{label}" for label in range(count)}
            self.label2id = {f"LABEL_{label}": label for label in range(count)}

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def num_distances(self) -> int:
        """Distances between two positions that a relative position table tells apart."""
        return 2 * self.max_position_embeddings - 1

    @property
    def classifier_dropout(self) -> float:
        """The dropout that stands before a classifier."""
        given = self.classifier_dropout_prob
        return self.hidden_dropout_prob if given is None else given

    @property
    def use_return_dict(self) -> bool:
        """Hugging Face's name for `return_dict`."""
        return self.return_dict

    @property
    def is_relative(self) -> bool:
        """Whether attention adds a relative position score."""
        return self.position_embedding_type != "absolute"

    @property
    def has_own_decoder(self) -> bool:
        """Whether the masked language model has a decoder table of its own."""
        return not self.tie_word_embeddings

    def group_of(self, layer: int) -> int:
        """The group whose weights a layer uses."""
        return layer * self.num_hidden_groups // self.num_hidden_layers

    def layers_of(self, group: int) -> range:
        """The layers, which follow each other, that use a group's weights."""
        using = [i for i in range(self.num_hidden_layers) if self.group_of(i) == group]
        return range(using[0], using[-1] + 1)

    def kept_heads(self, group: int, inner: int) -> tuple[int, ...]:
        """The numbers of the heads that a block still has after pruning."""
        cut = self.pruned_heads.get(group * self.inner_group_num + inner, [])
        return tuple(head for head in range(self.num_attention_heads) if head not in cut)

    @classmethod
    def is_field(cls, name: str) -> bool:
        """Whether a keyword names a configuration field."""
        return name in cls._RULES or name == "num_labels"

    def to_dict(self) -> dict[str, Any]:
        """All fields that a file should hold, ready for JSON.

        Raises:
            ConfigError: `hidden_act` is a function, which no file can hold.
        """
        if not isinstance(self.hidden_act, str):
            raise ConfigError(
                f"AlbertConfig.hidden_act is the function {self.hidden_act!r}, which "
                f"cannot be written to a file. Use one of "
                f"{', '.join(rules.ACTIVATIONS)}."
            )
        values = {name: getattr(self, name) for name in self._RULES}
        for name in self._QUIET:
            if values[name] == getattr(type(self), name):
                del values[name]
        del values["attn_implementation"]
        if values["id2label"] == {0: "LABEL_0", 1: "LABEL_1"}:
            del values["id2label"], values["label2id"]
        if not values["pruned_heads"]:
            del values["pruned_heads"]
        return {**self.extra, **values, "model_type": self.model_type}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], **overrides: Any) -> Self:
        """Build a configuration from `to_dict`'s result, with some fields changed."""
        if "num_labels" in overrides or "id2label" in overrides:
            dropped = ("num_labels", "id2label", "label2id")
            stored = len(values.get("id2label") or ()) or values.get("num_labels", 2)
            if overrides.get("num_labels", None) != stored:
                values = {k: v for k, v in values.items() if k not in dropped}
        return cls(**{**values, **overrides})

    def to_json_string(self) -> str:
        """The text of `config.json`."""
        return json.dumps(self.to_dict(), indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, directory: str | Path) -> None:
        """Write `config.json` into a directory, which is made if it is not there."""
        Path(directory).mkdir(parents=True, exist_ok=True)
        write_text(Path(directory) / CONFIG_NAME, self.to_json_string())

    @classmethod
    def from_pretrained(cls, name_or_path: str | Path, **options: Any) -> Self:
        """Read the configuration of a checkpoint.

        Args:
            name_or_path: A directory that holds `config.json` or Google's
                `albert_config.json`, such a file, or a hub name.
            **options: Fields to change, and the options of `albert_core.hub.resolve`.

        Raises:
            ConfigError: There is no configuration, or it is not valid.
        """
        overrides = {k: options.pop(k) for k in list(options) if cls.is_field(k)}
        path = resolve(name_or_path, **options)
        if path.is_dir():
            known = [path / CONFIG_NAME, path / GOOGLE_CONFIG_NAME]
            found = [file for file in known if file.is_file()]
            if not found:
                raise ConfigError(
                    f"{path} holds no {CONFIG_NAME} and no {GOOGLE_CONFIG_NAME}, so the "
                    f"shape of the model is not known. Put the configuration beside the "
                    f"weights."
                )
            path = found[0]
        values = read_json(path, ConfigError)
        stated = values.get("model_type", cls.model_type)
        if stated != cls.model_type:
            raise ConfigError(
                f"{path} is the configuration of a model of type {stated!r}, not of "
                f"'albert'. Give an ALBERT checkpoint."
            )
        if path.name == GOOGLE_CONFIG_NAME:
            values = cls.from_google(values).to_dict()
        return cls.from_dict(values, **overrides)

    @classmethod
    def from_google(cls, values: Mapping[str, Any]) -> Self:
        """Build a configuration from google-research/albert's `albert_config.json`.

        "gelu" means the tanh form there, so it becomes "gelu_new".
        """
        values = {k: v for k, v in values.items() if k not in GOOGLE_DEAD_KEYS}
        act = values.get("hidden_act", "gelu")
        if act not in GOOGLE_ACTIVATIONS:
            raise ConfigError(
                f"{GOOGLE_CONFIG_NAME} has hidden_act {act!r}; the original knows "
                f"{', '.join(repr(name) for name in GOOGLE_ACTIVATIONS)}."
            )
        return cls(**{**values, "hidden_act": GOOGLE_ACTIVATIONS[act]})

    def to_google(self) -> dict[str, Any]:
        """The content of an `albert_config.json` that describes the same model.

        Raises:
            ConfigError: The original code cannot express a field of this model.
        """
        spelled = {ours: theirs for theirs, ours in GOOGLE_ACTIVATIONS.items() if theirs}
        act = "gelu_new" if self.hidden_act == "gelu_pytorch_tanh" else self.hidden_act
        fixed = {
            "hidden_act": act in spelled,
            "layer_norm_eps": self.layer_norm_eps == type(self).layer_norm_eps,
            "position_embedding_type": not self.is_relative,
            "pruned_heads": not self.pruned_heads,
            "tie_word_embeddings": self.tie_word_embeddings,
        }
        wrong = [name for name, expressible in fixed.items() if not expressible]
        if wrong:
            found = ", ".join(f"{name}={getattr(self, name)!r}" for name in wrong)
            raise ConfigError(
                f"Google's {GOOGLE_CONFIG_NAME} cannot express {found}: the original "
                f"code has no such model."
            )
        kept = list(self._RULES)[: list(self._RULES).index("initializer_range") + 1]
        values = {name: getattr(self, name) for name in kept}
        return {**values, "hidden_act": spelled[act], **GOOGLE_DEAD_KEYS}
