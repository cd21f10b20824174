"""Which array of a checkpoint goes where, between all heads, and what does not fit."""

import json
import logging

import numpy as np
import pytest

from albert_core import AlbertConfig, CheckpointError, ConfigError, checkpoint, schema
from albert_core.checkpoint import Checkpoint
from albert_core.loading import Match, match, padded
from conversion.pretrained import open_pretrained
from tests.conftest import tiny, weights, write

WORDS = "embeddings.word_embeddings.weight"


def wanted(config, head, pools=None):
    return {p.name: p.shape for p in schema.parameters(config, head, pools)}


def stored(directory, arrays, config=None):
    checkpoint.save(directory, config or tiny(), arrays)
    return Checkpoint.open(directory)


def refused(*args, **kwargs):
    with pytest.raises(CheckpointError) as caught:
        match(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("inside", schema.HEADS)
@pytest.mark.parametrize("model", schema.HEADS)
def test_every_head_into_every_head(inside, model, tmp_path):
    """The encoder is always found; what only one of them has is missing or left."""
    config = tiny()
    found = match(
        wanted(config, model),
        Checkpoint.open(write(tmp_path, config, inside)),
        "AlbertX",
        ignore_mismatched_sizes=True,
    )
    has = {schema.base_name(name): name for name in wanted(config, inside)}
    needs = {schema.base_name(name): name for name in wanted(config, model)}
    shapes = wanted(config, inside), wanted(config, model)
    fits = set(has.keys() & needs.keys())
    other = {b for b in fits if shapes[0][has[b]] != shapes[1][needs[b]]}
    assert found.sources == {needs[base]: has[base] for base in fits - other}
    assert {name for name, _, _ in found.mismatched} == {needs[base] for base in other}
    assert set(found.missing) == {needs[base] for base in needs.keys() - has.keys()}
    assert set(found.unexpected) == {has[base] for base in has.keys() - needs.keys()}
    assert all(schema.is_head(name) for name in found.missing + found.unexpected)
    assert found.initialised == found.missing + [
        name for name, _, _ in found.mismatched
    ]


def test_no_pooler_is_asked_for_or_there(tmp_path):
    config = tiny()
    found = match(
        wanted(config, "Model", False),
        Checkpoint.open(write(tmp_path, config)),
        "AlbertModel",
    )
    assert found.unexpected == ["pooler.bias", "pooler.weight"]
    assert not found.initialised
    write(tmp_path, config, pools=False)
    found = match(wanted(config, "Model"), Checkpoint.open(tmp_path), "AlbertModel")
    assert found.missing == ["pooler.weight", "pooler.bias"]


def test_the_report_and_the_info(tmp_path, caplog):
    found = Match(
        {},
        ["classifier.weight", "classifier.bias"],
        ["predictions.bias"],
        [("qa_outputs.bias", (3,), (2,))],
    )
    assert found.info() == {
        "missing_keys": ["classifier.weight", "classifier.bias"],
        "unexpected_keys": ["predictions.bias"],
        "mismatched_keys": [("qa_outputs.bias", (3,), (2,))],
        "error_msgs": [],
    }
    with caplog.at_level(logging.INFO, "albert_zoo"):
        found.report("AlbertX", "place")
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        (
            "WARNING",
            "AlbertX from place: these weights are not in the checkpoint and have "
            "random initial values; train them before use: classifier.weight, "
            "classifier.bias, qa_outputs.bias",
        ),
        (
            "INFO",
            "AlbertX from place: weights of another head were left: predictions.bias",
        ),
    ]
    caplog.clear()
    with caplog.at_level(logging.INFO, "albert_zoo"):
        Match({"a": "b"}).report("AlbertX", "place")
    assert not caplog.records


class TestMisfits:
    @pytest.mark.bad_input(63)
    def test_all_of_it_is_named(self, tmp_path):
        config = tiny()
        arrays = weights(config, "ForMaskedLM")
        block = "encoder.albert_layer_groups.1.albert_layers.0"
        del arrays[f"albert.{block}.ffn.bias"]
        del arrays["albert.embeddings.LayerNorm.weight"]
        arrays[f"albert.{block}.attention.query.weight"] = np.ones((12, 11), np.float32)
        arrays["predictions.bias"] = np.ones(30, np.float32)
        arrays["made.up\x1b[31m"] = arrays["also.made.up"] = np.ones(1, np.float32)
        found = stored(tmp_path, arrays)
        assert refused(wanted(config, "ForMaskedLM"), found, "AlbertForMaskedLM") == (
            f"{tmp_path} does not fit AlbertForMaskedLM:\n"
            f"  missing     albert.embeddings.LayerNorm.weight\n"
            f"  missing     albert.{block}.ffn.bias\n"
            f"  unexpected  'also.made.up'\n"
            f"  unexpected  'made.up\\x1b[31m'\n"
            f"  shape       albert.{block}.attention.query.weight: (12, 11) in the "
            f"checkpoint, (12, 12) in the model\n"
            f"  shape       predictions.bias: (30,) in the checkpoint, (31,) in the "
            f"model\n"
            f"Check that config.json belongs to these weights."
        )

    @pytest.mark.bad_input(64)
    def test_a_checkpoint_of_bert(self, tmp_path):
        """Its embeddings and its pooler have names like ours; that is no match."""
        layer = "bert.encoder.layer.0"
        arrays = {
            "bert.embeddings.word_embeddings.weight": np.ones((31, 12), np.float32),
            "bert.embeddings.LayerNorm.weight": np.ones(12, np.float32),
            f"{layer}.attention.self.query.weight": np.ones((12, 12), np.float32),
            f"{layer}.output.dense.bias": np.ones(12, np.float32),
            "bert.pooler.dense.weight": np.ones((12, 12), np.float32),
        }
        message = refused(
            wanted(tiny(), "Model"), stored(tmp_path, arrays), "AlbertModel"
        )
        assert message.endswith(
            "This looks like a BERT checkpoint. Give an ALBERT one."
        )
        assert message.count("\n  missing ") == len(wanted(tiny(), "Model", False))
        for name in arrays:
            assert f"\n  unexpected  {name!r}\n" in message

    @pytest.mark.bad_input(64)
    def test_a_base_bert_whose_tables_have_our_names(self, tmp_path):
        arrays = weights(tiny())
        kept = {name: x for name, x in arrays.items() if "albert" not in name}
        kept["encoder.layer.0.output.dense.bias"] = np.ones(12, np.float32)
        message = refused(
            wanted(tiny(), "Model"), stored(tmp_path, kept), "AlbertModel"
        )
        assert "This looks like a BERT checkpoint." in message

    @pytest.mark.bad_input(63)
    def test_a_head_of_another_size(self, tmp_path):
        found = Checkpoint.open(
            write(tmp_path, tiny(num_labels=3), "ForSequenceClassification")
        )
        model = wanted(tiny(num_labels=5), "ForSequenceClassification")
        message = refused(model, found, "AlbertX")
        assert "classifier.weight: (3, 12) in the checkpoint, (5, 12) in the" in message
        assert "classifier.bias: (3,) in the checkpoint, (5,) in the model" in message
        assert message.endswith(
            "For a new head give ignore_mismatched_sizes=True, or the num_labels of "
            "the checkpoint."
        )
        left = match(model, found, "AlbertX", ignore_mismatched_sizes=True)
        assert left.mismatched == [
            ("classifier.weight", (3, 12), (5, 12)),
            ("classifier.bias", (3,), (5,)),
        ]
        assert left.initialised == ["classifier.weight", "classifier.bias"]
        assert "classifier.weight" not in left.sources

    def test_a_transposed_matrix_is_not_turned(self, tmp_path):
        arrays = weights(tiny())
        name = "encoder.embedding_hidden_mapping_in.weight"
        arrays[name] = arrays[name].T
        message = refused(
            wanted(tiny(), "Model"), stored(tmp_path, arrays), "AlbertModel"
        )
        assert f"{name}: (5, 12) in the checkpoint, (12, 5) in the model" in message
        assert message.endswith("Check that config.json belongs to these weights.")

    def test_mismatched_sizes_excuse_nothing_else(self, tmp_path):
        arrays = weights(tiny())
        del arrays[WORDS]
        found = stored(tmp_path, arrays)
        message = refused(
            wanted(tiny(vocab_size=40), "Model"), found, "AlbertModel", True
        )
        assert f"missing     {WORDS}" in message

    @pytest.mark.bad_input(69)
    def test_a_number_type_that_is_none_of_weights(self, tmp_path):
        arrays = weights(tiny())
        arrays["pooler.weight"] = arrays["pooler.weight"].astype(np.int8)
        message = refused(
            wanted(tiny(), "Model"), stored(tmp_path, arrays), "AlbertModel"
        )
        assert "'pooler.weight' holds int8, but a weight must be one of" in message

    def test_a_module_of_the_user_s_own(self, tmp_path):
        """What a subclass adds may hold integers, and may be new."""
        arrays = weights(tiny()) | {"mine.table": np.arange(4)}
        model = wanted(tiny(), "Model") | {"mine.table": (4,), "mine.new": (2,)}
        found = match(model, stored(tmp_path, arrays), "CustomAlbert")
        assert found.sources["mine.table"] == "mine.table"
        assert found.missing == ["mine.new"]

    def test_one_parameter_under_two_names(self, tmp_path):
        """With and without prefix: whichever was read last would have won."""
        arrays = weights(tiny())
        arrays["albert.pooler.bias"] = arrays["pooler.bias"] + 1
        message = refused(
            wanted(tiny(), "Model"), stored(tmp_path, arrays), "AlbertModel"
        )
        assert message.startswith(
            f"{tmp_path} holds parameters twice, with and without"
        )
        assert "'pooler.bias' and 'albert.pooler.bias'" in message or (
            "'albert.pooler.bias' and 'pooler.bias'" in message
        )


ALIASES = {
    "predictions.decoder.weight": f"albert.{WORDS}",
    "predictions.decoder.bias": "predictions.bias",
}


class TestTies:
    @pytest.mark.parametrize("alias", ALIASES)
    def test_the_same_array_under_both_names(self, alias, tmp_path):
        """Bit by bit: a NaN is the same as itself."""
        config = tiny()
        arrays = weights(config, "ForMaskedLM")
        arrays[ALIASES[alias]].flat[3] = np.nan
        arrays[alias] = arrays[ALIASES[alias]]
        found = match(
            wanted(config, "ForMaskedLM"), stored(tmp_path, arrays), "AlbertForMaskedLM"
        )
        assert found.sources == {name: name for name in wanted(config, "ForMaskedLM")}
        assert not found.missing + found.unexpected

    @pytest.mark.parametrize("alias", ALIASES)
    @pytest.mark.parametrize("change", ["value", "sign of zero", "type", "shape"])
    @pytest.mark.bad_input(65)
    def test_two_that_differ(self, alias, change, tmp_path):
        config = tiny()
        arrays = weights(config, "ForMaskedLM")
        owner = ALIASES[alias]
        arrays[owner].flat[0] = 0.0
        other = arrays[owner].copy()
        if change == "value":
            other.flat[-1] += 1
        elif change == "sign of zero":
            other.flat[0] = -0.0
        elif change == "type":
            other = other.astype(np.float64)
        else:
            other = other[:-1]
        arrays[alias] = other
        message = refused(
            wanted(config, "ForMaskedLM"), stored(tmp_path, arrays), "AlbertForMaskedLM"
        )
        assert message.startswith(
            f"{tmp_path}: {alias!r} and {owner!r} are one array in this model, but the "
            f"checkpoint holds two that differ. "
        )
        assert message.endswith(
            "Remove the wrong one."
            if alias.endswith("bias")
            else "For a decoder of its own set tie_word_embeddings to false."
        )

    def test_a_scalar_as_second_name(self, tmp_path):
        arrays = weights(tiny(), "ForMaskedLM")
        arrays["predictions.decoder.bias"] = np.float32(1).reshape(())
        found = stored(tmp_path, arrays)
        assert "holds two that differ" in refused(
            wanted(tiny(), "ForMaskedLM"), found, "AlbertForMaskedLM"
        )

    @pytest.mark.parametrize("alias", ALIASES)
    @pytest.mark.parametrize("head", ["ForMaskedLM", "Model"])
    def test_only_the_second_name(self, head, alias, tmp_path):
        config = tiny()
        arrays = weights(config, "ForMaskedLM")
        owner = ALIASES[alias]
        arrays[alias] = arrays.pop(owner)
        found = match(wanted(config, head), stored(tmp_path, arrays), f"Albert{head}")
        if head == "ForMaskedLM":
            assert found.sources[owner] == alias
            assert not found.unexpected
        elif alias.endswith("weight"):
            assert found.sources[WORDS] == alias
        assert not found.missing or head == "Model"

    @pytest.mark.parametrize("head", ["Model", "ForQuestionAnswering"])
    def test_an_untied_decoder_is_left_by_who_does_not_decode(self, head, tmp_path):
        config = tiny(tie_word_embeddings=False)
        found = match(
            wanted(config, head),
            Checkpoint.open(write(tmp_path, config, "ForMaskedLM")),
            f"Albert{head}",
        )
        assert found.sources[f"{'' if head == 'Model' else 'albert.'}{WORDS}"] == (
            f"albert.{WORDS}"
        )
        assert "predictions.decoder.weight" in found.unexpected

    def test_an_untied_decoder_is_a_parameter(self, tmp_path):
        config = tiny(tie_word_embeddings=False)
        found = match(
            wanted(config, "ForMaskedLM"),
            Checkpoint.open(write(tmp_path, config, "ForMaskedLM")),
            "AlbertForMaskedLM",
        )
        name = "predictions.decoder.weight"
        assert found.sources[name] == name
        assert not found.missing + found.unexpected


@pytest.mark.parametrize("prefix", ["", "albert."])
@pytest.mark.parametrize("buffer", schema.BUFFERS)
def test_constant_tables_of_old_checkpoints_are_left(buffer, prefix, tmp_path):
    arrays = weights(tiny())
    arrays[f"{prefix}{buffer}"] = np.arange(23)[None]
    found = match(wanted(tiny(), "Model"), stored(tmp_path, arrays), "AlbertModel")
    assert not found.unexpected + found.missing


class TestOpen:
    def test_the_options_are_taken_out(self, tmp_path):
        write(tmp_path / "inside", tiny())
        options = {
            "subfolder": "inside",
            "revision": None,
            "num_labels": 7,
            "dtype": "float16",
            "add_pooling_layer": False,
        }
        config, found = open_pretrained(tmp_path, None, options)
        assert options == {"add_pooling_layer": False}
        assert (config.num_labels, config.dtype) == (7, "float16")
        assert found["pooler.bias"].shape == (12,)

    def test_a_configuration_that_is_given_is_used_and_left_as_it_is(self, tmp_path):
        write(tmp_path, tiny())
        given = tiny(hidden_act="relu", num_labels=5)
        config, _ = open_pretrained(tmp_path, given, {"num_labels": 3})
        assert (config.hidden_act, config.num_labels) == ("relu", 3)
        assert given.num_labels == 5
        assert open_pretrained(tmp_path, given, {})[0] is not given

    def test_changes_of_a_given_configuration_are_checked(self, tmp_path):
        write(tmp_path, tiny())
        with pytest.raises(ConfigError, match="does not divide hidden_size 12"):
            open_pretrained(tmp_path, tiny(), {"num_attention_heads": 5})

    def test_no_configuration(self, tmp_path):
        write(tmp_path, tiny())
        (tmp_path / "config.json").unlink()
        with pytest.raises(ConfigError, match=r"holds no config\.json and no albert_"):
            open_pretrained(tmp_path, None, {})

    def test_google_s_configuration_will_do(self, tmp_path):
        write(tmp_path, tiny())
        (tmp_path / "config.json").unlink()
        text = json.dumps(tiny().to_google())
        (tmp_path / "albert_config.json").write_text(text)
        config, found = open_pretrained(tmp_path, None, {})
        assert match(wanted(config, "Model"), found, "AlbertModel").sources

    def test_a_file_is_no_directory(self, tmp_path):
        write(tmp_path, tiny())
        with pytest.raises(
            CheckpointError, match=r"config\.json: it begins with .* Give a file of"
        ):
            open_pretrained(tmp_path / "config.json", None, {})


@pytest.mark.parametrize(
    ("count", "multiple", "size"),
    [
        (None, None, 31),
        (40, None, 40),
        (None, 8, 32),
        (33, 32, 64),
        (64, 64, 64),
        (1, 1, 1),
    ],
)
def test_the_padded_size(count, multiple, size):
    assert padded(tiny(), count, multiple) == size


@pytest.mark.parametrize(
    ("count", "multiple", "words"),
    [
        (0, None, "new_num_tokens must be an integer from 1 to 16777216, not 0"),
        (3.0, None, "new_num_tokens must be an integer from 1 to 16777216, not 3.0"),
        (5, -1, "pad_to_multiple_of must be an integer from 1 to 16777216, not -1"),
        (5, True, "pad_to_multiple_of must be an integer from 1 to 16777216, not True"),
    ],
)
def test_a_size_that_is_none(count, multiple, words):
    with pytest.raises(ConfigError, match=words):
        padded(tiny(), count, multiple)


def test_a_size_without_the_padding():
    config = AlbertConfig(pad_token_id=7)
    assert padded(config, 8, None) == 8
    with pytest.raises(
        ConfigError, match="A vocabulary of 7 has no entry 7, which is pad"
    ):
        padded(config, 7, None)
    assert padded(AlbertConfig(pad_token_id=None), 1, None) == 1
