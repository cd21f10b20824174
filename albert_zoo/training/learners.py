"""A model that learns, in the framework and on the devices that were asked for."""

import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from albert_core.errors import InputError
from albert_core.optimization import Optimizer
from albert_zoo import models


@dataclass(frozen=True)
class Setup:
    """Where and how to compute; none of it is part of what a run is.

    Attributes:
        framework: torch, tf or flax.
        precision: "bfloat16" computes in it where that is allowed, and keeps weights in
            float32.
        device: As users name it; None for an accelerator where there is one.
        devices: How many to spread batches over, in TensorFlow and JAX; PyTorch has a
            process for each, started by torchrun.
        recompute: Whether to keep only the layers' inputs for the backward pass.
        attention: "sdpa" or "eager", for PyTorch.
    """

    framework: str
    precision: str = "float32"
    device: str | None = None
    devices: int = 1
    recompute: bool = False
    attention: str | None = None


def rank_and_size() -> tuple[int, int]:
    """The number of this process and how many there are; torchrun sets both."""
    return int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))


def join(setup: Setup) -> None:
    """Meet the other processes that torchrun has started, if there are any.

    Raises:
        InputError: The framework is another than PyTorch.
    """
    if rank_and_size()[1] == 1:
        return
    if setup.framework != "torch":
        raise InputError(
            f"torchrun starts processes for PyTorch, not for {setup.framework}. Start "
            f"one process, and give --devices."
        )
    models.framework_named("torch")
    import torch
    from torch import distributed

    if not distributed.is_initialized():
        on_gpu = torch.cuda.is_available() and setup.device in (None, "auto")
        distributed.init_process_group("nccl" if on_gpu else "gloo")


def wait() -> None:
    """Go on when all processes are here."""
    if rank_and_size()[1] > 1:
        from torch import distributed

        distributed.barrier()


def in_any(flag: bool) -> bool:
    """Whether something is so in any of the processes, which all ask at once."""
    if rank_and_size()[1] == 1:
        return flag
    import torch
    from torch import distributed

    device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
    count = torch.tensor(int(flag), device=device)
    distributed.all_reduce(count)
    return bool(count > 0)


def learner(setup: Setup, checkpoint: Path, head: str, optimizer: Optimizer) -> Any:
    """Load a checkpoint into a model, and make it ready to learn.

    Args:
        setup: Where and how.
        checkpoint: A canonical checkpoint of this head.
        head: A key of `schema.HEADS`.
        optimizer: How weights move.

    Returns:
        The framework's `Training`.

    Raises:
        InputError: There are not as many devices.
        MissingPackageError: The framework is not installed.
    """
    framework = models.framework_named(setup.framework)
    return MAKERS[framework](setup, checkpoint, head, optimizer)


def _torch(setup: Setup, checkpoint: Path, head: str, optimizer: Optimizer) -> Any:
    import torch

    training = import_module("albert_torch.training")
    rank, size = rank_and_size()
    device: Any = models.place("torch", setup.device)
    if setup.devices > 1:
        raise InputError(
            f"PyTorch has a process for each device: start it with torchrun "
            f"--nproc-per-node {setup.devices}, in place of --devices."
        )
    if size > 1 and device == "auto" and torch.cuda.is_available():
        device = f"cuda:{os.environ.get('LOCAL_RANK', rank)}"
    options = (
        {} if setup.attention is None else {"attn_implementation": setup.attention}
    )
    model = models.class_of("torch", head).from_pretrained(
        checkpoint, dtype=_kept(setup), device_map=device, **options
    )
    if setup.recompute:
        model.gradient_checkpointing_enable()
    return training.Training(model, optimizer, setup.precision == "bfloat16")


def _tf(setup: Setup, checkpoint: Path, head: str, optimizer: Optimizer) -> Any:
    import tensorflow as tf

    training = import_module("albert_tf.training")
    tf.config.experimental.enable_tensor_float_32_execution(False)
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(0)  # asked for by the line above; each step sets its own
    strategy = _strategy(tf, setup.devices) if setup.devices > 1 else None
    mixed = setup.precision == "bfloat16"
    device: Any = None if strategy else models.place("tf", setup.device)

    def load() -> Any:
        model = models.class_of("tf", head).from_pretrained(
            checkpoint,
            dtype="mixed_bfloat16" if mixed else _kept(setup),
            device_map=device,
        )
        if setup.recompute:
            model.gradient_checkpointing_enable()
        return model

    if strategy is None:
        return training.Training(load(), optimizer)
    with strategy.scope():
        return training.Training(load(), optimizer, strategy)


def _strategy(tf: Any, count: int) -> Any:
    kind = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    found = tf.config.list_logical_devices(kind)
    _check_devices(count, [device.name for device in found])
    return tf.distribute.MirroredStrategy([device.name for device in found[:count]])


def _flax(setup: Setup, checkpoint: Path, head: str, optimizer: Optimizer) -> Any:
    import jax

    training = import_module("albert_flax.training")
    if setup.precision == "float64" and not jax.config.read("jax_enable_x64"):
        raise InputError(
            "JAX computes in float32 unless told otherwise. Set JAX_ENABLE_X64=1."
        )
    devices = None
    if setup.devices > 1:
        found = jax.devices()
        _check_devices(setup.devices, [str(device) for device in found])
        devices = found[: setup.devices]
    model = models.class_of("flax", head).from_pretrained(
        checkpoint, dtype=_kept(setup), device_map=models.place("flax", setup.device)
    )
    if setup.recompute:
        model.gradient_checkpointing_enable()
    return training.Training(model, optimizer, setup.precision == "bfloat16", devices)


def _kept(setup: Setup) -> str:
    """The number type of weights and moments."""
    return "float64" if setup.precision == "float64" else "float32"


def _check_devices(count: int, found: list[str]) -> None:
    if count > len(found):
        raise InputError(
            f"--devices {count} asks for more than there are: {', '.join(found)}. Give "
            f"{len(found)} or fewer."
        )


MAKERS = {"torch": _torch, "tf": _tf, "flax": _flax}


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether a framework's error says that memory did not suffice."""
    if isinstance(problem, MemoryError):
        return True
    names = {kind.__name__ for kind in type(problem).__mro__}
    if names & {"OutOfMemoryError", "ResourceExhaustedError"}:
        return True
    text = str(problem)
    signs = ("RESOURCE_EXHAUSTED", "can't allocate memory", "out of memory")
    return isinstance(problem, RuntimeError) and any(sign in text for sign in signs)
