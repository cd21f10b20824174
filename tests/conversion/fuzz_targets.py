"""What is fuzzed: each reader as a function of some bytes, and good ones to begin with.

The tests change the good bytes at random; `fuzz_atheris.py` goes where the code goes.
"""

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import h5py
import msgpack
import numpy as np

from albert_core import AlbertConfig, safetensors_file
from albert_core.crc32c import crc32c, masked
from albert_core.errors import AlbertError, FormatError
from albert_core.sharding import read_sharded
from conversion.formats import (
    hdf5,
    hdf5_process,
    hdf5_shards,
    hdf5_table,
    keras_archive,
    level_table,
    msgpack_file,
    orbax_folder,
    tensor_bundle,
    torch_bin,
)

NUMBERS = np.arange(6, dtype="<f4").reshape(2, 3)


@dataclass(frozen=True)
class Target:
    """A reader.

    Attributes:
        use: Puts bytes where the reader finds them, and has it read all that it can.
        seeds: Makes good bytes; it is given a folder to work in.
        seconds: How long it may take.
    """

    use: Callable[[Path, bytes], None]
    seeds: Callable[[Path], list[bytes]]
    seconds: int = 5


def survives(reader: str, data: bytes, folder: Path) -> None:
    """Read some bytes; they may be refused, but in no other way than files are."""
    try:
        TARGETS[reader].use(folder, data)
    except AlbertError as problem:
        lines = str(problem).splitlines()
        assert all(map(str.isprintable, lines))
        assert len(lines) == 1 or not isinstance(problem, FormatError)  # noqa: PT017


def _put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def _take(arrays) -> None:
    for lazy in arrays.values():
        assert lazy.read().shape == lazy.shape


# --- safetensors, and the index of several files --------------------------------------


def _safetensors(folder, data):
    path = _put(folder / "model.safetensors", data)
    _take(safetensors_file.read_header(path))
    safetensors_file.metadata(path)


def _header(folder, data):
    """Most changes of the length in front leave nothing to be read."""
    size = len(data).to_bytes(8, "little")
    _safetensors(folder, size + data + NUMBERS.tobytes() * 2)


HEADER = {
    "__metadata__": {"format": "pt"},
    "a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
    "b": {"dtype": "BF16", "shape": [12], "data_offsets": [24, 48]},
}


def _written(write, folder, name):
    path = folder / name
    path.unlink(missing_ok=True)
    write(path, {"albert.a": NUMBERS, "b": NUMBERS[0]})
    return path.read_bytes()


def _index(folder, data):
    shard = folder / "model-00001-of-00001.safetensors"
    if not shard.exists():
        safetensors_file.write(shard, {"a": NUMBERS})
    path = _put(folder / "model.safetensors.index.json", data)
    _take(read_sharded(path, safetensors_file.read_header, ".safetensors"))


INDEX = {
    "metadata": {"total_size": 24},
    "weight_map": {"a": "model-00001-of-00001.safetensors"},
}


# --- PyTorch --------------------------------------------------------------------------

GLOBALS = b"ctorch._utils\n_rebuild_tensor_v2\n(", b"ccollections\nOrderedDict\n)R"
STORAGE = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\6%s"
VIEW = b"QK\0(K\2K\3t(K\3K\1t\x89" + GLOBALS[1] + b"tR"
PICKLE = b"\x80\2}X\1\0\0\0a" + GLOBALS[0] + STORAGE % b"t" + VIEW + b"s."


def _stream_file():
    """A file as torch wrote it before version 1.6."""
    start = b"\x80\2\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\2M\xe9\3."
    system = b"\x80\2}X\r\0\0\0little_endian\x88s."
    value = PICKLE.replace(STORAGE % b"t", STORAGE % b"Nt")
    keys = b"\x80\2]X\1\0\0\x000a."
    return start + system + value + keys + (6).to_bytes(8, "little") + NUMBERS.tobytes()


def _torch_zip(members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"archive/{name}", data)
    return file.getvalue()


def _torch(folder, data):
    path = _put(folder / "pytorch_model.bin", data)
    _take(torch_bin.read(path))
    torch_bin.contents(path)


def _pickle(folder, data):
    """The checksums of a zip file keep most changes from the pickle in it."""
    _torch(folder, _torch_zip({"data.pkl": data, "data/0": NUMBERS.tobytes()}))


# --- Flax and TensorFlow --------------------------------------------------------------


def _msgpack(folder, data):
    path = _put(folder / "flax_model.msgpack", data)
    _take(msgpack_file.read(path))
    msgpack_file.others(path)


def _msgpack_seeds(folder):
    whole = _written(msgpack_file.write, folder, "seed.msgpack")
    with mock.patch.object(msgpack_file, "LARGEST_CHUNK", 8):
        chunks = _written(msgpack_file.write, folder, "seed.msgpack")
    state = {"step": 3, "list": [None, True, -1.5, "text", b"bytes", 2**40]}
    return [whole, chunks, msgpack.packb(state)]


def _bundle_index(folder, data):
    _put(folder / "model.data-00000-of-00001", NUMBERS.tobytes() * 2)
    path = _put(folder / "model.index", data)
    _take(tensor_bundle.read(path))
    tensor_bundle.unsupported(path)


def _bundle_entries(folder, data):
    """The checksums of the blocks keep most changes from the entries in them."""
    block = data + bytes(4) + b"\1\0\0\0\0"
    block += masked(crc32c(block)).to_bytes(4, "little")
    file = io.BytesIO()
    file.write(block)
    place = b"\0" + level_table._to_varint(len(block) - 5)
    end = level_table._put(file, [(b"k", place)], 1)
    footer = (b"\0\0" + end).ljust(40, b"\0") + level_table.MAGIC
    _bundle_index(folder, file.getvalue() + footer)


def _bundle_seeds(folder):
    for path in folder.glob("seed.*"):
        path.unlink()
    tensor_bundle.write(folder / "seed", {"a": NUMBERS, "b/c": NUMBERS})
    return [(folder / "seed.index").read_bytes()]


def _entries_seeds(folder):
    _bundle_seeds(folder)
    pairs = level_table.read(folder / "seed.index").items()
    sizes = [(b"\0" + bytes([len(key), len(value)])) for key, value in pairs]
    both = zip(sizes, pairs, strict=True)
    return [b"".join(size + key + value for size, (key, value) in both)]


# --- HDF5 and Keras -------------------------------------------------------------------


def _hdf5_file(**options):
    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        store.create_dataset("albert/kernel:0", data=NUMBERS, **options)
        store["albert"].attrs["weight_names"] = [b"kernel:0"]
    return file.getvalue()


def _hdf5(folder, data):
    _take(hdf5.read(_put(folder / "tf_model.h5", data)))


def _hdf5_table(folder, data):
    """What the process that looks into the file answers."""
    window = hdf5_process.Window(folder / "tf_model.h5", 0, 1000, (1000, 0))
    hdf5_table.parse(window, data)


TABLE = {
    "arrays": [
        ["a", [2], "<f4", "contiguous", 100, 8],
        ["b/c", [3, 4], ">f8", "chunked", None, 90],
    ],
    "texts": {"": {"layer_names0": ["a"], "backend": "x"}, "b": {"name": "y"}},
}


def _keras(folder, data):
    """The archive; of the weights in it nothing is read, that takes a process."""
    empty = hdf5.Contents({}, {})
    with mock.patch.multiple(
        keras_archive.hdf5, inside=lambda *_: empty, contents=lambda *_: empty
    ):
        keras_archive.contents(_put(folder / "model.keras", data))


def _keras_seeds(folder):
    found = []
    for method in zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("config.json", '{"module": "os"}')
            archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(99))
        found.append(file.getvalue())
    return found


def _keras_index(folder, data):
    path = _put(folder / "x.weights.json", data)
    _put(folder / "x_0.weights.h5", b"")
    found = {"a/vars/0": NUMBERS}
    with mock.patch.object(hdf5_shards.hdf5, "read", return_value=found):
        hdf5_shards.read(path)


# --- Orbax and the configuration ------------------------------------------------------


def _orbax(folder, data):
    place = folder / "orbax"
    place.mkdir(exist_ok=True)
    (place / "manifest.ocdbt").touch()
    orbax_folder._specs(_put(place / "_METADATA", data).parent)
    _put(place / "_CHECKPOINT_METADATA", data)
    orbax_folder._specs(place)
    (place / "_CHECKPOINT_METADATA").unlink()


ORBAX = {
    "tree_metadata": {
        "('a', 'b')": {
            "key_metadata": [{"key": "a", "key_type": 2}, {"key": "b", "key_type": 2}],
            "value_metadata": {"value_type": "jax.Array", "skip_deserialize": False},
        }
    },
    "use_ocdbt": True,
    "use_zarr3": False,
}


def _config(folder, data):
    for name in "config.json", "albert_config.json":
        config = AlbertConfig.from_pretrained(_put(folder / name, data))
        assert AlbertConfig.from_dict(config.to_dict()).to_dict() == config.to_dict()


CONFIGS = [
    {"model_type": "albert", "hidden_size": 12, "num_attention_heads": 3},
    {"id2label": {"0": "a"}, "pruned_heads": {"0": [1]}, "auto_map": {"x": "os.y"}},
    {
        "class_name": "AlbertBackbone",
        "module": "keras_hub",
        "config": {"num_layers": 2},
    },
]


# What bytes alone would seldom become.
WORDS = [
    *(
        '{"',
        '":',
        '"],',
        "[[",
        "]]",
        "}}",
        "{}",
        "[]",
        '""',
        ",0",
        "-1",
        "1e308",
        "NaN",
    ),
    *("true", "null", "0.5", "1" * 20, "\\u0000", "\\ud800", "../", "__metadata__"),
    *("dtype", "shape", "data_offsets", "F32", "weight_map", "metadata", "total_size"),
    *("tree_metadata", "key_metadata", "value_metadata", "value_type", "use_ocdbt"),
    *("hidden_size", "num_hidden_groups", "id2label", "layer_norm_eps", "model_type"),
    *("class_name", "module", "config", "arrays", "texts", "refused", "contiguous"),
    *("torch\nFloatStorage\n", "torch\nSize\n", "cos\nsystem\n", "K\1", "h\0", "q\0"),
]


def _json(*values):
    return lambda folder: [json.dumps(value).encode() for value in values]


TARGETS = {
    "safetensors": Target(
        _safetensors, lambda f: [_written(safetensors_file.write, f, "seed")]
    ),
    "safetensors-header": Target(_header, _json(HEADER)),
    "index": Target(_index, _json(INDEX)),
    "torch-zip": Target(
        _torch,
        lambda f: [_torch_zip({"data.pkl": PICKLE, "data/0": NUMBERS.tobytes()})],
    ),
    "torch-pickle": Target(_pickle, lambda f: [PICKLE]),
    "torch-stream": Target(_torch, lambda f: [_stream_file()]),
    "msgpack": Target(_msgpack, _msgpack_seeds),
    "bundle-index": Target(_bundle_index, _bundle_seeds),
    "bundle-entries": Target(_bundle_entries, _entries_seeds),
    # The process that looks into the file ends itself after five seconds of work.
    "hdf5": Target(
        _hdf5, lambda f: [_hdf5_file(), _hdf5_file(compression="gzip")], seconds=60
    ),
    "hdf5-table": Target(_hdf5_table, _json(TABLE, {"refused": ["a", "loop", "b"]})),
    "keras": Target(_keras, _keras_seeds),
    "keras-index": Target(
        _keras_index, _json({"weight_map": {"/a/vars": "x_0.weights.h5"}})
    ),
    "orbax": Target(_orbax, _json(ORBAX)),
    "config": Target(_config, _json(*CONFIGS)),
}
