"""Google's albert_config.json, both ways."""

import json

import numpy as np
import pytest

from albert_core import PRESETS, AlbertConfig, ConfigError
from tests.conftest import tiny

# What albert_base_v2 ships.
BASE_V2 = {
    "attention_probs_dropout_prob": 0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0,
    "embedding_size": 128,
    "hidden_size": 768,
    "initializer_range": 0.02,
    "intermediate_size": 3072,
    "max_position_embeddings": 512,
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "num_hidden_groups": 1,
    "net_structure_type": 0,
    "gap_size": 0,
    "num_memory_blocks": 0,
    "inner_group_num": 1,
    "down_scale_factor": 1,
    "type_vocab_size": 2,
    "vocab_size": 30000,
}


def test_a_released_file_both_ways():
    config = AlbertConfig.from_google(BASE_V2)
    assert config.to_dict() == PRESETS["albert-base-v2"].config.to_dict()
    assert config.to_google() == BASE_V2


@pytest.mark.parametrize(
    ("theirs", "ours", "back"),
    [
        ("gelu", "gelu_new", "gelu"),
        ("relu", "relu", "relu"),
        ("tanh", "tanh", "tanh"),
        ("linear", "linear", "linear"),
        ("", "linear", "linear"),
        (None, "linear", "linear"),
    ],
)
def test_activations(theirs, ours, back):
    config = AlbertConfig.from_google({"hidden_act": theirs})
    assert config.hidden_act == ours
    assert config.to_google()["hidden_act"] == back


def test_gelu_is_the_default_and_has_two_names_here():
    assert AlbertConfig.from_google({}).hidden_act == "gelu_new"
    assert tiny(hidden_act="gelu_pytorch_tanh").to_google()["hidden_act"] == "gelu"


@pytest.mark.parametrize("act", ["gelu_new", "GELU", "swish", 3, ["gelu"], False])
def test_an_activation_that_the_original_does_not_know(act):
    with pytest.raises(ConfigError) as caught:
        AlbertConfig.from_google({"hidden_act": act})
    assert (
        f"albert_config.json has hidden_act {act!r}, but the original code knows "
        in (str(caught.value))
    )
    assert "'gelu', 'relu', 'tanh', 'linear', '', None. Use one" in str(caught.value)


def test_keys_that_nobody_reads():
    config = AlbertConfig.from_google({**BASE_V2, "layers_to_keep": []})
    assert config.extra == {"layers_to_keep": []}


def test_a_wrong_value_names_its_field():
    with pytest.raises(ConfigError, match=r"AlbertConfig\.vocab_size must be"):
        AlbertConfig.from_google({"vocab_size": -1})


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"hidden_act": "gelu"}, "hidden_act 'gelu'"),
        ({"hidden_act": "silu"}, "hidden_act 'silu'"),
        ({"hidden_act": np.tanh}, "hidden_act <ufunc 'tanh'>"),
        ({"layer_norm_eps": 1e-5}, "layer_norm_eps 1e-05"),
        (
            {"position_embedding_type": "relative_key"},
            "position_embedding_type 'relative_key'",
        ),
        ({"pruned_heads": {0: [1]}}, "pruned_heads {0: [1]}"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings False"),
        (
            {"hidden_act": "quick_gelu", "layer_norm_eps": 0.1},
            "hidden_act 'quick_gelu', layer_norm_eps 0.1",
        ),
    ],
    ids=str,
)
def test_what_the_original_cannot_express(changes, found):
    with pytest.raises(ConfigError) as caught:
        tiny(**changes).to_google()
    assert str(caught.value).startswith(
        f"Google's albert_config.json cannot express {found}: "
    )


def test_the_hardest_shape_both_ways():
    config = tiny(embedding_size=12, num_attention_heads=1, num_labels=2)
    again = AlbertConfig.from_google(config.to_google())
    assert again.to_dict() == config.to_dict()


def test_from_a_directory_and_from_the_file(tmp_path):
    (tmp_path / "albert_config.json").write_text(json.dumps(BASE_V2))
    for path in (tmp_path, tmp_path / "albert_config.json"):
        assert AlbertConfig.from_pretrained(path).hidden_act == "gelu_new"
    changed = AlbertConfig.from_pretrained(tmp_path, num_labels=5, hidden_act="relu")
    assert (changed.num_labels, changed.hidden_act) == (5, "relu")


def test_hugging_face_s_file_wins_and_keeps_its_meaning(tmp_path):
    (tmp_path / "albert_config.json").write_text(json.dumps(BASE_V2))
    (tmp_path / "config.json").write_text(
        json.dumps({**BASE_V2, "model_type": "albert"})
    )
    assert AlbertConfig.from_pretrained(tmp_path).hidden_act == "gelu"
