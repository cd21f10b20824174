"""The numbers that transformers 4.57.6 wrote, in every framework, in float32."""

import hashlib
import json

import numpy as np
import pytest

from albert_zoo.parity import probes
from albert_zoo.parity.budgets import GOLDEN, GOLDEN_GRADIENT, GRADIENT_FLOOR
from tests.conftest import FRAMEWORKS
from tests.conftest import GOLDEN as FOLDER

CASES = sorted(path.name for path in FOLDER.glob("*-*"))


def arrays(case, file):
    """The arrays of a golden file, or none if the case has no such file."""
    path = FOLDER / case / file
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return dict(stored)


def mismatches(found, expected, bound):
    """Expected outputs that are not there, of another shape, or further off."""
    wrong = []
    for name, array in expected.items():
        same = name in found and found[name].shape == array.shape
        if not same or not np.abs(found[name] - array).max(initial=0) <= bound:
            wrong.append(name)  # a NaN too
    return wrong


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_outputs_and_losses_are_those_of_transformers(framework, case):
    head = case.split("-")[1]
    probe = probes.load(framework, FOLDER / case, head, "float32")
    found = probe.outputs(arrays(case, "inputs.npz"))
    for writer in FRAMEWORKS:
        # The last of TensorFlow and Flax have no losses: theirs are defined otherwise.
        expected = arrays(case, f"expected_{writer}.npz")
        expected = {k: v for k, v in expected.items() if not k.startswith("grad.")}
        assert expected or (writer != "torch" and case.startswith("relative_key"))
        assert not mismatches(found, expected, GOLDEN), writer


LEARNING = [case for case in CASES if case != "plain-Model"]


@pytest.mark.parametrize("case", LEARNING)
def test_gradients_are_those_of_transformers(case):
    import torch

    import albert_torch

    expected = arrays(case, "expected_torch.npz")
    expected = {
        k.removeprefix("grad."): v for k, v in expected.items() if k.startswith("grad.")
    }
    model_class = getattr(albert_torch, f"Albert{case.split('-')[1]}")
    model = model_class.from_pretrained(FOLDER / case, attn_implementation="eager")
    inputs = {k: torch.from_numpy(v) for k, v in arrays(case, "inputs.npz").items()}
    model(**inputs).loss.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        bound = GOLDEN_GRADIENT * max(np.abs(gradient).max(), GRADIENT_FLOOR)
        error = np.abs(found[name].numpy() - gradient).max()
        assert error <= bound, (name, error, bound)


def test_files_are_those_that_transformers_wrote():
    recorded = json.loads((FOLDER / "provenance.json").read_text())
    files = sorted(path for path in FOLDER.glob("*-*/*"))
    found = {
        path.relative_to(FOLDER).as_posix(): hashlib.sha256(path.read_bytes())
        for path in files
    }
    assert {name: digest.hexdigest() for name, digest in found.items()} == (
        recorded["sha256"]
    )
    assert recorded["transformers"] == "4.57.6"
