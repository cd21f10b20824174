"""Folders of Orbax: what it saves of our parameters, and what is damaged."""

import json
import shutil

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

import albert_flax
import conversion
from albert_core import CheckpointError
from conversion import hashing, open_checkpoint
from tests.conftest import tiny, write


def digest(path):
    return hashing.whole(hashing.digests(open_checkpoint(path)))


def save(path, tree):
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, tree)
    return path


@pytest.fixture
def made(tmp_path):
    config = tiny(position_embedding_type="relative_key", tie_word_embeddings=False)
    source = write(tmp_path / "source", config, "ForPreTraining")
    return source, albert_flax.FlaxAlbertForPreTraining.from_pretrained(source)


def test_orbax_and_we_read_each_other(made, tmp_path):
    source, model = made
    expected = digest(source)
    trees = {"params": model.params, "collections": {"params": model.params}}
    for name, tree in trees.items():
        assert digest(save(tmp_path / name, tree)) == expected
    conversion.convert(source, tmp_path / "x", "orbax")
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(tmp_path / "x" / "orbax")
    jax.tree.map(np.testing.assert_array_equal, found, model.params)
    again = albert_flax.FlaxAlbertForPreTraining.from_pretrained(tmp_path / "x")
    jax.tree.map(np.testing.assert_array_equal, again.params, model.params)
    done = conversion.convert(tmp_path / "x", tmp_path / "y", "safetensors")
    assert done.sha256 == expected


def damaged(path, damage):
    metadata = path / "_METADATA"
    values = json.loads(metadata.read_text())
    entry = next(iter(values["tree_metadata"].values()))
    if damage == "cut":
        metadata.write_text(metadata.read_text()[:-9])
    elif damage in ("..", "a/b"):
        entry["key_metadata"][0]["key"] = damage
        metadata.write_text(json.dumps(values))
    elif damage == "no keys":
        entry["key_metadata"] = []
        metadata.write_text(json.dumps(values))
    elif damage == "no tree":
        metadata.write_text("{}")
    elif damage == "another array":
        entry["key_metadata"][-1]["key"] = "absent"
        metadata.write_text(json.dumps(values))
    elif damage == "temporary":
        path = path.rename(path.with_name("x.orbax-checkpoint-tmp-1"))
    elif damage == "not committed":
        mark = path / "_CHECKPOINT_METADATA"
        facts = json.loads(mark.read_text())
        mark.write_text(json.dumps(facts | {"commit_timestamp_nsecs": None}))
    elif damage == "no manifest":
        (path / "manifest.ocdbt").unlink()
    elif damage == "manifest cut":
        file = path / "manifest.ocdbt"
        file.write_bytes(file.read_bytes()[:-9])
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("cut", "BAD_HEADER .*_METADATA"),
        ("..", r"BAD_HEADER .*_METADATA: it describes an array by .*\"\.\.\""),
        ("a/b", "BAD_HEADER .*_METADATA: it describes an array by .*a/b"),
        ("no keys", "BAD_HEADER .*_METADATA: it describes an array by"),
        ("no tree", "BAD_HEADER .*_METADATA: it describes no tree"),
        ("another array", "BAD_HEADER .*: tensorstore cannot read it"),
        ("temporary", "INCOMPLETE .*Orbax has begun it and not finished"),
        ("not committed", "INCOMPLETE .*Orbax has begun it and not finished"),
        ("no manifest", r"INCOMPLETE .*it has no manifest\.ocdbt"),
        ("manifest cut", "BAD_HEADER .*: tensorstore cannot read it"),
    ],
)
@pytest.mark.bad_input(60, 61)
def test_damaged_folders_are_refused(damage, message, tmp_path_factory, tmp_path):
    path = tmp_path / "x"
    shutil.copytree(_folder(tmp_path_factory), path)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(damaged(path, damage))


FOLDERS = []


def _folder(factory):
    """A folder that is written once."""
    if not FOLDERS:
        tree = {"embeddings": {"LayerNorm": {"bias": np.ones(3, np.float32)}}}
        FOLDERS.append(save(factory.mktemp("orbax") / "x", tree))
    return FOLDERS[0]
