"""docs/performance.md is what the suite writes, and the suite measures what it says."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

from albert_core import AlbertConfig, schema
from albert_core.hub import ASSETS, BUNDLED
from benchmarks.suite import forward, limits, others, page
from benchmarks.suite.processes import in_turns, workers
from benchmarks.suite.sides import SIDES
from tests.conftest import tiny, write

ROOT = Path(__file__).parents[2]


def test_the_page_is_what_was_measured(tmp_path):
    results, *others = (
        json.loads(path.read_text())
        for path in sorted((ROOT / "benchmarks" / "measured").glob("performance*.json"))
    )
    page.write(results, tmp_path, others)
    text = (tmp_path / "performance.md").read_text("utf-8")
    assert text == (ROOT / "docs" / "performance.md").read_text("utf-8")
    written, *elsewhere = text.split("## Another machine")
    for heading, work, ours, theirs in page.compared(results):
        name = f"- {heading}{', ' + work if work else ''}: "
        assert (name in written) == (page.ratio(ours, theirs) < 1), name
    for other, section in zip(others, elsewhere, strict=True):
        assert other["machine"]["processor"] in section
        for heading, work, ours, theirs in page.compared(other):
            (line,) = [
                x for x in section.splitlines() if f"| {heading} | {work} |" in x
            ]
            assert f"**{page.ratio(ours, theirs):.2f}**" in line


def test_operations_are_those_of_all_products():
    config = AlbertConfig()
    products = sum(
        2 * p.size
        for p in schema.parameters(config, "Model")
        if p.leaf == "weight" and len(p.shape) == 2 and "albert_layers" in p.name
    )
    rows, length = 2, 5
    found = limits.operations(config.to_dict(), rows, length)
    scores = 2 * 2 * length * config.hidden_size  # with the keys, and with the values
    mapped = 2 * config.embedding_size * config.hidden_size
    layers = config.num_hidden_layers
    assert found == pytest.approx(
        rows * length * (layers * (products + scores) + mapped)
    )


def test_sides_run_in_turns_in_processes(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "SHAPES", {"small": (3, 8, True)})
    monkeypatch.setattr(forward, "VOCABULARY", 31)
    monkeypatch.setattr(forward, "GROUPS", {"torch": ("torch: albert-zoo",)})
    folder = write(tmp_path / "made", tiny())
    rows = list(forward.all_rows({"zoo": sys.executable}, folder, 1, 2))
    types = [(row["group"], row["dtype"]) for row in rows]
    assert types == [("torch", "float32"), *forward.TYPES]
    for row in rows:
        assert len(row["seconds"]) == 2
        assert row["apart"] == 0
        assert row["first"] > 0
    given = forward.inputs("small", 31)
    assert given["attention_mask"][0].all()
    assert not given["attention_mask"].all()
    assert not given["input_ids"][given["attention_mask"] == 0].any()


def test_larger_sizes_run_in_bfloat16_too(tmp_path, monkeypatch):
    monkeypatch.setattr(forward, "SHAPES", {"small": (1, 8, False)})
    monkeypatch.setattr(forward, "VOCABULARY", 31)
    monkeypatch.setattr(forward, "GROUPS", {"torch": ("torch: albert-zoo",)})
    types = {kind: forward.TYPES[kind] for kind in forward.TYPES if "torch" in kind}
    monkeypatch.setattr(forward, "TYPES", types)
    monkeypatch.setattr(forward, "LARGER", {"wide": 1})
    made = write(tmp_path / "wide", tiny())
    found = forward.larger_rows({"zoo": sys.executable}, made.with_name, 1)
    named = [(row["size"], row["dtype"], len(row["seconds"])) for row in found]
    assert named == [("wide", "float32", 1), ("wide", "bfloat16", 1)]


def test_a_stream_goes_to_ours_and_to_the_best_of_the_peers(monkeypatch):
    took = {"torch: albert-zoo": 9, "tf: albert-zoo": 8, "peer, 1": 3, "peer, 8": 2}
    calls: list[tuple[list[str], int, int]] = []

    def in_turns(sides, given, folder, rounds):
        calls.append((list(sides), len(given["texts"]), rounds))
        rows = {name: {"side": name, "median": took[name]} for name in sides}
        return rows, {name: np.zeros(len(given["texts"])) for name in sides}

    monkeypatch.setattr(others, "workers", lambda *_: nullcontext(took))
    monkeypatch.setattr(others, "in_turns", in_turns)
    monkeypatch.setattr(others, "TEXTS", 40)
    monkeypatch.setattr(others, "SAMPLE", 10)
    rows = list(others.streams({}, ASSETS / BUNDLED, 1))
    chosen = ["torch: albert-zoo", "tf: albert-zoo", "peer, 8"]
    assert calls == [(list(took), 10, 1), (chosen, 40, 0)]
    assert [row["side"] for row in rows] == chosen
    assert {row["texts"] for row in rows} == {40}


def test_without_rounds_the_first_call_counts(monkeypatch, tmp_path):
    monkeypatch.setattr(forward, "SHAPES", {"small": (1, 8, False)})
    folder, side = write(tmp_path / "made", tiny()), "torch: albert-zoo"
    made = (folder, "float32", 1)
    with workers("forward", [side], {"zoo": sys.executable}, *made) as sides:
        rows, _ = in_turns(sides, forward.inputs("small", 31), tmp_path, 0)
    assert rows[side]["seconds"] == []
    assert rows[side]["median"] == rows[side]["first"] > 0


def test_every_group_has_sides_that_are_there():
    for names in forward.GROUPS.values():
        assert set(names) <= SIDES.keys()
        assert "albert-zoo" in names[0]
    assert np.isclose(
        page.ratio({"median": 2.0}, [{"median": 3.0}, {"median": 8.0}]), 1.5
    )
