"""`albert-zoo warm-up`: what was compiled is found again."""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from albert_core import hub, processor
from albert_zoo import program_store, programs
from albert_zoo.cli import cli
from tests.conftest import tiny, write

# The command, as on a processor where TensorFlow compiles.
ELSEWHERE = """
from albert_core import processor
processor.is_intel = lambda: False
from albert_zoo.cli import main
main()
"""
SETTINGS = {
    programs.JAX,
    programs.TF,
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
    "XDG_CACHE_HOME",
    programs.VARIABLE,
}


@pytest.fixture
def unset(monkeypatch, tmp_path):
    """No settings of the user's, who is at home in a folder of the test's."""
    for name in SETTINGS:
        monkeypatch.setenv(name, "")  # so that what is set meanwhile goes again
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def store(tmp_path):
    """A store of two programs."""
    place = tmp_path / "store"
    own = program_store.borrowed(place)
    (own / "one.pb").write_bytes(b"first")
    (own / "two.pb").write_bytes(b"second")
    program_store.give_back(own, place)
    assert not own.exists()
    return place


def held(store):
    own = program_store.borrowed(store)
    found = {path.name: path.read_bytes() for path in own.iterdir()}
    program_store.give_back(own, store)
    return found


def test_programs_are_kept_where_the_user_says(unset, monkeypatch, tmp_path):
    usual = programs.folder("flax")
    assert usual.parent == tmp_path / ".cache" / "albert-zoo"
    assert usual.name.startswith("jax-")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "mine"))
    place = programs.folder("tf")
    assert place.parent == tmp_path / "mine" / "albert-zoo"
    assert place.name.startswith("tensorflow-")
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "here"))
    assert programs.folder("tf").parent == tmp_path / "here"
    assert "warm-up" in cli.commands


def test_nothing_is_kept_where_nothing_should_be(unset, monkeypatch):
    assert programs.keep("torch") is None
    monkeypatch.setenv(programs.VARIABLE, "0")
    assert programs.keep("flax") is programs.keep("tf") is None
    assert not (SETTINGS - {programs.VARIABLE}) & os.environ.keys()


def test_nothing_is_kept_of_an_unknown_version(unset, monkeypatch):
    def unknown(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(programs, "version", unknown)
    assert programs.keep("tf") is None
    assert programs.TF not in os.environ


@pytest.mark.parametrize("off", ["0", "off", "False", "no"])
def test_words_that_turn_keeping_off(unset, monkeypatch, off):
    monkeypatch.setenv(programs.VARIABLE, off)
    assert programs.folder("flax") is None


def test_who_has_no_home_can_say_where(unset, monkeypatch, tmp_path):
    def nowhere(path):
        if "~" in str(path):
            raise RuntimeError("Could not determine home directory.")
        return path

    monkeypatch.setattr(Path, "expanduser", nowhere)
    assert programs.keep("flax") is None
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "here"))
    assert programs.keep("flax").parent == tmp_path / "here"


def test_a_tilde_is_the_home(unset, monkeypatch, tmp_path):
    monkeypatch.setenv(programs.VARIABLE, "~/mine")
    assert programs.folder("tf").parent == tmp_path / "mine"


def test_a_setting_of_the_user_s_own_stays(unset, monkeypatch):
    monkeypatch.setenv(programs.JAX, "/their/jax")
    flags = f"--one=1 {programs.TF_OPTION}/their/tf --two"
    monkeypatch.setenv(programs.TF, flags)
    assert str(programs.keep("flax")) == "/their/jax"
    assert str(programs.keep("tf")) == "/their/tf"
    assert os.environ[programs.TF] == flags


def test_other_flags_of_tensorflow_stay(unset, monkeypatch, tmp_path):
    monkeypatch.setenv(programs.TF, "--one=1")
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "here"))
    place = programs.keep("tf")
    assert place.parent == tmp_path / "here"
    given = os.environ[programs.TF]
    assert given.startswith(f"--one=1 {programs.TF_OPTION}")
    assert str(place) not in given  # TensorFlow gets a folder of its own
    programs.keep("flax")
    assert os.environ[programs.JAX] == str(programs.folder("flax"))


def test_a_store_gives_what_it_was_given(store):
    assert held(store) == {"one.pb": b"first", "two.pb": b"second"}
    assert len(list(store.iterdir())) == 2


@pytest.mark.parametrize("damage", [b"", b"fir", b"firsT"])
def test_a_damaged_program_is_dropped(store, damage):
    path = next(store.glob("*one.pb"))
    path.write_bytes(damage)
    assert held(store) == {"two.pb": b"second"}
    assert not path.exists()


def test_what_a_killed_process_began_is_dropped(store):
    (store / ".0123456789abcdef").write_bytes(b"fir")
    (store / "notes.txt").write_bytes(b"the user's")
    assert len(held(store)) == 2
    assert {path.name[-3:] for path in store.iterdir()} == {".pb", "txt"}


def test_a_store_does_not_grow_for_ever(store, monkeypatch):
    monkeypatch.setattr(program_store, "MOST", 2)
    for path in store.iterdir():
        os.utime(path, (1, 1))
    own = program_store.borrowed(store)
    (own / "three.pb").write_bytes(b"third")
    program_store.give_back(own, store)
    assert len(list(store.iterdir())) == 2
    assert held(store)["three.pb"] == b"third"


def test_a_place_that_cannot_hold_a_store_is_left_alone(tmp_path, unset, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    assert program_store.borrowed(tmp_path / "file" / "store") is None
    monkeypatch.setenv(programs.VARIABLE, str(tmp_path / "file"))
    assert programs.keep("tf") is programs.keep("flax") is None
    assert not {programs.TF, programs.JAX} & os.environ.keys()


def test_tensorflow_keeps_nothing_where_it_would_misread_the_path(
    unset, store, monkeypatch, tmp_path
):
    (tmp_path / "a b").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "a b"))
    assert program_store.borrowed(store) is None
    assert list((tmp_path / "a b").iterdir()) == []


def test_folders_of_killed_processes_go(store, monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    names = (f"{ended.pid}-old", f"{ended.pid}-new", f"{os.getpid()}-old", "mine")
    places = [tmp_path / f"albert-zoo-{name}" for name in names]
    for place in places:
        place.mkdir()
        if not place.name.endswith("new"):
            os.utime(place, (1, 1))
    held(store)
    assert [place.exists() for place in places] == [False, True, True, True]


def test_a_store_that_vanished_stops_nothing(store, tmp_path):
    own = program_store.borrowed(store)
    store.rename(tmp_path / "elsewhere")
    program_store.give_back(own, store)
    assert not own.exists()


def test_a_processor_may_leave_nothing_to_compile(call, monkeypatch, tmp_path):
    monkeypatch.setattr(processor, "is_intel", lambda: True)
    monkeypatch.setenv(programs.VARIABLE, "0")
    model = tmp_path / "model"
    write(model, tiny(vocab_size=8192), "ForMaskedLM")
    for file in (hub.ASSETS / hub.BUNDLED).glob("*token*"):
        shutil.copy(file, model)
    code, out, err = call("warm-up", model, "--framework", "tf")
    assert (code, err) == (0, "")
    assert out == "Nothing to compile: on this processor TensorFlow takes a graph.\n"


@pytest.mark.slow
@pytest.mark.parametrize("framework", programs.COMPILED)
def test_a_run_finds_what_was_compiled(framework, tmp_path):
    """In processes of their own, as users have them."""
    model = tmp_path / "model"
    write(model, tiny(vocab_size=8192, max_position_embeddings=24), "ForMaskedLM")
    for file in (hub.ASSETS / hub.BUNDLED).glob("*token*"):
        shutil.copy(file, model)
    options = ["--framework", framework, "--task", "fill-mask"]

    def shell(home, *arguments):
        """Run a command; return what it says, and the programs that are there then."""
        given = {**os.environ, programs.VARIABLE: str(home)}
        for name in SETTINGS - {programs.VARIABLE}:
            given.pop(name, None)
        shown = subprocess.run(
            [sys.executable, "-c", ELSEWHERE, *arguments, *options],
            env=given, input="He opened the [MASK] and went out.\n",
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        kept = [x for x in home.glob("*/*") if not x.name.endswith("-atime")]
        return shown.stdout, set(kept)

    run = ("run", "--model", str(model))
    said, made = shell(tmp_path / "warm", "warm-up", str(model))
    assert "shapes in" in said
    assert str(next(iter(made)).parent) in said
    first, same = shell(tmp_path / "warm", *run)
    assert same == made
    # And a run makes them, where there are none, or none that is whole.
    again = tmp_path / ("cold" if framework == "flax" else "warm")
    for path in made if framework == "tf" else ():
        path.write_bytes(path.read_bytes()[:1000])
    second, new = shell(again, *run)
    assert second == first
    assert 0 < len(new) < len(made)
    assert min(path.stat().st_size for path in new) > 1000
