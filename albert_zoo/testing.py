"""For the tests of those who build on our models: do two of them compute the same?"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from albert_core.errors import InputError
from albert_core.gradients import HEADS as LOSSES
from albert_core.schema import BASE
from albert_zoo.backends import BACKENDS, versions
from albert_zoo.parity import live, probes, proof
from albert_zoo.parity.case import LEARNT, Case
from albert_zoo.parity.checks import Run
from albert_zoo.parity.inputs import Inputs, batches
from albert_zoo.parity.levels import Levels
from albert_zoo.parity.live import Live
from albert_zoo.parity.proof import Proof

__all__ = ["assert_parity"]

COMPUTED = ("free", "forced", "loss")
WIDTH = 120  # of the table in a message


class _Case(Case):
    """What two models are compared on; a user's inputs may have no labels."""

    @property
    def learns(self) -> bool:
        """Whether there is a loss."""
        needed, _ = LOSSES.get(self.head, ((), None))
        return super().learns and all(k in self.batches[LEARNT] for k in needed)


def assert_parity(
    model_a: Any,
    model_b: Any,
    inputs: Mapping[str, ArrayLike] | None = None,
    *,
    scale: float = 1.0,
) -> None:
    """Assert that two models have the same weights and compute the same numbers.

    The configurations and, bit by bit, the weights must be the same. Then both models
    are judged as `albert-zoo parity` judges them: outputs, every call of a part of the
    model, and the loss, each in its own number type, by the NumPy float64 reference
    with the weights of `model_a`. Both run without dropout, and are left as they were.

    Args:
        model_a: A model of ours, of any framework.
        model_b: Another one, of the same or of another framework, or the path of a
            checkpoint, which is loaded into the framework of `model_a`.
        inputs: Names and arrays of one batch; if not given, inputs are made that can
            see faults.
        scale: What all budgets are multiplied with.

    Raises:
        AssertionError: They differ; the message has the table, the first place that
            differs, and the likely cause.
        InputError: An argument is no model of ours, or `inputs` do not fit the model.

    Examples:
        >>> from albert_torch import AlbertModel  # doctest: +SKIP
        >>> model = AlbertModel.from_pretrained("my-albert")  # doctest: +SKIP
        >>> assert_parity(model, "my-albert/tf_model.h5")  # doctest: +SKIP
    """
    __tracebackhide__ = True
    a = live.of(model_a)
    b = _loaded(a, model_b) if isinstance(model_b, str | Path) else live.of(model_b)
    if a.head != b.head:
        raise AssertionError(f"One is {a.title}, the other {b.title}.")
    found = _compare(a, b, inputs, scale)
    if not found.passed:
        raise AssertionError(f"{a.title} and {b.title} differ:\n{_table(found)}")


def _loaded(a: Live, path: str | Path) -> Live:
    """A checkpoint in the framework and the number type of a model."""
    plain = a.head == BASE and not a.pools
    options = {"add_pooling_layer": False} if plain else {}
    place = Path(path).expanduser()
    found = probes.load(a.framework, place, a.head, a.computes, **options)
    return Live(found, a.framework, a.head, a.computes, a.computes)


def _compare(
    a: Live, b: Live, inputs: Mapping[str, ArrayLike] | None, scale: float
) -> Proof:
    case = _case(a, inputs)
    hashes = proof.weights_digest(case), proof.inputs_digest(case)
    found = Proof("the first model", a.head, *hashes, scale, [], [])
    found.environment = proof.environment()
    for model in (a, b):
        with live.undisturbed(model):
            found.runs.append(_judge(case, model, scale))
    return found


def _case(a: Live, inputs: Mapping[str, ArrayLike] | None) -> Case:
    weights = dict(a.probe.weights())
    config = a.probe.config
    given = batches(config, a.head) if inputs is None else {LEARNT: _plain(inputs)}
    return _Case(Path(), config, a.head, weights, given, a.pools)


def _plain(inputs: Mapping[str, ArrayLike]) -> Inputs:
    """A user's inputs: whole numbers of the size that every framework takes."""
    found: Inputs = {}
    for name, value in inputs.items():
        array = np.asarray(value)
        if array.dtype.kind not in "biuf":
            raise InputError(
                f"The input {name} holds {array.dtype}, not numbers. Give NumPy arrays."
            )
        found[name] = array if array.dtype.kind == "f" else array.astype(np.int32)
    return found


def _judge(case: Case, model: Live, scale: float) -> Run:
    run = Run(model.framework, model.computes, [], versions(BACKENDS[model.framework]))
    held = Levels(case, model.probe, model.keeps, scale)
    run.checks += held.run("bytes")
    # Which class a checkpoint was saved from decides nothing in a model that is there.
    run.checks += (c for c in held.run("config") if c.place != "architectures")
    # The parts of a model of two number types do not all take the same one.
    mixed = model.computes != model.keeps
    levels = [level for level in COMPUTED if not (mixed and level == "forced")]
    proof.look(Levels(case, model.probe, model.computes, scale), run, levels)
    run.switches = model.probe.switches()  # as the runs have set them
    return run


def _table(found: Proof) -> str:
    from rich.console import Console

    from albert_zoo.parity.report import show

    text = io.StringIO()
    show(found, Console(file=text, width=WIDTH))
    return text.getvalue()
