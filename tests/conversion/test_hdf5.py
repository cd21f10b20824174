import contextlib
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

from albert_core.errors import CheckpointError, FormatError, MissingPackageError
from conversion.formats import hdf5_child, hdf5_process, hdf5_table
from conversion.formats.hdf5 import attributes, contents, read, write
from tests.conversion.fuzzing import FUZZ, changed

KINDS = ["f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]
TYPES = [np.dtype(f"<{kind}") for kind in KINDS]
CORPUS = Path(__file__).parent / "corpus" / "hdf5"
BF16 = np.dtype(ml_dtypes.bfloat16)
LIMITED = hypothesis.settings(FUZZ, max_examples=20)


def numbers(*shape, dtype="<f4"):
    return (np.random.default_rng(len(shape)).normal(size=shape) * 50).astype(dtype)


ARRAYS = {f"é/{dtype.name}:0": numbers(3, 2, dtype=dtype) for dtype in TYPES} | {
    "scalar": np.array(7),
    "empty": np.zeros((0, 3)),
    "fortran": numbers(3, 4).T,
    "swapped": numbers(5).astype(">f4"),
    "large/kernel:0": numbers(70, 90),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tf_model.h5"


def arrays(path):
    return {name: lazy.read() for name, lazy in read(path).items()}


def same(found, expected):
    assert sorted(found) == sorted(expected)
    for name, value in found.items():
        other = expected[name]
        native = other.astype(other.dtype.newbyteorder("="))
        assert (value.dtype, value.shape) == (native.dtype, other.shape), name
        assert value.tobytes() == native.tobytes(), name


@pytest.fixture
def here(monkeypatch):
    """The child's work in this process: these files are odd, but crash nothing."""

    @contextlib.contextmanager
    def child(window, *wanted, size=0):
        output = io.TextIOWrapper(io.BytesIO())
        place = str(window.path), str(window.start), str(window.size)
        with contextlib.redirect_stdout(output):
            hdf5_child.main("", *place, *wanted)
        output.seek(0)
        yield output.buffer

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(hdf5_child, "h5py", None)
    monkeypatch.setattr(hdf5_child, "limit", lambda *_: None)
    monkeypatch.setattr(hdf5_table, "child", child)


# --- beside h5py ----------------------------------------------------------------------


@pytest.mark.parametrize("version", ["earliest", "latest"])
@pytest.mark.bad_input(41)
def test_what_h5py_writes(path, version):
    packed = {
        "gzip": {"compression": "gzip", "shuffle": True, "fletcher32": True},
        "-é/lzf": {"compression": "lzf"},
        "pieces": {"chunks": (7, 90), "maxshape": (None, 90)},
    }
    expected = dict(ARRAYS)
    with h5py.File(path, "w", libver=version) as file:
        for name, array in ARRAYS.items():
            file[name] = array
        for kind in KINDS:
            expected[f">{kind}"] = file[f">{kind}"] = numbers(3, dtype=f">{kind}")
        for name, options in packed.items():
            expected[name] = numbers(70, 90, dtype=">i4")
            file.create_dataset(name, data=expected[name], **options)
        plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plan.set_layout(h5py.h5d.COMPACT)
        space = h5py.h5s.create_simple((5,))
        kind = h5py.h5t.IEEE_F32LE
        compact = h5py.h5d.create(file.id, b"compact", kind, space, plan)
        expected["compact"] = numbers(5)
        compact.write(h5py.h5s.ALL, h5py.h5s.ALL, expected["compact"])
        file["alias"] = file["scalar"]
        expected["alias"] = expected["scalar"]
    lazies = read(path)
    for name, lazy in lazies.items():
        assert lazy.shape == expected[name].shape
        assert lazy.dtype == expected[name].dtype.newbyteorder("=")
    found = {name: lazy.read() for name, lazy in lazies.items()}
    same(found, expected)
    assert all(array.flags.writeable for array in found.values())


def test_h5py_reads_what_we_write(path, tmp_path):
    with_bfloat16 = ARRAYS | {"vars/0": numbers(4, dtype=BF16)}
    write(path, with_bfloat16, bfloat16=True)
    with h5py.File(path) as file:
        for name, array in ARRAYS.items():
            data = file[name]
            assert data[()].tobytes() == array.astype(data.dtype).tobytes()
            assert data.dtype == array.dtype.newbyteorder("<")
            assert data.chunks is None
        assert file["vars/0"].attrs["dtype"] == "bfloat16"
    same(arrays(path), with_bfloat16)
    again, found = tmp_path / "again.h5", read(path)
    write(again, {name: found[name] for name in with_bfloat16}, bfloat16=True)
    assert again.read_bytes() == path.read_bytes()


TEXTS = {
    "": {"layer_names": ["albert", "é"], "backend": "tensorflow"},
    "albert": {"weight_names": [f"{'m' * 900}/kernel_{n}:0" for n in range(300)]},
    "top_level_model_weights": {"weight_names": []},
}


@pytest.mark.usefixtures("here")
@pytest.mark.bad_input(48)
def test_texts_come_back(path):
    write(path, {"albert/m/kernel:0": numbers(2)}, TEXTS)
    assert attributes(path) == TEXTS
    # As Keras does, because an attribute has at most 64 KiB.
    with h5py.File(path) as file:
        assert sorted(file["albert"].attrs) == [f"weight_names{n}" for n in range(5)]
        assert file.attrs["layer_names"].tolist() == ["albert", "é"]
        assert file["top_level_model_weights"].attrs["weight_names"].shape == (0,)


@pytest.mark.usefixtures("here")
@pytest.mark.bad_input(48)
def test_texts_that_keras_does_not_cut_win_and_gaps_are_refused(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = ["a"]
        file.attrs["layer_names0"] = ["b"]
        file.attrs["layer_names1"] = np.array([b"c"])
    assert attributes(path) == {"": {"layer_names": ["a"]}}
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
    assert attributes(path) == {"": {"layer_names": ["b", "c"]}}
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names0"]
    refused(path, "BAD_HEADER", "'@layer_names' has the pieces [1]")


@pytest.mark.usefixtures("here")
@pytest.mark.bad_input(47)
def test_configurations_are_never_read(path):
    with h5py.File(path, "w") as file:
        file["a"] = numbers(2)
        file.attrs["model_config"] = '{"class_name": "Lambda", "code": "4wAAAA"}'
        file.attrs["training_config"] = h5py.Empty("S3")
        file.attrs["weights"] = 3
    assert (attributes(path), list(read(path))) == ({}, ["a"])


def test_light():
    code = "import conversion.formats.hdf5, sys; print('h5py' in sys.modules)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert run.stdout == "False\n", run.stderr


# --- what cannot be written -----------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ({"a": numbers(2, dtype=BF16)}, "BAD_DTYPE", ["'a' bfloat16", "float16"]),
        ({"a": np.zeros(2, "c8")}, "BAD_DTYPE", ["'a' complex64"]),
        ({"a": numbers(2), "a/b": numbers(2)}, "UNSUPPORTED", ["name 'a'"]),
        ({"a//b": numbers(2)}, "UNSUPPORTED", ["'a//b'"]),
        ({"./b": numbers(2)}, "UNSUPPORTED", ["'./b'"]),
        ({"/b": numbers(2)}, "UNSUPPORTED", ["'/b'"]),
        ({"a\0b": numbers(2)}, "UNSUPPORTED", ["'a\\x00b'"]),
        ({"": numbers(2)}, "UNSUPPORTED", ["''"]),
    ],
)
def test_what_is_not_written(path, given, code, words):
    with pytest.raises(FormatError) as error:
        write(path, given)
    assert error.value.code == code
    assert all(word in str(error.value) for word in words)
    assert not path.exists()


def test_texts_that_are_not_written(path):
    with pytest.raises(FormatError, match=r"UNSUPPORTED .* the name 'xxx"):
        write(path, {}, {"a": {"weight_names": ["x" * 70_000]}})
    with pytest.raises(FormatError, match=r"UNSUPPORTED .* the name 'a'"):
        write(path, {"a": numbers(2)}, {"a": {"weight_names": []}})


# --- hostile files --------------------------------------------------------------------


def refused(path, code, *words):
    with pytest.raises(FormatError) as error:
        contents(path)
    assert error.value.code == code, error.value
    for word in words:
        assert word in str(error.value), error.value


def raw_dataset(file, name, kind=h5py.h5t.IEEE_F32LE, shape=(4,), **plan_of):
    """A dataset made by the library's own functions."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    for function, arguments in plan_of.items():
        getattr(plan, function)(*arguments)
    space = h5py.h5s.create_simple(shape)
    return h5py.h5d.create(file.id, name, kind, space, plan)


def external_link(file):
    file["x"] = h5py.ExternalLink("/etc/passwd", "/a")


def soft_link(file):
    file["x"] = h5py.SoftLink("/g/a")


def soft_loop(file):
    file["x"] = h5py.SoftLink("/x")


def external_dataset(file):
    file.create_dataset("x", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4,))
    file.create_virtual_dataset("x", layout)


def reference(file):
    file.create_dataset("x", data=file["g"].ref, dtype=h5py.ref_dtype)


def strings(file):
    file["x"] = ["a", "b"]


def compound(file):
    file["x"] = np.zeros(2, [("a", "f4"), ("b", "i4")])


def lists(file):
    file.create_dataset("x", (2,), h5py.vlen_dtype("f4"))


def opaque(file):
    file["x"] = numbers(4, dtype=BF16)  # as TensorFlow's older Keras does


def other_opaque(file):
    file["x"] = np.zeros(3, "V4")
    file["x"].attrs["dtype"] = "bfloat16"


def enumeration(file):
    file.create_dataset("x", (2,), h5py.enum_dtype({"A": 1}))


def rows(file):
    kind = h5py.h5t.array_create(h5py.h5t.IEEE_F32LE, (3,))
    raw_dataset(file, b"x", kind)


def odd_float(file):
    kind = h5py.h5t.IEEE_F32LE.copy()
    kind.set_ebias(100)
    raw_dataset(file, b"x", kind)


def odd_integer(file):
    kind = h5py.h5t.STD_I32LE.copy()
    kind.set_precision(20)
    raw_dataset(file, b"x", kind)


def no_shape(file):
    file["x"] = h5py.Empty("f4")


def named_type(file):
    file["x"] = np.dtype("f4")


def group_twice(file):
    file["x"] = file["g"]


def group_loop(file):
    file["g/x"] = file["g"]


def deep(file):
    file.create_group("x/" * 70)


def long(file):
    file["x" * 5000] = 1.0


def not_there(file):
    file.create_dataset("x", (2**50,), "f4")


def peta(file):
    file.create_dataset("x", (2**50,), "f8", chunks=(1024,), compression="gzip")


def zeros(file):
    file.create_dataset("x", data=np.zeros(2**20, "f4"), compression="gzip")


def piece(file):
    file.create_dataset("x", (2**26,), "f8", chunks=(2**26,))


def filtered(file):
    raw_dataset(
        file, b"x", set_chunk=[(4,)], set_filter=[32001, h5py.h5z.FLAG_OPTIONAL]
    )


def scaled(file):
    file.create_dataset("x", data=np.arange(99), scaleoffset=True)


def number_names(file):
    file.attrs["layer_names"] = [1, 2]


def no_utf8(file):
    file.attrs["layer_names"] = np.array([b"\xff\xfe"])


SAFE = "UNSAFE"
HOSTILE = {
    external_link: (SAFE, "'x' is a link to another file"),
    soft_link: (SAFE, "'x' is a soft link"),
    soft_loop: (SAFE, "'x' is a soft link"),
    external_dataset: (SAFE, "the numbers of 'x' are in another file"),
    virtual: (SAFE, "'x' is a virtual dataset"),
    group_twice: (SAFE, "the group 'x' is the group g once more"),
    group_loop: (SAFE, "the group 'g/x' is the group g once more"),
    deep: ("TOO_LARGE", "is over 64 groups deep"),
    long: ("TOO_LARGE", "'xxxx", "is a path of 5000 characters"),
    not_there: ("TOO_LARGE", f"'x' has {2**52} bytes, but none in the file"),
    peta: ("TOO_LARGE", f"'x' has {2**53} bytes, but 0 in the file"),
    zeros: ("TOO_LARGE", f"'x' has {2**22} bytes, but ", " in the file"),
    piece: ("TOO_LARGE", f"'x' is stored in pieces of {2**29} bytes"),
    filtered: ("UNSUPPORTED", "'x' is packed by the filter 32001"),
    scaled: ("UNSUPPORTED", "'x' is packed by the filter 6"),
    named_type: ("UNSUPPORTED", "'x' is neither a group nor an array"),
    reference: ("BAD_DTYPE", "'x' holds references"),
    strings: ("BAD_DTYPE", "'x' holds texts"),
    compound: ("BAD_DTYPE", "'x' holds compound values"),
    lists: ("BAD_DTYPE", "'x' holds lists of any length"),
    opaque: ("BAD_DTYPE", "'x' holds opaque values of 2 bytes"),
    other_opaque: ("BAD_DTYPE", "'x' holds opaque values of 4 bytes"),
    enumeration: ("BAD_DTYPE", "'x' holds an enumeration"),
    rows: ("BAD_DTYPE", "'x' holds arrays"),
    odd_float: ("BAD_DTYPE", "'x' holds floats of an unusual form"),
    odd_integer: ("BAD_DTYPE", "'x' holds integers of an unusual form"),
    no_shape: ("BAD_SHAPE", "'x' has no shape"),
    number_names: ("BAD_HEADER", "the attribute '@layer_names' is no list of texts"),
    no_utf8: ("BAD_HEADER", "it is damaged: UnicodeDecodeError"),
}


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
@pytest.mark.usefixtures("here")
@pytest.mark.bad_input(42, 43, 44, 45)
def test_hostile_files(path, make):
    with h5py.File(path, "w") as file:
        file["g/a"] = numbers(4)
        make(file)
    refused(path, *HOSTILE[make])


@pytest.mark.usefixtures("here")
def test_forged_links(path):
    with h5py.File(path, "w") as file:
        file["x_x"] = numbers(4)
    path.write_bytes(path.read_bytes().replace(b"x_x\0", b"x/x\0"))
    refused(path, SAFE, "'x/x' is no plain path")


def test_too_many_things(path, monkeypatch):
    write(path, {f"{n}/a": numbers(2) for n in range(10)})
    monkeypatch.setattr(hdf5_child, "h5py", h5py, raising=False)
    monkeypatch.setattr(hdf5_child, "MOST", 20)
    with h5py.File(path) as file:
        root = h5py.h5g.open(file.id, b"/")
        with pytest.raises(hdf5_child.RefusedError, match="count"):
            hdf5_child.walk(root)
        monkeypatch.setattr(hdf5_child, "MOST", 21)
        assert len(hdf5_child.walk(root)["arrays"]) == 10


@pytest.mark.bad_input(45)
def test_filters_outside_the_library_are_never_loaded(monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", "/tmp")
    monkeypatch.setenv("PYTHONPATH", "/tmp")
    found = hdf5_process.environment()
    assert not {"HDF5_PLUGIN_PATH", "PYTHONPATH"} & found.keys()
    assert found["HDF5_PLUGIN_PRELOAD"] == "::"


# --- other files, damaged ones, and changing ones -------------------------------------


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (b"", "EMPTY", "it has no bytes"),
        (b"version https://git-lfs.github.com/spec/v1", "LFS_POINTER", "git lfs pull"),
        (b"<!DOCTYPE html>", "NOT_A_CHECKPOINT", "b'<!DOCTYPE html>', as web pages do"),
        (b"PK\3\4" * 9, "NOT_A_CHECKPOINT", "it is no HDF5 file: it begins with b'PK"),
        (b"\x89HDF\r\n\x1a\n", "BAD_HEADER", "it is damaged: "),
        (b"\x89HDF\r\n\x1a\n" + bytes(2000), "BAD_HEADER", "it is damaged: "),
    ],
)
@pytest.mark.bad_input(1, 28, 29)
def test_other_files(path, data, code, words, monkeypatch):
    path.write_bytes(data)
    if code != "BAD_HEADER":  # a child is not even started
        monkeypatch.setattr(hdf5_process, "SCRIPT", path.with_name("none"))
    refused(path, code, words)


def test_not_a_file(path):
    refused(path.parent, "NOT_A_CHECKPOINT", "not a regular file")
    with pytest.raises(FileNotFoundError):
        read(path)


def test_cut_files(path):
    write(path, ARRAYS)
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    refused(
        path,
        "TRUNCATED",
        f"it has {len(good) - 1} bytes, its header speaks of {len(good)}",
    )
    path.write_bytes(good[:100])
    refused(path, "TRUNCATED", "it has 100 bytes")


@pytest.mark.usefixtures("here")
@pytest.mark.bad_input(74)
def test_changed_files(path):
    with h5py.File(path, "w") as file:
        file["whole"] = numbers(4)
        file.create_dataset("packed", data=numbers(4), compression="gzip")
    found = read(path)
    path.write_bytes(path.read_bytes() + b"0")
    for name in "whole", "packed":
        with pytest.raises(CheckpointError, match="changed since"):
            found[name].read()


def test_damage_inside_packed_numbers(path):
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=numbers(99), chunks=(99,), fletcher32=True)
    good = path.read_bytes()
    place = good.index(numbers(99).tobytes())
    path.write_bytes(good[: place + 5] + b"\7" + good[place + 6 :])
    with pytest.raises(FormatError, match=r"BAD_HEADER .* 'x' cannot be unpacked"):
        read(path)["x"].read()


# --- a child that dies, lies or sleeps ------------------------------------------------


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("import os; os.abort()", "READER_CRASHED", "crashed on it, code -6"),
        ("import sys; sys.exit(3)", "READER_CRASHED", "crashed on it, code 3"),
        ("while True: pass", "READER_CRASHED", "did not come to an end"),
        ("", "BAD_HEADER", "it is damaged: JSONDecodeError"),
        ("print('[' * 100000)", "BAD_HEADER", "it is damaged: "),
        ("while True: print('[' * 9999)", "TOO_LARGE", "its names need over 1000000"),
        ('print(\'{"refused": ["a", "b", "c"]}\')', "BAD_HEADER", "described by"),
    ],
)
@pytest.mark.bad_input(46)
def test_children(path, tmp_path, monkeypatch, body, code, words):
    write(path, {"a": numbers(2)})
    script = tmp_path / "child.py"
    script.write_text(body)
    monkeypatch.setattr(hdf5_process, "SCRIPT", script)
    if body.endswith("pass"):
        monkeypatch.setattr(hdf5_process, "SECONDS", 0.5)
    monkeypatch.setattr(hdf5_table, "LARGEST_TABLE", 1_000_000)
    refused(path, code, words)


LIMITS = """
import os, sys
sys.path.append({folder!r})
import hdf5_child
hdf5_child.limit()
try:
    {body}
except {error}:
    os._exit(42)
"""


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ("bytearray(2**30)", "MemoryError"),
        ("os.write(os.open({path!r}, os.O_WRONLY), b'0')", "OSError"),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="other systems limit other things")
def test_children_have_limits(path, tmp_path, monkeypatch, body, error):
    write(path, {"a": numbers(2)})
    script, folder = tmp_path / "child.py", str(Path(hdf5_child.__file__).parent)
    body = body.format(path=str(path))
    script.write_text(LIMITS.format(folder=folder, body=body, error=error))
    monkeypatch.setattr(hdf5_process, "SCRIPT", script)
    refused(path, "READER_CRASHED", "crashed on it, code 42")


def test_children_set_their_limits(path, tmp_path, monkeypatch):
    write(path, {"a": numbers(2)})
    script, folder = tmp_path / "child.py", str(Path(hdf5_child.__file__).parent)
    script.write_text(
        f"import os, sys\nsys.path.append({folder!r})\nimport hdf5_child\n"
        f"hdf5_child.limit = lambda *_: os._exit(43)\nhdf5_child.main(*sys.argv[1:])"
    )
    monkeypatch.setattr(hdf5_process, "SCRIPT", script)
    refused(path, "READER_CRASHED", "crashed on it, code 43")


@pytest.mark.bad_input(46)
def test_a_file_that_crashes_the_library():
    # Found by chance: a flipped bit in the pieces of "z", read by 1.14.6.
    packed = read(CORPUS / "crashes-libhdf5-1.14.6.h5")["z"]
    with pytest.raises(FormatError) as error:
        packed.read()
    if h5py.version.hdf5_version == "1.14.6":
        assert "READER_CRASHED" in str(error.value)
        assert "the HDF5 library crashed on it" in str(error.value)


def test_no_h5py(path, monkeypatch):
    write(path, {"a": numbers(2)})
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(
        MissingPackageError, match=r"No module named .* pip install h5py"
    ):
        read(path)


# --- the table ------------------------------------------------------------------------

WINDOW = ["a", [2], "<f4", "contiguous", 100, 8]


def parsed(path, *rows, size=1000, **others):
    window = hdf5_process.Window(path, 50, size, (size + 50, 0))
    text = json.dumps({"arrays": rows, "texts": {}, **others})
    return hdf5_table.parse(window, text.encode())


def test_places_are_counted_from_the_part(path):
    found = parsed(path, WINDOW, ["b", [], "<f4", "contiguous", 108, 4])
    assert [one.start for one in found.arrays.values()] == [150, 158]


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ([WINDOW, WINDOW], "DUPLICATE", "it has 'a' twice"),
        ([["a", [2], "<f4", "contiguous", 993, 8]], "TRUNCATED", "bytes 993 to 1001"),
        ([["a", [2], "<f4", "contiguous", -1, 8]], "TRUNCATED", "bytes -1 to 7"),
        (
            [["a", [2], "<f4", "contiguous", 9, 7]],
            "BAD_SHAPE",
            "needs 8 bytes, but has 7",
        ),
        ([["a", [-2], "<f4", "contiguous", 9, 8]], "BAD_SHAPE", "the shape [-2]"),
        ([["a", [2**62], "<f4", "chunked", None, 8]], "BAD_SHAPE", "the shape"),
        (
            [["a", [2**20], "<f4", "chunked", None, 2**20]],
            "TOO_LARGE",
            "but 1048576 in",
        ),
        (
            [[f"{n}", [2**18], "<f4", "chunked", None, 9] for n in range(2)],
            "TOO_LARGE",
            "its arrays have 2097152 bytes, but the file has 1000",
        ),
        (
            [["a", [2], "<c8", "contiguous", 9, 16]],
            "BAD_HEADER",
            "described by ['a', [2",
        ),
        ([["a", 2, "<f4", "contiguous", 9, 8]], "BAD_HEADER", "described by ['a', 2"),
        ([["a", [2], "<f4", "virtual", 9, 8]], "BAD_HEADER", "'virtual'"),
        (
            [WINDOW, ["b", [2], "<f4", "contiguous", 104, 8]],
            "BAD_HEADER",
            "'b' begins inside another array",
        ),
    ],
)
def test_tables_that_cannot_be_true(path, rows, code, words):
    with pytest.raises(FormatError) as error:
        parsed(path, *rows)
    assert error.value.code == code
    assert words in str(error.value)


def test_the_terminal_is_safe(path):
    with pytest.raises(FormatError) as error:
        parsed(path, ["\x1b[31m", [2], "<f4", "contiguous", 9, 7])
    assert str(error.value).isprintable()
    window = hdf5_process.Window(path, 0, 9, (9, 0))
    text = json.dumps({"refused": ["\x1b[31m", "filter", "\x1b[31m"]})
    with pytest.raises(FormatError) as error:
        hdf5_table.parse(window, text.encode())
    assert str(error.value).isprintable()


TABLE = json.dumps(
    {
        "arrays": [WINDOW, ["b/c", [3, 4], ">f8", "chunked", None, 90]],
        "texts": {"": {"layer_names0": ["a"], "backend": "x"}, "b": {"name": "y"}},
    }
).encode()
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


@FUZZ
@hypothesis.given(
    changed(TABLE)
    | st.builds(
        lambda *rows: json.dumps({"arrays": rows[:2], "texts": rows[2]}).encode(),
        st.tuples(*(st.just(one) | VALUES for one in WINDOW)),
        VALUES,
        st.dictionaries(st.text(), VALUES) | VALUES,
    )
    | st.binary(max_size=99)
)
def test_no_table_breaks_the_reader(text):
    window = hdf5_process.Window(hdf5_process.SCRIPT, 0, 1000, (1000, 0))
    try:
        hdf5_table.parse(window, text)
    except FormatError as error:
        assert str(error).isprintable()  # noqa: PT017


def good_file():
    file = io.BytesIO()
    with h5py.File(file, "w") as store:
        store["albert/kernel:0"] = numbers(2, 3)
        store["albert"].attrs["weight_names"] = [b"kernel:0"]
        store.create_dataset("packed", data=numbers(40), compression="gzip")
    return file.getvalue()


@LIMITED
@hypothesis.given(data=changed(good_file()))
def test_no_file_breaks_the_reader(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("fuzz") / "x.h5"
    path.write_bytes(data)
    try:
        arrays(path)
    except FormatError as error:
        assert str(error).isprintable()  # noqa: PT017
