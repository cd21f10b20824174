"""Google's spelling of the configuration: google-research/albert's albert_config.json.

Source: `modeling.AlbertConfig`, which copies any key and reads those of `FIELDS`.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from albert_core.errors import ConfigError, shown

if TYPE_CHECKING:
    from albert_core.config import AlbertConfig

CONFIG_NAME = "albert_config.json"

FIELDS = (
    "vocab_size",
    "embedding_size",
    "hidden_size",
    "num_hidden_layers",
    "num_hidden_groups",
    "num_attention_heads",
    "intermediate_size",
    "inner_group_num",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "max_position_embeddings",
    "type_vocab_size",
    "initializer_range",
)
# Keys of the file that the original code never reads, with the values that it ships.
DEAD_KEYS: Mapping[str, Any] = {
    "down_scale_factor": 1,
    "gap_size": 0,
    "net_structure_type": 0,
    "num_memory_blocks": 0,
}
# Google's "gelu" is the tanh form; Hugging Face gives that name to the erf form.
ACTIVATIONS = {
    "gelu": "gelu_new",
    "relu": "relu",
    "tanh": "tanh",
    "linear": "linear",
    "": "linear",
    None: "linear",
}
SPELLED = {ours: theirs for theirs, ours in ACTIVATIONS.items() if theirs}
SPELLED["gelu_pytorch_tanh"] = "gelu"


def read(values: Mapping[str, Any]) -> dict[str, Any]:
    """Turn the content of a file of Google's into fields of `AlbertConfig`.

    Raises:
        ConfigError: The original does not know the activation.
    """
    act = values.get("hidden_act", "gelu")
    if not (act is None or isinstance(act, str)) or act not in ACTIVATIONS:
        raise ConfigError(
            f"{CONFIG_NAME} has hidden_act {shown(act)}, but the original code knows "
            f"{', '.join(map(repr, ACTIVATIONS))}. Use one of them."
        )
    kept = {key: value for key, value in values.items() if key not in DEAD_KEYS}
    return {**kept, "hidden_act": ACTIVATIONS[act]}


def write(config: "AlbertConfig") -> dict[str, Any]:
    """Turn a configuration into the content of a file of Google's.

    Raises:
        ConfigError: The original code cannot express the model.
    """
    act = config.hidden_act if isinstance(config.hidden_act, str) else None
    expressible = {
        "hidden_act": act in SPELLED,
        "layer_norm_eps": config.layer_norm_eps == type(config).layer_norm_eps,
        "position_embedding_type": not config.is_relative,
        "pruned_heads": not config.pruned_heads,
        "tie_word_embeddings": config.tie_word_embeddings,
    }
    wrong = [name for name, possible in expressible.items() if not possible]
    if act is None or wrong:
        found = ", ".join(f"{name} {shown(getattr(config, name))}" for name in wrong)
        raise ConfigError(
            f"Google's {CONFIG_NAME} cannot express {found}: the original code has no "
            f"such model. Save the model in another format."
        )
    values = {name: getattr(config, name) for name in FIELDS}
    return {**values, "hidden_act": SPELLED[act], **DEAD_KEYS}
