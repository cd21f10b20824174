import os
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import zipfile
from collections import OrderedDict

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

from albert_core.errors import CheckpointError, FormatError
from conversion.formats import restricted_pickle
from conversion.formats.torch_bin import contents, read, write
from tests.conversion.fuzzing import FUZZ, changed

torch = pytest.importorskip("torch")

NAMES = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
DTYPES = [*(np.dtype(f"{'' if n in '?' else '<'}{n}") for n in NAMES)]
DTYPES.append(np.dtype(ml_dtypes.bfloat16))


def numbers(*shape, dtype="<f4"):
    return (np.random.default_rng(len(shape)).normal(size=shape) * 50).astype(dtype)


ARRAYS = {f"é.{dtype.name}": numbers(3, 2, dtype=dtype) for dtype in DTYPES} | {
    "scalar": np.array(7),
    "empty": np.zeros((0, 3)),
    "fortran": numbers(3, 4).T,
    "swapped": numbers(5).astype(">f4"),
    "large": numbers(70, 90),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "pytorch_model.bin"


def arrays(path, **options):
    return {name: lazy.read() for name, lazy in read(path, **options).items()}


def array(tensor):
    """A tensor of torch as an array; NumPy does not know its bfloat16."""
    tensor = tensor.detach()
    if tensor.dtype == torch.bfloat16:
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def same(found, expected):
    assert list(found) == list(expected)
    for name, value in found.items():
        other = expected[name]
        little = other.astype(other.dtype.newbyteorder("<"))
        assert (value.dtype, value.shape) == (little.dtype, other.shape), name
        assert value.tobytes() == little.tobytes(), name


# --- beside PyTorch -------------------------------------------------------------------


def test_torch_reads_what_we_write(path):
    write(path, ARRAYS)
    for options in {}, {"mmap": True}:
        found = torch.load(path, weights_only=True, **options)
        same({name: array(tensor) for name, tensor in found.items()}, ARRAYS)
    same(arrays(path), ARRAYS)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
    assert all(lazy.region.start % 64 == 0 for lazy in read(path).values())
    again = path.with_name("again.bin")
    write(again, read(path))
    assert again.read_bytes() == path.read_bytes()


W = torch.arange(30.0).reshape(5, 6)
CHECKPOINT = {
    "net": OrderedDict(weight=W, bias=torch.ones(5, dtype=torch.bfloat16)),
    "optimizer": {"state": {0: {"step": torch.tensor(3)}}, "lr": 1e-3, "none": None},
    "tied": W,
    "parameter": torch.nn.Parameter(W),
    "transposed": W.t(),
    "part": W[1:3],
    "column": W[:, 2],
    "flat": torch.arange(3).expand(1, 3),
    "empty": torch.zeros(0, 3),
    "new": torch.tensor([1, 65535], dtype=torch.uint16),
    "shape": W.shape,
    "kinds": [torch.float32],
    "dtype": torch.float32,
    "device": torch.device("cpu"),
    "text": "a\nb",
    "large": 2**70,
}
CHECKPOINT["net"]._metadata = {"": {"version": 2}}  # as a state_dict has


def save(value, path, zipped=True, protocol=2):
    torch.save(
        value, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped
    )


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.bad_input(34, 39, 41)
def test_what_torch_writes(path, zipped, protocol):
    save(CHECKPOINT, path, zipped, protocol)
    tensors = {"net.weight": W, "net.bias": CHECKPOINT["net"]["bias"]}
    tensors["optimizer.state.0.step"] = torch.tensor(3)
    tensors |= {n: v for n, v in CHECKPOINT.items() if isinstance(v, torch.Tensor)}
    same(arrays(path), {name: array(tensor) for name, tensor in tensors.items()})
    found = contents(path)
    assert found.aliases == {"tied": "net.weight", "parameter": "net.weight"}
    assert found.others == {
        "optimizer.lr": "0.001",
        "optimizer.none": "None",
        "shape": "tuple",
        "kinds": "list",
        "dtype": "torch.float32",
        "device": "torch.device",
        "text": r"'a\nb'",
        "large": "1180591620717411303424",
    }
    assert found.keys["net"] == 2
    assert list(found.keys)[:3] == ["net", "optimizer", "tied"]
    assert list(read(path, under="net")) == ["weight", "bias"]
    with pytest.raises(FormatError, match=r"no dict .* 'x'. Choose one of \['net', 'o"):
        read(path, under="x")
    with pytest.raises(FormatError, match="no dict of tensors under 'part'"):
        read(path, under="part")


@pytest.mark.bad_input(40)
def test_a_view_reads_no_more_than_it_covers(path):
    whole = torch.arange(1_000_000.0)
    save({"view": whole[10:20], "steps": whole[::100_000]}, path)
    found = arrays(path)
    assert found["view"].nbytes == found["steps"].nbytes == 40
    assert found["view"].base.nbytes == 40
    assert found["steps"].flags.owndata


@pytest.mark.bad_input(34)
def test_files_of_python_2(path):
    # Texts of one byte a letter, and dicts that are made from lists of pairs.
    save({"a": W}, path, zipped=False)
    data = path.read_bytes()
    value = data[data.index(b"}q\0X\1\0\0\0aq\1c") :]
    old = b"ccollections\nOrderedDict\n]](U\1a" + value[value.index(b"c") :]
    end = old.index(b"s.") if b"s." in old else old.index(b"u.")
    path.write_bytes(
        data[: data.index(value)] + old[:end] + b"ea\x85R." + old[end + 2 :]
    )
    same(arrays(path), {"a": array(W)})


# --- other files: rows 28, 29, 34 and 35 of the list of bad inputs --------------------


def refused(path, code, text, use=read):
    with pytest.raises(FormatError) as caught:
        use(path)
    assert caught.value.code == code, caught.value
    assert str(caught.value).startswith(f"{code} {path}: ")
    assert text in str(caught.value)


@pytest.mark.bad_input(1, 28, 29, 34)
def test_other_files(path, tmp_path):
    write(path, {"a": numbers(3)})
    good = path.read_bytes()
    for content, code, text in [
        (b"", "EMPTY", "it has no bytes. Get the file again."),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS_POINTER", "lfs pull'."),
        (b"<!DOCTYPE html>", "NOT_A_CHECKPOINT", "b'<!DOCTYPE html>', as web pages do"),
        (b'{"error":"404"}', "NOT_A_CHECKPOINT", "as JSON does. Get"),
        (b"cos\nsystem\n(S'ls'\ntR.", "NOT_A_CHECKPOINT", "no file of PyTorch"),
        (good[:-1], "TRUNCATED", "does not end as"),
        (b"PK\3\4", "TRUNCATED", "does not end as"),
        (pickle.dumps({"a": 1}), "NOT_A_CHECKPOINT", "torch.save has not written it"),
        (pickle.dumps(numbers(3), 2), "UNSAFE", "names 'numpy._core.multiarray._rec"),
    ]:
        path.write_bytes(content)
        refused(path, code, text)
    with tarfile.open(path, "w") as archive:
        archive.add(__file__, "storages")
    refused(path, "UNSUPPORTED", "it is a tar file, as PyTorch wrote before")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model.json", "{}")
    refused(path, "NOT_A_CHECKPOINT", "without data.pkl; it has ['model.json']")
    zipfile.ZipFile(path, "w").close()
    refused(path, "NOT_A_CHECKPOINT", "without data.pkl")
    for value, text in [([W], "a list, no dict"), (W, "a Tensor, no dict")]:
        save(value, path)
        refused(path, "BAD_HEADER", f"it holds {text} of tensors. Get")


@pytest.mark.bad_input(35)
def test_torchscript(path):
    rezip(path, {"data.pkl": b"x", "constants.pkl": b"", "code/a.py": b""})
    refused(path, "UNSUPPORTED", "TorchScript archive (TORCHSCRIPT), which holds code")


# --- pickles: rows 30 to 33, 38 and 39 ------------------------------------------------


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def rezip(path, files, root="archive/", **options):
    """A zip file as torch writes it, with any members."""
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, data in files.items():
            archive.writestr(root + name, data)


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.bad_input(30, 31)
def test_code_is_never_run(path, tmp_path, protocol, zipped, broken):
    sentinel = tmp_path / "sentinel"
    for call, name in [
        (Call(eval, f"open({str(sentinel)!r}, 'w')"), "eval"),
        (Call(getattr, sentinel, "touch"), "getattr"),
        (Call(os.system, f"touch {sentinel}"), "posix.system"),
        (Call(shutil.copy, __file__, sentinel), "shutil.copy"),
        (torch.nn.Linear(2, 3), "torch.nn.modules.linear.Linear"),
    ]:
        data = pickle.dumps({"a": call}, protocol)
        data = data[:-1] + b"broken" if broken else data
        if zipped:
            rezip(path, {"data.pkl": data})
        else:
            path.write_bytes(data)
        refused(
            path, "UNSAFE", f"{name}', which is no part of weights and could run any"
        )
    assert not sentinel.exists()


HEADS = b"\x80\2"
TEXT = b"X\1\0\0\0a"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
FLOATS = b"(X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\x000X\3\0\0\0cpuK\4tQ"
HOOKS = b"\x89ccollections\nOrderedDict\n)R"


def tensor(storage=FLOATS, offset=b"K\0", shape=b"(K\4t", strides=b"(K\1t", end=HOOKS):
    return TENSOR + b"(" + storage + offset + shape + strides + end + b"tR"


def one(value):
    """The pickle of a dict with one value."""
    return HEADS + b"}" + TEXT + value + b"s."


LONG = b"\x8a\x08" + struct.pack("<q", 2**40)


def nested(count):
    """So many dicts within each other."""
    return HEADS + b"}" + (TEXT + b"}") * count + b"s" * count + b"."


HUGE = b"\x8a\x08" + struct.pack("<q", 2**62)
MINUS = b"J\xff\xff\xff\xff"


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (one(b"cos\nsystem\n"), "UNSAFE", "names 'os.system', which is no part of"),
        (one(b"ctorch.serialization\n_get_layout\n"), "UNSAFE", "_get_layout'"),
        (one(b"ccodecs\n\x1b[2J\n"), "UNSAFE", r"'codecs.\x1b[2J'"),
        (one(b"(ios\nsystem\n"), "UNSAFE", "the instruction b'i' at byte 10"),
        (one(b"\x8b\xff\xff\xff\x7f"), "UNSAFE", r"the instruction b'\x8b'"),
        (one(b"}K\1b"), "BAD_HEADER", "a pickle changes a dict"),
        (one(b"]K\1K\2s"), "BAD_HEADER", "sets items of a list"),
        (one(b"}K\1a"), "BAD_HEADER", "appends to a dict"),
        (one(b"}(K\1u"), "BAD_HEADER", "it is damaged: zip() argument"),
        (one(b"K\1)R"), "BAD_HEADER", "a pickle calls 'int'"),
        (one(b"ctorch\nfloat32\n)R"), "BAD_HEADER", "a pickle calls 'torch.float32'"),
        (one(TENSOR + b")R"), "BAD_HEADER", "TypeError _tensor() missing 4"),
        (one(b"K\1Q"), "BAD_HEADER", "names something that is no storage"),
        (one(b"h\5"), "BAD_HEADER", "KeyError 5"),
        (one(b"u"), "BAD_HEADER", "IndexError"),
        (one(b"("), "BAD_HEADER", "takes values that are not"),
        (one(b"(K\1"), "BAD_HEADER", "takes values that are not"),
        (HEADS + b"}K\1.", "BAD_HEADER", "ends with 2 values"),
        (HEADS + b"}.x", "BAD_HEADER", "its pickle ends at byte 4 of 5"),
        (HEADS + b"}", "TRUNCATED", "its pickle needs 4 bytes, and there are 3"),
        (b"\x80\6.", "BAD_HEADER", "unknown protocol"),
        (one(b"X\1\0\0\0\xff"), "BAD_HEADER", "UnicodeDecodeError"),
        (one(b"X\0\0\x20\0"), "TOO_LARGE", "a text of 2097152 bytes"),
        (one(b"c" + b"a" * 300), "BAD_HEADER", "a name without an end"),
        (one(b"(" * 257), "TOO_LARGE", "256 containers within each other"),
        (one(b"N\x85" + b"\x85" * 10**6), "TOO_LARGE", "262144 instructions"),
        (one(b"q\0" * 10**6), "TOO_LARGE", "262144 instructions"),
        (one(b"N" + TEXT + b"K\1s"), "BAD_HEADER", "sets items of a NoneType"),
        (
            HEADS + b"}" + (TEXT + b"Ns") * 2 + b".",
            "DUPLICATE",
            "the key 'a' twice",
        ),
        (HEADS + b"}(K\1NX\1\0\0\x001Nu.", "DUPLICATE", "it has '1' twice"),
        (HEADS + b"}N\x85Ns.", "BAD_HEADER", "has the key tuple"),
        (HEADS + b"}" + LONG + b"Ns.", "BAD_HEADER", "has the key 1099511627776"),
        (HEADS + b"}}Ns.", "BAD_HEADER", "a dict of a pickle has the key dict"),
        (HEADS + b"}q\0" + TEXT + b"h\0s.", "TOO_LARGE", "16 dicts within each other"),
        (nested(17), "TOO_LARGE", "16 dicts within each other"),
        (
            HEADS + b"}q\0(" + b"".join(b"K%ch\0" % n for n in range(250)) + b"u.",
            "TOO_LARGE",
            "16777216 characters",
        ),
        (
            HEADS
            + b"(]q\0("
            + b"".join(b"J%bN\x86" % struct.pack("<i", n) for n in range(9999))
            + b"e"
            + b"ccollections\nOrderedDict\nq\1"
            + b"h\1h\0\x85R" * 200
            + b"t.",
            "BAD_HEADER",
            "over 262144 values",
        ),
        (
            one(tensor(shape=b"(K\5t")),
            "BAD_SHAPE",
            "'a' ends at byte 20 of its storage",
        ),
        (one(tensor(offset=b"K\1")), "BAD_SHAPE", "ends at byte 20 of its storage, w"),
        (one(tensor(offset=LONG)), "BAD_SHAPE", "of its storage, which has 16"),
        (one(tensor(strides=b"(K\2t")), "BAD_SHAPE", "ends at byte 28"),
        (one(tensor(strides=b"(" + MINUS + b"t")), "BAD_SHAPE", "the strides (-1,)"),
        (one(tensor(offset=MINUS)), "BAD_SHAPE", "and the offset -1"),
        (one(tensor(shape=b"(" + MINUS + b"t")), "BAD_SHAPE", "the shape [-1]"),
        (one(tensor(strides=b"(t")), "BAD_SHAPE", "the shape (4,), the strides ()"),
        (one(tensor(shape=b"(\x88t")), "BAD_HEADER", "not whole numbers"),
        (one(tensor(shape=b"K\4")), "BAD_HEADER", "not whole numbers"),
        (one(tensor(shape=b"(]t")), "BAD_HEADER", "not whole numbers"),
        (one(tensor(storage=b"K\1")), "BAD_HEADER", "from other things than a tensor"),
        (one(tensor(offset=b"N")), "BAD_HEADER", "from other things than a tensor"),
        (
            one(tensor(shape=b"(" + LONG * 2 + b"t", strides=b"(K\0K\0t")),
            "BAD_SHAPE",
            "the shape [1099511627776, 1099511627776]",
        ),
        (
            one(tensor(shape=b"(" + LONG + b"t", strides=b"(K\0t")),
            "TOO_LARGE",
            "has 4398046511104 bytes, expanded from 16 that are stored",
        ),
        (one(tensor(shape=b"(" + b"K\1" * 65 + b"t")), "BAD_SHAPE", "has the shape"),
        (one(tensor(FLOATS.replace(b"K\4", b"K\5"))), "BAD_SHAPE", "5 numbers of 4"),
        (one(tensor(FLOATS.replace(b"K\4", MINUS))), "BAD_SHAPE", "-1 numbers of 4"),
        (one(tensor(FLOATS.replace(b"\x000", b"\x001"))), "BAD_HEADER", "no member"),
        (
            one(tensor(FLOATS.replace(b"FloatSt", b"QInt8St"))),
            "BAD_DTYPE",
            "'a' is of the type torch.QInt8Storage, not one of torch.DoubleStorage",
        ),
    ],
)
@pytest.mark.bad_input(32, 33, 38)
def test_damaged_pickles(path, data, code, text):
    rezip(path, {"data.pkl": data, "data/0": numbers(4).tobytes()})
    refused(path, code, text)
    rezip(path, {"data.pkl": one(tensor()), "data/0": numbers(4).tobytes()})
    same(arrays(path), {"a": numbers(4)})
    rezip(path, {"data.pkl": nested(16)})
    assert contents(path).others == {".".join("a" * 16): "dict"}


def test_steps_that_are_never_made(path):
    far = b"(" + HUGE + b"K\2t"
    pairs = [(b"(K\1K\2t", numbers(4)[None, :4:2]), (b"(K\0K\2t", np.zeros((0, 2)))]
    for shape, expected in pairs:
        data = one(tensor(shape=shape, strides=far))
        rezip(path, {"data.pkl": data, "data/0": numbers(4).tobytes()})
        same(arrays(path), {"a": expected.astype("<f4")})


def test_a_pickle_that_is_too_large(path, monkeypatch):
    monkeypatch.setattr("conversion.formats.torch_archive.LARGEST", 99)
    rezip(path, {"data.pkl": one(tensor())})
    refused(path, "TOO_LARGE", "its member 'archive/data.pkl' has")
    monkeypatch.setattr(restricted_pickle, "LARGEST", 99)
    monkeypatch.setattr("conversion.formats.torch_stream.LARGEST", 99)
    save({"a": W}, path, zipped=False)
    refused(path, "TOO_LARGE", "over 99 bytes, more than that of any model")


@pytest.mark.bad_input(38)
def test_expanded_by_torch(path):
    save({"a": torch.zeros(1).expand(100)}, path)
    refused(path, "TOO_LARGE", "Save it with .contiguous()")
    save({"a": torch.zeros(3, dtype=torch.complex64)}, path)
    refused(path, "BAD_DTYPE", "'a' is of the type torch.ComplexFloatStorage")


# --- zip files: rows 36 and 37 --------------------------------------------------------

MEMBERS = {"data.pkl": one(tensor()), "data/0": numbers(4).tobytes()}


def patched(data, change):
    """A good zip file with bytes replaced, after the last of a text."""
    after, at, new = change
    place = data.rindex(after) + at
    return data[:place] + new + data[place + len(new) :]


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ((b"PK\1\2", 8, b"\1"), "UNSUPPORTED", "'archive/data/0' is encrypted"),
        ((b"PK\1\2", 10, b"\x08"), "UNSUPPORTED", "'archive/data/0' is compressed"),
        ((b"PK\1\2", 20, b"\1"), "BAD_HEADER", "has 1 and 16 bytes"),
        ((b"PK\1\2", 24, b"\1"), "BAD_HEADER", "has 16 and 1 bytes"),
        ((b"PK\1\2", 16, b"1"), "BAD_HEADER", "described in two ways"),
        ((b"PK\3\4", 6, b"\1"), "BAD_HEADER", "described in two ways"),
        ((b"PK\3\4", 22, b"\1"), "BAD_HEADER", "described in two ways"),
        ((b"PK\1\2", 34, b"\1"), "BAD_HEADER", "has 16 and 16 bytes"),
        ((b"PK\1\2", 42, b"\xf0\xf0"), "BAD_HEADER", "lie behind its end"),
        ((b"PK\1\2", 20, b"\xff" * 8), "BAD_HEADER", "described in two ways"),
        ((b"PK\3\4", 18, b"\xff" * 8), "BAD_HEADER", "described in two ways"),
        ((b"PK\1\2", 0, b"X"), "BAD_HEADER", "its directory is damaged"),
        ((b"PK\1\2", 46, b"../../x/../abc"), "UNSAFE", "'../../x/../abc' has a name"),
        ((b"PK\1\2", 46, b"archive\\data\\0"), "UNSAFE", "has a name that is no plain"),
        ((b"PK\1\2", 46, b"/rchive/data/0"), "UNSAFE", "has a name that is no plain"),
        ((b"PK\1\2", 46, b"archive/datb/0"), "BAD_HEADER", "described in two ways"),
        ((b"PK\5\6", 8, b"\7"), "BAD_HEADER", "one part of a zip file"),
        ((b"PK\5\6", 8, b"\3\0\3"), "BAD_HEADER", "has 2 members, not 3"),
        ((b"PK\5\6", 12, b"\1"), "BAD_HEADER", "its directory is at bytes"),
        ((b"PK\5\6", 20, b"\1"), "BAD_HEADER", "or has a comment"),
    ],
)
@pytest.mark.bad_input(36)
def test_damaged_zip_files(path, change, code, text):
    rezip(path, MEMBERS)
    data = path.read_bytes()
    path.write_bytes(patched(data, change))
    refused(path, code, text)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.bad_input(36)
def test_odd_zip_files(path):
    with zipfile.ZipFile(path, "w") as archive:
        for name in "data.pkl", "data.pkl":
            archive.writestr(f"archive/{name}", MEMBERS["data.pkl"])
    refused(path, "DUPLICATE", "it has the member 'archive/data.pkl' twice")
    rezip(path, {"a/data.pkl": b"", "b/data.pkl": b""}, root="")
    refused(path, "UNSAFE", "members in the folders ['a/', 'b/']")
    rezip(path, MEMBERS | {"data.pkl": MEMBERS["data.pkl"], "../x": b""})
    refused(path, "UNSAFE", "'archive/../x' has a name")
    rezip(path, MEMBERS, compression=zipfile.ZIP_DEFLATED)
    refused(path, "UNSUPPORTED", "is compressed; torch.save writes none such")
    rezip(path, MEMBERS | {"byteorder": b"big"})
    refused(path, "UNSUPPORTED", "in the byte order b'big'. Save it")
    rezip(path, MEMBERS)
    data = path.read_bytes()
    middle = data.rindex(b"PK\3\4")
    places = data.index(b"PK\1\2")
    gap = data[:middle] + b"x" + data[middle:]
    behind = data[:places] + b"x" + data[places:]
    for content, text in [
        (data[:-22] + b"x" + data[-22:], "its directory is at bytes"),
        (b"PK\3\4" + data, "its directory is at bytes"),
        (moved(gap, members=1), "'archive/data/0' begins at byte"),
        (moved(behind), "members end at byte"),
    ]:
        path.write_bytes(content)
        refused(path, "BAD_HEADER", text)


def moved(data, members=0):
    """A zip file into which a byte came, with its directory put right."""
    data = bytearray(data)
    end, last = data.rindex(b"PK\5\6"), data.rindex(b"PK\1\2")
    data[end + 16 : end + 20] = struct.pack("<I", data.index(b"PK\1\2"))
    (place,) = struct.unpack_from("<I", data, last + 42)
    data[last + 42 : last + 46] = struct.pack("<I", place + members)
    return bytes(data)


@pytest.mark.bad_input(36)
def test_overlapping_members(path):
    rezip(path, MEMBERS)
    data = path.read_bytes()
    inner = data[data.rindex(b"PK\3\4") : data.index(b"PK\1\2")]
    # Once more, with the second member inside the first, and an entry for it.
    rezip(path, {"data.pkl": MEMBERS["data.pkl"] + inner})
    data = bytearray(path.read_bytes())
    end = data.rindex(b"PK\5\6")
    place = struct.pack("<I", data.index(inner))
    entry = b"PK\1\2\x14\0" + inner[4:30] + bytes(10) + place + inner[30:44]
    (length,) = struct.unpack_from("<I", data, end + 12)
    data[end + 8 : end + 16] = struct.pack("<2HI", 2, 2, length + len(entry))
    data[end:end] = entry
    path.write_bytes(data)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("archive/data/0") == MEMBERS["data/0"]
    refused(path, "BAD_HEADER", "'archive/data/0' begins at byte")


@pytest.mark.bad_input(36)
def test_large_zip_files(path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 1)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 1)
    rezip(path, MEMBERS)
    data = path.read_bytes()
    assert b"PK\6\6" in data
    lying = patched(data, (b"PK\3\4", 30 + 14 + 4, b"\x11"))
    path.write_bytes(lying)
    refused(path, "BAD_HEADER", "described in two ways")
    path.write_bytes(data)
    same(arrays(path), {"a": numbers(4)})
    for at, new, text in [
        (4, b"\x2d", "zip64 end of its directory is damaged"),
        (24, b"\x09", "zip64 end of its directory is damaged"),
        (24, b"\x09" + bytes(7) + b"\x09", "is said to have 2 and 9"),
        (48, b"\1", "is said to have"),
        (64, b"\xff" * 8, "lie behind its end"),
        (60, b"\1", "zip64 end of its directory is damaged"),
        (64, b"\1", "zip64 end of its directory is"),
    ]:
        path.write_bytes(patched(data, (b"PK\6\6", at, new)))
        refused(path, "BAD_HEADER", text)


def read_one(name):
    return lambda path: read(path)[name].read()


@pytest.mark.bad_input(36)
def test_checksums_of_members(path):
    whole = torch.arange(100.0)
    save({"whole": whole, "part": whole[:3], "steps": whole[::7]}, path)
    data = bytearray(path.read_bytes())
    stored = read(path)["whole"].region
    data[stored.start + stored.size - 1] ^= 1
    path.write_bytes(data)
    for name, lazy in read(path).items():
        with pytest.raises(
            FormatError, match=f"CHECKSUM .* bytes at byte {stored.start}"
        ):
            lazy.read()
        assert name
    data[data.index(b"cpu")] ^= 1
    path.write_bytes(data)
    refused(path, "CHECKSUM", "data.pkl' has the checksum")


@pytest.mark.bad_input(74)
def test_changed_meanwhile(path):
    write(path, {"a": numbers(3)})
    found = read(path)
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CheckpointError, match="has changed since"):
        found["a"].read()


# --- streams --------------------------------------------------------------------------


def test_damaged_streams(path):
    save({"a": W}, path, zipped=False)
    good = path.read_bytes()
    count = good.rindex(struct.pack("<q", 30))
    big = good.replace(b"little_endianq\2\x88", b"little_endianq\2\x89")
    for content, code, text in [
        (good[:-1], "TRUNCATED", f"has {len(good) - 1} bytes, its pickle speaks of"),
        (good + b"x", "BAD_HEADER", "1 bytes stand behind its last storage"),
        (good[:count] + b"\1" + good[count + 1 :], "BAD_SHAPE", "has 1 numbers, its p"),
        (good.replace(b"M\xe9\x03.", b"M\xe8\x03."), "UNSUPPORTED", "version 1000"),
        (big, "UNSUPPORTED", "little-endian: False. Save it again"),
        (good.replace(b"FloatStorage", b"QInt8Storage"), "BAD_DTYPE", "QInt8Storage"),
        (good.replace(b"Ntq", b"K\1tq"), "BAD_HEADER", "something that is no storage"),
        (patched(good, (b"]q\0X", 8, b"x")), "BAD_HEADER", "do not name the same"),
    ]:
        path.write_bytes(content)
        refused(path, code, text)


# --- anything at all ------------------------------------------------------------------


def survives(path):
    """The file is read, or refused in the way that it should be."""
    try:
        for lazy in read(path).values():
            lazy.read()
        contents(path)
    except CheckpointError:
        pass


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    small = {name: CHECKPOINT[name] for name in ("net", "optimizer", "transposed")}
    save(small, folder / "new")
    save(small, folder / "old", zipped=False)
    with zipfile.ZipFile(folder / "new") as archive:
        files = {
            name.partition("/")[2]: archive.read(name) for name in archive.namelist()
        }
    return (folder / "new").read_bytes(), (folder / "old").read_bytes(), files


STEPS = [TEXT, TENSOR, FLOATS, HOOKS, LONG, MINUS, tensor(), TEXT + tensor() + b"s"]
STEPS += [b"ctorch\nSize\n", b"ccollections\nOrderedDict\n", b"K\1", b"h\0", b"q\0"]
STEPS += [bytes([code]) for code in b"()]}NRbstuaeQ\x85\x86\x88\x94"]


@FUZZ
@hypothesis.given(choice=st.data())
def test_any_file(choice, samples, path):
    new, old, files = samples
    match choice.draw(
        st.sampled_from(["zip", "directory", "stream", "pickle", "program", "bytes"])
    ):
        case "zip":
            path.write_bytes(choice.draw(changed(new)))
        case "directory":
            start = new.index(b"PK\1\2")
            path.write_bytes(new[:start] + choice.draw(changed(new[start:])))
        case "stream":
            path.write_bytes(choice.draw(changed(old)))
        case "pickle":
            data = choice.draw(changed(files["data.pkl"]))
            rezip(path, files | {"data.pkl": data})
        case "program":
            steps = choice.draw(st.lists(st.sampled_from(STEPS), max_size=30))
            end = choice.draw(st.sampled_from([b".", b"s.", b"u.", b"tR."]))
            rezip(path, files | {"data.pkl": HEADS + b"}" + b"".join(steps) + end})
        case _:
            start = choice.draw(st.sampled_from([b"PK\3\4", b"\x80\2", b""]))
            path.write_bytes(start + choice.draw(st.binary(max_size=200)))
    survives(path)


def test_what_cannot_be_written(path):
    for arrays, code, text in [
        ({"a": np.array(1j)}, "BAD_DTYPE", "no number type for 'a' complex128. Conv"),
        ({"": np.array(1)}, "UNSUPPORTED", "cannot have the name ''"),
        ({"\ud800": np.array(1)}, "UNSUPPORTED", r"cannot have the name '\ud800'"),
    ]:
        refused(path, code, text, lambda path, a=arrays: write(path, a))
    assert not path.exists()


def test_no_framework_is_loaded():
    code = (
        "import sys, conversion.formats.torch_bin, conversion.formats.tensor_bundle\n"
        "assert not {'torch', 'tensorflow', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_whole_storages_are_read_some_at_a_time(tmp_path):
    numbers = np.arange(700_000, dtype=np.float32).reshape(700, 1000)
    write(tmp_path / "x.bin", {"a": numbers, "b": numbers[:2]})
    found = read(tmp_path / "x.bin")
    assert found["a"].streams
    pieces = list(found["a"].chunks())
    assert len(pieces) > 1
    assert b"".join(pieces) == numbers.tobytes()
    content = (tmp_path / "x.bin").read_bytes()
    at = content.index(numbers[600].tobytes())
    damaged = content[:at] + b"\x01" + content[at + 1 :]
    (tmp_path / "x.bin").write_bytes(damaged)
    with pytest.raises(FormatError, match="CHECKSUM"):
        list(read(tmp_path / "x.bin")["a"].chunks())
