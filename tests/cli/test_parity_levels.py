"""`albert-zoo parity`: levels, a user's texts, the self-test, inconclusive runs."""

import importlib
import json
import random

import pytest

from albert_core import AlbertConfig, checkpoint
from albert_zoo import console
from albert_zoo.parity import selftest
from tests.conftest import FRAMEWORKS, GOLDEN, tiny, weights, write

CASE = GOLDEN / "plain-Model"
QUICK = ("--frameworks", "torch", "--dtype", "float64")


def figures(call, *arguments, path=CASE):
    code, out, err = call("parity", path, *QUICK, *arguments, "--json", "-")
    return code, json.loads(out) if out else err


def test_only_the_levels_that_are_asked_for(call):
    code, found = figures(call, "--level", "config,forced")
    assert code == 0
    assert {check["level"] for check in found["runs"][0]["checks"]} == {
        "config",
        "forced",
    }
    assert found["checks"] == []


def test_bfloat16_is_proved_in_every_framework(call):
    given = ("--dtype", "bfloat16", "--level", "packed,forced", "--json", "-")
    code, out, err = call("parity", CASE, *given)
    assert code == 0, (out, err)
    found = json.loads(out)["runs"]
    assert [run["framework"] for run in found] == list(FRAMEWORKS)
    for run in found:
        assert {check["level"] for check in run["checks"]} == {"packed", "forced"}
        worst = max(check["share_of_budget"] for check in run["checks"])
        assert (run["dtype"], 0.001 < worst < 1) == ("bfloat16", True)


def test_a_larger_budget_is_said(call):
    arguments = ("parity", CASE, *QUICK, "--level", "free", "--budget-scale")
    code, out, _ = call(*arguments, "7")
    assert code == 0
    assert "All budgets were multiplied with 7." in out
    code, found = figures(call, "--level", "free", "--budget-scale", "7")
    assert found["budget_scale"] == 7
    assert found["runs"][0]["checks"][0]["budget"] == pytest.approx(7e-12)
    assert call(*arguments, "0")[0] == console.USAGE


@pytest.mark.parametrize("text", ["", "  \n\n"])
def test_a_file_without_texts(call, tmp_path, text):
    (tmp_path / "texts").write_text(text)
    code, err = figures(call, "--texts", tmp_path / "texts")
    assert code == console.BAD_INPUT
    assert "holds 0 texts" in err


def test_texts_need_a_tokenizer(call, tmp_path):
    (tmp_path / "texts").write_text("some words")
    code, err = figures(call, "--texts", tmp_path / "texts")
    assert code == console.BAD_INPUT
    assert "holds no" in err


def test_a_user_s_texts_are_a_batch(call, tmp_path):
    path = write(tmp_path / "model", tiny(), "ForMaskedLM")
    (path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefg"])
    )
    (tmp_path / "texts").write_text("a b c\n\nd e f g a b\n")
    code, found = figures(call, "--texts", tmp_path / "texts", path=path)
    assert code == 0, found
    _, plain = figures(call, path=path)
    assert found["inputs_sha256"] != plain["inputs_sha256"]
    places = {check["place"] for check in found["runs"][0]["checks"]}
    assert "texts" in places  # the loss of that batch


def test_a_framework_that_fails_is_inconclusive(call, monkeypatch):
    def broken(x):
        raise RuntimeError("no such kernel")

    layers = importlib.import_module("albert_torch.layers")
    monkeypatch.setattr(layers, "merge_heads", broken)
    code, found = figures(call, "--level", "config,free")
    assert code == console.INCONCLUSIVE
    assert found["verdict"] == "ERROR"
    (bad,) = (c for c in found["runs"][0]["checks"] if c["verdict"] == "ERROR")
    assert bad["why"] == "RuntimeError: no such kernel"
    assert bad["share_of_budget"] is None


def test_a_framework_that_fails_besides_other_faults_is_no_traceback(call, monkeypatch):
    def broken(x):
        raise RuntimeError("no such kernel")

    from albert_torch import AlbertModel

    load = AlbertModel.from_pretrained.__func__

    def changed(cls, *arguments, **options):
        return load(cls, *arguments, layer_norm_eps=1e-3, **options)

    layers = importlib.import_module("albert_torch.layers")
    monkeypatch.setattr(layers, "merge_heads", broken)
    monkeypatch.setattr(AlbertModel, "from_pretrained", classmethod(changed))
    code, found = figures(call, "--level", "config,free")
    assert code == console.CHECK_FAILED
    verdicts = {check["verdict"] for check in found["runs"][0]["checks"]}
    assert verdicts == {"PASS", "FAIL", "ERROR"}


def test_budgets_that_allow_anything_prove_nothing(call):
    code, found = figures(call, "--budget-scale", "1e13")
    assert code == console.INCONCLUSIVE
    assert not found["passed"]
    assert found["runs"][0]["levels"]["free"] == "SKIPPED"


def test_a_framework_that_is_not_repeatable_is_inconclusive(call, monkeypatch):
    layers = importlib.import_module("albert_torch.layers")
    old = layers.merge_heads
    noise = lambda x: old(x) * (1 + 1e-15 * random.random())  # noqa: E731
    monkeypatch.setattr(layers, "merge_heads", noise)
    code, found = figures(call, "--level", "free")
    assert code == console.INCONCLUSIVE
    assert found["verdict"] == "NONDETERMINISTIC"
    assert found["runs"][0]["causes"] == ["dropout left on"]


def test_a_weight_that_loading_changes_is_found_and_named(call, monkeypatch):
    from albert_torch import AlbertModel

    load = AlbertModel.from_pretrained.__func__

    def changed(cls, *arguments, **options):
        model, info = load(cls, *arguments, **options)
        bias = model.pooler.bias
        bias.data[0] = bias.data[0] * (1 + 2.0**-52)
        return model, info

    monkeypatch.setattr(AlbertModel, "from_pretrained", classmethod(changed))
    code, found = figures(call)
    assert code == console.CHECK_FAILED
    bad = [c for c in found["runs"][0]["checks"] if c["verdict"] == "FAIL"]
    assert [(c["level"], c["place"]) for c in bad] == [("bytes", "pooler.bias")]
    size = AlbertConfig.from_pretrained(CASE).hidden_size
    assert bad[0]["why"] == f"1 of {size} numbers differ"


def test_the_self_test_comes_first_and_must_be_passed(call, monkeypatch):
    finding = selftest.Finding("torch", "x", "PASS", "", ["pooler"], [], "y")
    monkeypatch.setattr(selftest, "run", lambda *_: [finding])
    code, out, err = call("parity", CASE, *QUICK, "--selftest", "--few")
    assert (code, out) == (console.CHECK_FAILED, "")
    assert "of 1 planted mistakes 0 were caught" in err
    assert "torch, x: PASS, first in nothing, not pooler" in err
    good = selftest.Finding("torch", "x", "FAIL", "pooler", ["pooler"], ["y"], "y")
    monkeypatch.setattr(selftest, "run", lambda *_: [good])
    code, found = figures(call, "--selftest", "--level", "config")
    assert code == 0
    assert [x["caught"] for x in found["selftest"]] == [True]


def test_a_tokenizer_with_more_words_than_the_model(call, tmp_path):
    path = write(tmp_path / "model", tiny(vocab_size=8))
    (path / "vocab.txt").write_text(
        "\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefg"])
    )
    code, found = figures(call, "--level", "tokens,config", path=path)
    assert code == console.CHECK_FAILED
    assert found["checks"][0]["why"] == "the tokenizer has 12 ids, the model 8"


def test_a_checkpoint_without_the_weights_of_its_head(call, tmp_path):
    config = tiny(architectures=["AlbertForTokenClassification"])
    checkpoint.save(tmp_path, config, weights(config))
    code, err = figures(call, path=tmp_path)
    assert code == console.BAD_INPUT
    assert "classifier.weight" in err
