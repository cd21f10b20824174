"""What every framework has to do alike: one suite, run once for each of them."""

import logging
import sys

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_core.errors import ConfigError, InputError, MissingPackageError
from albert_core.reference import Reference
from albert_core.schema import HEADS, parameters
from albert_zoo.backends import BACKENDS, flatten, require
from albert_zoo.parity.budgets import STRUCTURE
from albert_zoo.parity.inputs import batches
from tests.backends.adapters import ALL, Model, class_of
from tests.conftest import FRAMEWORKS, tiny, weights, write

# Two layers of one block: deep enough for what is not about depth.
SHALLOW = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    """The name of a framework; JAX compiles quickly rather than well."""
    if request.param != "flax":
        yield request.param
        return
    import jax

    jax.config.update("jax_disable_most_optimizations", True)
    yield request.param
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def load(framework, tmp_path):
    """A function that makes a small model and its reference."""

    def make(head="Model", options=None, pools=None, **changes):
        config = tiny(**{**SHALLOW, **changes})
        path = write(tmp_path / "made", config, head, pools=pools)
        options = options or {}
        model = Model(framework, path, head, **options)
        config = AlbertConfig.from_dict({**config.to_dict(), **options})
        return model, Reference(config, weights(config, head, pools=pools), head, pools)

    return make


def off(found, expected):
    """Relative Frobenius error; a NaN is an error."""
    assert np.shape(found) == np.shape(expected)
    error = np.linalg.norm(np.asarray(found, np.float64) - expected)
    return np.nan_to_num(error / (np.linalg.norm(expected) or 1.0), nan=np.inf)


def assert_same(found, expected):
    """Two sets of outputs are the same, up to rounding in float64."""
    assert list(found) == list(expected)
    for name in expected:
        assert off(found[name], expected[name]) <= STRUCTURE, name


def flat(output):
    """A reference's outputs by name."""
    return flatten(output, np.asarray)


def tokens(rows=3, length=9, seed=0):
    """Ids, without padding, and two segments."""
    stream = np.random.default_rng(seed)
    ids = stream.integers(1, 31, (rows, length), np.int32)
    segments = np.zeros_like(ids)
    segments[:, length // 2 :] = 1
    return {"input_ids": ids, "token_type_ids": segments}


# Padding


@pytest.mark.parametrize("positions", ["absolute", "relative_key_query"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(side, positions, load):
    model, _ = load(position_embedding_type=positions)
    short = tokens(length=9)
    wide = ((0, 0), (5, 0) if side == "left" else (0, 5))
    real = slice(5, None) if side == "left" else slice(9)
    padded = {name: np.pad(x, wide, constant_values=1) for name, x in short.items()}
    ones = np.ones_like(short["input_ids"])
    padded["attention_mask"] = np.pad(ones, wide)
    # Padding on the left moves the tokens, so they need to be told where they are.
    steps = np.arange(9, dtype=np.int32)[None].repeat(3, 0)
    padded["position_ids"] = np.pad(steps, wide, constant_values=2)
    expected, found = model(**short), model(**padded)
    for name, value in expected.items():
        if name == "pooler_output":
            if side == "right":
                assert off(found[name], value) <= STRUCTURE
        elif name.startswith("attentions"):
            assert off(found[name][:, :, real, real], value) <= STRUCTURE
            padding = padded["attention_mask"][0] == 0
            assert not found[name][:, :, real][..., padding].any()
        else:
            assert off(found[name][:, real], value) <= STRUCTURE


def test_rows_do_not_see_each_other(load):
    model, _ = load()
    inputs = tokens()
    inputs["attention_mask"] = np.ones((3, 9), np.int32)
    inputs["attention_mask"][1, 6:] = 0
    together = model(**inputs)
    for row in range(3):
        alone = model(**{name: x[row : row + 1] for name, x in inputs.items()})
        assert_same(alone, {k: x[row : row + 1] for k, x in together.items()})


@pytest.mark.parametrize("length", [1, 2, 512])
def test_lengths(length, load):
    model, reference = load(max_position_embeddings=512)
    inputs = tokens(1, length)
    assert_same(model(**inputs), flat(reference(**inputs)))


@pytest.mark.parametrize(
    "positions", ["absolute", "relative_key", "relative_key_query"]
)
def test_a_row_of_padding_attends_uniformly(positions, load):
    model, reference = load(position_embedding_type=positions)
    inputs = {**tokens(), "attention_mask": np.ones((3, 9), np.int32)}
    inputs["attention_mask"][1] = 0
    found = model(**inputs)
    assert_same(found, flat(reference(**inputs)))
    for layer in range(2):
        assert off(found[f"attentions.{layer}"][1], np.full((3, 9, 9), 1 / 9)) < 1e-15


def test_no_mask_is_a_mask_of_ones(load):
    model, reference = load()
    found = model(**tokens())
    ones = {"attention_mask": np.ones((3, 9), np.int32)}
    assert_same(found, model(**tokens(), **ones))
    assert_same(found, flat(reference(**tokens())))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "float32"])
def test_masks_of_every_type(dtype, load):
    model, reference = load()
    mask = np.ones((3, 9), dtype)
    mask[1, 4:] = mask[2, :3] = 0
    found = model(**tokens(), attention_mask=mask)
    assert_same(found, flat(reference(**tokens(), attention_mask=mask)))


# Configurations


def cubic(x):
    """An activation that no framework has; `hidden_act` may be a function."""
    return x * x * x - 0.1 * x


# Features that have nothing to do with each other share a model, to save time.
CONFIGS = {
    "odd_groups, gelu": {
        "num_hidden_layers": 5,
        "num_hidden_groups": 2,
        "hidden_act": "gelu",
    },
    "inner_groups, relu": {"inner_group_num": 3, "hidden_act": "relu"},
    "groups_of_groups": {
        "num_hidden_layers": 6,
        "num_hidden_groups": 3,
        "inner_group_num": 2,
    },
    "same_size, silu": {"embedding_size": 12, "hidden_act": "silu"},
    "one_head, quick_gelu": {"num_attention_heads": 1, "hidden_act": "quick_gelu"},
    "heads_of_one, tanh": {"num_attention_heads": 12, "hidden_act": "tanh"},
    "untied, linear": {"tie_word_embeddings": False, "hidden_act": "linear"},
    "pruned, gelu_pytorch_tanh": {
        "inner_group_num": 2,
        "pruned_heads": {0: [2], 1: [0, 1]},
        "hidden_act": "gelu_pytorch_tanh",
    },
    "one_segment, no_padding, large_eps, swish": {
        "type_vocab_size": 1,
        "pad_token_id": None,
        "layer_norm_eps": 1e-2,
        "hidden_act": "swish",
    },
    "relative_key": {"position_embedding_type": "relative_key"},
    "relative_key_query, groups": {
        "position_embedding_type": "relative_key_query",
        "num_hidden_groups": 2,
    },
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configurations(name, load):
    model, reference = load("ForPreTraining", **CONFIGS[name])
    inputs = batches(reference.config, "ForPreTraining")["rows"]
    found, expected = model(**inputs), flat(reference(**inputs))
    assert_same(found, expected)
    layers = reference.config.num_hidden_layers
    assert f"hidden_states.{layers}" in found
    assert f"hidden_states.{layers + 1}" not in found
    blocks = layers * reference.config.inner_group_num
    assert f"attentions.{blocks - 1}" in found
    assert f"attentions.{blocks}" not in found


def test_an_activation_of_the_user_s_own(framework, tmp_path):
    path = write(tmp_path, tiny(**SHALLOW), "ForMaskedLM")
    model = Model(framework, path, "ForMaskedLM", hidden_act=cubic)
    config = tiny(**SHALLOW, hidden_act=cubic)
    reference = Reference(config, weights(config, "ForMaskedLM"), "ForMaskedLM")
    found = model(**tokens())
    assert_same(found, flat(reference(**tokens())))
    plain = Model(framework, path, "ForMaskedLM")(**tokens())
    assert off(plain["logits"], found["logits"]) > 1e-3
    with pytest.raises(ConfigError, match="cannot be written to a file"):
        model.model.save_pretrained(tmp_path / "again")


# Head masks


def test_a_head_mask_for_all_layers(load):
    model, reference = load(num_hidden_layers=3, num_hidden_groups=2)
    mask = np.array([1.0, 0.0, 0.5])
    found = model(**tokens(), head_mask=mask)
    assert_same(found, flat(reference(**tokens(), head_mask=mask)))
    assert (
        off(model(**tokens())["last_hidden_state"], found["last_hidden_state"]) > 0.01
    )


def test_a_row_of_a_head_mask_is_for_its_layer(load):
    model, reference = load(num_hidden_layers=4, inner_group_num=2)
    plain = model(**tokens(), head_mask=np.ones((4, 3)))
    assert_same(plain, flat(reference(**tokens())))
    for layer in range(4):
        mask = np.ones((4, 3))
        mask[layer, 1] = 0
        found = model(**tokens(), head_mask=mask)
        assert_same(found, flat(reference(**tokens(), head_mask=mask)))
        for index in range(5):
            gap = off(found[f"hidden_states.{index}"], plain[f"hidden_states.{index}"])
            assert gap > 1e-3 if index > layer else gap <= STRUCTURE
        for index in range(8):
            silent = not found[f"attentions.{index}"][:, 1].any()
            assert silent == (index // 2 == layer)


def test_a_silenced_head_is_a_pruned_head(framework, tmp_path):
    path = write(tmp_path, tiny(**SHALLOW))
    model = Model(framework, path)
    silenced = model(**tokens(), head_mask=np.array([0.0, 1.0, 1.0]))
    with model.precision("float64"):
        model.model.prune_heads({0: [0]})
    found = model(**tokens())
    for name, value in silenced.items():
        kept = value[:, 1:] if name.startswith("attentions") else value
        assert off(found[name], kept) <= STRUCTURE, name
    # A mask goes by the heads' numbers as they were before the pruning.
    last = np.array([1.0, 1.0, 0.0])
    assert not model(**tokens(), head_mask=last)["attentions.0"][:, 1].any()


# Inputs and outputs


@pytest.mark.parametrize("head", ["Model", "ForMultipleChoice"])
def test_embeddings_as_inputs(head, load):
    model, reference = load(head)
    inputs = dict(batches(reference.config, head)["rows"])
    expected = model(**inputs)
    table = reference.weights["embeddings.word_embeddings.weight"]
    inputs["inputs_embeds"] = table[inputs.pop("input_ids")]
    assert_same(model(**inputs), expected)


@pytest.mark.parametrize("rows", [1, 3])
def test_positions(rows, load):
    model, reference = load()
    positions = np.arange(22, 13, -1, dtype=np.int32)[None].repeat(rows, 0)
    found = model(**tokens(), position_ids=positions)
    assert_same(found, flat(reference(**tokens(), position_ids=positions)))
    assert (
        off(model(**tokens())["last_hidden_state"], found["last_hidden_state"]) > 0.01
    )


def test_relative_positions_do_not_read_the_position_table(load):
    model, _ = load(position_embedding_type="relative_key")
    positions = np.zeros((1, 9), np.int32)
    assert_same(model(**tokens(), position_ids=positions), model(**tokens()))


@pytest.mark.parametrize("head", HEADS)
def test_outputs_are_named_or_a_tuple(head, load):
    model, reference = load(head)
    inputs = dict(batches(reference.config, head)["single"])
    named = model.raw(**inputs)
    assert list(named) == [
        name
        for name in reference(**inputs)
        if name not in ("hidden_states", "attentions")
    ]
    assert named.hidden_states is None
    assert named.attentions is None
    rest = model.raw(**inputs, return_dict=False)
    assert isinstance(rest, tuple)
    assert len(rest) == len(named)
    for place, name in enumerate(named):
        assert off(rest[place], np.asarray(named[name])) == 0
        assert named[place] is named[name] is getattr(named, name)
    unlabelled = {k: x for k, x in inputs.items() if k in (*tokens(), "attention_mask")}
    every = model.raw(**unlabelled, return_dict=False, **ALL)
    assert [len(x) for x in every[-2:]] == [3, 2]
    first = next(iter(reference(**unlabelled).values()))  # no loss
    assert every[0].shape == first.shape


def test_the_configuration_sets_what_a_call_does_not(framework, tmp_path):
    path = write(tmp_path, tiny(**SHALLOW))
    flags = {"output_attentions": True, "output_hidden_states": True}
    model = Model(framework, path, **flags)
    assert len(model.raw(**tokens()).attentions) == 2
    assert len(model.raw(**tokens()).hidden_states) == 3
    without = model.raw(**tokens(), output_attentions=False)
    assert without.attentions is None
    assert len(without.hidden_states) == 3
    assert len(model.raw(**tokens(), output_hidden_states=False)) == 3
    model = Model(framework, path, return_dict=False)
    assert isinstance(model.raw(**tokens()), tuple)
    assert model.raw(**tokens(), return_dict=True).last_hidden_state is not None


def test_a_model_without_pooler(load):
    model, reference = load(options={"add_pooling_layer": False}, pools=False)
    assert_same(model(**tokens()), flat(reference(**tokens())))
    assert len(model.raw(**tokens(), return_dict=False)) == 1
    assert model.raw(**tokens()).pooler_output is None


IDS = tokens()["input_ids"]
BAD = {
    "low_id": ({"input_ids": IDS - 31}, r"input_ids holds -\d+, but vocab_size is 31"),
    "high_id": ({"input_ids": IDS + 30}, r"input_ids holds \d+.*from 0 to 30. Check"),
    "segment": (
        {**tokens(), "token_type_ids": tokens()["token_type_ids"] * 2},
        "token_type_ids holds 2, but type_vocab_size is 2",
    ),
    "low_segment": (
        {**tokens(), "token_type_ids": -tokens()["token_type_ids"]},
        "token_type_ids holds -1, but",
    ),
    "position": (
        {**tokens(), "position_ids": np.full((1, 9), 23, np.int32)},
        "position_ids holds 23, but max_position_embeddings is 23",
    ),
    "too_long": (
        tokens(length=24),
        "has 24 tokens, but max_position_embeddings is 23. Truncate or split",
    ),
    "neither": ({}, "one of input_ids and inputs_embeds; this call gives neither"),
    "both": (
        {**tokens(), "inputs_embeds": np.zeros((3, 9, 5))},
        "one of input_ids and inputs_embeds; this call gives both",
    ),
    "wide": (
        {"inputs_embeds": np.zeros((3, 9, 12))},
        "inputs_embeds is 12 wide, but embedding_size is 5. Give word embeddings",
    ),
    "long_embeddings": ({"inputs_embeds": np.zeros((3, 24, 5))}, "has 24 tokens"),
}


def test_bad_inputs_are_told_and_leave_the_model_as_it_was(framework, tmp_path):
    path = write(tmp_path, tiny(**SHALLOW))
    model = Model(framework, path)
    expected = model(**tokens())
    for name, (inputs, message) in BAD.items():
        with pytest.raises(InputError, match=message):
            model.raw(**inputs)
        assert issubclass(InputError, ValueError), name
    assert_same(model(**tokens()), expected)


@pytest.mark.parametrize("bad", ["neither", "both"])
def test_choices_without_or_with_two_kinds_of_input(bad, load):
    model, _ = load("ForMultipleChoice")
    inputs, message = BAD[bad]
    with pytest.raises(InputError, match=message):
        model.raw(**{name: x[None] for name, x in inputs.items()})


# Training


RATES = (
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "classifier_dropout_prob",
)


@pytest.mark.parametrize("rate", RATES)
def test_dropout_is_on_in_training_only(rate, load):
    model, reference = load(
        "ForSequenceClassification", **{**dict.fromkeys(RATES, 0.0), rate: 0.5}
    )
    exact = flat(reference(**tokens()))
    assert_same(model(**tokens()), exact)
    first, again, other = (
        model(**tokens(), training=True, seed=seed)["logits"] for seed in (1, 1, 2)
    )
    if model.framework != "tf":  # whose layers are seeded when they are made
        assert off(first, again) == 0
    assert off(first, other) > 1e-3
    assert off(first, exact["logits"]) > 1e-3
    assert_same(model(**tokens()), exact)


def test_training_without_dropout_changes_nothing(load):
    model, reference = load("ForPreTraining", **dict.fromkeys(RATES, 0.0))
    assert_same(model(**tokens(), training=True), flat(reference(**tokens())))


CLASSES = np.array([3, 0, 1], np.int32)
NUMBERS = np.linspace(-2, 2, 12).reshape(3, 4)
FLAGS = np.array([[0.0, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1]])
WORDS = np.where(tokens()["token_type_ids"] == 1, tokens(seed=5)["input_ids"], -100)
ORDER = np.array([0, 1, -100], np.int32)
SPANS = {
    "start_positions": np.array([[1], [0], [8]], np.int32),
    "end_positions": np.array([5, -4, 30], np.int32),  # as it is, clamped, ignored
}
SEQUENCE = "ForSequenceClassification"
LOSSES = {
    "words": ("ForMaskedLM", {"labels": WORDS.astype(np.int64)}, {}),
    "words and order": (
        "ForPreTraining",
        {"labels": WORDS, "sentence_order_label": ORDER[:, None]},
        {},
    ),
    "tags": ("ForTokenClassification", {"labels": WORDS % 4 - 100 * (WORDS < 0)}, {}),
    "spans": ("ForQuestionAnswering", SPANS, {}),
    "classes": (SEQUENCE, {"labels": CLASSES}, {}),
    "numbers": (SEQUENCE, {"labels": NUMBERS}, {"problem_type": "regression"}),
    "number": (SEQUENCE, {"labels": NUMBERS[:, 0]}, {"num_labels": 1}),
    "whole number": (SEQUENCE, {"labels": CLASSES[:, None]}, {"num_labels": 1}),
    "flags": (SEQUENCE, {"labels": FLAGS}, {}),
    "whole flags": (
        SEQUENCE,
        {"labels": FLAGS.astype(np.int32)},
        {"problem_type": "multi_label_classification"},
    ),
}
INFERRED = {
    "classes": "single_label_classification",
    "number": "regression",
    "whole number": "regression",
    "flags": "multi_label_classification",
}


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name, load):
    head, labels, changes = LOSSES[name]
    model, reference = load(head, **changes)
    found, expected = model(**tokens(), **labels), flat(reference(**tokens(), **labels))
    assert found["loss"].shape == ()
    assert np.isfinite(expected["loss"])
    assert_same(found, expected)
    if name in INFERRED:
        assert model.model.config.problem_type == INFERRED[name]


def test_the_loss_of_a_choice(load):
    model, reference = load("ForMultipleChoice")
    inputs = batches(reference.config, "ForMultipleChoice")["rows"]
    found = model(**inputs)
    assert_same(found, flat(reference(**inputs)))
    assert found["logits"].shape == (6, 2)
    assert found["hidden_states.0"].shape == (12, 23, 12)


def test_labels_that_all_count_for_nothing(load):
    model, _ = load("ForMaskedLM")
    labels = np.full((3, 9), -100, np.int32)
    assert np.isnan(model(**tokens(), labels=labels)["loss"])  # as in PyTorch: 0 / 0


@pytest.mark.parametrize("name", ["labels", "sentence_order_label"])
def test_one_kind_of_label_of_two_gives_no_loss(name, load):
    model, _ = load("ForPreTraining")
    labels = {"labels": WORDS, "sentence_order_label": ORDER}[name]
    assert model.raw(**tokens(), **{name: labels}).loss is None


# Loading


@pytest.mark.parametrize("head", [head for head in HEADS if head != "Model"])
def test_a_base_checkpoint_loads_into_a_head(head, framework, tmp_path, caplog):
    path = write(tmp_path, tiny(**SHALLOW))
    with caplog.at_level(logging.INFO, "albert_zoo"):
        model = Model(framework, path, head, output_loading_info=True)
    model.model, info = model.model
    own = {p.name for p in parameters(tiny(), head) if not p.name.startswith("albert.")}
    assert set(info["missing_keys"]) == own
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert class_of(framework, head).__name__ in warning.getMessage()
    assert "have random initial values; train them before use" in warning.getMessage()
    assert all(name in warning.getMessage() for name in own)
    pooler = set() if HEADS[head].pools else {"pooler.weight", "pooler.bias"}
    assert set(info["unexpected_keys"]) == pooler
    assert ("weights of another head were left" in caplog.text) == bool(pooler)
    with model.precision("float64"):
        arrays = model.model.canonical_arrays()
    stored = checkpoint.Checkpoint.open(path)
    for name, array in arrays.items():
        if name not in own:
            assert off(array, stored[name.removeprefix("albert.")]) == 0
        elif name.endswith("LayerNorm.weight"):
            assert (array == 1).all()
        elif name.endswith("bias"):
            assert not array.any()
        else:
            assert 0 < np.abs(array).max() <= 0.04 + 1e-7


@pytest.mark.parametrize("head", [head for head in HEADS if head != "Model"])
def test_a_head_checkpoint_loads_into_the_base(head, framework, tmp_path, caplog):
    path = write(tmp_path, tiny(**SHALLOW), head)
    options = {} if HEADS[head].pools else {"add_pooling_layer": False}
    with caplog.at_level(logging.INFO, "albert_zoo"):
        model = Model(framework, path, output_loading_info=True, **options)
    model.model, info = model.model
    own = {p.name for p in parameters(tiny(), head) if not p.name.startswith("albert.")}
    assert set(info["unexpected_keys"]) == own
    assert not info["missing_keys"]
    assert not [r for r in caplog.records if r.levelno >= logging.WARNING]
    assert all(name in caplog.text for name in own)
    stored = checkpoint.Checkpoint.open(path)
    with model.precision("float64"):
        arrays = model.model.canonical_arrays()
    for name, array in arrays.items():
        assert off(array, stored[f"albert.{name}"]) == 0


def test_an_untied_decoder_is_left_by_what_does_not_decode(framework, tmp_path):
    path = write(tmp_path, tiny(**SHALLOW, tie_word_embeddings=False), "ForMaskedLM")
    full = Model(framework, path, "ForMaskedLM")
    with full.precision("float64"):
        full.model.save_pretrained(tmp_path / "again")
    assert_same(
        Model(framework, tmp_path / "again", "ForMaskedLM")(**tokens()),
        full(**tokens()),
    )
    options = {"add_pooling_layer": False, "output_loading_info": True}
    model = Model(framework, tmp_path / "again", **options)
    model.model, info = model.model
    assert {n for n in info["unexpected_keys"] if "decoder" in n} == {
        "predictions.decoder.weight",
        "predictions.decoder.bias",
    }
    state = full(**tokens())["hidden_states.2"]
    assert off(model(**tokens())["last_hidden_state"], state) <= STRUCTURE


def test_a_framework_that_is_not_installed(framework, monkeypatch):
    backend = BACKENDS[framework]
    require(backend)
    package = backend.packages[-1]
    monkeypatch.setitem(sys.modules, package, None)  # what import takes for absent
    with pytest.raises(MissingPackageError) as problem:
        require(backend)
    assert f"pip install 'albert-zoo[{framework}]'" in str(problem.value)
    assert backend.title in str(problem.value)
    assert package in str(problem.value)
