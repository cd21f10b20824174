"""What is timed, the same from outside in every framework: NumPy in, done at return."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Protocol

from numpy.typing import NDArray

from albert_zoo.backends import Arrays, quiet_start
from albert_zoo.models import class_of, place
from albert_zoo.predictors import Predictor

Inputs = Mapping[str, NDArray[Any]]

RATE = 1.0  # of the update: so large that it shows in every number type


class Subject(Protocol):
    """A loaded model, all of whose weights have its number type.

    It takes the same step of training again and again: without dropout, so that the
    numbers can be judged, and with an update of plain stochastic gradient descent.
    """

    model: Any

    @property
    def predictor(self) -> Predictor:
        """What the pipelines predict with: one, for all shapes."""
        ...

    def step(self, inputs: Inputs) -> float:
        """Forward, backward and update, from the weights as they were loaded."""
        ...

    def reset(self) -> None:
        """Put the weights back to what they were when it was loaded."""
        ...

    def gradients(self) -> Arrays:
        """Those of the last step, by canonical name, in canonical layout."""
        ...

    def wait(self) -> None:
        """Until the device is done."""
        ...

    def settings(self) -> dict[str, str]:
        """The device, and the threads of an operation where they are known."""
        ...

    def device_peak(self) -> int | None:
        """See `measure.Side`."""
        ...


def load(
    framework: str,
    path: Any,
    head: str,
    dtype: str,
    device: str | None,
    **options: Any,
) -> Subject:
    """Load a checkpoint as a user does, to be timed.

    Args:
        framework: A key of `backends.BACKENDS`.
        path: A checkpoint.
        head: A key of `schema.HEADS`.
        dtype: What is computed in.
        device: As `models.place` has it.
        **options: Further keywords of `from_pretrained`.
    """
    model = class_of(framework, head).from_pretrained(
        path, dtype=dtype, device_map=place(framework, device), **options
    )
    with quiet_start():
        module = import_module(f"albert_zoo.benchmark.tasks_{framework}")
    return module.Subject(model)
