"""Models that a program already has, to be looked at and left as they were."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import numpy as np

from albert_core import int8
from albert_core.errors import InputError, shown
from albert_core.schema import HEADS, base_name
from albert_zoo.backends import BACKENDS
from albert_zoo.parity.budgets import MODES

# Framework -> its package, the prefix of its classes, the name of its probe's class.
KINDS = {
    "torch": ("albert_torch", "Albert", "TorchProbe"),
    "tf": ("albert_tf", "TFAlbert", "TFProbe"),
    "flax": ("albert_flax", "FlaxAlbert", "FlaxProbe"),
}


@dataclass(frozen=True)
class Live:
    """A model that is there.

    Attributes:
        probe: What looks at it, a `probes.Probe` with its `model`.
        framework: A key of `backends.BACKENDS`.
        head: A key of `schema.HEADS`.
        computes: The number type that it computes in, a key of `budgets.MODES`.
        keeps: The one that its weights have.
    """

    probe: Any
    framework: str
    head: str
    computes: str
    keeps: str

    @property
    def title(self) -> str:
        """For people."""
        _, prefix, _ = KINDS[self.framework]
        title = BACKENDS[self.framework].title
        return f"{prefix}{self.head} ({title}, {self.computes})"

    @property
    def pools(self) -> bool:
        """Whether it has a pooler."""
        return any(base_name(k) == "pooler.weight" for k, _ in self.probe.weights())


def of(model: Any) -> Live:
    """Look at a model.

    Raises:
        InputError: It is no model of ours, or of a number type that is not judged.
    """
    framework, head = _kind(model)
    computes, keeps = _dtypes(model, framework)
    if not {computes, keeps} <= MODES.keys():
        raise InputError(
            f"The model computes in {computes} and keeps {keeps}. Load it with a dtype "
            f"of {', '.join(MODES)}."
        )
    module = import_module(f"albert_zoo.parity.probe_{framework}")
    probe = getattr(module, KINDS[framework][2])(model, MODES[computes])
    return Live(probe, framework, head, computes, keeps)


def _kind(model: Any) -> tuple[str, str]:
    """The framework and the head of a model, or of what its class is derived from."""
    for kind in type(model).__mro__:
        for framework, (package, prefix, _) in KINDS.items():
            ours = kind.__module__.partition(".")[0] == package
            head = kind.__name__.removeprefix(prefix)
            if ours and kind.__name__.startswith(prefix) and head in HEADS:
                return framework, head
    raise InputError(
        f"{shown(model)} is no model of albert_torch, albert_tf or albert_flax. Give "
        f"one, such as AlbertModel.from_pretrained(path)."
    )


def _dtypes(model: Any, framework: str) -> tuple[str, str]:
    """What a model computes in, and what its weights are kept in."""
    if import_module(f"albert_{framework}.int8").is_int8(model):
        return int8.NAME, int8.NAME
    if framework == "torch":
        name = str(model.dtype).removeprefix("torch.")
        return name, name
    if framework == "tf":
        return model.compute_dtype, model.variable_dtype
    kept = next(iter(model.canonical_arrays().values())).dtype.name
    return np.dtype(model.dtype).name, kept


@contextmanager
def undisturbed(live: Live) -> Iterator[None]:
    """Let a model be looked at without dropout, then put back what that changes."""
    model = live.probe.model
    if live.framework == "torch":
        import torch

        precision = torch.get_float32_matmul_precision()
        training = [module for module in model.modules() if module.training]
        model.eval()
        try:
            yield
        finally:
            torch.set_float32_matmul_precision(precision)
            for module in training:
                module.training = True
    elif live.framework == "tf":
        from tensorflow import config  # pyright: ignore[reportAttributeAccessIssue]

        tf32 = config.experimental.tensor_float_32_execution_enabled()
        try:
            yield
        finally:
            config.experimental.enable_tensor_float_32_execution(tf32)
    else:
        yield
