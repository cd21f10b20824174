import os
import struct
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import msgpack
import numpy as np
import pytest

from albert_core.errors import CheckpointError, FormatError
from conversion.formats import msgpack_file
from conversion.formats.msgpack_file import others, read, write
from conversion.formats.msgpack_tree import DTYPES
from tests.conversion.fuzzing import FUZZ, changed


@pytest.fixture(scope="module")
def flax():
    return pytest.importorskip("flax.serialization")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "flax_model.msgpack"


def numbers(*shape, dtype="f4"):
    rng = np.random.default_rng(len(shape))
    return (rng.normal(size=shape) * 50).astype(np.dtype(dtype))


TREE = {
    "params": {
        "é": {name: numbers(3, 2, dtype=dtype) for name, dtype in DTYPES.items()},
        "a-b": {"kernel": numbers(3, 4).T, "empty": np.zeros((0, 3), "f4")},
        "a": {"scalar": np.array(7), "large": numbers(70, 90), "tiny": numbers(1)},
    },
    "batch_stats": {f"{size}": np.zeros(size, "u1") for size in (0, 237, 238, 65520)},
    **{"key" * length: np.ones(1) for length in (1, 10, 11, 90)},
}


def flat(tree, before=""):
    found = {}
    for key, node in tree.items():
        if isinstance(node, dict):
            found |= flat(node, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = node
    return found


def arrays(path):
    return {name: lazy.read() for name, lazy in read(path).items()}


def same(found, expected):
    assert {
        n: (a.dtype.name, a.shape, a.tobytes()) for n, a in sorted(found.items())
    } == {n: (a.dtype.name, a.shape, a.tobytes()) for n, a in sorted(expected.items())}


# --- beside Flax ----------------------------------------------------------------------


def test_flax_writes_the_same_bytes(flax, path):
    write(path, flat(TREE))
    assert path.read_bytes() == flax.msgpack_serialize(TREE)
    same(flat(flax.msgpack_restore(path.read_bytes())), flat(TREE))
    same(arrays(path), flat(TREE))
    assert others(path) == {}
    again = path.with_name("again")
    write(again, dict(reversed(read(path).items())))
    assert again.read_bytes() == path.read_bytes()


def test_arrays_of_big_endian_numbers(flax, path):
    write(path, {"a": numbers(3).astype(">f4")})
    same(flax.msgpack_restore(path.read_bytes()), {"a": numbers(3)})


@pytest.mark.parametrize("limit", [1, 7, 40, 159, 160])
def test_chunks(flax, path, limit, monkeypatch):
    tree = {"a": {"b": numbers(4, 10)}, "c": numbers(2, 3, dtype=ml_dtypes.bfloat16)}
    monkeypatch.setattr(flax, "MAX_CHUNK_SIZE", limit)
    monkeypatch.setattr(msgpack_file, "LARGEST_CHUNK", limit)
    write(path, flat(tree))
    data = path.read_bytes()
    assert data == flax.msgpack_serialize(tree)
    assert (msgpack_file.MARKER.encode() in data) == (limit < 160)
    same(arrays(path), flat(tree))
    same(flat(flax.msgpack_restore(data)), flat(tree))
    found = read(path)["a.b"]
    assert (found.shape, found.dtype) == ((4, 10), np.float32)


@pytest.mark.bad_input(54)
def test_a_state_of_a_training(flax, path):
    """Values that are no arrays, lists, whole numbers as keys, a frozen dict."""
    from flax.core import FrozenDict

    weights = numbers(2, 3)
    state = {
        "params": FrozenDict({"kernel": weights}),
        "opt_state": {"0": {"count": np.int32(7)}, "1": {}},
        "step": 3,
    }
    path.write_bytes(flax.to_bytes(state))
    kernel, count = "params.kernel", "opt_state.0.count"
    same(arrays(path), {kernel: weights, count: np.asarray(np.int32(7))})
    assert others(path) == {"opt_state.1": "{}", "step": "3"}
    values = [None, True, -1, -200, 2**40, 0.5, "text", b"data", 1j, np.float32(2)]
    tree = {"list": values, 5: {-3: weights}, "": {"": weights}}
    path.write_bytes(flax.msgpack_serialize(tree, in_place=True))
    assert list(read(path)) == ["list.9", "5.-3", "."]
    same(arrays(path), {"list.9": np.array(2, "f4"), "5.-3": weights, ".": weights})
    assert others(path) == {
        "list.0": "None",
        "list.1": "True",
        "list.2": "-1",
        "list.3": "-200",
        "list.4": "1099511627776",
        "list.5": "0.5",
        "list.6": "a text of 4 bytes",
        "list.7": "a text of 4 bytes",
        "list.8": "a complex number",
    }


def test_other_ways_to_pack_the_same(path):
    """Longer codes than need be, which other packers write."""
    key, name = b"\xdb" + struct.pack(">I1s", 1, b"a"), b"\xd9\x07float32"
    array = (
        b"\xdc\0\3\xdd\0\0\0\1\xd3" + struct.pack(">q", 3) + name + b"\xc6\0\0\0\x0c"
    )
    array += numbers(3).tobytes()
    data = b"\xdf\0\0\0\1" + key + b"\xc9" + struct.pack(">IB", len(array), 1) + array
    path.write_bytes(data)
    same(arrays(path), {"a": numbers(3)})


# --- bad files: rows 1, 28, 29, 52 and 53 of the list of bad inputs -------------------


def refused(path, code, text, use=read):
    with pytest.raises(FormatError) as caught:
        use(path)
    assert caught.value.code == code, caught.value
    assert str(caught.value).startswith(f"{code} {path}: ")
    assert text in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def ext(data, kind=1):
    return msgpack.packb(msgpack.ExtType(kind, data))


THREE = numbers(3).tobytes()


def array(shape=(3,), dtype="float32", data=THREE, kind=1):
    return ext(msgpack.packb((shape, dtype, data)), kind)


def one(value, key=b"\xa1a"):
    """A map with one entry."""
    return b"\x81" + key + value


def chunked(marker=True, shape=None, chunks=None, **more):
    tree = {
        msgpack_file.MARKER: marker,
        "shape": {"0": 3} if shape is None else shape,
        "chunks": {"0": numbers(2), "1": numbers(1)} if chunks is None else chunks,
        **more,
    }
    packed = msgpack.packb(tree, default=lambda a: msgpack.unpackb(array(*plain(a))))
    return one(packed)


def plain(one):
    return one.shape, one.dtype.name, one.tobytes()


DAMAGED = {
    "empty": (b"", "EMPTY", "it has no bytes"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "LFS_POINTER", "lfs pull"),
    "html": (b"<!DOCTYPE html>", "NOT_A_CHECKPOINT", "it is no msgpack file of Flax: "),
    "json": (b'{"a": 1}', "NOT_A_CHECKPOINT", "as JSON does"),
    "zip": (b"PK\3\4", "NOT_A_CHECKPOINT", "it begins with b'PK"),
    "list": (b"\x91" + array(), "NOT_A_CHECKPOINT", "it is no msgpack file of Flax"),
    "array": (array(), "NOT_A_CHECKPOINT", "it is no msgpack file of Flax"),
    "trailing": (one(array()) + b"PK", "TRAILING", "2 bytes stand behind its map. Get"),
    "pickle": (b"\x80\2}.", "TRAILING", "3 bytes stand behind its map"),
    "cut": (one(array())[:-1], "TRUNCATED", "'a' needs 25 bytes at byte 6, and 24"),
    "no value": (b"\x81\xa1a", "TRUNCATED", "'a' needs 1 bytes at byte 3, and"),
    "list bomb": (
        one(b"\xdd\xff\xff\xff\xff" + bytes(9)),
        "TRUNCATED",
        "'a' needs 4294967295 bytes at byte 8, and 9 follow",
    ),
    "map bomb": (
        b"\xdf\xff\xff\xff\xff" + bytes(9),
        "TRUNCATED",
        "it needs 8589934590 bytes at byte 5, and 9 follow",
    ),
    "text bomb": (one(b"\xdb\xff\xff\xff\xff"), "TRUNCATED", "'a' needs 4294967295"),
    "bytes bomb": (one(b"\xc6\xff\xff\xff\xff"), "TRUNCATED", "'a' needs 4294967295"),
    "extension bomb": (one(b"\xc9\xff\xff\xff\xff\1"), "TRUNCATED", "needs 4294967295"),
    "key bomb": (one(b"\0", b"\xdb\xff\xff\xff\xff"), "TOO_LARGE", "65536 bytes in on"),
    "keys": (
        b"\xde\1\1"
        + b"".join(b"\xda\xff\xff%3d" % n + b"k" * 65532 + b"\0" for n in range(257)),
        "TOO_LARGE",
        "16777216 bytes of keys",
    ),
    "names": (
        b"\x81\xda\xff\xff" + b"k" * 65535 + b"\xdc\1\1" + bytes(257),
        "TOO_LARGE",
        "its names have over 16777216 letters. Save only",
    ),
    "values": (one(b"\xdd\0\1\x86\xa0" + bytes(100_000)), "TOO_LARGE", "100000 values"),
    "deep maps": (b"\x81\xa1a" * 10**5 + b"\0", "TOO_LARGE", "64 maps within each"),
    "deep lists": (one(b"\x91" * 10**5 + b"\0"), "TOO_LARGE", "64 maps within each"),
    "twice": (b"\x82\xa1a\0\xa1a\0", "DUPLICATE", "'a' is there twice"),
    "twice as number": (b"\x82\xa11\0\1\0", "DUPLICATE", "'1' is there twice"),
    "twice joined": (
        b"\x82\xa3a.b\0\xa1a\x81\xa1b\0",
        "DUPLICATE",
        "it has 'a.b' twice",
    ),
    "bytes as key": (
        one(b"\0", b"\xc4\1a"),
        "BAD_HEADER",
        "a key that is no text at b",
    ),
    "map as key": (
        one(b"\0", b"\x80"),
        "BAD_HEADER",
        "it has a key that is no text at",
    ),
    "key not UTF-8": (one(b"\0", b"\xa1\xff"), "BAD_HEADER", "no UTF-8 at byte 1"),
    "escapes": (
        one(b"\xc1", b"\xa5../\x1b\n"),
        "BAD_HEADER",
        r"'../\x1b\n' has the byte 0xc1 at byte 7",
    ),
    "time": (
        one(b"\xd6\xff" + bytes(4)),
        "UNSUPPORTED",
        "'a' is a time stamp, which Flax does not write",
    ),
    "extension": (
        one(ext(b"x", 42)),
        "UNSUPPORTED",
        "'a' is an extension of type 42, ",
    ),
    **{
        f"type {name}": (
            one(array(dtype=name)),
            "BAD_DTYPE",
            f"'a' holds {name!r}, not",
        )
        for name in ("O", "V8", "datetime64", "<f4", "complex64", "S1", "float8_e4m3fn")
    },
    "long type": (
        one(array(dtype="f" * 99)),
        "BAD_DTYPE",
        "not one of float64, float32",
    ),
    "number as type": (one(array(dtype=7)), "BAD_DTYPE", "'a' holds '', not one of"),
    "other shape": (
        one(array((4,))),
        "BAD_SHAPE",
        "'a' of shape [4] and type float32 needs 16 bytes, but has 12",
    ),
    "large shape": (
        one(array((2**40, 2**40))),
        "BAD_SHAPE",
        "'a' has the shape [109951",
    ),
    "negative": (one(array((-3,))), "BAD_SHAPE", "'a' has the shape [-3]"),
    "fraction": (one(array((3.0,))), "BAD_SHAPE", "'a' has the shape [None]"),
    "many axes": (one(array((1,) * 65)), "BAD_SHAPE", "'a' has 65 dimensions"),
    "no list": (one(ext(b"\xa1a")), "BAD_HEADER", "'a' has the byte 0xa1 at byte 5"),
    "two parts": (one(ext(b"\x92\x90\0")), "BAD_HEADER", "'a' is an array of 2 parts"),
    "no bytes": (one(array(data=[1])), "BAD_SHAPE", "needs 12 bytes, but has 0"),
    "longer inside": (
        one(b"\xc7\x16\1" + array()[3:]),
        "BAD_HEADER",
        "'a' ends at byte 31, not at 28 as it says first",
    ),
    "no scalar": (one(array(kind=3)), "BAD_SHAPE", "'a' is a number of shape [3]"),
    "no name": (chunked()[3:], "BAD_HEADER", "it holds an array without a name"),
}
CHUNKED = {
    "marker": (chunked(marker=False), "has the entries ['__msgpack_chunked_array__'"),
    "more": (chunked(more=1), "'shape', 'chunks', 'more']"),
    "shape": (chunked(shape={"0": 4}), "of shape [4] has 3 numbers"),
    "missing axis": (chunked(shape={"1": 3}), "has the shape {'1': 3}"),
    "shape text": (chunked(shape="3"), "has the shape 'a text of 1 bytes'"),
    "chunk": (chunked(chunks={"0": numbers(2), "2": numbers(1)}), "lacks a chunk. Get"),
    "no chunks": (chunked(chunks={}), "lacks a chunk"),
    "number": (chunked(chunks={"0": 3}), "lacks a chunk"),
    "number behind": (
        chunked(chunks={"0": numbers(2), "1": 3}),
        "has a chunk that is no array of one dimension",
    ),
    "types": (
        chunked(chunks={"0": numbers(2), "1": numbers(1, dtype="i4")}),
        "has chunks of the types float32, int32",
    ),
    "axes": (chunked(chunks={"0": numbers(1, 3)}), "no array of one dimension"),
    "nested": (
        chunked(chunks={"0": numbers(2), "1": msgpack.unpackb(chunked())["a"]}),
        "has a chunk that is no array of one dimension",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
@pytest.mark.bad_input(1, 28, 29, 52)
def test_damaged_files(name, path):
    data, code, text = DAMAGED[name]
    path.write_bytes(data)
    refused(path, code, text)
    refused(path, code, text, others)


@pytest.mark.parametrize("name", CHUNKED)
@pytest.mark.bad_input(53)
def test_damaged_chunks(name, path):
    data, text = CHUNKED[name]
    path.write_bytes(data)
    refused(path, "BAD_SHAPE", text)
    refused(path, "BAD_SHAPE", "'a', an array in chunks, ")


@pytest.mark.bad_input(53)
def test_chunks_of_strange_shapes(path):
    for shape, text in [({"0": -3}, "[-3]"), ({"0": True}, "[True]")]:
        path.write_bytes(chunked(shape=shape))
        refused(path, "BAD_SHAPE", f"'a' has the shape {text}")
    path.write_bytes(chunked())
    same(arrays(path), {"a": np.concatenate([numbers(2), numbers(1)])})


def test_no_regular_file(path, tmp_path):
    os.mkfifo(path)
    refused(path, "NOT_A_CHECKPOINT", "it is not a regular file")
    refused(tmp_path, "NOT_A_CHECKPOINT", "it is not a regular file")


@pytest.mark.bad_input(74)
def test_changed_meanwhile(path):
    write(path, {"a": numbers(3)})
    found = read(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(FormatError, match=r"CHANGED .* has changed since"):
        found["a"].read()


@FUZZ
@hypothesis.given(choice=st.data())
def test_any_file(choice, path):
    good = [one(array()), chunked(), msgpack.packb({"a": {"b": [1, "c", 0.5]}})]
    data = st.one_of(
        changed(b"\x83\xa1x\xa1y" + good[0][1:] + b"\xa1b" + good[1][3:]),
        *map(changed, good),
        st.binary(max_size=200).map(lambda data: b"\x82" + data),
    )
    path.write_bytes(choice.draw(data))
    try:
        for lazy in read(path).values():
            lazy.read()
        others(path)
    except CheckpointError:
        pass


# --- what cannot be written, and at what cost -----------------------------------------


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["a.b", "a"], "names: 'a' and longer ones that begin so. Give"),
        (["a", "a.b"], "names: 'a' and 'a.b'. Give them other names."),
        (["a", "a.b.c"], "names: 'a' and 'a.b.c'"),
        ([".".join("a" * 63)], "names: 'a.a.a"),
        (["a.__msgpack_chunked_array__"], "names: 'a.__msgpack"),
        (["a" * 2**15], "names: 'aaa"),
        ([""], "cannot have the name ''"),
        (["\ud800"], r"cannot have the name '\ud800'"),
    ],
)
def test_names_that_cannot_be_written(names, text, path):
    tree = dict.fromkeys(names, numbers(1))
    refused(path, "UNSUPPORTED", text, lambda path: write(path, tree))
    assert not path.exists()


def test_what_can_just_be_written(path, monkeypatch):
    monkeypatch.setattr(msgpack_file, "LARGEST_CHUNK", 8)
    held = {".".join("a" * 62): numbers(3), "b" * 2**14: numbers(3)}
    write(path, held)
    same(arrays(path), held)


def test_types_that_cannot_be_written(path):
    text = "no number type for 'a' complex128. Conv"
    refused(path, "BAD_DTYPE", text, lambda path: write(path, {"a": np.array(1j)}))


def test_one_array_is_held_at_a_time(path):
    """When 96 MiB are written and read, and nothing when the headers are."""
    code = """
import sys
from pathlib import Path
import numpy as np
from conversion.formats import msgpack_file
from conversion.formats.msgpack_file import read, write
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) / 1024
class Lazy:
    shape, dtype = (2**23,), np.dtype("f4")
    def read(self):
        return np.ones(self.shape, self.dtype)
path = Path(sys.argv[1])
msgpack_file.LARGEST_CHUNK = 2**24 if sys.argv[2] == "chunks" else 2**30
start = peak()
write(path, {name: Lazy() for name in "abc"})
written = peak()
print(written - start)
found = read(path)
print(peak() - written)
for lazy in found.values():
    assert lazy.read().sum() == 2**23
print(peak() - start)
assert not {"flax", "jax", "torch", "tensorflow"} & set(sys.modules)
"""
    for kind, most in ("whole", 40), ("chunks", 56):
        command = [sys.executable, "-c", code, str(path), kind]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        writing, opening, reading = map(float, run.stdout.split())
        assert 16 < writing < 40
        assert opening < 1
        assert reading < most
        path.unlink()
