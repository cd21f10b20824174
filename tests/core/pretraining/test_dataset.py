"""A folder of instances that is damaged is refused, and says where."""

import json

import numpy as np
import pytest

from albert_core import InputError
from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.dataset import (
    MANIFEST,
    Manifest,
    read_manifest,
    read_shard,
    write_shard,
)
from albert_core.errors import FormatError
from tests.core.pretraining.helpers import PIECES, folder, same


@pytest.fixture
def made(tmp_path):
    return folder(tmp_path / "data", [3, 2])


def change(path, **values):
    file = path / MANIFEST
    held = json.loads(file.read_text("utf-8")) | values
    file.write_text(json.dumps(held), "utf-8")


def refused(call, error=InputError):
    with pytest.raises(error) as problem:
        call()
    return str(problem.value)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    for shards in (None, [("a", 1), ("b", 0)]):
        manifest = Manifest({"recipe": {"seed": 1}}, PIECES, "ab", 7, shards)
        manifest.write(tmp_path)
        assert read_manifest(tmp_path) == manifest
    assert [file.name for file in tmp_path.iterdir()] == [MANIFEST]


def test_a_folder_without_a_manifest_is_refused(tmp_path):
    assert refused(lambda: PretrainingData(tmp_path)) == (
        f"{tmp_path} holds no pretraining data: there is no {MANIFEST}. Make some with "
        f"albert-zoo data create."
    )


def test_a_later_format_is_refused(made):
    change(made, format=2)
    assert refused(lambda: read_manifest(made)) == (
        f"{made / MANIFEST} has format 2; this version reads 1. Make the data again."
    )


@pytest.mark.parametrize(
    "values",
    [
        {"vocabulary": None},
        {"vocabulary": {"size": 5}},
        {"vocabulary": {"size": "x", "mask_id": 1, "special_ids": [], "sha256": ""}},
        {"vocabulary": {"size": 5, "mask_id": 1, "special_ids": 3, "sha256": ""}},
        {"shards": []},
        {"shards": [["a", 0]]},
        {"shards": 5},
        {"shards": [["a"]]},
        {"shards": [["a", "many"]]},
        {"origin": 5},
        {"origin": None},
        {"max_seq_length": None},
    ],
)
def test_a_damaged_manifest_is_refused(made, values):
    change(made, **values)
    message = refused(lambda: read_manifest(made))
    assert message.startswith(f"{made / MANIFEST} is damaged: ")
    assert message.endswith(". Make the data again.")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1e999}'])
def test_what_is_no_manifest_is_refused(made, text):
    (made / MANIFEST).write_text(text, "utf-8")
    assert str(made / MANIFEST) in refused(lambda: read_manifest(made))


def test_a_length_without_end_is_refused(made):
    text = (made / MANIFEST).read_text("utf-8").replace(": 16", ": 1e999")
    (made / MANIFEST).write_text(text, "utf-8")
    assert "is damaged: OverflowError" in refused(lambda: read_manifest(made))


def test_a_shard_is_read_as_it_was_written(made):
    path = made / "shard-0.safetensors"
    table = read_shard(path, 3)
    write_shard(made / "copy", table)
    assert same(read_shard(made / "copy"), table)
    assert (made / "copy").read_bytes() == path.read_bytes()
    write_shard(made / "copy", read_shard(made / "shard-1.safetensors"))
    assert len(read_shard(made / "copy")["lengths"]) == 2  # replaced


def test_a_shard_that_is_missing_is_named(made):
    (made / "shard-1.safetensors").unlink()
    batches = PretrainingData(made).batches(5)
    assert refused(lambda: next(batches)) == (
        f"{made / 'shard-1.safetensors'} is missing. Make the data again."
    )


def test_a_shard_of_other_rows_is_named(made):
    path = made / "shard-1.safetensors"
    write_shard(path, read_shard(made / "shard-0.safetensors"))
    message = refused(lambda: next(PretrainingData(made).in_order(5)))
    assert message.startswith(
        f"{path} should hold 2 instances, but the rows of its columns are input_ids 3, "
    )
    table = read_shard(path)
    table["lengths"] = np.concatenate([table["lengths"]] * 2)
    write_shard(path, table)
    message = refused(lambda: read_shard(path, 3))
    assert message == (
        f"{path} should hold 3 instances, but the rows of its columns are lengths 6. "
        f"Make the data again."
    )
    assert "should hold 6 instances" in refused(lambda: read_shard(path))


def test_a_file_of_other_columns_is_named(made):
    path = made / "shard-0.safetensors"
    table = read_shard(path)
    del table["lengths"], table["starts"]
    write_shard(path, table)
    assert refused(lambda: read_shard(path, 3)) == (
        f"{path} does not hold pretraining instances: it lacks starts, lengths. Make "
        f"the data again."
    )


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"x" * 50])
def test_a_damaged_shard_is_named(made, damage):
    path = made / "shard-0.safetensors"
    path.write_bytes(damage(path.read_bytes()))
    assert str(path) in refused(lambda: read_shard(path, 3), FormatError)
