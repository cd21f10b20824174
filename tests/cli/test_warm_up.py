"""`albert-zoo warm-up`: what was compiled is found again."""

import os
import subprocess
import sys

import pytest

from albert_zoo import programs
from albert_zoo.cli import cli

CACHE = {"JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"}


def test_programs_are_kept_where_the_user_says(monkeypatch, tmp_path):
    for name in (programs.VARIABLE, "XDG_CACHE_HOME", *CACHE):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert programs.folder() == tmp_path / ".cache" / "albert-zoo" / "jax"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    assert programs.folder() == tmp_path / "mine" / "albert-zoo" / "jax"
    monkeypatch.setenv(programs.VARIABLE, "0")
    assert programs.folder() is None
    programs.keep()
    assert not CACHE & os.environ.keys()
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "here"))
    programs.keep()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path / "here")
    assert "warm-up" in cli.commands


@pytest.mark.slow
def test_a_run_finds_what_was_compiled(tmp_path):
    """In processes of their own, as users have them; counted by JAX itself."""
    home = tmp_path / "cache"
    given = {**os.environ, programs.VARIABLE: str(home), "JAX_LOG_COMPILES": "0"}

    def shell(*arguments, text=""):
        shown = subprocess.run(
            [sys.executable, "-m", "albert_zoo", *arguments],
            env=given, input=text, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return shown.stdout

    said = shell("warm-up", "albert-nano", "--task", "fill-mask")
    assert "shapes in" in said
    assert str(home) in said
    made = {path.name for path in home.glob("*-cache")}
    assert len(made) > 5
    options = ["--framework", "flax", "--model", "albert-nano", "--task", "fill-mask"]
    shell("run", *options, text="He opened the [MASK] and went out.\n")
    assert {path.name for path in home.glob("*-cache")} == made
