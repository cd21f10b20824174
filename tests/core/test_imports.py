"""What importing the core loads."""

import subprocess
import sys
from pathlib import Path

import pytest

import albert_core

MODULES = sorted(
    f"albert_core.{path.stem}"
    for path in Path(albert_core.__file__).parent.glob("*.py")
    if path.stem != "__init__"
)
FRAMEWORKS = {"torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "optax"}
OTHERS = {"transformers", "huggingface_hub", "h5py", "sentencepiece", "tokenizers"}


def loaded(*modules):
    """The packages that a new process has after importing some modules."""
    lines = [f"import {name}" for name in modules]
    lines += ["import sys", "print(*{name.split('.')[0] for name in sys.modules})"]
    command = [sys.executable, "-I", "-c", "\n".join(lines)]
    place = {"PYTHONPATH": ""}
    root = str(Path(albert_core.__file__).parents[1])
    command[3:] = [f"import sys; sys.path.insert(0, {root!r})\n" + command[3]]
    run = subprocess.run(command, capture_output=True, text=True, check=True, env=place)
    return set(run.stdout.split())


def test_no_module_loads_a_framework():
    found = loaded(*MODULES)
    assert {"albert_core", "numpy"} <= found
    assert not found & FRAMEWORKS
    assert not found & OTHERS


def test_the_package_alone_loads_nothing_that_takes_time():
    """NumPy alone would take longer than all of it."""
    found = loaded("albert_core")
    assert not found & (FRAMEWORKS | OTHERS | {"numpy", "ml_dtypes", "safetensors"})
    own = {name for name in found if name not in sys.stdlib_module_names}
    assert own <= {"albert_core", "__main__"} | loaded()


@pytest.mark.parametrize("name", albert_core.__all__)
def test_what_is_promised_is_there(name):
    assert getattr(albert_core, name) is not None
