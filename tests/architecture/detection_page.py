"""The page that compares our verdicts with what is usually taken for a parity test.

python -m tests.architecture.detection_page
"""

import tempfile
from pathlib import Path

import numpy as np

from albert_zoo.backends import flatten
from albert_zoo.parity import budgets, checks
from albert_zoo.parity.case import open_case
from albert_zoo.parity.catalogue import CAUSES
from albert_zoo.parity.diagnosis import block_of, healthy
from albert_zoo.parity.inputs import batches
from albert_zoo.parity.measure import compare
from albert_zoo.parity.sample import write_sample

PAGE = Path(__file__).parents[2] / "docs/parity/detection.md"
TESTS = ("float64", "float32", "allclose 1e-5", "allclose 1e-3", "cosine", "Pearson")
SCORES = ("prediction_logits", "sop_logits")

HEAD = """# Detection

What finds a mistake in a port? Every mistake of the catalogue is made in the reference,
in one block where it is one of a block, on the small model that `albert-zoo parity`
makes without a path, and its outputs are compared with the right ones in six ways. This
page is made by `python -m tests.architecture.detection_page`; a test fails if it is
stale.

- **float64**, **float32**: our verdict by the budgets of that number type, on all
  outputs of the whole model (the level "free"; the others find more, and where it is).
- **allclose**: `numpy.allclose` of the logits with this `atol` and `rtol`.
- **cosine**, **Pearson**: of all logits, above 0.99 is a pass.

"found" is a mistake that the test fails on, "-" one that it passes.

"""
TAIL = """
Exactly the same mistakes are planted in PyTorch, TensorFlow and JAX by
`albert-zoo parity --selftest`, and further ones in their code; see
[Parity](../parity.md#the-self-test).
"""


def found(expected, outputs):
    """Which tests fail on outputs."""
    pairs = {
        name: [(outputs[b][name], x[name]) for b, x in expected.items() if name in x]
        for name in {name for x in expected.values() for name in x} - {"loss"}
    }

    def ours(mode, gains):
        for name, held in pairs.items():
            metrics = compare(held, budgets.MODES[mode].unit)
            most = budgets.budget(mode, gains[f"free {name}"])
            if checks.judged("free", name, metrics, most).verdict != checks.PASS:
                return True
        return False

    logits = [pair for name in SCORES for pair in pairs[name]]
    a, b = (np.concatenate([pair[i].ravel() for pair in logits]) for i in (0, 1))
    cosine = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    return lambda gains: (
        ours("float64", gains),
        ours("float32", gains),
        not np.allclose(a, b, 1e-5, 1e-5),
        not np.allclose(a, b, 1e-3, 1e-3),
        not cosine > 0.99,
        not np.corrcoef(a, b)[0, 1] > 0.99,
    )


def rows():
    """Name of a mistake -> which of the tests find it."""
    with tempfile.TemporaryDirectory() as folder:
        case = open_case(write_sample(Path(folder) / "sample"), batches)
        made = {}
        for cause in CAUSES:
            at = f"layer.0.inner.0.{cause.at}" if cause.in_block else cause.at
            scenario = cause.change(healthy(case), block_of(case, at))
            if scenario is None:
                continue
            model = scenario.kind(
                scenario.config, scenario.weights, case.head, case.pools
            )
            outputs = {
                name: flatten(model(**inputs), np.asarray)
                for name, inputs in scenario.batches.items()
            }
            made[cause.name] = found(case.answer.outputs, outputs)(case.gains)
        return made


def page():
    """The text of the page."""
    made = rows()
    lines = [
        f"| mistake | {' | '.join(TESTS)} |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, hits in made.items():
        cells = " | ".join("found" if hit else "-" for hit in hits)
        lines.append(f"| {name} | {cells} |")
    counts = np.array(list(made.values())).sum(0)
    cells = " | ".join(f"**{count} of {len(made)}**" for count in counts)
    lines.append(f"| **all** | {cells} |")
    return HEAD + "\n".join(lines) + "\n" + TAIL


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
