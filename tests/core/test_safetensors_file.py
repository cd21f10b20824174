"""Our reader and writer of safetensors against the library's, and on bad files."""

import json
import os
import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save

from albert_core import CheckpointError
from albert_core.safetensors_file import DTYPES, read_header, write

F32 = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def pack(header, data=b""):
    """A file of this header, which may be a text, bytes or an object."""
    if not isinstance(header, str | bytes):
        header = json.dumps(header)
    text = header if isinstance(header, bytes) else header.encode()
    return len(text).to_bytes(8, "little") + text + data


def make(path, arrays):
    write(path, arrays, arrays)
    return path


def same(one, other):
    return (one.dtype, one.shape, one.tobytes()) == (
        other.dtype,
        other.shape,
        other.tobytes(),
    )


def sample(dtype, shape=(3, 5)):
    values = np.random.default_rng(0).integers(0, 99, shape)
    return values.astype(dtype)


@pytest.mark.parametrize("code", DTYPES)
def test_every_number_type_both_ways(code, tmp_path):
    array = sample(DTYPES[code])
    (tmp_path / "theirs").write_bytes(save({"x": array}))
    assert same(read_header(tmp_path / "theirs")["x"].read(), array)
    assert same(load_file(make(tmp_path / "ours", {"x": array}))["x"], array)


def test_special_numbers_keep_every_bit(tmp_path):
    bits = np.array([0x7FC00001, 0xFF800001, 0x80000000, 1, 0x7F800000], np.uint32)
    array = bits.view(np.float32)
    path = make(tmp_path / "x", {"x": array})
    assert read_header(path)["x"].read().view(np.uint32).tolist() == bits.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 1, 1), (7,)])
def test_shapes_of_few_or_no_axes(shape, tmp_path):
    arrays = {"x": np.ones(shape, np.float32), "y": np.zeros((), ml_dtypes.bfloat16)}
    path = make(tmp_path / "x", arrays)
    for name, stored in read_header(path).items():
        assert same(stored.read(), arrays[name])
        assert same(load_file(path)[name], arrays[name])


def test_the_bytes_are_the_library_s(tmp_path):
    """Order, places, spaces and metadata; it sorts by size of type, then by name."""
    arrays = {
        "b": sample("f4"),
        "a.ü": sample("f4", (2,)),
        "half": sample("f2", (1, 3)),
        "long": sample("f8"),
    }
    theirs = save(arrays, metadata={"format": "pt"})
    assert make(tmp_path / "x", arrays).read_bytes() == theirs


def test_arrays_of_another_layout_or_byte_order(tmp_path):
    array = sample("f4")
    arrays = {"turned": array.T, "big": array.astype(">f4"), "part": array[:, ::2]}
    path = make(tmp_path / "x", arrays)
    for name, stored in read_header(path).items():
        assert same(stored.read(), np.ascontiguousarray(arrays[name], "<f4"))


def test_an_array_that_was_read_can_be_written_to(tmp_path):
    """PyTorch would warn of one that cannot."""
    array = read_header(make(tmp_path / "x", {"x": sample("f4")}))["x"].read()
    assert array.flags.writeable
    assert array.flags.aligned


def test_each_read_has_memory_of_its_own(tmp_path):
    stored = read_header(make(tmp_path / "x", {"x": sample("f4")}))["x"]
    first = stored.read()
    first[:] = -1
    assert (stored.read() >= 0).all()


@pytest.mark.parametrize("dtype", ["c8", "U3", "O", "M8[s]"])
def test_a_type_that_the_format_does_not_have(dtype, tmp_path):
    arrays = {"fine": sample("f4"), "bad": np.zeros(2, dtype)}
    with pytest.raises(CheckpointError) as caught:
        write(tmp_path / "x", arrays, arrays)
    assert "cannot be saved for their number type: bad " in str(caught.value)
    assert "Convert them to one of float64, float32" in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path / "x", {}, [])


# What is wrong, the file, and words of the message. The library refuses all but
# `OURS`: a space before the header, and names that stand twice (it takes the last).
BAD = {
    "empty": (b"", "x is empty. Get the file again."),
    "short": (b"\1\0\0", "is not a safetensors file: it has 3 bytes and starts with"),
    "only a length": (pack(b""), "is not a safetensors file: it has 8 bytes"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n",
        "is a Git LFS pointer to the weights: run 'git lfs pull'.",
    ),
    "html": (b"<!DOCTYPE html><html>404", "starts with b'<!DOCTYPE html><html>404'."),
    "zip": (b"PK\3\4" + b"\0" * 60, "is not a safetensors file: it has 64 bytes"),
    "huge header": (
        (2**63).to_bytes(8, "little") + b"{}",
        "announces a header of 9223372036854775808 bytes, but the file has 10",
    ),
    "header beyond the end": (pack("{}")[:-1], "announces a header of 2 bytes, but"),
    "no object": (pack("[1]  "), "is not a safetensors file"),
    "space before": (pack(" {}"), "is not a safetensors file"),
    "not JSON": (pack("{'x': 1}"), "has a damaged header: Expecting property name"),
    "cut JSON": (pack('{"x": {"dty'), "has a damaged header: Unterminated string"),
    "not UTF-8": (pack(b'{"\xff": 1}'), "has a damaged header: 'utf-8' codec can't"),
    "two objects": (pack("{}{}"), "has a damaged header: Extra data"),
    "deep": (pack('{"x":' + "[" * 10**5), "has a damaged header: maximum recursion"),
    "long number": (
        pack('{"x": {"dtype":"U8","shape":[%s],"data_offsets":[0,1]}}' % ("9" * 5000)),
        "has a damaged header: Exceeds the limit",
    ),
    "twice": (
        pack(
            f'{{"x":{json.dumps(F32)},"y\\u001b":{json.dumps(F32)},'
            f'"x":{json.dumps(F32)},"y\\u001b":{json.dumps(F32)}}}',
            bytes(24),
        ),
        r"has a damaged header: 'x', 'y\x1b' stands there twice. Get",
    ),
    "a key twice": (
        pack(
            '{"x":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,2]}}',
            bytes(2),
        ),
        "has a damaged header: 'shape' stands there twice",
    ),
    "metadata": (pack({"__metadata__": {"a": 1}}), "its metadata is no table of texts"),
    "metadata list": (
        pack({"__metadata__": ["a"]}),
        "its metadata is no table of texts",
    ),
    "no entry": (pack({"x": 3}), "'x' is described by 3"),
    "no shape": (
        pack({"x": {"dtype": "F32", "data_offsets": [0, 4]}}),
        "'x' is described",
    ),
    "one offset": (pack({"x": {**F32, "data_offsets": [0]}}), "'x' is described by"),
    "float": (
        pack({"x": {**F32, "shape": [2.0, 3]}}, bytes(24)),
        "'x' is described by",
    ),
    "bool": (
        pack({"x": {**F32, "shape": [True, 6]}}, bytes(24)),
        "'x' is described by {'dtype': 'F32', 'shape': [True, 6]",
    ),
    "negative": (
        pack({"x": {**F32, "shape": [-2, -3]}}, bytes(24)),
        "'x' is described",
    ),
    "type": (
        pack({"x": {**F32, "dtype": "F31"}}, bytes(24)),
        "'x' holds 'F31', not one",
    ),
    "sizes": (
        pack({"x": {**F32, "shape": [2, 4]}}, bytes(24)),
        "'x' of shape [2, 4] and type F32 needs 32 bytes, but has 24",
    ),
    "backwards": (
        pack({"x": {**F32, "data_offsets": [24, 0]}}, bytes(24)),
        "but has -24",
    ),
    "overflow": (
        pack({"x": {**F32, "shape": [2**40, 2**40]}}, bytes(24)),
        "needs 4835703278458516698824704 bytes, but has 24",
    ),
    "hole": (
        pack({"x": F32, "y": {**F32, "data_offsets": [28, 52]}}, bytes(52)),
        "'y' begins at byte 28, not at 24",
    ),
    "overlap": (
        pack({"x": F32, "y": {**F32, "data_offsets": [12, 36]}}, bytes(36)),
        "'y' begins at byte 12, not at 24",
    ),
    "late start": (
        pack({"x": {**F32, "data_offsets": [4, 28]}}, bytes(28)),
        "'x' begins at byte 4, not at 0",
    ),
    "cut data": (pack({"x": F32}, bytes(23)), "bytes, but its header describes "),
    "no data": (pack({"x": F32}), "It is cut short or damaged; get the file again."),
    "trailing": (pack({"x": F32}, bytes(25)), "bytes, but its header describes "),
}
OURS = {"space before", "twice"}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file(name, tmp_path):
    data, words = BAD[name]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(CheckpointError) as caught:
        read_header(tmp_path / "x")
    assert str(caught.value).startswith(f"{tmp_path / 'x'} ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    if name not in OURS:
        with pytest.raises((SafetensorError, OSError)):
            safe_open(tmp_path / "x", "numpy")


@pytest.mark.parametrize("cut", range(0, 300, 7))
def test_a_file_cut_short_anywhere(cut, tmp_path):
    arrays = {"first": sample("f4"), "second": sample("f8", (4,))}
    data = make(tmp_path / "whole", arrays).read_bytes()
    assert 230 < len(data) < 300
    (tmp_path / "x").write_bytes(data[: cut % len(data)])
    with pytest.raises(CheckpointError):
        read_header(tmp_path / "x")


def test_a_header_above_the_limit_is_not_read(tmp_path):
    length = 100 * 2**20 + 1
    with (tmp_path / "x").open("wb") as file:
        file.write(length.to_bytes(8, "little") + b"{")
        file.truncate(length + 8)
    with pytest.raises(CheckpointError, match="and a header at most 104857600"):
        read_header(tmp_path / "x")


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 200), byte=st.integers(0, 255))
def test_what_the_library_refuses_we_refuse(place, byte, tmp_path_factory):
    """One byte changed: whatever we then read, the library reads alike."""
    arrays = {"first": sample("f4"), "second": sample("f2", (4,))}
    data = bytearray(save(arrays))
    data[place % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "changed.safetensors"
    path.write_bytes(data)
    try:
        found = {name: stored.read() for name, stored in read_header(path).items()}
    except CheckpointError:
        return
    theirs = load_file(path)
    assert theirs.keys() == found.keys()
    for name in found:
        assert same(found[name], theirs[name])


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(CheckpointError, match="x is not a regular file"):
        read_header(tmp_path / "x")


def test_a_directory(tmp_path):
    with pytest.raises(CheckpointError, match="is not a regular file"):
        read_header(tmp_path)


def test_a_file_that_is_not_there_and_one_that_may_not_be_read(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match="cannot be read: No such file"):
        read_header(tmp_path / "x")
    make(tmp_path / "x", {"x": sample("f4")})
    stored = read_header(tmp_path / "x")["x"]

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    for read in (lambda: read_header(tmp_path / "x"), stored.read):
        with pytest.raises(CheckpointError, match="cannot be read: Permission denied"):
            read()


@pytest.mark.parametrize("change", ["replaced", "cut", "longer", "touched", "gone"])
def test_a_file_that_changes_while_it_is_open(change, tmp_path):
    """The old places in a new file would be other numbers."""
    path = make(tmp_path / "x", {"x": sample("f4")})
    stored = read_header(path)["x"]
    if change == "replaced":
        os.utime(make(tmp_path / "y", {"x": sample("f4") + 1}), ns=(1, 1))
        (tmp_path / "y").replace(path)
    elif change == "touched":
        os.utime(path, ns=(0, 0))
    elif change == "gone":
        path.unlink()
    else:
        os.truncate(path, path.stat().st_size + (-4 if change == "cut" else 4))
    words = (
        "No such file" if change == "gone" else "has changed since it was opened. Open"
    )
    with pytest.raises(CheckpointError, match=words):
        stored.read()


PEAK = """
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1024
"""


def test_opening_reads_no_data_and_reading_holds_one_array(tmp_path):
    """A sparse file of 64 GiB opens at once; 96 MiB cost 32 at a time when read.

    A memory map would count what it has read: 96 MiB in the end.
    """
    size = 2**36
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    (tmp_path / "sparse").write_bytes(pack({"x": entry}))
    os.truncate(tmp_path / "sparse", (tmp_path / "sparse").stat().st_size + size)
    make(tmp_path / "x", {f"{i}": np.ones(2**25, np.uint8) for i in range(3)})
    script = (
        PEAK
        + """
import sys
from pathlib import Path
from albert_core.safetensors_file import read_header
start = peak()
assert read_header(Path(sys.argv[1]))["x"].shape == (2**36,)
opened = peak()
for stored in read_header(Path(sys.argv[2])).values():
    assert stored.read()[-1] == 1
print(opened - start, peak() - opened)
"""
    )
    command = [sys.executable, "-c", script, tmp_path / "sparse", tmp_path / "x"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    opening, reading = map(float, run.stdout.split())
    assert opening < 8
    assert 16 < reading < 48


def test_writing_holds_one_array(tmp_path):
    """Of a mapping that makes its arrays when they are asked for."""
    script = (
        PEAK
        + """
import sys
from collections.abc import Mapping
from pathlib import Path
import numpy as np
from albert_core.safetensors_file import write
class Lazy(Mapping):
    def __getitem__(self, name):
        return np.full(2**23, int(name), np.float32)
    def __iter__(self):
        return iter("123")
    def __len__(self):
        return 3
start = peak()
write(Path(sys.argv[1]), Lazy(), "123")
print(peak() - start)
"""
    )
    command = [sys.executable, "-c", script, tmp_path / "x"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 16 < float(run.stdout) < 48
    assert read_header(tmp_path / "x")["3"].read()[5] == 3
