"""What is no checkpoint at all, under every name that a checkpoint can have."""

import os

import pytest

from tests.conversion.hostile.judging import command, refused

NAMES = [
    *("model.safetensors", "pytorch_model.bin", "x.pt", "x.pth", "tf_model.h5"),
    *("x.hdf5", "model.weights.h5", "flax_model.msgpack", "model.keras"),
    *("model.ckpt-best.index", "model.safetensors.index.json"),
    "pytorch_model.bin.index.json",
]
POINTER = (
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 12345\n"
)
PAGE = "<!DOCTYPE html><html><title>404</title>" + "<p>Not here.</p>" * 9
ANSWER = '{"error": "Repository not found"}' + " " * 99


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.bad_input(1)
def test_no_bytes(name, tmp_path):
    (tmp_path / name).touch()
    refused(tmp_path / name, "EMPTY", f"{name}: it has no bytes. Get the file again.")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.bad_input(28)
def test_pointers_of_git_lfs(name, tmp_path):
    (tmp_path / name).write_text(POINTER)
    refused(tmp_path / name, "LFS_POINTER", "Run 'git lfs pull'.")


@pytest.mark.parametrize("text", [PAGE, ANSWER], ids=["page", "answer"])
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.bad_input(29)
def test_what_a_server_says_instead(name, text, tmp_path):
    (tmp_path / name).write_text(text)
    if name.endswith(".json"):  # which JSON may well be
        words = {PAGE: "no JSON at byte 0", ANSWER: "no 'weight_map'"}[text]
        refused(tmp_path / name, "BAD_INDEX", words)
    else:
        kind = {PAGE: "as web pages do", ANSWER: "as JSON does"}[text]
        refused(tmp_path / name, "NOT_A_CHECKPOINT", text[:15], kind)


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
@pytest.mark.parametrize("name", [*NAMES[:2], "tf_model.h5", "flax_model.msgpack"])
@pytest.mark.bad_input(20)
def test_what_is_no_file(name, kind, tmp_path):
    path = tmp_path / "x" / name
    path.parent.mkdir()
    match kind:
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case _:
            path.symlink_to("/dev/zero")
    code, out, err = command("hash", path.parent)
    assert (code, out) == (3, "")
    assert f"NOT_A_CHECKPOINT {path}: it is not a regular file" in err
