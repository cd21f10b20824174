"""keras-hub's spelling of the configuration: the `config.json` of its presets.

Source: `AlbertBackbone.get_config` of keras-hub 0.32, as Keras serializes it. Beside it
is `task.json`, which tells the head.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from albert_core.errors import ConfigError, shown

if TYPE_CHECKING:
    from albert_core.config import AlbertConfig

TASK_NAME = "task.json"
BACKBONE = "AlbertBackbone"
# Theirs -> ours.
FIELDS = {
    "vocabulary_size": "vocab_size",
    "num_layers": "num_hidden_layers",
    "num_heads": "num_attention_heads",
    "num_groups": "num_hidden_groups",
    "num_inner_repetitions": "inner_group_num",
    "embedding_dim": "embedding_size",
    "hidden_dim": "hidden_size",
    "intermediate_dim": "intermediate_size",
    "dropout": "hidden_dropout_prob",
    "max_sequence_length": "max_position_embeddings",
    "num_segments": "type_vocab_size",
}
# Class of a task -> a key of `schema.HEADS`; the last two are one class.
TASKS = {
    "AlbertMaskedLM": "ForMaskedLM",
    "AlbertTextClassifier": "ForSequenceClassification",
    "AlbertClassifier": "ForSequenceClassification",
}
# Under this key of config.json, which keras-hub does not read, we note all fields.
NOTE = "albert_zoo"
TANH_FORMS = ("gelu_new", "gelu_pytorch_tanh")
DTYPES = ("float64", "float32", "float16", "bfloat16")


def is_theirs(values: Mapping[str, Any]) -> bool:
    """Whether the content of a `config.json` is an object that Keras has serialized."""
    return "registered_name" in values


def read(
    values: Mapping[str, Any], task: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Turn the content of a preset's files into fields of `AlbertConfig`.

    What a conversion of ours has noted counts as long as the preset says the same.

    Args:
        values: That of `config.json`.
        task: That of `task.json`, if there is one.

    Raises:
        ConfigError: It is the preset of another model, or not complete.
    """
    stated = _table(values, "config")
    if values.get("class_name") != BACKBONE:
        raise ConfigError(
            f"The preset of keras-hub has a model of class "
            f"{shown(values.get('class_name'))}, not '{BACKBONE}'. Give an ALBERT "
            f"preset."
        )
    if missing := sorted(FIELDS.keys() - stated.keys()):
        raise ConfigError(
            f"The preset of keras-hub does not say {', '.join(missing)}. Get its "
            f"config.json again."
        )
    found = {ours: stated[theirs] for theirs, ours in FIELDS.items()}
    found["attention_probs_dropout_prob"] = stated["dropout"]
    dtype = _table(stated, "dtype").get("config", {}).get("name")
    found["dtype"] = dtype if dtype in DTYPES else None
    found |= _of_task(task)
    noted = _table(values, NOTE)
    return noted if noted and _agree(noted, found) else found


def _table(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = values.get(name)
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def _of_task(task: Mapping[str, Any] | None) -> dict[str, Any]:
    """The fields that `task.json` tells."""
    if task is None:
        return {"architectures": ["AlbertModel"]}
    head = TASKS.get(task.get("class_name", ""))
    if head is None:
        return {}  # the arrays will tell
    found: dict[str, Any] = {"architectures": [f"Albert{head}"]}
    if head == "ForSequenceClassification":
        stated = _table(task, "config")
        found["num_labels"] = stated.get("num_classes", 2)
        found["classifier_dropout_prob"] = stated.get("dropout", 0.1)
    return found


def _agree(noted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether a preset still says what a conversion has noted."""
    usual = {"dtype": "float32", "num_labels": len(noted.get("id2label", "01"))}
    told = {**usual, **noted}
    if told.get("classifier_dropout_prob") is None:
        told["classifier_dropout_prob"] = told.get("hidden_dropout_prob")
    return all(told.get(name) == value for name, value in found.items())


def write(config: "AlbertConfig") -> dict[str, Any]:
    """Turn a configuration into the content of a `config.json` of keras-hub's.

    Raises:
        ConfigError: keras-hub cannot express the model.
    """
    expressible = {
        "hidden_act": config.hidden_act in TANH_FORMS,
        "layer_norm_eps": config.layer_norm_eps == type(config).layer_norm_eps,
        "position_embedding_type": not config.is_relative,
        "pruned_heads": not config.pruned_heads,
        "tie_word_embeddings": config.tie_word_embeddings,
        "num_hidden_groups": not config.num_hidden_layers % config.num_hidden_groups,
        "attention_probs_dropout_prob": config.attention_probs_dropout_prob
        == config.hidden_dropout_prob,
    }
    if wrong := [name for name, possible in expressible.items() if not possible]:
        found = ", ".join(f"{name} {shown(getattr(config, name))}" for name in wrong)
        raise ConfigError(
            f"keras-hub cannot express {found}: its ALBERT has the tanh form of GELU, "
            f"layer norms of 1e-12, absolute positions, tied embeddings, as many "
            f"layers in each group and one dropout for all. Convert to another format."
        )
    stated = {theirs: getattr(config, ours) for theirs, ours in FIELDS.items()}
    fixed = {"name": "albert_backbone", "trainable": True}
    dtype = policy(config.dtype or "float32")
    return {
        "module": "keras_hub.src.models.albert.albert_backbone",
        "class_name": BACKBONE,
        "config": {**fixed, "dtype": dtype, **stated},
        "registered_name": f"keras_hub>{BACKBONE}",
    }


def policy(dtype: str) -> dict[str, Any]:
    """Keras's spelling of a number type."""
    return {
        "module": "keras",
        "class_name": "DTypePolicy",
        "config": {"name": dtype},
        "registered_name": None,
    }
