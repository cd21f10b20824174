"""The three frameworks behind one protocol: NumPy arrays in, NumPy arrays out."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from albert_core.errors import CheckpointError, MissingPackageError
from albert_core.outputs import ModelOutput
from albert_zoo import predictors
from albert_zoo.predictors import Predictor

Arrays = dict[str, NDArray[Any]]
Run = Callable[[Mapping[str, NDArray[Any]]], Arrays]


class Backend(Protocol):
    """What every framework can do for those who span them."""

    name: str
    title: str
    packages: Sequence[str]

    def load(self, path: Path, head: str, dtype: str, **options: Any) -> Run:
        """Load a checkpoint, for runs with all outputs, precise and without dropout.

        Args:
            path: A canonical checkpoint.
            head: A key of `schema.HEADS`.
            dtype: "float32" or "float64".
            **options: Further keywords of `from_pretrained`.
        """
        ...

    def predictor(self, model: Any) -> Predictor:
        """Make a loaded model fast for prediction.

        Args:
            model: A model of this framework.
        """
        ...

    def switches(self) -> dict[str, str]:
        """What decides the precision of a run, as it is set."""
        ...


def flatten(output: ModelOutput, to_array: Callable[[Any], NDArray[Any]]) -> Arrays:
    """Outputs by name; those of layers as "hidden_states.0", "attentions.3"."""
    flat: Arrays = {}
    for name, value in output.items():
        if isinstance(value, tuple):
            flat |= {f"{name}.{i}": to_array(x) for i, x in enumerate(value)}
        else:
            flat[name] = to_array(value)
    return flat


def _load(model_class: Any, path: Path, **options: Any) -> Any:
    """Load a model, all of whose weights the checkpoint must hold."""
    options["output_loading_info"] = True
    model, info = model_class.from_pretrained(path, **options)
    if info["missing_keys"]:
        raise CheckpointError(
            f"{path} lacks weights of {model_class.__name__}, so there is nothing to "
            f"compare: {', '.join(info['missing_keys'])}. Train the head first."
        )
    return model


ASKED = {"output_hidden_states": True, "output_attentions": True, "return_dict": True}


class TorchBackend:
    """PyTorch."""

    name = "torch"
    title = "PyTorch"
    packages: Sequence[str] = ("torch",)

    def load(self, path: Path, head: str, dtype: str, **options: Any) -> Run:
        """See `Backend`."""
        import torch

        import albert_torch

        torch.set_float32_matmul_precision("highest")
        options |= {"dtype": dtype, "attn_implementation": "eager"}
        model = _load(getattr(albert_torch, f"Albert{head}"), path, **options)

        def run(inputs: Mapping[str, NDArray[Any]]) -> Arrays:
            tensors = {name: torch.from_numpy(x).long() for name, x in inputs.items()}
            for name, x in inputs.items():
                if x.dtype.kind == "f":
                    tensors[name] = torch.from_numpy(x)
            with torch.no_grad():
                return flatten(model(**tensors, **ASKED), lambda x: x.numpy())

        return run

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.torch_predictor(model)

    def switches(self) -> dict[str, str]:
        """See `Backend`."""
        import torch

        return {"float32_matmul_precision": torch.get_float32_matmul_precision()}


class TFBackend:
    """TensorFlow."""

    name = "tf"
    title = "TensorFlow"
    packages: Sequence[str] = ("tensorflow", "keras")

    def load(self, path: Path, head: str, dtype: str, **options: Any) -> Run:
        """See `Backend`."""
        with quiet_start():
            import tensorflow as tf

            import albert_tf

            tf.config.experimental.enable_tensor_float_32_execution(False)
            model_class = getattr(albert_tf, f"TFAlbert{head}")
            model = _load(model_class, path, dtype=dtype, **options)

        def run(inputs: Mapping[str, NDArray[Any]]) -> Arrays:
            return flatten(model(dict(inputs), **ASKED), np.asarray)

        return run

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.tf_predictor(model)

    def switches(self) -> dict[str, str]:
        """See `Backend`."""
        import tensorflow as tf

        tf32 = tf.config.experimental.tensor_float_32_execution_enabled()
        return {"tensor_float_32": str(tf32)}


class FlaxBackend:
    """JAX."""

    name = "flax"
    title = "JAX (Flax)"
    packages: Sequence[str] = ("jax", "flax")

    def load(self, path: Path, head: str, dtype: str, **options: Any) -> Run:
        """See `Backend`."""
        import jax

        import albert_flax

        wide = dtype == "float64"
        model_class = getattr(albert_flax, f"FlaxAlbert{head}")
        with jax.enable_x64(wide):
            model = _load(model_class, path, dtype=dtype, **options)

        def run(inputs: Mapping[str, NDArray[Any]]) -> Arrays:
            with jax.enable_x64(wide), jax.default_matmul_precision("highest"):
                return flatten(model(**inputs, **ASKED), np.asarray)

        return run

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.flax_predictor(model)

    def switches(self) -> dict[str, str]:
        """See `Backend`."""
        return {"default_matmul_precision": "highest"}


_ALL: tuple[Backend, ...] = (TorchBackend(), TFBackend(), FlaxBackend())
BACKENDS: Mapping[str, Backend] = {backend.name: backend for backend in _ALL}


def is_installed(backend: Backend) -> bool:
    """Whether a backend's packages are there; none is imported."""
    return all(find_spec(package) is not None for package in backend.packages)


def require(backend: Backend) -> None:
    """Refuse to go on without a backend's packages.

    Raises:
        MissingPackageError: One is missing, or broken.
    """
    try:
        with quiet_start():
            for package in backend.packages:
                import_module(package)
    except ImportError as problem:
        raise MissingPackageError(
            f"{backend.title} cannot be used here: {problem}. Install it with "
            f"pip install 'albert-zoo[{backend.name}]'"
        ) from problem


def versions(backend: Backend) -> dict[str, str]:
    """The versions of a backend's packages."""
    return {package: version(package) for package in backend.packages}


@contextmanager
def quiet_start() -> Iterator[None]:
    """Hold back what libraries write to the error stream while they start.

    TensorFlow greets from C++ before its own settings can stop it. If the start fails,
    all of it is shown.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no error stream
        yield
        return
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(kept, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="backslashreplace"))
            raise
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
