"""Who may import whom, and what an import costs."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "flax", "optax", "transformers")
SHOW = (
    "import sys; print([name for name in {names!r} if name in sys.modules]); "
    "sys.exit(0)"
)

# As if they were not installed; None in sys.modules would confuse those who look there.
BLOCK = """
import sys
class Block:
    @staticmethod
    def find_spec(name, *_):
        if name.split(".")[0] in {names!r}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block)
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import albert_zoo",
        "import albert_core",
        "import conversion",
        "import albert_zoo.cli",
        "import albert_zoo.backends",
        "import albert_zoo.parity.proof",
        "import albert_zoo.pipelines",
        "import albert_core.tokenization",
    ],
)
def test_the_front_door_loads_no_framework(statement):
    code = f"{statement}\n{SHOW.format(names=FRAMEWORKS)}"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("backend", "own"),
    [
        ("albert_torch", {"torch"}),
        ("albert_tf", {"tensorflow", "keras"}),
        ("albert_flax", {"jax", "flax", "optax"}),
    ],
)
def test_a_backend_needs_its_own_framework_only(backend, own):
    """It imports while the others cannot be had at all."""
    others = [name for name in FRAMEWORKS if name not in own]
    code = f"{BLOCK.format(names=others)}\nimport {backend}"
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr


def test_the_contracts_of_the_import_linter_hold():
    shown = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout
