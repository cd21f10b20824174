"""Canonical checkpoints: single or sharded, lazy, and refused when they are damaged."""

import json
import os

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from albert_core import AlbertConfig, CheckpointError, ConfigError, checkpoint
from albert_core.checkpoint import Checkpoint
from albert_core.errors import FormatError, shown
from albert_core.lazy import Stored
from albert_core.sharding import read_sharded
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


@pytest.mark.parametrize(
    "size",
    [0, -1, "", "5", "5 apples", "-1GB", "GB", True, "0.0001KB", "9" * 400 + "GB"],
)
def test_a_shard_size_that_is_none(size, tmp_path):
    with pytest.raises(ConfigError) as caught:
        save(tmp_path / "new", size)
    assert f"such as '200MB' or '5GB', but it is {size!r}." in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_one_file_wins_over_an_index(tmp_path):
    arrays = save(tmp_path)
    (tmp_path / INDEX).write_text("not read")
    assert equal(Checkpoint.open(tmp_path), arrays)


@pytest.mark.bad_input(24)
def test_other_files_are_no_part_of_it(tmp_path, caplog):
    """A stray shard is never merged, and weights of other kinds are not looked at."""
    arrays = save(tmp_path, 4000)
    stray = "model-00009-of-00009.safetensors"
    save_file({"pooler.weight": np.ones(3)}, tmp_path / stray)
    save_file({"x": np.ones(3)}, tmp_path / "adapter.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
    with caplog.at_level("INFO", "albert_zoo"):
        assert equal(Checkpoint.open(tmp_path), arrays)
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("INFO", f"{tmp_path}: {INDEX} is read, not ['pytorch_model.bin']"),
        (
            "WARNING",
            f"{tmp_path / INDEX} does not name these files beside it, so they are not "
            f"read: {stray!r}",
        ),
    ]


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


def test_lazy_arrays_are_read_once(tmp_path, monkeypatch):
    arrays = save(tmp_path / "old", 4000)
    reads = []
    for name in ("read", "chunks"):
        real = getattr(Stored, name)

        def counted(self, real=real):
            reads.append(self)
            return real(self)

        monkeypatch.setattr(Stored, name, counted)
    found = Checkpoint.open(tmp_path / "old")
    checkpoint.save(tmp_path / "new", tiny(), found, 5000)
    checkpoint.save(tmp_path / "lazy", tiny(), found.stored)
    assert len(reads) == 2 * len(arrays)
    monkeypatch.undo()
    assert equal(Checkpoint.open(tmp_path / "new"), arrays)
    assert equal(Checkpoint.open(tmp_path / "lazy"), arrays)


def test_an_index_of_another_format(tmp_path):
    """Names may be spelled otherwise in it, and files have other endings."""
    homes = {"a/b": "x-00001-of-00002.bin", "c": "x-00002-of-00002.bin"}
    (tmp_path / "x.bin.index.json").write_text(json.dumps({"weight_map": homes}))
    held = {"x-00001-of-00002.bin": {"a.b": np.ones(2)}, "x-00002-of-00002.bin": {}}
    held["x-00002-of-00002.bin"]["c"] = np.ones(3)
    for name in held:
        (tmp_path / name).touch()
    found = read_sharded(
        tmp_path / "x.bin.index.json",
        lambda path: held[path.name],
        ".bin",
        rename=lambda name: name.replace("/", "."),
    )
    assert {name: array.shape for name, array in found.items()} == {
        "a.b": (2,),
        "c": (3,),
    }


@pytest.mark.bad_input(20)
def test_the_files_may_be_links_as_in_a_hub_cache(tmp_path):
    arrays = save(tmp_path / "blobs", 4000)
    snapshot = tmp_path / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    for number, file in enumerate(list((tmp_path / "blobs").iterdir())):
        file.rename(tmp_path / "blobs" / str(number))
        (snapshot / file.name).symlink_to(f"../../blobs/{number}")
    assert equal(Checkpoint.open(snapshot), arrays)


class TestNotThere:
    def test_no_weights(self, tmp_path):
        (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
        with pytest.raises(CheckpointError) as caught:
            Checkpoint.open(tmp_path)
        assert str(caught.value) == (
            f"NOT_A_CHECKPOINT {tmp_path}: it holds neither model.safetensors nor "
            f"{INDEX}, so it has no "
            f"weights to load. Give the directory of a safetensors checkpoint."
        )

    @pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
    def test_a_file_instead_of_the_directory(self, name, tmp_path):
        save(tmp_path)
        with pytest.raises(
            CheckpointError, match=r"it is a file\. Give the directory that"
        ):
            Checkpoint.open(tmp_path / name)

    def test_a_directory_instead_of_the_file(self, tmp_path):
        (tmp_path / "model.safetensors").mkdir()
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors: it is not a regular"
        ):
            Checkpoint.open(tmp_path)

    def test_a_pipe_instead_of_the_file(self, tmp_path):
        os.mkfifo(tmp_path / "model.safetensors")
        with pytest.raises(
            CheckpointError, match=r"model\.safetensors: it is not a regular"
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

    def refused(self, folder, code, file=INDEX):
        with pytest.raises(FormatError) as caught:
            Checkpoint.open(folder)
        message = str(caught.value)
        assert message.startswith(f"{code} {folder / file}: "), message
        assert message.isprintable()
        return message

    @pytest.mark.bad_input(21)
    def test_missing(self, folder):
        shards = sorted(folder.glob("model-*"))
        shards[1].unlink()
        shards[3].unlink()
        shards[3].symlink_to(folder / "nowhere")
        assert self.refused(folder, "MISSING_SHARD").endswith(
            f": of the {len(shards)} files that it names there is no "
            f"{shards[1].name!r}, {shards[3].name!r}. Get the missing files."
        )

    @pytest.mark.parametrize(
        ("left", "code"),
        [
            *((0, "EMPTY"), (7, "TOO_SHORT"), (20, "TRUNCATED")),
            *((-100, "TRUNCATED"), (-1, "TRUNCATED")),
        ],
    )
    @pytest.mark.bad_input(11)
    def test_cut_short(self, left, code, folder):
        shard = sorted(folder.glob("model-*"))[2]
        shard.write_bytes(shard.read_bytes()[:left])
        self.refused(folder, code, shard.name)

    @pytest.mark.bad_input(23)
    def test_a_name_in_two_shards(self, folder):
        first, second = sorted(folder.glob("model-*"))[:2]
        name, array = next(iter(load_file(first).items()))
        held = load_file(second)
        save_file({**held, name: array}, second)
        assert self.refused(folder, "BAD_INDEX").endswith(
            f": it and its files do not agree: stored twice: {name!r} is in "
            f"{first.name} and {second.name}. Get the checkpoint again."
        )

    @pytest.mark.bad_input(7)
    def test_a_name_twice_in_one_shard(self, folder):
        first = sorted(folder.glob("model-*"))[0]
        data = first.read_bytes()
        length = int.from_bytes(data[:8], "little")
        text = data[8 : 8 + length].rstrip()
        body = text[1:]  # the same entries once more
        text = text[:-1] + b"," + body
        first.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
        assert "twice. Get the file again." in self.refused(
            folder, "DUPLICATE", first.name
        )

    @pytest.mark.bad_input(22)
    def test_the_index_names_what_no_shard_holds_and_the_other_way_round(self, folder):
        def change(weight_map):
            weight_map["made.up\x1b"] = weight_map["pooler.bias"]
            weight_map["pooler.bias"] = weight_map["embeddings.word_embeddings.weight"]
            del weight_map["embeddings.LayerNorm.bias"]

        self.index(folder, change)
        assert self.refused(folder, "BAD_INDEX").endswith(
            r": it and its files do not agree: no file holds 'made.up\x1b'; it does "
            "not name 'embeddings.LayerNorm.bias'; in other files than it says are "
            "'pooler.bias'. Get the checkpoint again."
        )

    @pytest.mark.bad_input(22)
    def test_second_names_of_tied_arrays_that_only_the_index_has(self, folder):
        home = sorted(file.name for file in folder.glob("model-*"))[0]
        self.index(folder, lambda weight_map: weight_map.update({"tied": home}))
        assert self.refused(folder, "BAD_INDEX").endswith(
            "no file holds 'tied'. If they are second names of tied arrays, take them "
            "out of the index, else get the checkpoint again."
        )

    def test_many_names(self, folder):
        homes = {f"made up {i}": "model-00001-of-00002.safetensors" for i in range(999)}
        (folder / "model-00001-of-00002.safetensors").write_bytes(
            (8).to_bytes(8, "little") + b"{}      "
        )
        self.index(folder, lambda weight_map: weight_map.update(homes))
        assert "'made up 99' and 899 more" in self.refused(folder, "BAD_INDEX")

    @pytest.mark.parametrize(
        "place",
        [
            *("../x.safetensors", "/etc/x.safetensors", "a/x.safetensors"),
            *("C:x.safetensors", r"C:\x.safetensors", r"\\srv\s\x.safetensors"),
            *(r"..\x.safetensors", "http://h/x.safetensors", "file:x.safetensors"),
            *("x.safetensors\n", "x\0.safetensors", "x.safetensors "),
            *("x\x1b.safetensors", ""),
        ],
    )
    @pytest.mark.bad_input(19)
    def test_the_index_points_elsewhere(self, place, folder):
        """Nothing outside is opened, not even to see whether it is there."""
        (folder.parent / "x.safetensors").write_bytes(b"outside")
        self.index(folder, lambda weight_map: weight_map.update({"pooler.bias": place}))
        assert self.refused(folder, "UNSAFE").endswith(
            f": it points outside its folder: {place!r}. Do not use this checkpoint."
        )

    @pytest.mark.parametrize(
        "place",
        [
            *("..", "x.bin", "pytorch_model.bin", "x.safetensors.bin", ".safetensors"),
            "x" * 300 + ".safetensors",
            *(None, 3, ["a"], {"a": 1}),
        ],
    )
    @pytest.mark.bad_input(26)
    def test_the_index_points_at_other_kinds(self, place, folder):
        self.index(folder, lambda weight_map: weight_map.update({"pooler.bias": place}))
        assert self.refused(folder, "BAD_INDEX").endswith(
            f": it points at what is no .safetensors file: {shown(place)}. Get the "
            f"file again."
        )

    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [
            ("", "EMPTY", "it has no bytes"),
            ('{"weight_map": []}', "BAD_INDEX", "no 'weight_map' from names to files."),
            ('{"weight_map": "x"}', "BAD_INDEX", "no 'weight_map' from names to files"),
            ("{}", "BAD_INDEX", "it has no 'weight_map' from names to files."),
            ("[]", "BAD_INDEX", "it has no 'weight_map' from names to files."),
            ("{", "BAD_INDEX", "it is no JSON at byte 1: "),
            ("<html>404", "BAD_INDEX", "it is no JSON at byte 0: "),
            ("version https://git-lfs.github.com/", "LFS_POINTER", "Run 'git lfs pu"),
            ('{"weight_map": ' + "[" * 10**5, "BAD_INDEX", "too deep within each"),
            ('{"weight_map": {"a": "x", "a": "y"}}', "DUPLICATE", "it names 'a' twice"),
            ('{"a":"' + "a" * 2**24 + '"}', "TOO_LARGE", "it has 16777224 bytes, at"),
        ],
    )
    @pytest.mark.bad_input(25, 28, 29)
    def test_the_index_is_none(self, text, code, words, folder):
        (folder / INDEX).write_text(text)
        assert words in self.refused(folder, code)

    @pytest.mark.bad_input(20)
    def test_a_shard_is_no_file(self, folder):
        first, second = sorted(folder.glob("model-*"))[:2]
        first.unlink()
        first.mkdir()
        words = "it is not a regular file. Give a file."
        assert words in self.refused(folder, "NOT_A_CHECKPOINT", first.name)
        first.rmdir()
        os.mkfifo(first)
        assert words in self.refused(folder, "NOT_A_CHECKPOINT", first.name)
        assert second.exists()
        (folder / INDEX).unlink()
        os.mkfifo(folder / INDEX)
        assert words in self.refused(folder, "NOT_A_CHECKPOINT")

    @pytest.mark.parametrize("target", ["blobs/x", "models/blobs/x", "y/x"])
    @pytest.mark.bad_input(20)
    def test_a_shard_is_a_link_that_leaves_the_folder(self, target, folder, tmp_path):
        first = sorted(folder.glob("model-*"))[0]
        (tmp_path / target).parent.mkdir(parents=True)
        first.rename(tmp_path / target)
        first.symlink_to(tmp_path / target)
        assert self.refused(folder, "UNSAFE").endswith(
            f": files that it names are links that leave the folder: {first.name!r}. "
            f"Copy what they lead to into the folder, if you trust it."
        )

    @pytest.mark.bad_input(20)
    def test_links_that_are_the_rule(self, folder, tmp_path):
        """Within the folder, from a copied index into the cache, and of a folder."""
        first, second = sorted(folder.glob("model-*"))[:2]
        first.rename(folder / "other")
        first.symlink_to("other")
        blobs = tmp_path / "models--a--b" / "blobs"
        blobs.mkdir(parents=True)
        second.rename(blobs / "0123")
        second.symlink_to(blobs / "0123")
        assert len(Checkpoint.open(folder)) > 9
        (tmp_path / "alias").symlink_to(folder)
        assert len(Checkpoint.open(tmp_path / "alias")) > 9

    @pytest.mark.parametrize("total", [0, "5", None, 1.5, "right", "no metadata"])
    @pytest.mark.bad_input(25)
    def test_the_size_in_the_index(self, total, folder, caplog):
        values = json.loads((folder / INDEX).read_text())
        if total == "no metadata":
            del values["metadata"]
        elif total != "right":
            values["metadata"]["total_size"] = total
        (folder / INDEX).write_text(json.dumps(values))
        assert len(Checkpoint.open(folder)) > 9
        words = f"says that its arrays have {total!r} bytes, and they have "
        said = [record.message for record in caplog.records]
        assert len(said) == (total in (0, "5", 1.5))
        assert all(str(folder / INDEX) in message for message in said)
        assert all(words in message for message in said)
