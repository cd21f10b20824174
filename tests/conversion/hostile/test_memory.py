"""Small files that say they are large: what they cost is measured."""

import json
import os
import struct
import sys
import zipfile

import h5py
import numpy as np
import pytest

from albert_core import safetensors_file
from conversion.formats import hdf5, msgpack_file, tensor_bundle, torch_bin
from conversion.formats.bundle_entry import Entry
from tests.conversion.hostile.judging import MOST_MEMORY, bombs, refused
from tests.conversion.test_tensor_bundle import bundle
from tests.conversion.test_torch_bin import (
    HEADS,
    LONG,
    one,
    rezip,
    tensor,
)

ENTRY = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}


def long_header(path):
    length = 100 * 2**20 + 1
    path.write_bytes(length.to_bytes(8, "little") + b"{")
    os.truncate(path, length + 8)


def a_million_arrays(path):
    header = json.dumps({f"{n}": ENTRY for n in range(1_000_000)}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0")


def as_many_as_fit(path):
    header = json.dumps({f"{n}": 0 for n in range(1_200_000)}).encode()
    assert len(header) < safetensors_file.LARGEST_HEADER
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"0")


def pickled(path, program):
    storage = np.zeros(4, "<f4").tobytes()
    rezip(path, {"data.pkl": program, "data/0": storage})


def tuples_of_tuples(path):
    """Each holds the one before three times: 3^200 values if they were walked."""
    pickled(path, one(b"K\1q\0" + b"h\0h\0\x87q\0" * 200))


def copies(path):
    """The same pairs again and again, as dicts."""
    pairs = b"]q\0(" + b"".join(
        b"J%bN\x86" % struct.pack("<i", n) for n in range(59_999)
    )
    start = b"e" + b"ccollections\nOrderedDict\nq\1"
    pickled(path, HEADS + b"(" + pairs + start + b"h\1h\0\x85R" * 1000 + b"t.")


def a_long_number(path):
    pickled(path, one(b"\x8b" + struct.pack("<i", 2**31 - 1)))


def tuples(path):
    pickled(path, one(b")" + b"\x85" * 1_000_000))


def expanded(path):
    shape = b"(" + LONG + b"t"
    pickled(path, one(tensor(shape=shape, strides=b"(K\0t")))


def zipped(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        member = "archive/data.pkl" if path.suffix == ".bin" else "model.weights.h5"
        with archive.open(member, "w") as file:
            for _ in range(128):
                file.write(bytes(2**20))


def empty_petabytes(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2**50,), "f8", chunks=(1024,), compression="gzip")


def packed_zeros(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=np.zeros(2**26, "f4"), compression="gzip")


def announced(start):
    return lambda path: path.write_bytes(start + bytes(99))


def texts_of_any_size(path):
    prefix = path.with_suffix("")
    tensor_bundle.write(prefix, {"a": np.zeros(3, "f4")})
    path.unlink()
    bundle(prefix, a=Entry(1, (2**62, 2**62), 0, 0, 2**62), t=Entry(7, (2**62,)))


BOMBS = {
    # First, as the system counts what this process has as what its children have.
    empty_petabytes: ("tf_model.h5", "TOO_LARGE"),
    packed_zeros: ("zeros.h5", "TOO_LARGE"),
    long_header: ("model.safetensors", "HEADER_TOO_LARGE"),
    a_million_arrays: ("many.safetensors", "HEADER_TOO_LARGE"),
    as_many_as_fit: ("fitting.safetensors", "TOO_LARGE"),
    tuples_of_tuples: ("copies of copies.bin", None),
    copies: ("copies.bin", "BAD_HEADER"),
    a_long_number: ("number.bin", "UNSAFE"),
    tuples: ("tuples.bin", "TOO_LARGE"),
    expanded: ("expanded.bin", "TOO_LARGE"),
    zipped: ("zipped.bin", "UNSUPPORTED"),
    announced(b"\x81\xa1a\xdd\xff\xff\xff\xff"): ("list.msgpack", "TRUNCATED"),
    announced(b"\xdf\xff\xff\xff\xff"): ("flax_model.msgpack", "TRUNCATED"),
    announced(b"\x81\xa1a\xc9\xff\xff\xff\xff\1"): ("array.msgpack", "TRUNCATED"),
    announced(b"\x81\xa1a" * 10**5): ("deep.msgpack", "TOO_LARGE"),
    texts_of_any_size: ("model.index", "BAD_SHAPE"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted by Linux")
@pytest.mark.bad_input(4, 17, 33, 37, 38, 43, 52, 56)
def test_bombs_do_not_go_off(tmp_path):
    good, held = tmp_path / "good", tmp_path / "bombs"
    good.mkdir()
    held.mkdir()
    arrays = {"a": np.zeros((2, 3), "f4")}
    writers = {"x.safetensors": safetensors_file, "x.bin": torch_bin, "x.h5": hdf5}
    writers |= {"x.msgpack": msgpack_file}
    for name, module in writers.items():
        module.write(good / name, arrays)
    tensor_bundle.write(good / "x", arrays)
    expected = {}
    for make, (name, code) in BOMBS.items():
        make(held / name)
        expected[held / name] = code
    paths = [*(good / name for name in writers), good / "x.index"]
    found = bombs(paths, expected)
    assert {path: code for path, (code, _) in found.items()} == expected
    print(found)
    assert max(cost for _, cost in found.values()) < MOST_MEMORY, found


@pytest.mark.bad_input(37)
@pytest.mark.parametrize("name", ["model.keras", "pytorch_model.bin", "weights.npz"])
def test_zip_files_are_not_unpacked(name, tmp_path):
    zipped(tmp_path / name)
    code = "TOO_LARGE" if name == "model.keras" else "UNSUPPORTED"
    refused(tmp_path / name, code, "weights.h5" if name != "pytorch_model.bin" else "")
