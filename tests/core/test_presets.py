"""The twelve released models."""

import pytest

from albert_core import PRESETS, ConfigError, preset
from albert_core.schema import parameters

# name -> hidden, layers, heads, dropout, vocabulary, activation, initial deviation,
# parameters of the encoder with its pooler
MODELS = {
    "albert-base-v1": (768, 12, 12, 0.1, 30000, "gelu_new", 0.02, 11_683_584),
    "albert-large-v1": (1024, 24, 16, 0.1, 30000, "gelu_new", 0.02, 17_683_968),
    "albert-xlarge-v1": (2048, 24, 16, 0.1, 30000, "gelu_new", 0.02, 58_724_864),
    "albert-xxlarge-v1": (4096, 12, 64, 0, 30000, "gelu_new", 0.02, 222_595_584),
    "albert-base-v2": (768, 12, 12, 0, 30000, "gelu_new", 0.02, 11_683_584),
    "albert-large-v2": (1024, 24, 16, 0, 30000, "gelu_new", 0.02, 17_683_968),
    "albert-xlarge-v2": (2048, 24, 16, 0, 30000, "gelu_new", 0.02, 58_724_864),
    "albert-xxlarge-v2": (4096, 12, 64, 0, 30000, "gelu_new", 0.02, 222_595_584),
    "albert-base-zh": (768, 12, 12, 0, 21128, "relu", 0.02, 10_547_968),
    "albert-large-zh": (1024, 24, 16, 0, 21128, "relu", 0.02, 16_548_352),
    "albert-xlarge-zh": (2048, 24, 16, 0, 21128, "relu", 0.014, 57_589_248),
    "albert-xxlarge-zh": (4096, 12, 16, 0, 21128, "relu", 0.01, 221_459_968),
}
# Of the model with both pretraining heads.
PRETRAINING = {
    "albert-base-v2": 11_813_810,
    "albert-large-v2": 17_847_474,
    "albert-xlarge-v2": 59_021_490,
    "albert-xxlarge-v2": 223_158_450,
    "albert-base-zh": 10_669_322,
    "albert-large-zh": 16_702_986,
    "albert-xlarge-zh": 57_877_002,
    "albert-xxlarge-zh": 222_013_962,
}


def test_there_are_twelve():
    assert PRESETS.keys() == MODELS.keys()


@pytest.mark.parametrize("name", MODELS)
def test_preset(name):
    config = preset(name).config
    hidden, layers, heads, dropout, vocabulary, act, deviation, count = MODELS[name]
    assert (config.hidden_size, config.intermediate_size) == (hidden, 4 * hidden)
    assert (config.num_hidden_layers, config.num_attention_heads) == (layers, heads)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == dropout
    assert (config.vocab_size, config.hidden_act) == (vocabulary, act)
    assert config.initializer_range == deviation
    assert (config.embedding_size, config.max_position_embeddings) == (128, 512)
    assert (config.num_hidden_groups, config.inner_group_num) == (1, 1)
    assert preset(name).parameters == count
    assert sum(p.size for p in parameters(config)) == count


@pytest.mark.parametrize("name", PRETRAINING)
def test_the_pretraining_model_has_as_many_parameters_as_published(name):
    found = parameters(preset(name).config, "ForPreTraining")
    assert sum(p.size for p in found) == PRETRAINING[name]


def test_a_preset_can_be_written_for_google():
    for name in PRESETS:
        act = preset(name).config.to_google()["hidden_act"]
        assert act == ("relu" if name.endswith("zh") else "gelu")


def test_an_unknown_name_lists_the_known():
    with pytest.raises(ConfigError) as caught:
        preset("albert-base")
    assert "No released model is called 'albert-base'; there are " in str(caught.value)
    assert all(name in str(caught.value) for name in PRESETS)
