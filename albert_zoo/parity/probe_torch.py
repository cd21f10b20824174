"""A PyTorch model to look at; its twins are probe_tf.py and probe_flax.py."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import albert_torch
from albert_core.config import AlbertConfig
from albert_core.packing import Packed
from albert_core.reference import Stage
from albert_torch import fused
from albert_torch.int8 import Int8Linear
from albert_zoo.backends import Arrays, flatten
from albert_zoo.parity.budgets import Mode
from albert_zoo.parity.padding import without_padding
from albert_zoo.parity.probes import ASKED, Inputs, call, cast, loaded, number

PRECISION = {"highest": "highest", "tf32": "high", "default": "medium"}


class TorchProbe:
    """See `probes.Probe`."""

    def __init__(self, model: Any, mode: Mode) -> None:
        self.model = model
        self.mode = mode

    @property
    def config(self) -> AlbertConfig:
        """See `probes.Probe`."""
        return self.model.config

    def outputs(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        with torch.no_grad():
            return flatten(self._run(inputs, **ASKED), self._array)

    def packed(self, inputs: Inputs) -> Arrays:
        """See `probes.Probe`."""
        chosen = self.model.config.attn_implementation
        self.model.set_attn_implementation("sdpa")
        fused.freeze(self.model)
        try:
            with torch.no_grad():
                return flatten(self._run(without_padding(inputs)), self._array)
        finally:
            self.model.config.attn_implementation = chosen

    def stage(self, stage: Stage) -> NDArray[Any]:
        """See `probes.Probe`."""
        self._set()
        with torch.no_grad():
            tensors = [self._tensor(x) for x in stage.inputs]
            return self._array(call(self.model, stage, tensors))

    def gradients(self, inputs: Inputs) -> tuple[float, Arrays]:
        """See `probes.Probe`."""
        self.model.zero_grad()
        loss = self._run(inputs).loss
        loss.backward()
        found = {
            name: np.zeros(p.shape) if p.grad is None else self._array(p.grad)
            for name, p in self.model.named_parameters()
        }
        self.model.zero_grad()
        return float(loss.detach()), found

    def weights(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """See `probes.Probe`."""
        for name, tensor in self.model.named_parameters():
            yield name, self._array(tensor)
        for name, module in self.model.named_modules():
            if isinstance(module, Int8Linear):
                yield f"{name}.weight", self._array(module.weight.numbers())

    def switches(self) -> dict[str, str]:
        """See `probes.Probe`."""
        return {
            "device": str(self.model.device),
            "float32_matmul_precision": torch.get_float32_matmul_precision(),
        }

    def _run(self, inputs: Inputs, **options: Any) -> Any:
        self._set()
        given = {k: self._tensor(x) for k, x in cast(inputs, self.mode).items()}
        return self.model(**given, **options)

    def _set(self) -> None:
        torch.set_float32_matmul_precision(PRECISION[self.mode.matmul])

    def _tensor(self, x: Any) -> Any:
        if x is None or isinstance(x, Packed):
            return x
        x = np.ascontiguousarray(x)
        if x.dtype.kind in "iu":
            return torch.from_numpy(x).to(self.model.device, torch.long)
        # By way of float64, as PyTorch does not know NumPy's bfloat16.
        wide = torch.from_numpy(number(x, self.mode).astype(np.float64))
        return wide.to(self.model.device, self.model.dtype)

    def _array(self, x: Any) -> NDArray[Any]:
        wide = x.detach().float() if x.dtype == torch.bfloat16 else x.detach()
        return wide.cpu().numpy()


def load(path: Path, head: str, mode: Mode, **options: Any) -> TorchProbe:
    """See `probes.load`."""
    options = {"attn_implementation": "eager", "dtype": mode.dtype, **options}
    model_class = getattr(albert_torch, f"Albert{head}")
    return TorchProbe(loaded(model_class, path, **options).eval(), mode)
