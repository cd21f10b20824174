"""A Flax model to look at; its twins are probe_torch.py and probe_tf.py."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from numpy.typing import NDArray

import albert_flax
from albert_core.config import AlbertConfig
from albert_core.reference import Stage
from albert_flax.int8 import Int8Linear
from albert_zoo.backends import Arrays, flatten
from albert_zoo.parity.budgets import Mode
from albert_zoo.parity.padding import without_padding
from albert_zoo.parity.probes import ASKED, Inputs, call, cast, loaded, number

PRECISION = {"highest": "highest", "tf32": "tensorfloat32", "default": "default"}


class FlaxProbe:
    """See `probes.Probe`.

    A stage runs the module eagerly; everything else goes through the compiler.
    """

    def __init__(self, model: Any, mode: Mode) -> None:
        self.model = model
        self.module = model.module  # put together once
        self.mode = mode

    @property
    def config(self) -> AlbertConfig:
        """See `probes.Probe`."""
        return self.model.config

    def outputs(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        with _precise(self.mode):
            found = self.model(**cast(inputs, self.mode), **ASKED)
            return flatten(found, self._array)

    def packed(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        with _precise(self.mode):
            found = self.model(**cast(without_padding(inputs), self.mode))
            return flatten(found, self._array)

    def stage(self, stage: Stage) -> NDArray[Any]:
        """See `probes.Probe`."""
        with _precise(self.mode):
            tensors = [self._tensor(x) for x in stage.inputs]
            return self._array(call(self.module, stage, tensors))

    def gradients(self, inputs: Inputs) -> tuple[float, Arrays]:
        """See `probes.Probe`."""

        def loss(params: Any) -> Any:
            return self.model(**cast(inputs, self.mode), params=params).loss

        with _precise(self.mode):
            value, found = jax.value_and_grad(loss)(self.model.params)
            arrays = self.model.canonical_arrays(found)
            return float(value), {k: self._array(x) for k, x in arrays.items()}

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """See `probes.Probe`."""
        rounded = {
            ".".join(map(str, (*path, "weight"))): module.numbers()
            for path, module in nnx.iter_modules(self.module)
            if isinstance(module, Int8Linear)
        }
        for name, array in self.model.canonical_arrays().items():
            yield name, self._array(rounded.get(name, array))

    def switches(self) -> dict[str, str]:
        """See `probes.Probe`."""
        with _precise(self.mode):
            precision = str(jax.config.jax_default_matmul_precision)  # pyright: ignore
        leaf = jax.tree.leaves(self.model.params)[0]
        device = next(iter(leaf.devices()))
        return {"device": str(device), "default_matmul_precision": precision}

    def _tensor(self, x: Any) -> Any:
        if x is None or x.dtype.kind in "iu":
            return None if x is None else jax.numpy.asarray(x)
        return jax.numpy.asarray(number(x, self.mode))

    def _array(self, x: Any) -> NDArray[Any]:
        array = np.asarray(x)
        return array if array.dtype.kind == "f" else _plain(array)


def _plain(array: NDArray[Any]) -> NDArray[Any]:
    """What NumPy itself knows: places of tokens, and bfloat16 as float32."""
    return array if array.dtype.kind in "iu" else array.astype(np.float32)


@contextmanager
def _precise(mode: Mode) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(jax.enable_x64(mode.dtype == "float64"))
        precision = PRECISION[mode.matmul]
        stack.enter_context(jax.default_matmul_precision(precision))
        yield


def load(path: Path, head: str, mode: Mode, **options: Any) -> FlaxProbe:
    """See `probes.load`."""
    with _precise(mode):
        options = {"dtype": mode.dtype, **options}
        model_class = getattr(albert_flax, f"FlaxAlbert{head}")
        model = loaded(model_class, path, **options)
        # The parameters stay float32 for training; here they are what is computed in.
        model.params = jax.tree.map(lambda x: x.astype(model.dtype), model.params)
        return FlaxProbe(model, mode)
