"""One framework in one number type, level by level, against the reference."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from albert_core import int8
from albert_core.errors import AlbertError
from albert_core.fields import RULES
from albert_zoo.backends import Arrays
from albert_zoo.parity import checks
from albert_zoo.parity.budgets import MODES, budget
from albert_zoo.parity.case import LEARNT, Case
from albert_zoo.parity.checks import Check, judged
from albert_zoo.parity.gains import size_of
from albert_zoo.parity.measure import SCORES, compare
from albert_zoo.parity.padding import at_tokens
from albert_zoo.parity.probes import Probe
from albert_zoo.parity.searches import settle

Array = NDArray[Any]
OWN = {"dtype", "attn_implementation"}  # fields that a probe chooses by itself


class Levels:
    """The checks of one probe.

    Args:
        case: What is compared.
        probe: The framework's model.
        mode: A key of `budgets.MODES`.
        scale: What all budgets are multiplied with.
    """

    def __init__(self, case: Case, probe: Probe, mode: str, scale: float) -> None:
        self.case = case
        self.probe = probe
        self.mode = mode
        self.scale = scale

    def run(self, level: str) -> Iterator[Check]:
        """The checks of a level; an exception inside a framework becomes one."""
        known: Mapping[str, Callable[[], Iterator[Check]]] = {
            "bytes": self.weights,
            "config": self.config,
            "free": self.free,
            "packed": self.packed,
            "forced": self.forced,
            "loss": self.loss,
            "gradients": self.gradients,
        }
        try:
            yield from known[level]()
        except AlbertError:
            raise
        except Exception as problem:  # any framework's own
            why = f"{type(problem).__name__}: {problem}"
            yield Check(level, "", checks.ERROR, why[:500])

    def weights(self) -> Iterator[Check]:
        """Every weight, bit by bit."""
        wanted = dict(self.case.weights)
        for name, array in self.probe.weights():
            if name not in wanted:
                why = "the checkpoint does not hold it"
                yield Check("bytes", name, checks.STRUCTURE, why)
                continue
            expected = as_loaded(name, wanted.pop(name), array, self.mode)
            if array.shape != expected.shape:
                why = f"shape {array.shape}, in the checkpoint {expected.shape}"
                yield Check("bytes", name, checks.STRUCTURE, why)
            elif array.tobytes() == expected.tobytes():
                yield Check("bytes", name, checks.PASS)
            else:
                differing = int((array != expected).sum())
                why = f"{differing} of {array.size} numbers differ"
                yield Check("bytes", name, checks.FAIL, why)
        for name in wanted:
            yield Check("bytes", name, checks.STRUCTURE, "the model does not have it")

    def config(self) -> Iterator[Check]:
        """Every field that the model was built from."""
        theirs, ours = self.probe.config, self.case.config
        for name in sorted(RULES.keys() - OWN):
            found, expected = getattr(theirs, name), getattr(ours, name)
            verdict = checks.PASS if found == expected else checks.FAIL
            why = "" if found == expected else f"{found!r}, expected {expected!r}"
            yield Check("config", name, verdict, why)

    def free(self) -> Iterator[Check]:
        """All outputs of the whole model, run twice."""
        expected = self.case.answer.outputs
        found: dict[str, Arrays] = {}
        changed: set[str] = set()
        for batch, inputs in self.case.batches.items():
            found[batch], again = (self.probe.outputs(inputs) for _ in range(2))
            changed |= {
                name
                for name, array in found[batch].items()
                if array.tobytes() != again[name].tobytes()
            }
            odd = _shapes(found[batch]).items() ^ _shapes(expected[batch]).items()
            if odd:
                names = ", ".join(sorted({name for name, _ in odd}))
                why = f"of batch {batch!r} only one of the two has {names}"
                yield Check("free", names, checks.STRUCTURE, f"{why}, or other shapes")
                return
            found[batch] = dict(settle(found[batch], expected[batch]))
        names = dict.fromkeys(name for one in expected.values() for name in one)
        inner = self.case.config.inner_group_num
        for name in sorted(names, key=partial(depth, inner=inner)):
            if name == "loss":
                continue  # a level of its own
            pairs = [
                (found[b][name], x[name]) for b, x in expected.items() if name in x
            ]
            if name in changed:
                why = "a second run on the same inputs gave other numbers"
                yield Check("free", name, checks.NONDETERMINISTIC, why)
            else:
                yield self._judged("free", name, pairs, scores=name in SCORES)

    def packed(self) -> Iterator[Check]:
        """What fast paths make of all tokens; padding means nothing there."""
        pairs: dict[str, list[tuple[Array, Array]]] = {}
        for batch, inputs in self.case.batches.items():
            expected = self.case.answer.outputs[batch]
            found = self.probe.packed(inputs)
            found = {k: x for k, x in found.items() if k in expected and k != "loss"}
            found = settle(found, expected)
            for name, array in at_tokens(found, expected, inputs).items():
                pairs.setdefault(name, []).append((array, expected[name]))
        for name, both in pairs.items():
            gain = f"free {name}"
            yield self._judged("packed", name, both, gain, scores=name in SCORES)

    def forced(self) -> Iterator[Check]:
        """Every call, fed what the reference had there; one is held at a time."""
        stages = self.case.answer.stages
        for path in dict.fromkeys(path for calls in stages.values() for path in calls):
            pairs = [
                (self.probe.stage(calls[path]), calls[path].output)
                for calls in stages.values()
                if path in calls
            ]
            yield self._judged("forced", path, pairs)

    def loss(self) -> Iterator[Check]:
        """The loss of every batch."""
        if not self.case.learns:
            yield _no_loss("loss", self.case)
            return
        answers = self.case.answer.outputs
        for batch, inputs in self.case.batches.items():
            if "loss" in answers[batch]:
                found = np.atleast_1d(self.probe.outputs(inputs)["loss"])
                pairs = [(found, np.atleast_1d(answers[batch]["loss"]))]
                yield self._judged("loss", batch, pairs, "loss loss")

    def gradients(self) -> Iterator[Check]:
        """The gradient of every parameter."""
        if not self.case.learns:
            yield _no_loss("gradients", self.case)
            return
        if self.mode == int8.NAME:
            yield Check("gradients", "", checks.SKIPPED, "int8 is for prediction")
            return
        expected = self.case.answer.gradients
        _, found = self.probe.gradients(self.case.batches[LEARNT])
        for name in sorted(found.keys() ^ expected.keys()):
            why = "only one of the two has it"
            yield Check("gradients", name, checks.STRUCTURE, why)
        for name in (name for name in expected if name in found):
            size = size_of(f"gradients {name}", self.case.places)
            pairs = [(found[name], expected[name])]
            yield self._judged("gradients", name, pairs, floor=size)

    def _judged(
        self,
        level: str,
        place: str,
        pairs: list[tuple[Array, Array]],
        gain: str = "",
        scores: bool = False,
        floor: float = 0.0,
    ) -> Check:
        odd = [(a.shape, b.shape) for a, b in pairs if a.shape != b.shape]
        if odd:
            why = f"shape {odd[0][0]}, expected {odd[0][1]}"
            return Check(level, place, checks.STRUCTURE, why)
        metrics = compare(pairs, MODES[self.mode].unit, scores, floor)
        gained = self.case.gains[gain or f"{level} {place}"]
        most = budget(self.mode, gained, self.scale, level == "gradients")
        return judged(level, place, metrics, most)


def _no_loss(level: str, case: Case) -> Check:
    return Check(level, "", checks.SKIPPED, f"Albert{case.head} has no loss")


def _shapes(arrays: Arrays) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


def as_loaded(name: str, weight: Array, twin: Array, mode: str) -> Array:
    """A weight of the checkpoint in the type that a probe has it in."""
    if mode == int8.NAME and int8.is_product(name):
        values, scales = int8.quantised(weight.astype(twin.dtype))
        return values * scales
    half = ml_dtypes.bfloat16 if mode == "bfloat16" else twin.dtype
    return weight.astype(half).astype(twin.dtype)


def depth(output: str, inner: int) -> tuple[int, int, str]:
    """Sorts outputs by how deep in the model they are made."""
    name, _, index = output.partition(".")
    if not index:
        return (2, 0, output)
    if name == "attentions":  # of each inner block, before the layer's hidden states
        return (1, 2 * (int(index) // inner) + 1, name)
    return (1, 2 * int(index), name)
