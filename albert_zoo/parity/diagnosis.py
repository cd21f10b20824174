"""Where a model begins to differ, and why."""

from collections.abc import Iterator, Mapping

import numpy as np

from albert_core import schema
from albert_core.schema import base_name
from albert_zoo.backends import Arrays, flatten
from albert_zoo.parity import checks
from albert_zoo.parity.budgets import STRUCTURE
from albert_zoo.parity.case import LEARNT, Case
from albert_zoo.parity.catalogue import CAUSES
from albert_zoo.parity.causes import Scenario
from albert_zoo.parity.checks import Run
from albert_zoo.parity.gains import size_of
from albert_zoo.parity.probes import Probe

# A mistake explains a difference if, with it, no more than this share of it is left.
LEFT = 1e-2
MOST = 3  # causes that are named
# What goes into the embeddings shows only behind them where they are right themselves.
SEEN_AT = {"embeddings": "projection"}

# An output that no layer gives -> the call that makes it.
MADE_BY = {
    "hidden_states.0": "projection",
    "pooler_output": "pooler",
    "prediction_logits": "predictions",
    "sop_logits": "sop_classifier.classifier",
    "start_logits": "qa_outputs",
    "end_logits": "qa_outputs",
}
LOGITS = {"ForMaskedLM": "predictions"}  # of the others: the classifier


def call_of(output: str, case: Case) -> str:
    """The call that makes an output of the whole model."""
    inner, layers = case.config.inner_group_num, case.config.num_hidden_layers
    name, _, index = output.partition(".")
    if name == "attentions":
        return f"layer.{int(index) // inner}.inner.{int(index) % inner}.attention"
    if output == "last_hidden_state":
        name, index = "hidden_states", str(layers)
    if name == "hidden_states" and index != "0":
        return f"layer.{int(index) - 1}.inner.{inner - 1}.feed_forward"
    if output == "logits":
        return LOGITS.get(case.head, "classifier")
    return MADE_BY.get(output, output)


def first_divergence(run: Run, case: Case) -> str:
    """The first call that is wrong, in the order in which they are made.

    A call that is wrong by itself is so when it is fed the reference's input. What
    connects the calls, such as the mask, shows in what the whole model gives.
    """
    order = list(next(iter(case.answer.stages.values())))
    bad = [c for c in run.checks if c.verdict not in (checks.PASS, checks.SKIPPED)]
    calls = [c.place for c in bad if c.level == "forced"]
    calls += [call_of(c.place, case) for c in bad if c.level == "free"]
    known = [call for call in calls if call in order]
    if known:
        return min(known, key=order.index)
    for level in ("loss", "gradients", "bytes", "config"):
        places = [check.place for check in bad if check.level == level]
        if places:
            return f"{level}: {places[-1]}" if places[-1] else level
    return calls[0] if calls else ""


def causes(case: Case, probe: Probe, run: Run) -> list[str]:
    """What explains the difference of a run, the best first; nothing if none does."""
    found = dict.fromkeys(
        f"{c.place} in the configuration is {c.why}"
        for c in run.of("config")
        if c.verdict == checks.FAIL
    )
    if any(c.verdict == checks.NONDETERMINISTIC for c in run.checks):
        return [*found, "dropout left on"]
    outputs = {name: probe.outputs(given) for name, given in case.batches.items()}
    off = distance(outputs, case.answer.outputs)
    if off > STRUCTURE:
        ranked: list[tuple[float, int, str]] = []
        for number, (name, scenario) in enumerate(scenarios(case, run.first)):
            left = distance(outputs, _answer(case, scenario))
            if left <= LEFT * off:
                ranked.append((float(f"{left / off:.0e}"), number, name))
        best = min(ranked)[0] if ranked else 0.0
        # Those that explain as much are told apart by their order in the catalogue.
        ranked = [(max(left, 10 * best), number, name) for left, number, name in ranked]
        return [*found, *(name for _, _, name in sorted(ranked)[:MOST])]
    return [*found, *_of_learning(case, probe)]


def scenarios(case: Case, first: str) -> Iterator[tuple[str, Scenario]]:
    """Every mistake that can show at a call first, made in its block or in all."""
    sound, block = healthy(case), block_of(case, first)
    for cause in CAUSES:
        if not cause.in_block and first not in (cause.at, SEEN_AT.get(cause.at)):
            continue
        for prefix in dict.fromkeys([block, ""]) if cause.in_block else [""]:
            if cause.in_block and not first.endswith((cause.at, "attention")):
                continue
            made = cause.change(sound, prefix)
            if made is not None:
                yield cause.name, made


def healthy(case: Case) -> Scenario:
    """A case without any mistake."""
    weights = {base_name(name): array for name, array in case.weights.items()}
    return Scenario(case.config, weights, case.batches)


def block_of(case: Case, call: str) -> str:
    """The prefix of the parameters that a call uses, "" outside of the layers."""
    if not call.startswith("layer."):
        return ""
    _, layer, _, inner, _ = call.split(".")
    group = case.config.group_of(int(layer))
    return f"{schema.BLOCK.format(group=group, inner=inner)}."


def distance(found: Mapping[str, Arrays], expected: Mapping[str, Arrays]) -> float:
    """The largest relative distance of any output, over all batches."""
    names = dict.fromkeys(name for outputs in expected.values() for name in outputs)
    names.pop("loss", None)  # which has causes of its own
    worst = 0.0
    for name in names:
        wanted = {b: x[name] for b, x in expected.items() if name in x}
        pairs = [(found[b].get(name), x) for b, x in wanted.items()]
        held = [(a, b) for a, b in pairs if a is not None and a.shape == b.shape]
        if len(held) < len(pairs):
            return np.inf
        size = np.sqrt(sum(float(np.sum(np.square(b))) for _, b in held)) or 1.0
        with np.errstate(all="ignore"):
            off = [np.sum(np.square(a.astype(np.float64) - b)) for a, b in held]
            relative = float(np.sqrt(np.sum(off))) / size
        if not relative <= worst:
            worst = relative
    return worst


def _answer(case: Case, made: Scenario) -> dict[str, Arrays]:
    model = made.kind(made.config, made.weights, case.head, case.pools)
    given = made.batches.items()
    return {name: flatten(model(**inputs), np.asarray) for name, inputs in given}


def _of_learning(case: Case, probe: Probe) -> list[str]:
    """What explains a loss or gradients that are wrong although all else is right."""
    if not case.learns:
        return []
    found, theirs = probe.gradients(case.batches[LEARNT])
    expected, ours = case.answer.loss or 0.0, case.answer.gradients
    if not abs(found - expected) <= STRUCTURE * abs(expected):
        return _of_loss(case, found, expected)
    wrong = [
        name
        for name, gradient in ours.items()
        if name in theirs and theirs[name].shape == gradient.shape
        if np.linalg.norm(theirs[name] - gradient)
        > LEFT * size_of(f"gradients {name}", case.places)
    ]
    if not wrong:
        return []
    padding = case.config.pad_token_id
    if padding is not None and all("word_embeddings" in name for name in wrong):
        off = [theirs[name] - ours[name] for name in wrong]
        others = [np.linalg.norm(np.delete(rows, padding, 0)) for rows in off]
        if np.max(others) <= LEFT * max(np.linalg.norm(rows) for rows in off):
            return ["row of padding learns"]
    stopped = [name for name in wrong if not theirs[name].any()]
    return ["gradient stopped"] if stopped else []


def _of_loss(case: Case, found: float, expected: float) -> list[str]:
    given = dict(case.batches[LEARNT])
    if "labels" in given:
        given["labels"] = np.maximum(given["labels"], 0)
    known = {
        "labels of -100 count": float(case.model()(**given).loss),
        "loss doubled": 2 * expected,
        "loss halved": expected / 2,
    }
    return [k for k, x in known.items() if abs(found - x) <= STRUCTURE * abs(x)]
