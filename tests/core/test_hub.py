"""From a name to a directory: paths, the hub's cache, and never the network."""

import builtins
import socket
import subprocess
import sys

import pytest

from albert_core import PRESETS, AlbertConfig, CheckpointError, MissingPackageError, hub
from conversion.pretrained import open_pretrained
from tests.conftest import tiny, write

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Any look at the network fails the test, though the code may catch the error."""
    tried = []

    def refuse(*args, **_):
        tried.append(args)
        raise OSError("the network was touched")

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    yield
    assert not tried


@pytest.fixture
def cache(tmp_path):
    """A cache of the hub that holds albert/albert-base-v2 and user/mine."""
    for name in ("albert--albert-base-v2", "user--mine"):
        repository = tmp_path / "hub" / f"models--{name}"
        snapshot = repository / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text(COMMIT)
        (repository / "blobs").mkdir()
        write(tmp_path / name, tiny(vocab_size=40 + len(name)), "ForMaskedLM")
        for file in (tmp_path / name).iterdir():
            file.rename(repository / "blobs" / file.name)
            (snapshot / file.name).symlink_to(f"../../blobs/{file.name}")
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["albert/albert-base-v2", "albert-base-v2"])
def test_a_name_from_the_cache(name, cache):
    """With its owner, and as it was before models had one."""
    options = {"cache_dir": cache, "local_files_only": True}
    config, stored = open_pretrained(name, None, dict(options))
    assert config.vocab_size == 62
    assert stored["predictions.bias"].shape == (62,)
    assert hub.resolve(name, **options).name == COMMIT
    assert AlbertConfig.from_pretrained(name, **options).vocab_size == 62


def test_every_released_name_has_an_owner():
    released = {name for name in PRESETS if not name.endswith("zh")}
    assert set(hub.OWNERLESS) == released
    assert {PRESETS[name].source for name in released} == {
        f"albert/{n}" for n in released
    }


def test_a_name_of_another_owner_and_a_revision(cache):
    options = {"cache_dir": cache, "local_files_only": True}
    for revision in (None, "main", COMMIT):
        found = AlbertConfig.from_pretrained("user/mine", revision=revision, **options)
        assert found.vocab_size == 50


def test_offline_by_the_environment(cache):
    """The variable is read when huggingface_hub is imported, so in a new process."""
    script = """
import socket, sys
def refuse(*_, **__):
    raise SystemExit("the network was touched")
socket.socket.connect = socket.getaddrinfo = refuse
from albert_core import AlbertConfig
print(AlbertConfig.from_pretrained("albert-base-v2").vocab_size)
try:
    AlbertConfig.from_pretrained("albert-large-v2")
except ValueError as problem:
    print(problem)
"""
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(cache), "HOME": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = run.stdout.splitlines()
    assert first == "62"
    assert second.startswith(
        "'albert-large-v2' is neither a directory here nor a model "
    )


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("user/other", {}),
        ("albert-large-v2", {}),
        ("user/mine", {"revision": "made-up"}),
        ("not a name!", {}),
        ("-x", {}),
    ],
)
def test_what_cannot_be_had(name, options, cache):
    with pytest.raises(CheckpointError) as caught:
        hub.resolve(name, cache_dir=cache, local_files_only=True, **options)
    assert str(caught.value).startswith(
        f"{name!r} is neither a directory here nor a model that can be had from the "
        f"hub or its cache: "
    )
    assert str(caught.value).endswith(
        "Check the name, the network, or give a directory."
    )
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["./mine", "/no/such/place", "~/no-such-place", "a/b/c", r"C:\mine", "../x"]
)
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(
    name, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # with nothing beside it
    with pytest.raises(CheckpointError) as caught:
        hub.resolve(name)
    assert str(caught.value) == (
        f"{name} does not exist. Give the directory of a checkpoint, or a hub name "
        f"such as 'albert/albert-base-v2'."
    )


def test_a_path_object_is_never_a_name(tmp_path):
    with pytest.raises(CheckpointError, match="albert-base-v2 does not exist"):
        hub.resolve(tmp_path / "albert-base-v2")


def test_a_directory_wins_over_a_name(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "albert-base-v2", tiny())
    assert AlbertConfig.from_pretrained("albert-base-v2").vocab_size == 31
    write(tmp_path / "user" / "mine" / "inside", tiny(vocab_size=33))
    found = AlbertConfig.from_pretrained(
        "user/mine", subfolder="inside", cache_dir=cache
    )
    assert found.vocab_size == 33


def test_a_directory_needs_no_hub_and_asks_for_nothing(tmp_path, monkeypatch):
    write(tmp_path, tiny())
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    config, stored = open_pretrained(
        tmp_path, None, {"token": "secret", "revision": "x"}
    )
    assert stored["pooler.bias"].shape == (config.hidden_size,)
    with pytest.raises(MissingPackageError) as caught:
        hub.resolve("albert-base-v2")
    assert "pip install huggingface_hub" in str(caught.value)


def test_no_pickle_and_no_code_is_fetched(monkeypatch):
    import huggingface_hub

    asked = {}

    def fetch(name, **options):
        asked.update(options, name=name)
        return "/somewhere"

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    found = hub.resolve(
        "albert-base-v1", token="secret", revision=None, subfolder="a/b"
    )
    assert found.as_posix() == "/somewhere/a/b"
    assert asked.pop("allow_patterns") == [
        *("*.json", "*.safetensors", "spiece.model", "30k-clean.model", "vocab.txt")
    ]
    assert asked == {"name": "albert/albert-base-v1", "token": "secret"}


class HttpError(Exception):
    """Like httpx's, which is neither an OSError nor a ValueError."""


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (ConnectionError("503 Server Error\nfor url"), "503 Server Error"),
        (HttpError("peer closed connection"), "peer closed connection"),
        (HttpError(), "HttpError"),
    ],
)
def test_the_error_of_a_server_is_told(problem, words, monkeypatch):
    import huggingface_hub

    def fetch(*_, **__):
        raise problem

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)
    with pytest.raises(CheckpointError, match=f"cache: {words} Check the name"):
        hub.resolve("user/mine")


def test_a_local_path_opens_no_socket(tmp_path, monkeypatch):
    """Not even one that is never connected."""
    write(tmp_path, tiny())

    def refuse(*_, **__):
        raise AssertionError("a socket was made")

    real = builtins.__import__

    def imports(name, *args, **options):
        assert not name.startswith("huggingface_hub")
        return real(name, *args, **options)

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(builtins, "__import__", imports)
    config, stored = open_pretrained(str(tmp_path), None, {})
    assert len(stored) > config.num_labels
