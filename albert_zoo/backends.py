"""The three frameworks behind one protocol: NumPy arrays in, NumPy arrays out."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Protocol

from numpy.typing import NDArray

from albert_core.errors import MissingPackageError
from albert_core.outputs import ModelOutput
from albert_zoo import predictors
from albert_zoo.predictors import Predictor

Arrays = dict[str, NDArray[Any]]


class Backend(Protocol):
    """What every framework can do for those who span them."""

    name: str
    title: str
    packages: Sequence[str]

    def predictor(self, model: Any) -> Predictor:
        """Make a loaded model fast for prediction.

        Args:
            model: A model of this framework.
        """
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


class TorchBackend:
    """PyTorch."""

    name = "torch"
    title = "PyTorch"
    packages: Sequence[str] = ("torch",)

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.torch_predictor(model)


class TFBackend:
    """TensorFlow."""

    name = "tf"
    title = "TensorFlow"
    packages: Sequence[str] = ("tensorflow", "keras")

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.tf_predictor(model)


class FlaxBackend:
    """JAX."""

    name = "flax"
    title = "JAX (Flax)"
    packages: Sequence[str] = ("jax", "flax")

    def predictor(self, model: Any) -> Predictor:
        """See `Backend`."""
        return predictors.flax_predictor(model)


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
