"""`albert-zoo bench` as a user meets it; how long anything takes is never looked at."""

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from albert_core import preset
from albert_zoo import console
from albert_zoo.benchmark import measure
from albert_zoo.benchmark.cells import Cell, Result, rank
from albert_zoo.benchmark.measure import Side, Timing
from albert_zoo.parity.checks import Check

TINY = ("bench", "--preset", "tiny", "--frameworks", "torch", "--rounds", "2")
SMALL = (*TINY, "--batch", "2", "--length", "8", "--json", "-")


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    monkeypatch.setattr(measure, "REST", 0)


def cells(out):
    """Verdicts by task."""
    found = json.loads(out, parse_constant=pytest.fail)
    return {cell["task"]: cell["verdict"] for cell in found["cells"]}


def test_every_task_is_timed_and_judged(call, tmp_path):
    file = tmp_path / "figures.json"
    shape = ("--batch", "1,4", "--length", "8", "--json", file)
    code, out, err = call(*TINY, *shape)
    assert code == 0, err
    assert err == ""
    found = json.loads(file.read_text())
    assert found["verdict"] == "PASS"
    assert found["frameworks"]["torch"]["device"] == "cpu"
    assert [(c["task"], c["batch"], c["length"]) for c in found["cells"]] == [
        ("load", None, None),
        ("forward", 1, 8),
        ("forward", 4, 8),
        ("train", 1, 8),
        ("train", 4, 8),
    ]
    for cell in found["cells"]:
        assert cell["verdict"] == "PASS"
        assert len(cell["seconds"]) == found["rounds"] == 2
        assert cell["p10_seconds"] <= cell["median_seconds"] <= cell["p90_seconds"]
        assert cell["ratio"] == 1
        tokens = cell["batch"] and cell["batch"] * 8 / cell["median_seconds"]
        assert cell["tokens_per_second"] == tokens
        assert cell["resident_peak_bytes"] >= cell["resident_growth_bytes"]
        assert cell["device_peak_bytes"] is None
        worst = cell["worst_check"]
        assert worst["level"] == "bytes" or worst["metrics"]["relative"] > 0
    assert out.count("PASS") == 5
    for word in ("tokens/s", "4 x 8", "torch 2", "cores"):
        assert word in out


def test_wrong_numbers_are_no_result(call, monkeypatch):
    from albert_torch import kernels

    old = kernels.linear
    monkeypatch.setattr(kernels, "linear", lambda *x: old(*x) * (1 + 1e-3))
    code, out, _ = call(*SMALL)
    assert code == console.CHECK_FAILED
    assert cells(out) == {"load": "PASS", "forward": "FAIL", "train": "FAIL"}
    assert [cell.get("ratio") for cell in json.loads(out)["cells"]] == [1, None, None]
    code, out, _ = call(*SMALL[:-2], "--task", "forward")
    assert code == console.CHECK_FAILED
    assert "FAIL > 999%" in out
    assert "forward float32 2 x 8 PyTorch: free logits: FAIL, off by" in out


def test_an_update_and_a_load_are_judged_too(call, monkeypatch):
    from albert_torch import AlbertPreTrainedModel
    from albert_zoo.benchmark import tasks_torch

    old = AlbertPreTrainedModel.from_pretrained.__func__

    def off(cls, *arguments, **options):
        model = old(cls, *arguments, **options)
        model.albert.pooler.bias.data += 1e-5
        return model

    monkeypatch.setattr(AlbertPreTrainedModel, "from_pretrained", classmethod(off))
    monkeypatch.setattr(tasks_torch, "RATE", 1.1)
    code, out, _ = call(*SMALL, "--task", "load,train")
    assert code == console.CHECK_FAILED
    load, train = (cell["worst_check"] for cell in json.loads(out)["cells"])
    assert (load["place"], load["verdict"]) == ("albert.pooler.bias", "FAIL")
    assert (train["level"], train["verdict"]) == ("update", "FAIL")


def test_what_one_cell_cannot_do_the_others_do(call, monkeypatch):
    import torch

    from albert_zoo.benchmark import tasks_torch

    def full(*_):
        raise torch.OutOfMemoryError("no room for [8 GiB]")

    monkeypatch.setattr(tasks_torch.Subject, "step", full)
    code, out, _ = call(*SMALL)
    assert code == console.INCONCLUSIVE
    assert cells(out) == {"load": "PASS", "forward": "PASS", "train": "ERROR"}
    code, out, _ = call(*SMALL[:-2], "--task", "train")
    assert code == console.INCONCLUSIVE
    assert "PyTorch: ERROR (OutOfMemoryError: no room for [8 GiB])" in out


def test_a_model_without_a_loss_does_not_train(call, make_checkpoint):
    path = make_checkpoint("Model")
    arguments = ("--frameworks", "torch", "--rounds", "1", "--batch", "1")
    code, out, _ = call("bench", path, *arguments, "--json", "-")
    assert code == 0
    assert cells(out) == {"load": "PASS", "forward": "PASS", "train": "SKIPPED"}
    assert {c["length"] for c in json.loads(out)["cells"]} == {None, 23}  # its most
    code, _, _ = call("bench", path, *arguments, "--task", "train")
    assert code == console.INCONCLUSIVE


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--frameworks", "theano"), console.USAGE, "theano is not among torch, tf"),
        (("--batch", "1,0"), console.USAGE, "'0' is no whole number from 1"),
        (("--task", "sleep"), console.USAGE, "sleep is not among forward, train"),
        (("DIR", "--preset", "tiny"), console.USAGE, "or --preset, not both"),
        (("nowhere", *TINY[3:]), console.BAD_INPUT, "nowhere"),
        ((*TINY[1:], "--length", "65"), console.BAD_INPUT, "has positions for 64"),
        ((*TINY[1:], "--device", "abacus"), console.BAD_INPUT, "no device 'abacus'"),
    ],
)
def test_mistakes(call, arguments, code, message):
    found, _, err = call("bench", *arguments)
    assert found == code
    assert message in err
    assert "Traceback" not in err


def test_a_missing_framework_is_4():
    code = "import sys; sys.modules['torch'] = None; from albert_zoo.cli import main; "
    shown = subprocess.run(
        [sys.executable, "-c", code + "main()", *TINY], capture_output=True, text=True
    )
    assert shown.returncode == console.MISSING
    assert "pip install 'albert-zoo[torch]'" in shown.stderr


def test_nothing_is_loaded_before_it_is_needed():
    code = (
        "import sys, albert_zoo.commands.bench, albert_zoo.benchmark.grid; "
        "sys.exit(bool({'torch', 'tensorflow', 'keras', 'jax'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_turns_rotate_and_one_that_fails_takes_no_more():
    turns = []

    def side(name, fails_at=None):
        def run():
            turns.append(name)
            if turns.count(name) == fails_at:
                raise MemoryError
            return len(turns)

        return Side(run)

    sides = {"a": side("a"), "b": side("b", 2), "c": side("c")}
    found = measure.in_turns(sides, 2)
    assert "".join(turns) == "abcbcacaac"
    assert isinstance(found["b"].problem, MemoryError)
    assert [len(found[name].seconds) for name in "abc"] == [2, 0, 2]
    assert found["c"].result == len(turns)


def test_the_fastest_is_one_that_is_right():
    def cell(median, verdict):
        timing = Timing(seconds=[median])
        return Cell("torch", "train", "float32", 1, 8, timing, [Check("", "", verdict)])

    ranked = rank([cell(1.0, "FAIL"), cell(2.0, "PASS"), cell(3.0, "PASS")])
    assert [found.ratio for found in ranked] == [None, 1.0, 1.5]
    assert Result("", "", 1, ranked).exit_code == console.CHECK_FAILED
    assert Result("", "", 1).exit_code == console.INCONCLUSIVE


def test_random_weights_have_a_released_size(tmp_path, monkeypatch):
    from albert_zoo.benchmark import sample

    config = preset("albert-base-v2").config
    config.vocab_size, config.intermediate_size = 11, 13
    monkeypatch.setattr(sample, "preset", lambda name: SimpleNamespace(config=config))
    path = sample.write(tmp_path, "base")
    found = json.loads((path / "config.json").read_text())
    assert found["hidden_size"] == 768
    assert found["architectures"] == ["AlbertForMaskedLM"]
