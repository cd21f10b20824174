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

from albert_core.errors import CheckpointError, FormatError
from albert_core.safetensors_file import DTYPES, metadata, read_header, write

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


@pytest.mark.bad_input(67)
def test_special_numbers_keep_every_bit(tmp_path):
    bits = np.array([0x7FC00001, 0xFF800001, 0x80000000, 1, 0x7F800000], np.uint32)
    array = bits.view(np.float32)
    path = make(tmp_path / "x", {"x": array})
    assert read_header(path)["x"].read().view(np.uint32).tolist() == bits.tolist()


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0, 2), (1, 1, 1), (7,)])
@pytest.mark.bad_input(16)
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


@pytest.mark.bad_input(41)
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
    assert "BAD_DTYPE" in str(caught.value)
    assert "the format has no number type for 'bad' " in str(caught.value)
    assert "Convert them to one of bfloat16, bool, float16" in str(caught.value)
    assert not (tmp_path / "x").exists()


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "x").write_text("mine")
    with pytest.raises(FileExistsError):
        write(tmp_path / "x", {}, [])


# What is wrong, the file, the code and words of the message. The library refuses all
# but `OURS`: a space before the header, names that stand twice (it takes the last), and
# more arrays, or a longer header, than any model has.
DEEP = '{"x":' + "[" * 10**5
MANY = "{" + ",".join(f'"{i}":{json.dumps(F32)}' for i in range(70_000)) + "}"
ESCAPES = "../\x1b[2J\n\u202e\0" + "n" * 2**20
BAD = {
    "empty": (b"", "EMPTY", "it has no bytes. Get the file again."),
    "short": (b"\1\0\0", "TOO_SHORT", "it has 3 bytes, and the shortest safetensors"),
    "only a length": (pack(b""), "TOO_SHORT", "it has 8 bytes"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n",
        "LFS_POINTER",
        "it is a Git LFS pointer to the weights. Run 'git lfs pull'.",
    ),
    "html": (
        b"<!DOCTYPE html><html>404",
        "NOT_A_CHECKPOINT",
        "it begins with b'<!DOCTYPE html><html>404', as web pages do. Get",
    ),
    "json": (
        b'{"error": "404"}',
        "NOT_A_CHECKPOINT",
        """it begins with b'{"error": "404"}', as JSON does. Get""",
    ),
    "zip": (
        b"PK\3\4" + b"\0" * 60,
        "NOT_A_CHECKPOINT",
        r"it is no safetensors file: it begins with b'PK\x03\x04\x00",
    ),
    "huge header": (
        (2**63).to_bytes(8, "little") + b"{}",
        "HEADER_TOO_LARGE",
        "it announces a header of 9223372036854775808 bytes, and at most 16777216 are",
    ),
    "header beyond the end": (
        pack("{}  ")[:-1],
        "TRUNCATED",
        "its header needs 12 bytes, the file has 11. Get",
    ),
    "no object": (pack("[1]  "), "BAD_HEADER", "begins with b'[' at byte 8, not"),
    "space before": (pack(" {}"), "BAD_HEADER", "begins with b' ' at byte 8, not"),
    "not JSON": (pack("{'x': 1}"), "BAD_HEADER", "it is no JSON at byte 9: Expecting"),
    "cut JSON": (pack('{"ü": {"dty'), "BAD_HEADER", "at byte 16: Unterminated string"),
    "not UTF-8": (pack(b'{"\xff": 1}'), "BAD_HEADER", "byte 10 is not UTF-8. Get"),
    "two objects": (pack("{}{}"), "BAD_HEADER", "at byte 10: Extra data"),
    "NaN": (pack('{"x": NaN}'), "BAD_HEADER", "it is no JSON: there is NaN."),
    "deep": (pack(DEEP), "BAD_HEADER", "too deep within each other"),
    "many": (
        pack(MANY),
        "TOO_LARGE",
        "bytes and 560000 braces, brackets and commas; that of a model has at most",
    ),
    "long number": (
        pack('{"x": {"dtype":"U8","shape":[%s],"data_offsets":[0,1]}}' % ("9" * 5000)),
        "BAD_HEADER",
        "it is no JSON: Exceeds the limit",
    ),
    "half a letter": (
        pack(json.dumps({"\ud800": F32}), bytes(24)),
        "UNSUPPORTED",
        r"an array cannot have the name '\ud800'",
    ),
    "twice": (
        pack(
            f'{{"x":{json.dumps(F32)},"y\\u001b":{json.dumps(F32)},'
            f'"x":{json.dumps(F32)},"y\\u001b":{json.dumps(F32)}}}',
            bytes(24),
        ),
        "DUPLICATE",
        r"it names 'x', 'y\x1b' twice. Get",
    ),
    "a key twice": (
        pack(
            '{"x":{"dtype":"U8","shape":[1],"shape":[2],"data_offsets":[0,2]}}',
            bytes(2),
        ),
        "DUPLICATE",
        "it names 'shape' twice",
    ),
    "metadata": (
        pack({"__metadata__": {"a": 1}}),
        "BAD_HEADER",
        "its metadata is no table of texts: {'a': 1}",
    ),
    "metadata list": (
        pack({"__metadata__": ["a"]}),
        "BAD_HEADER",
        "its metadata is no table of texts: ['a']",
    ),
    "no entry": (pack({"x": 3}), "BAD_HEADER", "'x' is described by 3"),
    "no shape": (
        pack({"x": {"dtype": "F32", "data_offsets": [0, 4]}}),
        "BAD_HEADER",
        "'x' is described",
    ),
    "one offset": (
        pack({"x": {**F32, "data_offsets": [0]}}),
        "BAD_HEADER",
        "'x' is described by",
    ),
    **{
        f"offsets {places}": (
            pack(json.dumps({"x": F32}).replace("[0, 24]", places), bytes(24)),
            "BAD_HEADER",
            "'x' is described by {'dtype': 'F32', 'shape': [2, 3], 'data_offsets': [",
        )
        for places in ("[0, 1e308]", "[0.0, 24]", "[-24, 0]", "[true, 25]", '["", 1]')
    },
    **{
        f"shape {shape}": (
            pack(json.dumps({"x": F32}).replace("[2, 3]", shape), bytes(24)),
            "BAD_SHAPE",
            "'x' has the shape [",
        )
        for shape in ("[2.0, 3]", "[true, 6]", "[-2, -3]", "[1e308]", '["6"]', "[[6]]")
    },
    "type": (
        pack({"x": {**F32, "dtype": "F4"}}, bytes(24)),
        "BAD_DTYPE",
        "'x' holds 'F4', not one of F64, F32, F16, BF16, I64, I32, I16, I8, U64, U32, "
        "U16, U8, BOOL. Convert it",
    ),
    "sizes": (
        pack({"x": {**F32, "shape": [2, 4]}}, bytes(24)),
        "BAD_SHAPE",
        "'x' of shape [2, 4] and type F32 needs 32 bytes, but has 24",
    ),
    "backwards": (
        pack({"x": {**F32, "data_offsets": [24, 0]}}, bytes(24)),
        "BAD_SHAPE",
        "but has -24",
    ),
    "overflow": (
        pack({"x": {**F32, "shape": [2**40, 2**40]}}, bytes(24)),
        "BAD_SHAPE",
        "'x' has the shape [1099511627776, 1099511627776]",
    ),
    "hole": (
        pack({"x": F32, "y": {**F32, "data_offsets": [28, 52]}}, bytes(52)),
        "BAD_HEADER",
        "'y' begins at byte 28, not at 24",
    ),
    "overlap": (
        pack({"x": F32, "y": {**F32, "data_offsets": [12, 36]}}, bytes(36)),
        "BAD_HEADER",
        "'y' begins at byte 12, not at 24",
    ),
    "escapes": (
        pack({ESCAPES: {**F32, "data_offsets": [4, 28]}}, bytes(28)),
        "BAD_HEADER",
        r"'../\x1b[2J\n\u202e\x00nnn",
    ),
    "cut data": (
        pack({"x": F32}, bytes(23)),
        "TRUNCATED",
        "its header describes 97 bytes, the file has 96",
    ),
    "no data": (pack({"x": F32}), "TRUNCATED", "97 bytes, the file has 73. Get the"),
    "trailing": (
        pack({"x": F32}, bytes(24) + b"PK"),
        "TRAILING",
        "2 bytes stand behind its last array. Get",
    ),
}
OURS = {"space before", "twice", "many"}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.bad_input(1, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 28, 29)
def test_a_bad_file(name, tmp_path):
    data, code, words = BAD[name]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(FormatError) as caught:
        read_header(tmp_path / "x")
    assert caught.value.code == code, caught.value
    assert str(caught.value).startswith(f"{code} {tmp_path / 'x'}: ")
    assert words in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    if name not in OURS:
        with pytest.raises((SafetensorError, OSError)):
            safe_open(tmp_path / "x", "numpy")


@pytest.mark.bad_input(18)
def test_names_are_only_data(tmp_path):
    """Paths, controls and a megabyte: none of it is a reason to refuse a file."""
    arrays = {ESCAPES: sample("f4"), "../x": sample("f4"), "": sample("f4")}
    path = make(tmp_path / "x", arrays)
    assert read_header(path).keys() == arrays.keys() == load_file(path).keys()
    assert [file.name for file in tmp_path.iterdir()] == ["x"]


def test_many_arrays(tmp_path):
    path = make(tmp_path / "x", {f"{i}": np.zeros((), "u1") for i in range(50_000)})
    assert len(read_header(path)) == 50_000


def test_metadata(tmp_path):
    arrays = {"x": sample("f4")}
    assert metadata(make(tmp_path / "x", arrays)) == {"format": "pt"}
    write(tmp_path / "y", arrays, metadata={"ä": "b", "format": "tf"})
    assert metadata(tmp_path / "y") == {"ä": "b", "format": "tf"}
    with safe_open(tmp_path / "y", "numpy") as theirs:
        assert theirs.metadata() == {"ä": "b", "format": "tf"}
    (tmp_path / "z").write_bytes(pack({"x": F32}, bytes(24)))
    assert metadata(tmp_path / "z") == {}
    assert read_header(tmp_path / "z").keys() == {"x"}


def test_lazy_arrays_are_read_once(tmp_path):
    class Counted:
        reads = 0
        dtype, shape = np.dtype("f4"), (3,)

        def read(self):
            self.reads += 1
            return np.ones(3, "f4") if self.reads == 1 else np.ones(4, "f4")

    lazy = Counted()
    write(tmp_path / "x", {"lazy": lazy, "array": sample("f4")})
    assert lazy.reads == 1
    assert load_file(tmp_path / "x")["lazy"].tolist() == [1, 1, 1]
    with pytest.raises(FormatError, match=r"CHANGED .*'lazy' has changed while it was"):
        write(tmp_path / "y", {"lazy": lazy})


@pytest.mark.parametrize("name", ["__metadata__", "\ud800"])
def test_names_that_cannot_be_written(name, tmp_path):
    with pytest.raises(FormatError) as caught:
        write(tmp_path / "x", {name: sample("f4")})
    words = f"UNSUPPORTED {tmp_path / 'x'}: an array cannot have the name {name!r}."
    assert str(caught.value).startswith(words)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("cut", range(0, 300, 7))
@pytest.mark.bad_input(11)
def test_a_file_cut_short_anywhere(cut, tmp_path):
    arrays = {"first": sample("f4"), "second": sample("f8", (4,))}
    data = make(tmp_path / "whole", arrays).read_bytes()
    assert 230 < len(data) < 300
    (tmp_path / "x").write_bytes(data[: cut % len(data)])
    with pytest.raises(CheckpointError):
        read_header(tmp_path / "x")


@pytest.mark.bad_input(4)
def test_a_header_above_the_limit_is_not_read(tmp_path):
    length = 100 * 2**20 + 1
    with (tmp_path / "x").open("wb") as file:
        file.write(length.to_bytes(8, "little") + b"{")
        file.truncate(length + 8)
    with pytest.raises(CheckpointError, match="header of 104857601 bytes, and at most"):
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
    with pytest.raises(CheckpointError, match="x: it is not a regular file"):
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
@pytest.mark.bad_input(74)
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
