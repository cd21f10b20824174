"""A recording is judged as the framework itself is, and a fault in it is found."""

import shutil
import subprocess
import sys

import numpy as np
import pytest

from albert_core.errors import FormatError
from albert_zoo.parity import checks, proof, recorder
from albert_zoo.parity.recorded import compare
from albert_zoo.parity.recording import MANIFEST, Recording
from tests.conftest import FRAMEWORKS, tiny, write
from tests.parity.recordings import SMALL, make, manifest, rewrite, rows


@pytest.fixture(scope="module")
def healthy(tmp_path_factory):
    """A recording of PyTorch in float64; not to be changed."""
    return make(tmp_path_factory.mktemp("healthy"))


@pytest.fixture
def recording(healthy, tmp_path):
    """A copy of it."""
    return shutil.copytree(healthy, tmp_path / "recording")


def test_it_is_judged_as_the_framework_is(healthy):
    (found,) = compare([healthy]).runs
    (proved,) = proof.prove(healthy.parent / "checkpoint", ["torch"], ["float64"]).runs
    assert found.verdict == proved.verdict == checks.PASS
    both = [
        [
            c.to_dict() for c in run.checks if c.level != "packed"
        ]  # which is not recorded
        for run in (found, proved)
    ]
    assert both[0] == both[1]
    assert found.versions == proved.versions
    assert found.switches == {**proved.switches, "recording": str(healthy)}
    recording = Recording.open(healthy)
    assert recording.loss == recording.read("outputs", "rows")["loss"]


COMPARE = """
import sys
for name in ("torch", "tensorflow", "keras", "jax", "flax"): sys.modules[name] = None
from albert_zoo.parity.recorded import compare
found = compare(sys.argv[1:])
print(*(f"{run.framework} {run.mode} {run.verdict}" for run in found.runs))
"""


def test_every_framework_is_judged_where_none_is_installed(tmp_path):
    folders = [make(tmp_path, f, "float32", "Model", make=rows) for f in FRAMEWORKS]
    command = [sys.executable, "-c", COMPARE, *folders]
    shown = subprocess.run(command, capture_output=True, text=True, check=False)
    assert shown.stdout == "torch float32 PASS tf float32 PASS flax float32 PASS\n", (
        shown.stderr
    )


@pytest.mark.parametrize("mode", ["bfloat16", "float16"])
def test_half_precision_is_recorded_too(tmp_path, mode):
    (run,) = compare([make(tmp_path, mode=mode)]).runs
    assert {c.verdict for c in run.of("bytes")} == {checks.PASS}
    assert run.verdict == checks.PASS


def test_a_head_without_a_loss_has_no_gradients(tmp_path):
    folder = make(tmp_path, head="Model")
    (run,) = compare([folder]).runs
    assert run.verdict == checks.PASS
    assert [c.verdict for c in run.of("gradients")] == [checks.SKIPPED]


def off(name):
    """One number of an array a little off."""

    def edit(arrays):
        arrays[name].reshape(-1)[-1] += 1e-6

    return edit


def put(name, value):
    """One number of an array replaced."""

    def edit(arrays):
        arrays[name].reshape(-1)[0] = value

    return edit


def drop(name):
    """An array gone."""
    return lambda arrays: arrays.pop(name)


def flat(name):
    """An array in another shape."""
    return lambda arrays: arrays.update({name: arrays[name].reshape(-1)})


ATTENTION = "layer.1.inner.0.attention"
OUT, IN, LEARNT = "outputs-rows", "calls-rows", "gradients"
BIAS = "sop_classifier.classifier.bias"


@pytest.mark.parametrize(
    ("file", "edit", "place", "verdict", "first"),
    [
        (OUT, off("prediction_logits"), ("free", "prediction_logits"), "FAIL",
         "predictions"),
        (OUT, off("hidden_states.1"), ("free", "hidden_states.1"), "FAIL",
         "layer.0.inner.0.feed_forward"),
        (OUT, put("sop_logits", np.nan), ("free", "sop_logits"), "NONFINITE",
         "sop_classifier.classifier"),
        (OUT, drop("sop_logits"), ("free", "sop_logits"), "STRUCTURE",
         "sop_classifier.classifier"),
        (OUT, put("loss", 0.5), ("loss", "rows"), "FAIL", "loss: rows"),
        ("calls-longest", off(ATTENTION), ("forced", ATTENTION), "FAIL", ATTENTION),
        (IN, flat(ATTENTION), ("forced", ATTENTION), "STRUCTURE", ATTENTION),
        (IN, drop(ATTENTION), ("forced", ""), "ERROR", ""),
        (LEARNT, off(BIAS), ("gradients", BIAS), "FAIL", f"gradients: {BIAS}"),
        (LEARNT, drop(BIAS), ("gradients", BIAS), "STRUCTURE", f"gradients: {BIAS}"),
    ],
    ids=lambda x: x if isinstance(x, str) else None,
)  # fmt: skip
def test_a_fault_is_found_where_it_is(recording, file, edit, place, verdict, first):
    rewrite(recording, f"{file}.safetensors", edit)
    found = compare([recording])
    (run,) = found.runs
    bad = [c for c in run.checks if c.verdict not in (checks.PASS, checks.SKIPPED)]
    assert [(c.level, c.place, c.verdict) for c in bad] == [(*place, verdict)]
    assert run.first == first
    assert found.exit_code == (6 if verdict == checks.ERROR else 1)


def test_a_weight_that_was_another_one_is_named(recording):
    weights = manifest(recording)["weights"]
    name = "albert.pooler.bias"
    manifest(recording, weights={**weights, name: {**weights[name], "sha256": "0"}})
    (run,) = compare([recording]).runs
    (bad,) = [c for c in run.of("bytes") if c.verdict != checks.PASS]
    assert (bad.place, bad.verdict) == (name, checks.FAIL)
    assert "SHA-256 0, in the checkpoint " in bad.why


def test_weights_missing_and_of_another_shape_are_structure(recording):
    weights = manifest(recording)["weights"]
    lost, other = list(weights)[:2]
    weights["more"] = weights.pop(lost)
    weights[other]["shape"] = [1]
    manifest(recording, weights=weights)
    (run,) = compare([recording]).runs
    bad = {c.place: c.verdict for c in run.of("bytes") if c.verdict != checks.PASS}
    assert bad == dict.fromkeys((lost, other, "more"), checks.STRUCTURE)


def test_a_field_that_was_another_one_is_named(recording):
    config = manifest(recording)["config"]
    manifest(recording, config={**config, "layer_norm_eps": 1e-5})
    (run,) = compare([recording]).runs
    (bad,) = [c for c in run.of("config") if c.verdict != checks.PASS]
    assert bad.place == "layer_norm_eps"
    assert bad.why == "1e-05, expected 1e-12"


def test_what_changes_from_run_to_run_is_inconclusive(tmp_path, monkeypatch):
    from albert_zoo.parity.probe_torch import TorchProbe

    steady, calls = TorchProbe.outputs, []

    def outputs(self, inputs):
        calls.append(inputs)
        found = steady(self, inputs)
        return found | {"sop_logits": found["sop_logits"] + 1e-15 * len(calls)}

    monkeypatch.setattr(TorchProbe, "outputs", outputs)
    folder = make(tmp_path)
    assert manifest(folder)["changed"] == ["sop_logits"]
    found = compare([folder])
    assert found.verdict == checks.NONDETERMINISTIC
    assert found.exit_code == 6


def test_a_scale_multiplies_every_budget(healthy):
    one, ten = (compare([healthy], scale=s).runs[0].worst.share for s in (1.0, 10.0))
    assert one == pytest.approx(10 * ten)


KILLED = """
import os, sys
from pathlib import Path
from albert_zoo.parity import recorder
recorder.write_text = lambda *_: os._exit(9)
recorder.record(sys.argv[1], Path(sys.argv[2]), "torch")
"""


def test_a_killed_recording_is_refused_and_can_be_made_again(tmp_path):
    checkpoint = write(tmp_path / "checkpoint", tiny(**SMALL))
    out = tmp_path / "out"
    command = [sys.executable, "-c", KILLED, checkpoint, out]
    assert subprocess.run(command, check=False).returncode == 9
    assert not out.exists()
    for folder in (out, tmp_path / ".out.part"):
        with pytest.raises(FormatError, match=f"INCOMPLETE.*{MANIFEST}"):
            Recording.open(folder)
    recorder.record(checkpoint, out, "torch")
    Recording.open(out)


def test_a_framework_that_fails_leaves_nothing(tmp_path, monkeypatch):
    from albert_zoo.parity.probe_torch import TorchProbe

    def fail(self, inputs):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(TorchProbe, "gradients", fail)
    message = "PyTorch failed at the gradients: RuntimeError: out of memory"
    with pytest.raises(recorder.RecordingFailedError, match=message):
        make(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]
