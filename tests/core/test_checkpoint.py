"""Canonical checkpoints: single or sharded, lazy, and refused when they are damaged."""

import json
import os

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from albert_core import AlbertConfig, CheckpointError, ConfigError, checkpoint
from albert_core.checkpoint import Checkpoint
from tests.conftest import GOLDEN, tiny, weights

INDEX = "model.safetensors.index.json"
SHARDED = {"embedding_size": 12}  # of many small arrays, so that 500 bytes split them


def names(directory):
    return sorted(file.name for file in directory.iterdir())


def save(directory, size="5GB", **changes):
    arrays = weights(tiny(**changes))
    checkpoint.save(directory, tiny(**changes), arrays, size)
    return arrays


def equal(found, arrays):
    return found.keys() == arrays.keys() and all(
        found[name].tobytes() == array.tobytes()
        and (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        for name, array in arrays.items()
    )


@pytest.mark.parametrize("size", ["5GB", 2000])
def test_what_is_saved_is_read_again(size, tmp_path):
    arrays = save(tmp_path / "new" / "folder", size)
    found = Checkpoint.open(tmp_path / "new" / "folder")
    assert equal(found, arrays)
    assert len(found) == len(arrays)
    assert AlbertConfig.from_pretrained(tmp_path / "new/folder").vocab_size == 31
    assert "made up" not in found
    with pytest.raises(KeyError, match="made up"):
        _ = found["made up"]


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", ml_dtypes.bfloat16], ids=str
)
def test_number_types(dtype, tmp_path):
    arrays = {name: x.astype(dtype) for name, x in weights(tiny()).items()}
    checkpoint.save(tmp_path, tiny(), arrays, 5000)
    found = Checkpoint.open(tmp_path)
    assert equal(found, arrays)
    name = "pooler.weight"
    assert found.dtype(name) == np.dtype(dtype).name
    assert found.shape(name) == (12, 12)


def test_a_number_type_that_is_none_of_weights(tmp_path):
    checkpoint.save(tmp_path, tiny(), {"pooler.weight": np.ones(3, np.int32)})
    found = Checkpoint.open(tmp_path)
    assert found["pooler.weight"].tolist() == [1, 1, 1]
    with pytest.raises(CheckpointError) as caught:
        found.dtype("pooler.weight")
    assert str(caught.value).endswith(
        "model.safetensors: 'pooler.weight' holds int32, but a weight must be one of "
        "float64, float32, float16, bfloat16. Convert it."
    )


def test_the_files_are_what_the_library_reads(tmp_path):
    arrays = save(tmp_path, 4000)
    index = json.loads((tmp_path / INDEX).read_text())
    total = sum(array.nbytes for array in arrays.values())
    assert index["metadata"] == {"total_size": total}
    assert index["weight_map"].keys() == arrays.keys()
    shards = sorted(set(index["weight_map"].values()))
    count = len(shards)
    assert count > 3
    assert shards == [
        f"model-{i + 1:05}-of-{count:05}.safetensors" for i in range(count)
    ]
    assert names(tmp_path) == sorted([INDEX, "config.json", *shards])
    for shard in shards:
        found = load_file(tmp_path / shard)
        assert equal(found, {name: arrays[name] for name in found})
        assert all(index["weight_map"][name] == shard for name in found)
        assert sum(x.nbytes for x in found.values()) <= 4000
    # In the order of the schema, so that few files are open at a time.
    assert list(dict.fromkeys(index["weight_map"][name] for name in arrays)) == shards


@pytest.mark.parametrize(
    ("size", "limit"),
    [
        (1, 1),
        (3000, 3000),
        (np.int64(3000), 3000),
        ("3KB", 3000),
        ("3 kb", 3000),
        (" 2.5KB ", 2500),
        ("3KiB", 3072),
        ("1MB", 10**6),
        ("1GiB", 2**30),
        ("1TB", 10**12),
    ],
)
def test_shard_sizes(size, limit, tmp_path):
    """No file is larger unless it holds a single array, and no two would fit in one."""
    arrays = save(tmp_path, size)
    stored = [path for path in tmp_path.iterdir() if path.suffix == ".safetensors"]
    held = [load_file(path) for path in sorted(stored)]
    sizes = [sum(x.nbytes for x in shard.values()) for shard in held]
    for shard, filled in zip(held, sizes, strict=True):
        assert filled <= limit or len(shard) == 1
    for filled, following in zip(sizes, held[1:], strict=False):
        first = next(name for name in arrays if name in following)
        assert filled + arrays[first].nbytes > limit
    assert (len(held) == 1) == (sum(sizes) <= limit)


@pytest.mark.parametrize("size", [0, -1, "", "5", "5 apples", "-1GB", "GB", True])
def test_a_shard_size_that_is_none(size, tmp_path):
    with pytest.raises(ConfigError) as caught:
        save(tmp_path / "new", size)
    assert f"such as '200MB' or '5GB', but it is {size!r}." in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_one_file_wins_over_an_index(tmp_path):
    arrays = save(tmp_path)
    (tmp_path / INDEX).write_text("not read")
    assert equal(Checkpoint.open(tmp_path), arrays)


def test_other_files_are_no_part_of_it(tmp_path):
    """A stray shard is never merged."""
    arrays = save(tmp_path, 4000)
    save_file(
        {"pooler.weight": np.ones(3)}, tmp_path / "model-00009-of-00009.safetensors"
    )
    assert equal(Checkpoint.open(tmp_path), arrays)


def test_the_golden_files():
    for path in sorted(GOLDEN.glob("*-*/model.safetensors")):
        found = Checkpoint.open(path.parent)
        assert equal(found, load_file(path))
        assert {found.dtype(name) for name in found} == {"float32"}


def test_opening_reads_no_data(tmp_path, monkeypatch):
    """The one function that reads data is poisoned."""
    arrays = save(tmp_path, 4000)

    def poisoned(*_, **__):
        raise AssertionError("data was read")

    with monkeypatch.context() as patch:
        patch.setattr(np, "fromfile", poisoned)
        found = Checkpoint.open(tmp_path)
        assert {name: found.shape(name) for name in found} == {
            name: array.shape for name, array in arrays.items()
        }
        assert {found.dtype(name) for name in found} == {"float32"}
        assert "pooler.bias" in found
        assert found.keys() == arrays.keys()
        with pytest.raises(AssertionError, match="data was read"):
            _ = found["pooler.bias"]
    assert found["pooler.bias"].tobytes() == arrays["pooler.bias"].tobytes()


def test_a_checkpoint_can_be_saved_from_itself(tmp_path):
    """Also into its own directory, with another number of files each time."""
    arrays = save(tmp_path)
    for size in (4000, 6000, 4100, "5GB"):
        checkpoint.save(tmp_path, tiny(), Checkpoint.open(tmp_path), size)
        assert equal(Checkpoint.open(tmp_path), arrays)


def test_the_files_may_be_links_as_in_a_hub_cache(tmp_path):
    arrays = save(tmp_path / "blobs", 4000)
    (tmp_path / "snapshot").mkdir()
    for file in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / file.name).symlink_to(file)
    assert equal(Checkpoint.open(tmp_path / "snapshot"), arrays)


class TestNotThere:
    def test_no_weights(self, tmp_path):
        (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.open(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path} holds neither model.safetensors nor {INDEX}, so it has no "
            f"weights to load. Give the directory of a safetensors checkpoint."
        )

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
    def test_a_file_instead_of_the_directory(self, name, tmp_path):
        save(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"is a file\. Give the directory that"
        ):
            Checkpoint.open(tmp_path / name)

    def test_a_directory_instead_of_the_file(self, tmp_path):
        (tmp_path / "model.safetensors").mkdir()
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors is not a regular"
        ):
            Checkpoint.open(tmp_path)

    def test_a_pipe_instead_of_the_file(self, tmp_path):
        os.mkfifo(tmp_path / "model.safetensors")
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors is not a regular"
        ):
            Checkpoint.open(tmp_path)


class TestBadShards:
    @pytest.fixture
    def folder(self, tmp_path):
        save(tmp_path, 4000)
        return tmp_path

    def index(self, folder, change):
        values = json.loads((folder / INDEX).read_text())
        change(values["weight_map"])
        (folder / INDEX).write_text(json.dumps(values))

    def refused(self, folder):
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.open(folder)
        return str(caught.value)

    def test_missing(self, folder):
        shards = sorted(folder.glob("model-*"))
        shards[1].unlink()
        shards[3].unlink()
        assert self.refused(folder) == (
            f"{folder} lacks {shards[1].name}, {shards[3].name} of the {len(shards)} "
            f"files that {INDEX} names. Get the missing files."
        )

    @pytest.mark.parametrize("left", [0, 7, 20, -100, -1])
    def test_cut_short(self, left, folder):
        shard = sorted(folder.glob("model-*"))[2]
        shard.write_bytes(shard.read_bytes()[:left])
        assert str(shard) in self.refused(folder)

    def test_a_name_in_two_shards(self, folder):
        first, second = sorted(folder.glob("model-*"))[:2]
        name, array = next(iter(load_file(first).items()))
        held = load_file(second)
        save_file({**held, name: array}, second)
        message = self.refused(folder)
        assert f"\n  {name!r} is in {first.name} and in {second.name}\n" in message
        assert message.startswith(f"{folder / INDEX} and its files do not agree:")

    def test_a_name_twice_in_one_shard(self, folder):
        first = sorted(folder.glob("model-*"))[0]
        data = first.read_bytes()
        length = int.from_bytes(data[:8], "little")
        text = data[8 : 8 + length].rstrip()
        body = text[1:]  # the same entries once more
        text = text[:-1] + b"," + body
        first.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
        assert "stands there twice. Get the file again." in self.refused(folder)

    def test_the_index_names_what_no_shard_holds_and_the_other_way_round(self, folder):
        def change(weight_map):
            weight_map["made.up\x1b"] = weight_map["pooler.bias"]
            weight_map["pooler.bias"], weight_map["pooler.weight"] = (
                weight_map["embeddings.word_embeddings.weight"],
                weight_map["pooler.bias"],
            )
            del weight_map["embeddings.LayerNorm.bias"]

        self.index(folder, change)
        message = self.refused(folder)
        assert r"'made.up\x1b' is not in model-000" in message
        assert "'pooler.bias' is in model-000" in message
        assert "'embeddings.LayerNorm.bias' is in model-00001" in message
        assert message.count("but the index does not say so") == 2
        assert message.endswith("\nGet the checkpoint again.")

    @pytest.mark.parametrize(
        "place",
        [
            *("../x.safetensors", "/etc/x.safetensors", "a/x.safetensors", ".."),
            *("C:x.safetensors", r"C:\x.safetensors", r"\\srv\s\x.safetensors"),
            *(r"..\x.safetensors", "http://h/x.safetensors", "file:x.safetensors"),
            *("x.bin", "pytorch_model.bin", "x.safetensors.bin", "", ".safetensors"),
            *(
                "x.safetensors\n",
                "x\0.safetensors",
                "x.safetensors ",
                "x\x1b.safetensors",
            ),
        ],
    )
    def test_the_index_points_elsewhere(self, place, folder):
        """Nothing outside is opened, not even to see whether it is there."""
        (folder.parent / "x.safetensors").write_bytes(b"outside")
        self.index(folder, lambda weight_map: weight_map.update({"pooler.bias": place}))
        message = self.refused(folder)
        assert (
            f"points outside its folder or at no safetensors file: {place!r}."
            in message
        )
        assert message.endswith("Do not use this checkpoint.")

    @pytest.mark.parametrize("place", [None, 3, ["a"], {"a": 1}])
    def test_the_index_names_something_that_is_no_text(self, place, folder):
        self.index(folder, lambda weight_map: weight_map.update({"pooler.bias": place}))
        assert f"at no safetensors file: {str(place)!r}." in self.refused(folder)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ('{"weight_map": []}', "has no 'weight_map' from names to files."),
            ('{"weight_map": "x"}', "has no 'weight_map' from names to files."),
            ("{}", "has no 'weight_map' from names to files."),
            ("[]", "holds a JSON list where an object is expected."),
            ("{", "is not a JSON file: "),
            ('{"weight_map": {"a": "x", "a": "y"}}', "holds 'a' twice."),
        ],
    )
    def test_the_index_is_none(self, text, words, folder):
        (folder / INDEX).write_text(text)
        assert f"{folder / INDEX} {words}" in self.refused(folder)

    def test_a_shard_is_a_directory_or_a_pipe(self, folder):
        first, second = sorted(folder.glob("model-*"))[:2]
        first.unlink()
        first.mkdir()
        assert f"{first} is not a regular file" in self.refused(folder)
        first.rmdir()
        os.mkfifo(first)
        assert f"{first} is not a regular file" in self.refused(folder)
        assert second.exists()
