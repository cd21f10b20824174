"""The fields of AlbertConfig: defaults, what they take, and what they refuse."""

import copy
import pickle

import numpy as np
import pytest

from albert_core import AlbertConfig, ConfigError
from albert_core.fields import RULES
from tests.conftest import tiny

SIZE, DEPTH = 2**24, 2**12
# field -> default, further values, values that it refuses, words of the expectation
WIDTH = ([1, np.int64(64), SIZE], [0, -1, SIZE + 1, 1.0, "64", True, None])
CALLS = ([2, DEPTH], [0, -1, DEPTH + 1, 10**9, 2.0, "2", False, None])
RATE = ([0, 0.5, np.float32(0.25)], [1, 1.5, -0.1, float("nan"), "0.1", True])
AMOUNT = ([0, 1, 1e-5], [-1e-9, float("inf"), float("nan"), 10**400, "1", True, None])
ID = ([None, 0, 29999], [-1, 1.0, "0", True, [0]])
FLAG = ([True, False], [0, 1, None, "true"])
FIELDS = {
    "vocab_size": (30000, *WIDTH, "an integer from 1"),
    "embedding_size": (128, *WIDTH, "an integer from 1"),
    "hidden_size": (4096, *WIDTH, "an integer from 1"),
    "num_attention_heads": (64, *WIDTH, "an integer from 1"),
    "intermediate_size": (16384, *WIDTH, "an integer from 1"),
    "max_position_embeddings": (512, *WIDTH, "an integer from 1"),
    "type_vocab_size": (2, *WIDTH, "an integer from 1"),
    "num_hidden_layers": (12, *CALLS, f"an integer from 1 to {DEPTH}"),
    "num_hidden_groups": (1, *CALLS, f"an integer from 1 to {DEPTH}"),
    "inner_group_num": (1, *CALLS, f"an integer from 1 to {DEPTH}"),
    "hidden_act": (
        "gelu_new",
        [
            "gelu",
            "gelu_pytorch_tanh",
            "quick_gelu",
            "relu",
            "silu",
            "swish",
            "tanh",
            "linear",
        ],
        ["", "GELU", "softmax", None, 3, ["relu"]],
        "a function, or one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, relu",
    ),
    "hidden_dropout_prob": (0.0, *RATE, "a probability from 0 to less than 1"),
    "attention_probs_dropout_prob": (0.0, *RATE, "a probability from 0 to less than 1"),
    "classifier_dropout_prob": (
        0.1,
        [None, *RATE[0]],
        RATE[1],
        "a probability from 0 to less than 1, or None",
    ),
    "initializer_range": (0.02, *AMOUNT, "a number of at least 0"),
    "layer_norm_eps": (1e-12, *AMOUNT, "a number of at least 0"),
    "position_embedding_type": (
        "absolute",
        ["relative_key", "relative_key_query"],
        ["rotary", None, 1],
        "one of absolute, relative_key, relative_key_query",
    ),
    "pad_token_id": (0, *ID, "an integer from 0"),
    "bos_token_id": (2, *ID, "an integer from 0"),
    "eos_token_id": (3, *ID, "an integer from 0"),
    "id2label": (
        {0: "LABEL_0", 1: "LABEL_1"},
        [{0: "no", 1: "yes", 2: "unknown"}, {"0": "no"}],
        [
            {},
            [],
            "yes",
            {0: 1},
            {"a": "b"},
            {-1: "a"},
            {"0": "a", "00": "b"},
            {True: "a"},
        ],
        "a table from class number to label",
    ),
    "label2id": (
        {"LABEL_0": 0, "LABEL_1": 1},
        [{"no": 0, "yes": np.int64(1)}],
        [{"no": "0"}, [1], {0: 0}, {"no": True}],
        "a table from label to class number",
    ),
    "problem_type": (
        None,
        ["regression", "single_label_classification", "multi_label_classification"],
        ["classification", 1],
        "one of regression, single_label_classification, multi_label_classification",
    ),
    "start_n_top": (5, [1, 2**16], [0, 2**16 + 1, 5.0, "5", None], "an integer from 1"),
    "end_n_top": (5, [1, 2**16], [0, 2**16 + 1, 5.0, "5", None], "an integer from 1"),
    "output_attentions": (False, *FLAG, "True or False"),
    "output_hidden_states": (False, *FLAG, "True or False"),
    "return_dict": (True, *FLAG, "True or False"),
    "tie_word_embeddings": (True, *FLAG, "True or False"),
    "pruned_heads": (
        {},
        [{0: [1, 2]}, {"0": [3]}, {0: (2,)}, {0: {1}}],
        [None, [], {0: 1}, {0: ["1"]}, {0: [-1]}, {"a": [1]}, {-1: [1]}, {0: [True]}],
        "a table from block number to a list of head numbers",
    ),
    "dtype": (
        None,
        ["float64", "float32", "float16", "bfloat16"],
        ["int8", "float", 32, "float8_e4m3fn"],
        "one of float64, float32, float16, bfloat16, or None",
    ),
    "architectures": (None, [["AlbertModel"], []], ["AlbertModel", [1]], "a list"),
    "attn_implementation": (
        None,
        ["eager", "sdpa"],
        ["flash_attention_2", True],
        "one of eager, sdpa, or None",
    ),
}
# What makes single values of these fields fit the defaults of the others.
FITTING = {
    "vocab_size": {"pad_token_id": None},
    "hidden_size": {"num_attention_heads": 1},
    "num_attention_heads": {"hidden_size": SIZE},
    "num_hidden_groups": {"num_hidden_layers": DEPTH},
    "inner_group_num": {"num_hidden_layers": 1},
}
VALID = [(name, value) for name, row in FIELDS.items() for value in row[1]]
INVALID = [(name, value) for name, row in FIELDS.items() for value in row[2]]


def test_this_file_knows_every_field():
    assert FIELDS.keys() == RULES.keys()


@pytest.mark.parametrize("name", FIELDS)
def test_default(name):
    value, default = getattr(AlbertConfig(), name), FIELDS[name][0]
    assert value == default
    assert type(value) is type(default)


@pytest.mark.parametrize(("name", "value"), VALID, ids=str)
def test_a_valid_value_is_taken_in_the_call_and_afterwards(name, value):
    given = getattr(AlbertConfig(**{name: value, **FITTING.get(name, {})}), name)
    later = AlbertConfig()
    setattr(later, name, value)
    assert getattr(later, name) == given
    if name == "pruned_heads":
        value = {int(block): list(heads) for block, heads in value.items()}
    if name == "id2label":
        value = {int(number): label for number, label in value.items()}
    assert given == value


@pytest.mark.parametrize(("name", "value"), INVALID, ids=str)
@pytest.mark.bad_input(62)
def test_an_invalid_value_is_refused_by_name(name, value):
    """The message names the field, what it found and what it expects, and a remedy."""
    with pytest.raises(ConfigError) as caught:
        AlbertConfig(**{name: value})
    found = repr(value) if len(repr(value)) <= 100 else repr(value)[:100] + "..."
    assert f"AlbertConfig.{name} must be {FIELDS[name][3]}" in str(caught.value)
    assert f"but it is {found}. " in str(caught.value)
    assert str(caught.value).endswith("Correct it in config.json or in the call.")
    config = AlbertConfig()
    with pytest.raises(ConfigError):
        setattr(config, name, value)
    assert getattr(config, name) == FIELDS[name][0]


def test_all_wrong_fields_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        AlbertConfig(vocab_size=0, hidden_act="x", layer_norm_eps=-1.0)
    for name in ("vocab_size", "hidden_act", "layer_norm_eps"):
        assert f"AlbertConfig.{name} must be" in str(caught.value)


DISAGREEMENTS = {
    "num_attention_heads is 5, which does not divide hidden_size 12.": {
        "num_attention_heads": 5
    },
    "num_hidden_groups is 7, more than num_hidden_layers 6": {"num_hidden_groups": 7},
    "num_hidden_layers is 4096 and inner_group_num 4096, which makes 16777216 blocks": {
        "num_hidden_layers": DEPTH,
        "inner_group_num": DEPTH,
    },
    "pad_token_id is 31, outside the vocabulary of vocab_size 31.": {
        "pad_token_id": 31
    },
    "pruned_heads names heads [3] of block 0, but there are 4 blocks of 3 heads": {
        "pruned_heads": {0: [3]}
    },
    "pruned_heads names heads [0] of block 4, but there are 4 blocks of 3 heads": {
        "pruned_heads": {4: [0]}
    },
    "pruned_heads cuts all 3 heads of block 1. Leave at least one.": {
        "pruned_heads": {1: [0, 1, 2]}
    },
    "num_labels is 3, but id2label names 2 labels. Give one of the two.": {
        "num_labels": 3,
        "id2label": {0: "a", 1: "b"},
    },
}


@pytest.mark.parametrize("words", DISAGREEMENTS)
@pytest.mark.bad_input(62)
def test_fields_that_disagree(words):
    with pytest.raises(ConfigError) as caught:
        tiny(**{"num_labels": None, **DISAGREEMENTS[words]})
    assert f"AlbertConfig.{words}" in str(caught.value)


def test_all_disagreements_are_named_at_once():
    with pytest.raises(ConfigError) as caught:
        tiny(num_attention_heads=5, num_hidden_groups=7, pad_token_id=99)
    for name in ("num_attention_heads", "num_hidden_groups", "pad_token_id"):
        assert f"AlbertConfig.{name} is" in str(caught.value)


def test_a_change_is_checked_against_the_others_by_validate():
    config = tiny()
    config.num_attention_heads = 5
    with pytest.raises(ConfigError, match="does not divide hidden_size 12"):
        config.validate()


@pytest.mark.bad_input(62)
def test_hostile_sizes_are_refused_before_anything_is_made():
    with pytest.raises(
        ConfigError, match="num_labels must be an integer from 1 to 65536"
    ):
        AlbertConfig(num_labels=2**24)


class TestLabels:
    def test_num_labels_makes_names(self):
        config = AlbertConfig(num_labels=3)
        assert config.id2label == {0: "LABEL_0", 1: "LABEL_1", 2: "LABEL_2"}
        assert config.label2id == {"LABEL_0": 0, "LABEL_1": 1, "LABEL_2": 2}

    def test_names_make_num_labels_and_their_inverse(self):
        config = AlbertConfig(id2label={"0": "no", "1": "yes", "2": "perhaps"})
        assert config.num_labels == 3
        assert config.label2id == {"no": 0, "yes": 1, "perhaps": 2}

    def test_both_are_taken_when_they_agree(self):
        config = AlbertConfig(id2label={0: "no"}, num_labels=1, label2id={"nay": 0})
        assert (config.id2label, config.label2id) == ({0: "no"}, {"nay": 0})

    def test_the_inverse_follows_a_change(self):
        config = AlbertConfig(num_labels=3)
        config.id2label = {0: "a", 1: "b"}
        assert (config.num_labels, config.label2id) == (2, {"a": 0, "b": 1})

    def test_the_same_number_keeps_the_names(self):
        config = AlbertConfig(id2label={0: "no", 1: "yes"})
        config.num_labels = 2
        assert config.id2label == {0: "no", 1: "yes"}
        config.num_labels = 1
        assert config.id2label == {0: "LABEL_0"}
        assert config.label2id == {"LABEL_0": 0}

    @pytest.mark.parametrize("count", [0, -1, 2.0, "2", True])
    def test_a_wrong_number(self, count):
        with pytest.raises(ConfigError, match="num_labels must be an integer from 1"):
            AlbertConfig(num_labels=count)

    @pytest.mark.parametrize(
        ("stored", "override", "names"),
        [
            ({"num_labels": 3}, {}, ["LABEL_0", "LABEL_1", "LABEL_2"]),
            ({"num_labels": 3}, {"num_labels": 1}, ["LABEL_0"]),
            ({"id2label": {"0": "a", "1": "b"}}, {"num_labels": 2}, ["a", "b"]),
            ({"id2label": {"0": "a", "1": "b"}}, {"num_labels": None}, ["a", "b"]),
            ({"id2label": {"0": "a", "1": "b"}}, {"num_labels": 1}, ["LABEL_0"]),
            ({"id2label": {"0": "a", "1": "b"}}, {"id2label": {0: "x"}}, ["x"]),
            ({"id2label": {"0": "a"}}, {"id2label": {0: "x"}, "num_labels": 1}, ["x"]),
            ({"id2label": None, "num_labels": 1}, {"num_labels": 1}, ["LABEL_0"]),
            ({}, {"num_labels": 2}, ["LABEL_0", "LABEL_1"]),
        ],
        ids=str,
    )
    def test_overrides_of_a_stored_configuration(self, stored, override, names):
        """Other classes have other names, and the stored inverse goes with them."""
        if isinstance(stored.get("id2label"), dict):
            inverse = {label: int(key) for key, label in stored["id2label"].items()}
            stored = {**stored, "label2id": inverse}
        config = AlbertConfig.from_dict(stored, **override)
        assert list(config.id2label.values()) == names
        assert config.label2id == {name: i for i, name in enumerate(names)}

    def test_a_stored_table_that_is_none_is_refused_not_counted(self):
        with pytest.raises(ConfigError, match="id2label must be a table"):
            AlbertConfig.from_dict({"id2label": 5}, num_labels=3)


class TestDtype:
    class Float32:
        """Like `torch.float32`, which has no name of its own."""

        def __repr__(self):
            return "torch.float32"

    @pytest.mark.parametrize(
        "value", [np.float32, np.dtype("float32"), Float32(), "float32"], ids=repr
    )
    @pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
    def test_every_spelling(self, key, value):
        config = AlbertConfig(**{key: value})
        assert config.dtype == "float32"
        assert "torch_dtype" not in config.extra

    def test_the_new_name_wins(self):
        assert AlbertConfig(dtype="float16", torch_dtype="float32").dtype == "float16"
        assert AlbertConfig(dtype=None, torch_dtype="float32").dtype == "float32"

    def test_the_old_name_overrides_a_stored_one(self):
        config = AlbertConfig.from_dict({"dtype": "float32"}, torch_dtype="bfloat16")
        assert config.dtype == "bfloat16"


class TestKeptKeys:
    def test_kokoro(self):
        """hexgrad/kokoro: AlbertConfig(vocab_size=n_token, **config["plbert"])."""
        plbert = {
            "hidden_size": 768,
            "num_attention_heads": 12,
            "intermediate_size": 2048,
            "max_position_embeddings": 512,
            "num_hidden_layers": 12,
            "dropout": 0.1,
        }
        config = AlbertConfig(vocab_size=178, **plbert)
        assert config.dropout == 0.1
        assert config.to_dict()["dropout"] == 0.1
        assert AlbertConfig.from_dict(config.to_dict()).dropout == 0.1
        rates = config.hidden_dropout_prob, config.attention_probs_dropout_prob
        assert rates == (0.0, 0.0)

    @pytest.mark.parametrize(
        "key",
        [
            *("to_dict", "__class__", "__deepcopy__", "__reduce_ex__", "__getstate__"),
            *("auto_map", "extra", "head_size", "validate", "model", "_name_or_path"),
            *("__init__", "from_pretrained", "RULES", "__dict__", "__setstate__"),
        ],
    )
    @pytest.mark.bad_input(62)
    def test_a_key_shadows_nothing_and_runs_nothing(self, key):
        value = {"AutoModel": "evil.Payload"} if key == "auto_map" else "evil.Payload"
        config = tiny(**{key: value})
        assert type(config) is AlbertConfig
        assert config.head_size == 4
        assert config.to_dict()[key] == value
        assert config.to_dict()["vocab_size"] == 31
        config.validate()
        for again in (
            AlbertConfig.from_dict(config.to_dict()),
            copy.deepcopy(config),
            pickle.loads(pickle.dumps(config)),
        ):
            assert type(again) is AlbertConfig
            assert again.to_dict() == config.to_dict()
        assert "evil.Payload" in repr(config)

    def test_what_is_set_later_is_kept_too(self):
        config = tiny()
        config.plbert = {"depth": [1, 2]}
        config.plbert = {"depth": [3]}
        assert config.to_dict()["plbert"] == {"depth": [3]}
        config._private = 1
        assert "_private" not in config.to_dict()

    def test_an_unknown_attribute(self):
        with pytest.raises(
            AttributeError, match="no field and kept no key 'hiden_size'"
        ):
            _ = tiny().hiden_size
        assert not hasattr(tiny(), "__deepcopy__")


def test_to_dict_is_a_copy():
    config = tiny(layers_to_keep=[])
    config.to_dict()["id2label"][0] = "changed"
    config.to_dict()["layers_to_keep"].append(1)
    assert config.id2label[0] == "LABEL_0"
    assert config.layers_to_keep == []


def test_the_table_that_was_given_is_not_the_configuration_s():
    labels = {0: "a"}
    config = AlbertConfig(id2label=labels)
    labels[1] = "b"
    assert config.num_labels == 1


def test_a_function_as_activation():
    config = tiny(hidden_act=np.tanh)
    assert config.hidden_act is np.tanh
    assert copy.deepcopy(config).hidden_act is np.tanh
    assert "ufunc 'tanh'" in repr(config)
    with pytest.raises(ConfigError) as caught:
        config.to_dict()
    assert "hidden_act is the function <ufunc 'tanh'>" in str(caught.value)
    assert "Use one of gelu, gelu_new" in str(caught.value)


def test_what_follows_from_the_fields():
    config = tiny(num_hidden_layers=5, num_hidden_groups=3)
    assert [config.group_of(layer) for layer in range(5)] == [0, 0, 1, 1, 2]
    assert [config.layers_of(group) for group in range(3)] == [
        range(2),
        range(2, 4),
        range(4, 5),
    ]
    assert (config.head_size, config.num_blocks, config.num_distances) == (4, 6, 45)
    assert tiny(pruned_heads={3: [1]}).kept_heads(1, 1) == (0, 2)
    assert tiny(pruned_heads={3: [1]}).kept_heads(1, 0) == (0, 1, 2)
    assert not tiny().is_relative
    assert tiny(position_embedding_type="relative_key").is_relative
    assert tiny(tie_word_embeddings=False).has_own_decoder
    assert tiny(return_dict=False).use_return_dict is False


def test_groups_of_google_s_rounding_trap():
    """Its int(layer / layers * groups) gives group 14 to layer 15 of 22."""
    config = AlbertConfig(num_hidden_layers=22, num_hidden_groups=22)
    assert [config.group_of(layer) for layer in range(22)] == list(range(22))


@pytest.mark.parametrize(("given", "dropout"), [(0.1, 0.1), (0.0, 0.0), (None, 0.3)])
def test_classifier_dropout_falls_back(given, dropout):
    config = tiny(classifier_dropout_prob=given, hidden_dropout_prob=0.3)
    assert config.classifier_dropout == dropout


def test_numbers_of_a_framework_become_python_s():
    config = tiny(
        vocab_size=np.int32(40),
        layer_norm_eps=np.float64(1e-5),
        hidden_dropout_prob=np.float32(0.5),
        classifier_dropout_prob=0,
    )
    config.pruned_heads = {np.int64(0): np.array([1]).tolist(), 1: {np.int64(2)}}
    assert type(config.vocab_size) is int
    assert type(config.layer_norm_eps) is float
    assert type(config.hidden_dropout_prob) is float
    assert type(config.classifier_dropout_prob) is float
    assert AlbertConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()
    config.to_json_string()


def test_the_hardest_shapes():
    config = AlbertConfig(
        vocab_size=1,
        embedding_size=1,
        hidden_size=1,
        intermediate_size=1,
        num_attention_heads=1,
        num_hidden_layers=1,
        max_position_embeddings=1,
        type_vocab_size=1,
    )
    assert (config.head_size, config.num_distances) == (1, 1)
