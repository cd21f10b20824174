"""config.json: written, read, changed on the way, and refused when it is not one."""

import json
import os

import pytest

from albert_core import AlbertConfig, CheckpointError, ConfigError
from albert_core.files import LARGEST_JSON
from tests.conftest import GOLDEN, tiny
from tests.core.helpers import fields_of

CASES = sorted(path.name for path in GOLDEN.glob("*-*") if path.is_dir())
FULL = {
    "embedding_size": 12,
    "hidden_act": "relu",
    "hidden_dropout_prob": 0.25,
    "layer_norm_eps": 1e-5,
    "classifier_dropout_prob": None,
    "position_embedding_type": "relative_key",
    "pad_token_id": None,
    "num_labels": None,
    "id2label": {0: "no", 1: "yes"},
    "label2id": {"nay": 0, "yes": 1},
    "problem_type": "regression",
    "output_attentions": True,
    "output_hidden_states": True,
    "return_dict": False,
    "tie_word_embeddings": False,
    "pruned_heads": {0: [1], 3: [0, 2]},
    "dtype": "bfloat16",
    "architectures": ["AlbertForMaskedLM"],
    "kept": {"nested": [1, None, "ü", True]},
}


@pytest.mark.parametrize("changes", [{}, FULL], ids=["tiny", "full"])
def test_what_is_saved_is_read_again(changes, tmp_path):
    config = tiny(**changes)
    config.save_pretrained(tmp_path / "new" / "folder")
    again = AlbertConfig.from_pretrained(tmp_path / "new" / "folder")
    assert fields_of(again) == fields_of(config)
    assert AlbertConfig.from_pretrained(
        tmp_path / "new/folder/config.json"
    ).to_dict() == (config.to_dict())
    assert [file.name for file in (tmp_path / "new/folder").iterdir()] == [
        "config.json"
    ]


def test_the_text_is_what_hugging_face_writes():
    """Two spaces, sorted keys, one line feed at the end; defaults are left out."""
    text = tiny(num_labels=2, pruned_heads={1: [2]}).to_json_string()
    assert text.endswith("}\n")
    values = json.loads(text)
    assert text == json.dumps(values, indent=2, sort_keys=True) + "\n"
    assert values["model_type"] == "albert"
    assert values["pruned_heads"] == {"1": [2]}
    quiet = {"id2label", "label2id", "problem_type", "return_dict", "dtype"}
    quiet |= {"tie_word_embeddings", "output_attentions", "attn_implementation"}
    assert not quiet & values.keys()


def test_labels_of_one_s_own_are_written_though_their_numbers_are_the_default(tmp_path):
    AlbertConfig(label2id={"no": 0, "yes": 1}).save_pretrained(tmp_path)
    assert AlbertConfig.from_pretrained(tmp_path).label2id == {"no": 0, "yes": 1}


def test_the_machine_s_choice_is_not_written(tmp_path):
    tiny(attn_implementation="eager").save_pretrained(tmp_path)
    assert AlbertConfig.from_pretrained(tmp_path).attn_implementation is None


def test_fields_and_kept_keys_are_changed_on_the_way(tmp_path):
    tiny(dropout=0.1, dtype="float32").save_pretrained(tmp_path)
    config = AlbertConfig.from_pretrained(
        tmp_path, num_labels=7, dropout=0.2, torch_dtype="float16", cache_dir="unused"
    )
    assert (config.num_labels, config.dropout, config.dtype) == (7, 0.2, "float16")


def test_a_change_can_mend_what_is_stored(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"hidden_act": "mish", "model_type": "albert"}'
    )
    assert (
        AlbertConfig.from_pretrained(tmp_path, hidden_act="relu").hidden_act == "relu"
    )


def test_a_change_of_nothing_that_is_there(tmp_path):
    tiny().save_pretrained(tmp_path)
    with pytest.raises(ConfigError) as caught:
        AlbertConfig.from_pretrained(tmp_path, num_label=3, hiden_size=5)
    assert "cannot change hiden_size, num_label, which is no field" in str(caught.value)


def test_from_a_subfolder(tmp_path):
    tiny().save_pretrained(tmp_path / "inside")
    assert AlbertConfig.from_pretrained(tmp_path, subfolder="inside").vocab_size == 31


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_transformers_4(case):
    """Every key is a field of the same value, or is kept."""
    path = GOLDEN / case
    stored = json.loads((path / "config.json").read_text())
    config = AlbertConfig.from_pretrained(path)
    assert config.extra == {"transformers_version": "4.57.6"}
    for name, value in stored.items():
        found = getattr(config, name)
        if name == "id2label":
            found = {str(number): label for number, label in found.items()}
        assert found == value, name
    plain = fields_of(AlbertConfig())
    for name in plain.keys() - stored.keys() - {"extra"}:
        assert getattr(config, name) == plain[name], name
    assert fields_of(AlbertConfig.from_dict(config.to_dict())) == fields_of(config)


BAD = {
    "list": ("[1, 2]", "holds a JSON list where an object is expected."),
    "text": ('"albert"', "holds a JSON str where an object is expected."),
    "cut": ('{"vocab_size": 3', "is not a JSON file: "),
    "empty": ("", "is not a JSON file: Expecting value"),
    "html": ("<!doctype html><title>404</title>", "is not a JSON file: "),
    "nan": ('{"layer_norm_eps": NaN}', "holds NaN, which is not JSON. Write a number"),
    "infinity": ('{"x": -Infinity}', "holds -Infinity, which is not JSON."),
    "overflow": ('{"layer_norm_eps": 1e999}', "layer_norm_eps must be a number of at"),
    "long": ('{"vocab_size": %s}' % ("9" * 5000), "is not a JSON file: "),
    "large": (
        '{"vocab_size": %s}' % ("9" * 400),
        "vocab_size must be an integer from 1",
    ),
    "twice": ('{"vocab_size": 3, "vocab_size": 4}', "holds 'vocab_size' twice."),
    "inside": ('{"id2label": {"0": "a", "0": "b"}}', "holds '0' twice."),
    "deep": ('{"x": ' + "[" * 100_000 + "]" * 100_000 + "}", "is not a JSON file: "),
    "bert": (
        '{"model_type": "bert"}',
        "is the configuration of a model of type 'bert'",
    ),
    "type": (
        '{"model_type": ["albert"]}',
        "of a model of type ['albert'], not of 'albert'",
    ),
    "field": ('{"hidden_size": "768"}', "hidden_size must be an integer from 1"),
    "escape": ('{"hidden_act": "\\u001b[31m"}', r"but it is '\x1b[31m'."),
    "labels": ('{"id2label": {"0": "a", "00": "b"}}', "id2label must be a table"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.bad_input(62)
def test_a_bad_file(name, tmp_path):
    text, words = BAD[name]
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ConfigError) as caught:
        AlbertConfig.from_pretrained(tmp_path)
    assert words in str(caught.value)
    assert name in ("overflow", "large", "field", "escape", "labels") or (
        str(caught.value).startswith(str(tmp_path / "config.json"))
    )
    assert len(str(caught.value)) < 1000


def test_not_utf8(tmp_path):
    (tmp_path / "config.json").write_bytes(b'{"x": "\xff"}')
    with pytest.raises(ConfigError, match="is not a JSON file: 'utf-8' codec"):
        AlbertConfig.from_pretrained(tmp_path)


@pytest.mark.bad_input(62)
def test_far_too_large(tmp_path):
    with (tmp_path / "config.json").open("wb") as file:
        file.truncate(LARGEST_JSON + 1)
    with pytest.raises(ConfigError, match=f"has {LARGEST_JSON + 1} bytes; at most"):
        AlbertConfig.from_pretrained(tmp_path)


def test_a_directory_in_its_place(tmp_path):
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ConfigError, match=r"config\.json is not a regular file"):
        AlbertConfig.from_pretrained(tmp_path)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(ConfigError, match=r"config\.json is not a regular file"):
        AlbertConfig.from_pretrained(tmp_path)


@pytest.mark.bad_input(62)
def test_none_there(tmp_path):
    with pytest.raises(ConfigError) as caught:
        AlbertConfig.from_pretrained(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path} holds no config.json and no albert_config.json, so the shape of "
        f"the model is not known. Put it beside the weights."
    )


def test_unreadable(tmp_path, monkeypatch):
    tiny().save_pretrained(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_text", refuse)
    with pytest.raises(ConfigError, match=r"cannot be read: Permission denied\."):
        AlbertConfig.from_pretrained(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("kept", {1, 2}, "kept {1, 2}"),
        ("kept", float("nan"), "kept nan"),
        ("kept", {"a": float("inf")}, "kept {'a': inf}"),
        ("kept", {1: 0, "a": 0}, "kept {1: 0, 'a': 0}"),
        ("kept", object, "kept <class 'object'>"),
    ],
)
def test_what_json_does_not_have_is_not_written(key, value, shown, tmp_path):
    tiny().save_pretrained(tmp_path)
    before = (tmp_path / "config.json").read_bytes()
    with pytest.raises(ConfigError) as caught:
        tiny(**{key: value}).save_pretrained(tmp_path)
    assert f"AlbertConfig keeps {shown}, which cannot be written" in str(caught.value)
    assert (tmp_path / "config.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_the_directory_should_be(below, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(CheckpointError) as caught:
        tiny().save_pretrained(tmp_path / "file" / ("below" if below else ""))
    assert "cannot be a directory, because" in str(caught.value)
    assert str(tmp_path / "file") in str(caught.value)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    tiny().save_pretrained(tmp_path)
    before = (tmp_path / "config.json").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        tiny(vocab_size=5).save_pretrained(tmp_path)
    assert (tmp_path / "config.json").read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_the_mode_is_what_the_user_s_mask_asks_for(tmp_path):
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            tiny().save_pretrained(tmp_path)
        finally:
            os.umask(before)
        assert (tmp_path / "config.json").stat().st_mode & 0o777 == mode


def test_home_is_home_for_both(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    tiny().save_pretrained("~/albert")
    assert (tmp_path / "albert" / "config.json").exists()
    assert AlbertConfig.from_pretrained("~/albert").vocab_size == 31
