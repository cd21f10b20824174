"""A file that is no vocabulary is one clear error, whatever it is."""

import io
import json
import zipfile

import pytest

from albert_core.errors import TokenizerError
from albert_core.tokenization import (
    AlbertTokenizer,
    AlbertTokenizerFast,
    load_tokenizer,
)
from tests.conftest import GOLDEN

SPIECE = (GOLDEN / "tokenizer" / "spiece.model").read_bytes()
FORM = json.loads((GOLDEN / "tokenizer" / "tokenizer.json").read_text("utf-8"))


def torch_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
    return file.getvalue()


MODELS = {
    "empty": b"",
    "cut short": SPIECE[: len(SPIECE) // 2],
    "torch zip": torch_zip(),
    "vocab.txt": (GOLDEN / "wordpiece" / "vocab.txt").read_bytes(),
    "text": b"This is not a model.\n" * 20,
    "json": b'{"model": {"type": "BPE"}}',
    "git lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
    "zeros": bytes(2000),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("load", [AlbertTokenizer, AlbertTokenizerFast, load_tokenizer])
def test_what_is_no_sentencepiece_model(tmp_path, kind, load):
    path = tmp_path / "spiece.model"
    path.write_bytes(MODELS[kind])
    where = tmp_path if load is load_tokenizer else path
    with pytest.raises(TokenizerError, match=r"spiece\.model") as caught:
        load(where)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


def changed(change):
    form = json.loads(json.dumps(FORM))
    change(form)
    return json.dumps(form)


FORMS = {
    "empty": "",
    "cut short": json.dumps(FORM)[:5000],
    "list": "[1, 2]",
    "nothing in it": "{}",
    "bpe": changed(
        lambda f: f.update(model={"type": "BPE", "vocab": {}, "merges": []})
    ),
    "no vocabulary": changed(lambda f: f["model"].pop("vocab")),
    "scores are text": changed(lambda f: f["model"].update(vocab=[["a", "b"]])),
    "no unknown": changed(lambda f: f["model"].update(unk_id=5000)),
    "charsmap": changed(
        lambda f: f["normalizer"]["normalizers"][5].update(precompiled_charsmap="!")
    ),
    "normalizer": changed(lambda f: f.update(normalizer={"type": "Strip"})),
    "other steps": changed(
        lambda f: f.update(normalizer={"type": "Prepend", "prepend": "x"})
    ),
}


@pytest.mark.parametrize("kind", FORMS)
@pytest.mark.parametrize(
    "load",
    [
        lambda path: AlbertTokenizerFast(tokenizer_file=path),
        lambda path: load_tokenizer(path.parent),
    ],
    ids=["class", "directory"],
)
def test_what_is_no_tokenizer_json(tmp_path, kind, load):
    path = tmp_path / "tokenizer.json"
    path.write_text(FORMS[kind], "utf-8")
    with pytest.raises(TokenizerError, match=r"tokenizer\.json") as caught:
        load(path)
    assert len(str(caught.value)) < 600


def test_what_is_not_there(tmp_path):
    with pytest.raises(TokenizerError, match="does not exist"):
        AlbertTokenizer(tmp_path / "spiece.model")
    with pytest.raises(TokenizerError, match="is no file"):
        AlbertTokenizer(tmp_path)
    for kind in (AlbertTokenizer, AlbertTokenizerFast):
        with pytest.raises(TokenizerError, match=r"holds no .*spiece\.model"):
            kind.from_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(TokenizerError, match=r"holds model\.safetensors"):
        load_tokenizer(tmp_path)
    with pytest.raises(TokenizerError, match="needs a vocabulary"):
        AlbertTokenizerFast()


@pytest.mark.parametrize(
    "line",
    [
        '{"do_lower_case": "yes"}',
        '{"model_max_length": "long"}',
        '{"added_tokens_decoder": [1]}',
        '{"sp_model_kwargs": 3}',
        '{"mask_token": 4}',
        '{"padding_side": "up"}',
        "{",
    ],
)
def test_a_bad_configuration(tmp_path, line):
    (tmp_path / "spiece.model").write_bytes(SPIECE)
    (tmp_path / "tokenizer_config.json").write_text(line)
    for fast in (True, False):
        with pytest.raises(TokenizerError):
            load_tokenizer(tmp_path, use_fast=fast)
