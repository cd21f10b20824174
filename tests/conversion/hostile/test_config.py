"""Configurations, through the whole converter."""

import json
import os

import pytest

from albert_core.files import LARGEST_JSON
from tests.conftest import tiny, write
from tests.conversion.hostile.judging import command, files, whole


@pytest.fixture
def source(tmp_path):
    return write(tmp_path / "source", tiny(), "ForMaskedLM")


WRONG = {
    '"num_attention_heads": 0': "num_attention_heads",
    '"num_attention_heads": 5': "num_attention_heads",
    '"vocab_size": -1': "vocab_size",
    '"num_hidden_layers": 1000000000': "num_hidden_layers",
    '"num_hidden_layers": 1e9': "num_hidden_layers",
    '"num_hidden_groups": 7': "num_hidden_groups",
    '"hidden_size": "12"': "hidden_size",
    '"hidden_act": "os.system"': "hidden_act",
    '"hidden_act": "\\u001b[2J"': r"'\x1b[2J'",
    '"layer_norm_eps": NaN': "NaN",
    '"layer_norm_eps": 1e999': "layer_norm_eps",
    '"id2label": {"0": "a", "x": "b"}': "id2label",
    '"pruned_heads": {"0": [99]}': "pruned_heads",
    '"model_type": "bert"': "'bert'",
    '"x": ' + "[" * 100_000: "is not a JSON file",
}


@pytest.mark.parametrize("text", WRONG, ids=lambda text: text[:30])
@pytest.mark.bad_input(62)
def test_fields_that_cannot_be(text, source, tmp_path):
    path = source / "config.json"
    values = json.loads(path.read_text())
    values.pop(text.split('"')[1], None)
    path.write_text(json.dumps(values)[:-1] + f", {text}}}")
    before = files(tmp_path)
    for more in (
        ("inspect", source),
        ("convert", source, tmp_path / "x", "--to", "keras"),
    ):
        code, out, err = command(*more)
        assert (code, out) == (3, "")
        assert WRONG[text] in err, err
        assert "Traceback" not in err
        assert all(map(str.isprintable, err.splitlines()))
    assert files(tmp_path) == before


@pytest.mark.parametrize("kind", ["list", "large", "pipe", "folder", "empty", "text"])
@pytest.mark.bad_input(62)
def test_files_that_are_no_configuration(kind, source, tmp_path):
    path = source / "config.json"
    path.unlink()
    match kind:
        case "list":
            path.write_text("[1, 2]")
        case "large":
            path.touch()
            os.truncate(path, max(LARGEST_JSON, 2**30))
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case _:
            path.write_bytes(b"\xff\xfe{}")
    code, out, err = command("convert", source, tmp_path / "x", "--to", "keras")
    assert (code, out) == (3, "")
    assert err.startswith(f"albert-zoo: {path} "), err
    assert err.count("\n") == 1


@pytest.mark.bad_input(62)
def test_keys_that_would_make_others_run_code(source, tmp_path, monkeypatch):
    """They are data here, in every class that has a configuration."""
    (tmp_path / "evil_module.py").write_text(
        f"open({str(tmp_path / 'sentinel')!r}, 'w')"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    path = source / "config.json"
    expected = {name: array.tobytes() for name, array in whole(source).items()}
    evil = {
        "auto_map": {
            "AutoConfig": "evil_module.Config",
            "AutoModel": "evil_module.Model",
        },
        "_attn_implementation_internal": "evil_module/kernel:run",
        "attn_implementation": "eager",
        "trust_remote_code": True,
        "quantization_config": {"quant_method": "evil_module"},
        "custom_pipelines": {"x": {"impl": "evil_module.Pipeline"}},
        "__class__": "evil_module.Config",
    }
    path.write_text(json.dumps(json.loads(path.read_text()) | evil))
    found = {name: array.tobytes() for name, array in whole(source).items()}
    assert found == expected
    assert command("convert", source, tmp_path / "x", "--to", "keras")[0] == 0
    assert not (tmp_path / "sentinel").exists()
