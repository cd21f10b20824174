"""What the reference says about the inputs that are timed, and who agrees with it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from albert_core import schema
from albert_zoo.backends import Arrays
from albert_zoo.benchmark.tasks import RATE, Inputs
from albert_zoo.parity import checks, inputs
from albert_zoo.parity.budgets import MODES, budget
from albert_zoo.parity.case import LEARNT, Case
from albert_zoo.parity.checks import Check, judged
from albert_zoo.parity.gains import size_of
from albert_zoo.parity.measure import SCORES, compare
from albert_zoo.parity.searches import settle

Array = NDArray[Any]

# Of the tokens of a masked language model one in so many is decoded, as where some are
# masked. All logits of a batch would take longer to move than to compute.
DECODED = 7
DECODERS = {"ForMaskedLM": "logits", "ForPreTraining": "prediction_logits"}
TWO = 2  # different rows, over and over: the reference is slow


class _Forward(Case):
    """A case whose gradients nobody asks for."""

    @property
    def learns(self) -> bool:
        """Whether there is a loss."""
        return False


@dataclass(frozen=True)
class Truth:
    """What the reference makes of a batch.

    Attributes:
        given: The inputs of all rows.
        outputs: The reference's, of the rows that are different.
        loss: The reference's; that of all rows is the same.
        gradients: The same, by canonical name.
        gains: Those of all places; see `parity.budgets`.
        sizes: What errors of gradients are relative to.
        times: How often the different rows are repeated.
    """

    given: Inputs
    outputs: Arrays
    loss: float | None
    gradients: Arrays
    gains: Mapping[str, float]
    sizes: Mapping[str, float]
    times: int

    def forward(self, found: Arrays, mode: str) -> Iterator[Check]:
        """Judge every output of every row."""
        expected = {
            name: np.concatenate([x] * self.times) for name, x in self.outputs.items()
        }
        found = dict(settle(found, expected))
        for name, wanted in expected.items():
            yield self._judged("free", name, found[name], wanted, mode, name in SCORES)

    def train(
        self, loss: float, gradients: Arrays, before: Arrays, after: Arrays, mode: str
    ) -> Iterator[Check]:
        """Judge a step: the loss, the gradients, and how the weights have moved."""
        found, wanted = np.array([loss]), np.array([self.loss])
        yield self._judged("loss", "loss", found, wanted, mode)
        unit = MODES[mode].unit
        for name, expected in self.gradients.items():
            yield self._judged("gradients", name, gradients[name], expected, mode)
            moved = _wide(before[name]) - RATE * _wide(gradients[name])
            size = np.linalg.norm(_wide(before[name])) + np.linalg.norm(moved)
            pairs = [(_wide(after[name]), moved)]
            metrics = compare(pairs, unit, floor=float(size))
            yield judged("update", name, metrics, 2 * unit)

    def _judged(
        self,
        level: str,
        name: str,
        found: Array,
        expected: Array,
        mode: str,
        scores: bool = False,
    ) -> Check:
        if found.shape != expected.shape:
            why = f"shape {found.shape}, expected {expected.shape}"
            return Check(level, name, checks.STRUCTURE, why)
        place = f"{level} {name}"
        pairs = [(_wide(found), expected)]
        floor = self.sizes.get(place, 0.0)
        metrics = compare(pairs, MODES[mode].unit, scores, floor)
        return judged(level, name, metrics, budget(mode, self.gains[place]))


def forward(case: Case, rows: int, length: int) -> Truth:
    """What the outputs must be, the same number of tokens in every row."""
    different = _different(rows)
    plain = inputs.batch(case.config, schema.BASE, different, length)
    shaped = plain
    if case.head == "ForMultipleChoice":
        shaped = {name: x[:, None] for name, x in plain.items()}
    asked = _with(case, _Forward, shaped)
    answer = asked.answer.outputs[LEARNT]
    outputs = {
        name: x
        for name, x in answer.items()
        if not name.startswith(("hidden_states", "attentions"))
    }
    gains = asked.gains
    if case.head in DECODERS:
        name = DECODERS[case.head]
        places = np.arange(0, length, DECODED, dtype=np.int32)
        plain["positions"] = np.tile(places, (different, 1))
        outputs = {"logits": outputs[name][:, places]}
        gains = {**gains, "free logits": gains[f"free {name}"]}
    times = rows // different
    return Truth(_repeated(plain, times), outputs, None, {}, gains, {}, times)


def train(case: Case, rows: int, length: int) -> Truth:
    """What a step of training must give; repeated rows change no mean."""
    different = _different(rows)
    labelled = inputs.batch(case.config, case.head, different, length)
    asked = _with(case, Case, labelled)
    answer = asked.answer
    sizes = {
        f"gradients {name}": size_of(f"gradients {name}", asked.places)
        for name in answer.gradients
    }
    times = rows // different
    given = _repeated(labelled, times)
    gains, gradients = asked.gains, answer.gradients
    return Truth(given, {}, answer.loss, gradients, gains, sizes, times)


def loaded(case: Case, found: Arrays, mode: str) -> Iterator[Check]:
    """Judge weights after loading: those of the checkpoint, rounded to the type."""
    half = ml_dtypes.bfloat16 if mode == "bfloat16" else mode
    for name, weight in case.weights.items():
        expected = _wide(weight.astype(half))
        same = np.array_equal(_wide(found[name]), expected, equal_nan=True)
        yield Check("bytes", name, checks.PASS if same else checks.FAIL)


def _different(rows: int) -> int:
    return TWO if rows % TWO == 0 else 1


def _with(case: Case, kind: type[Case], given: Inputs) -> Case:
    batches = {LEARNT: dict(given)}
    parts = (case.directory, case.config, case.head, case.weights, batches, case.pools)
    return kind(*parts)


def _repeated(given: Inputs, times: int) -> Inputs:
    return {name: np.concatenate([x] * times) for name, x in given.items()}


def _wide(array: Array) -> Array:
    return np.asarray(array).astype(np.float64)
