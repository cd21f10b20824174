"""A model under test, the same from outside in every framework: NumPy in, NumPy out."""

from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from albert_core import int8, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError
from albert_core.reference import Stage
from albert_zoo.backends import Arrays, quiet_start
from albert_zoo.parity.budgets import MODES, Mode

Inputs = Mapping[str, NDArray[Any]]
ASKED = {"output_hidden_states": True, "output_attentions": True, "return_dict": True}


class Probe(Protocol):
    """A loaded model, without dropout, whose calls can be looked at one by one."""

    @property
    def config(self) -> AlbertConfig:
        """What the model was built from."""
        ...

    def outputs(self, inputs: Inputs) -> Arrays:
        """All that the model returns; of layers as "hidden_states.0"."""
        ...

    def packed(self, inputs: Inputs) -> Arrays:
        """What the model returns without being asked for more, on its fast paths."""
        ...

    def stage(self, stage: Stage) -> NDArray[Any]:
        """One call of a part of the model, fed what the reference had there."""
        ...

    def gradients(self, inputs: Inputs) -> tuple[float, Arrays]:
        """The loss, and its gradients by canonical name, in canonical layout."""
        ...

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Canonical names and arrays, as the model has them now."""
        ...

    def switches(self) -> dict[str, str]:
        """What decides the precision, as it is set, and the device."""
        ...


def load(
    framework: str, path: Path, head: str, mode: str = "float64", **options: Any
) -> Probe:
    """Load a checkpoint into a framework, to be looked at.

    Args:
        framework: A key of `backends.BACKENDS`.
        path: A checkpoint of any format.
        head: A key of `schema.HEADS`.
        mode: A key of `budgets.MODES`.
        **options: Further keywords of `from_pretrained`.

    Raises:
        CheckpointError: The checkpoint lacks weights of the model.
        InputError: int8 is wanted elsewhere than on a CPU.
    """
    with quiet_start():
        module = import_module(f"albert_zoo.parity.probe_{framework}")
        return module.load(path, head, MODES[mode], **options)


def loaded(model_class: Any, path: Path, **options: Any) -> Any:
    """Load a model, all of whose weights the checkpoint must hold."""
    options["output_loading_info"] = True
    model, info = model_class.from_pretrained(path, **options)
    if info["missing_keys"]:
        raise CheckpointError(
            f"{path} lacks weights of {model_class.__name__}, so there is nothing to "
            f"compare: {', '.join(info['missing_keys'])}. Train the head first."
        )
    return model


def part_of(root: Any, path: str) -> Any:
    """The module at a path of the schema."""
    for part in path.split(".") if path else ():
        if part.isdecimal():
            root = root[part] if hasattr(root, "values") else root[int(part)]
        else:
            root = getattr(root, part)
    return root


def call(model: Any, stage: Stage, tensors: list[Any]) -> Any:
    """Run one call of a model, given its inputs as tensors of the framework."""
    base = model.base_model
    if stage.path == "pooler":
        return base.pool(*tensors)
    if stage.path.endswith("feed_forward"):
        return part_of(base, stage.module).feed_forward(*tensors)
    if stage.path.endswith("attention"):
        return part_of(base, stage.module)(*tensors, True)[0]
    root = base if schema.is_encoder(f"{stage.module}.") else model
    return part_of(root, stage.module)(*tensors)


def cast(inputs: Inputs, mode: Mode) -> Inputs:
    """Numbers among the inputs, such as targets, in the type that is computed in."""
    return {
        k: number(x, mode) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x
        for k, x in inputs.items()
    }


def number(array: NDArray[Any], mode: Mode) -> NDArray[Any]:
    """An array of the reference in the type of a mode.

    What masks a score is the lowest number of the type, not an infinity.
    """
    half = mode.dtype == "bfloat16"
    kept = "float32" if mode.dtype == int8.NAME else mode.dtype  # between products
    dtype = np.dtype(ml_dtypes.bfloat16 if half else kept)
    lowest = -float(ml_dtypes.finfo(dtype).max)
    return np.maximum(array.astype(np.float64), lowest).astype(dtype)
