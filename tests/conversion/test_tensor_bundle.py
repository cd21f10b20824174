import dataclasses
import os
import struct

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

from albert_core import wire
from albert_core.crc32c import _TABLE, Checksum, crc32c, masked
from albert_core.errors import CheckpointError, FormatError
from conversion.formats import level_table
from conversion.formats.bundle_entry import (
    DTYPES,
    Entry,
    slice_key,
    to_bytes,
    to_header,
)
from conversion.formats.tensor_bundle import find_prefix, read, unsupported, write
from tests.conversion.fuzzing import FUZZ, changed


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def numbers(shape, dtype="<f4"):
    rng = np.random.default_rng(len(shape))
    return (rng.normal(size=shape) * 50).astype(np.dtype(dtype))


ARRAYS = {
    f"bert/é {dtype.name}": numbers((3, 2 + code), dtype)
    for code, dtype in DTYPES.items()
} | {"scalar": np.array(7), "empty": np.zeros((0, 3)), "large": numbers((70, 9, 30))}


@pytest.fixture
def good(tmp_path):
    write(tmp_path / "model", ARRAYS)
    return tmp_path / "model"


def index(prefix):
    return prefix.with_name(prefix.name + ".index")


def data(prefix):
    return prefix.with_name(prefix.name + ".data-00000-of-00001")


def arrays(path):
    return {name: lazy.read() for name, lazy in read(path).items()}


def same(found, expected):
    assert {
        n: (a.dtype.name, a.shape, a.tobytes()) for n, a in sorted(found.items())
    } == {n: (a.dtype.name, a.shape, a.tobytes()) for n, a in sorted(expected.items())}


# --- beside TensorFlow ----------------------------------------------------------------


def test_tensorflow_writes_the_same_bytes(tf, good, tmp_path):
    names = sorted(ARRAYS)
    tensors = [tf.constant(ARRAYS[name]) for name in names]
    theirs = tmp_path / "theirs"
    tf.raw_ops.SaveV2(
        prefix=str(theirs),
        tensor_names=names,
        shape_and_slices=[""] * len(names),
        tensors=tensors,
    )
    assert data(good).read_bytes() == data(theirs).read_bytes()
    assert index(good).read_bytes() == index(theirs).read_bytes()
    same(arrays(theirs), ARRAYS)


def test_many_blocks(tf, tmp_path):
    many = {f"{'long ' * 30}{n:04}": np.array(n, "<i4") for n in range(3000)}
    write(tmp_path / "model", many)
    assert index(tmp_path / "model").stat().st_size > level_table.BLOCK / 4
    same(arrays(tmp_path / "model"), many)
    reader = tf.train.load_checkpoint(str(tmp_path / "model"))
    assert len(reader.get_variable_to_dtype_map()) == 3000
    assert [reader.get_tensor(name) for name in sorted(many)] == list(range(3000))


@pytest.mark.bad_input(56)
def test_slices_and_shards_and_texts(tf, tmp_path):
    whole = numbers((4, 100, 70))
    pieces = {"0,3:0,100:-": whole[:3], "3,1:0,65:-": whole[3:, :65]}
    pieces["3,1:65,35:0,70"] = whole[3:, 65:]
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "one"),
        tensor_names=["sliced"] * 3 + ["text", "complex"],
        shape_and_slices=[f"4 100 70 {piece}" for piece in pieces] + ["", ""],
        tensors=[*map(tf.constant, pieces.values()), tf.constant(["a", "b"]), 1j],
    )
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "two"),
        tensor_names=["other"],
        shape_and_slices=[""],
        tensors=[tf.constant([1, 2])],
    )
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(tmp_path / "one"), str(tmp_path / "two")],
        destination_prefix=str(tmp_path / "model"),
    )
    same(arrays(tmp_path), {"sliced": whole, "other": np.array([1, 2], "<i4")})
    assert read(tmp_path)["sliced"].shape == (4, 100, 70)
    assert unsupported(tmp_path) == {"text": "string", "complex": "complex128"}
    (tmp_path / "model.data-00000-of-00002").unlink()
    refused(tmp_path, "TRUNCATED", "there is no model.data-00000-of-00002")


def test_tensorflow_restores_what_we_write(tf, tmp_path):
    value = numbers((3, 4))
    write(tmp_path / "model", {"a/b": value, "step": np.array(3)})
    reader = tf.train.load_checkpoint(str(tmp_path / "model"))
    assert reader.get_variable_to_shape_map() == {"a/b": [3, 4], "step": []}
    # By name, as the programs of 2019 do, and with today's class for them.
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variable = tf.compat.v1.get_variable("a/b", (3, 4))
        tf.compat.v1.train.Saver([variable]).restore(session, str(tmp_path / "model"))
        np.testing.assert_array_equal(session.run(variable), value)
    variable = tf.Variable(np.zeros((3, 4), "f4"), name="a/b")
    status = tf.train.Checkpoint(kernel=variable).restore(str(tmp_path / "model"))
    status.initialize_or_restore()
    np.testing.assert_array_equal(variable.numpy(), value)


def test_checkpoints_of_objects_and_saved_models(tf, tmp_path):
    module = tf.Module()
    module.v = tf.Variable(numbers((3, 4)))
    tf.train.Checkpoint(model=module).save(str(tmp_path / "objects" / "ckpt"))
    tf.saved_model.save(module, str(tmp_path / "saved"))
    key = "v/.ATTRIBUTES/VARIABLE_VALUE"
    found = arrays(tmp_path / "objects")
    np.testing.assert_array_equal(found[f"model/{key}"], module.v.numpy())
    assert unsupported(tmp_path / "objects") == {
        "_CHECKPOINTABLE_OBJECT_GRAPH": "string"
    }
    same(arrays(tmp_path / "saved"), {key: module.v.numpy()})


# --- paths ----------------------------------------------------------------------------


@pytest.mark.bad_input(58)
def test_all_paths_of_a_checkpoint(good, tmp_path):
    (tmp_path / "model.meta").touch()
    for name in ["", "model", "model.index", "model.meta", data(good).name]:
        assert find_prefix(tmp_path / name) == good
    for name in ["other", "other.index", "checkpoint"]:
        with pytest.raises(FormatError, match=r"there is no (other|checkpoint)\.index"):
            find_prefix(tmp_path / name)


@pytest.mark.parametrize("folder", ["", "/elsewhere/", "../", "..\\..\\", "C:\\x\\"])
@pytest.mark.bad_input(58)
def test_the_file_checkpoint_never_leads_out(good, tmp_path, folder):
    write(tmp_path / "zweite", {"b": numbers((1,))})
    state = tmp_path / "checkpoint"
    state.write_text(f'model_checkpoint_path: "{folder}zweite"\nall: "x"\n')
    assert find_prefix(tmp_path) == tmp_path / "zweite"
    inner = tmp_path / "inner"
    inner.mkdir()
    state.rename(inner / "checkpoint")
    with pytest.raises(FormatError, match="inner: it has no file that ends"):
        find_prefix(inner)
    for name in "..", "", "a\0b", "missing":
        state.write_text(f'model_checkpoint_path: "{name}"')
        with pytest.raises(FormatError, match=r"2 checkpoints: 'model.index', 'zweite"):
            find_prefix(tmp_path)


# --- damaged and hostile files: rows 55 to 58 of the list of bad inputs ---------------


def refused(path, code, text, use=read):
    with pytest.raises(FormatError) as caught:
        use(path)
    assert caught.value.code == code
    assert text in str(caught.value)
    assert str(caught.value).startswith(f"{code} {path if path.is_file() else ''}")


@pytest.mark.bad_input(1, 28, 29, 55)
def test_other_files(good):
    path = index(good)
    table = path.read_bytes()
    for content, code, text in [
        (b"", "EMPTY", "it has no bytes. Get the file again."),
        (table[:30], "TOO_SHORT", "it has 30 bytes, a table has 48"),
        (table[:-1], "TRUNCATED", "ends with"),
        (
            b"version https://git-lfs.github.com/spec/v1\n",
            "LFS_POINTER",
            "git lfs pull",
        ),
        (b"<!DOCTYPE html>".ljust(99), "NOT_A_CHECKPOINT", "as web pages do"),
        (b'{"error":"404"}'.ljust(99), "NOT_A_CHECKPOINT", "as JSON does"),
        (b"\0" * level_table.LARGEST + level_table.MAGIC, "TOO_LARGE", "at most"),
    ]:
        path.write_bytes(content)
        refused(path, code, text)
    path.unlink()
    os.mkfifo(path)
    refused(path, "NOT_A_CHECKPOINT", "not a regular file")


POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def block(content, restarts=(0,), count=None, kind=0):
    words = [*restarts, len(restarts) if count is None else count]
    content += struct.pack(f"<{len(words)}I", *words) + bytes([kind])
    return content + struct.pack("<I", masked(crc32c(content)))


def varint(value):
    return wire.write(0, value)[1:]


def pair(key, value, shared=0):
    return b"".join(map(varint, (shared, len(key), len(value)))) + key + value


def table(*blocks, handles=None):
    """A table of any blocks."""
    places, content = [], b""
    for one in blocks:
        places.append(varint(len(content)) + varint(len(one) - 5))
        content += one
    middle = block(b"".join(pair(b"k", place) for place in handles or places))
    end = varint(0) + varint(0) + varint(len(content)) + varint(len(middle) - 5)
    return content + middle + end.ljust(40, b"\0") + level_table.MAGIC


HEAD = pair(b"", to_header())
SMALL = block(b"")


@pytest.mark.parametrize(
    ("content", "code", "text"),
    [
        (table(SMALL), "BAD_HEADER", "it has no header"),
        (table(block(HEAD, kind=1)), "UNSUPPORTED", "compressed (Snappy)"),
        (table(block(HEAD, kind=9)), "UNSUPPORTED", "compressed (kind 9)"),
        (table(block(HEAD, count=2**32 - 1)), "BAD_HEADER", "4294967295 restarts"),
        (table(block(HEAD)[:-1] + b"x"), "CHECKSUM", "the block of"),
        (table(block(HEAD * 2)), "BAD_HEADER", "the key b'' is not in its place"),
        (table(block(HEAD + b"\5\1\1ab")), "BAD_HEADER", "ends outside"),
        (table(block(HEAD + b"\0\x7f\1ab")), "BAD_HEADER", "ends outside"),
        (table(block(HEAD + b"\xff" * 11)), "BAD_HEADER", "no end of a number"),
        (table(SMALL, handles=[b"\0\x08"] * 9), "BAD_HEADER", "begins before byte 13"),
        (table(SMALL, handles=[b"\0" + varint(2**60)]), "BAD_HEADER", "ends outside"),
        (table(*[SMALL] * 10_001), "BAD_HEADER", "over 10000 blocks"),
    ],
)
@pytest.mark.bad_input(55)
def test_damaged_tables(good, content, code, text):
    index(good).write_bytes(content)
    refused(index(good), code, text)


@pytest.mark.bad_input(55)
def test_bombs_of_entries(good):
    size = 2**20
    keys = [pair(b"a" * size, b"")]
    keys += [pair(b"b%03d" % n, b"", size - 4) for n in range(1, 100)]
    index(good).write_bytes(table(block(HEAD + b"".join(keys))))
    refused(index(good), "TOO_LARGE", "33554432 bytes of names")
    entries = ((b"%06d" % n, b"") for n in range(level_table.MOST_ENTRIES + 1))
    with index(good).open("wb") as file:
        level_table.write(file, entries)
    refused(index(good), "TOO_LARGE", "100000 entries")


def bundle(prefix, header=None, **entries):
    """An index with any entries."""
    items = {b"": header or to_header()}
    for name, entry in sorted(entries.items()):
        items[name.encode()] = to_bytes(entry) if isinstance(entry, Entry) else entry
    with index(prefix).open("wb") as file:
        level_table.write(file, items.items())
    return index(prefix)


def sliced(*slices):
    """The entry of a tensor of shape (2, 2) in slices."""
    parts = [
        b"".join(
            wire.write(
                1,
                wire.write(1, start % 2**64)
                + (b"" if length is None else wire.write(2, length)),
            )
            for start, length in part
        )
        for part in slices
    ]
    return to_bytes(Entry(1, (2, 2))) + b"".join(wire.write(7, part) for part in parts)


def shape_of(*dimensions):
    inner = b"".join(wire.write(2, one) for one in dimensions)
    return wire.write(1, 1) + wire.write(2, inner)


ROW = ((0, 1), (0, None))


@pytest.mark.parametrize(
    ("header", "entries", "code", "text"),
    [
        (wire.write(1, 1) + wire.write(2, 1), {}, "UNSUPPORTED", "big-endian"),
        (
            wire.write(1, 1) + wire.write(3, wire.write(2, 9)),
            {},
            "UNSUPPORTED",
            "version 9",
        ),
        (wire.write(1, 0), {}, "BAD_HEADER", "speaks of 0 data files"),
        (wire.write(1, 2**40), {}, "BAD_HEADER", "1099511627776 data files"),
        (b"\x0f", {}, "BAD_HEADER", "wire type 7"),
        (None, {"a": b"\x08"}, "BAD_HEADER", "no end of a number"),
        (None, {"a": Entry(1, (2,), 1, 0, 8)}, "BAD_HEADER", "in file 1 of 1"),
        (
            None,
            {"a": Entry(1, (3,), 0, 0, 8)},
            "BAD_SHAPE",
            "needs 12 bytes, but",
        ),
        (
            None,
            {"a": Entry(1, (2**40, 2**40), 0, 0, 0)},
            "BAD_SHAPE",
            "[1099511627776, 1099511627776]",
        ),
        (None, {"a": Entry(1, (0,) * 65)}, "BAD_SHAPE", "'a' has the shape [0, 0"),
        (None, {"a": Entry(1, (0, 2**60))}, "BAD_SHAPE", "has the shape [0, 1152921"),
        (
            None,
            {"a": shape_of(wire.write(1, 2**64 - 1))},
            "BAD_SHAPE",
            "'a' has the shape [-1]",
        ),
        (
            None,
            {"a": wire.write(1, 1) + wire.write(2, wire.write(3, 1))},
            "BAD_HEADER",
            "no number of dim",
        ),
        (
            None,
            {"a": Entry(1, (2,), 0, 2**63 - 1, 8)},
            "TRUNCATED",
            "its index speaks of 9223372036854775815",
        ),
        (
            None,
            {"a": shape_of() + wire.write(4, 2**64 - 4) + wire.write(5, 4)},
            "BAD_HEADER",
            "begins at byte -4",
        ),
        (
            None,
            {"a": Entry(1, (2,), 0, 0, 8), "b": Entry(1, (2,), 0, 4, 8)},
            "BAD_HEADER",
            "'b' begins inside another tensor",
        ),
        (
            None,
            {"a": sliced(ROW)},
            "BAD_HEADER",
            "'a' lacks its slice ((0, 1), (0, None))",
        ),
        (None, {"\0a": Entry(1)}, "BAD_HEADER", "is a slice of no tensor"),
    ],
)
@pytest.mark.bad_input(56)
def test_damaged_entries(good, header, entries, code, text):
    path = bundle(good, header, **entries)
    refused(
        path if code != "TRUNCATED" else data(good), code, text, lambda _: read(good)
    )


@pytest.mark.parametrize(
    "rows", [[0], [0, 0], [0, 1, 1], [0, 2], [0, -1]], ids=["one", "twice", *"abc"]
)
@pytest.mark.bad_input(56)
def test_slices_that_do_not_cover(good, rows):
    cover = [((row, 1), (0, None)) for row in rows]
    parts = {
        slice_key("a", one).decode("latin-1"): Entry(1, (1, 2), 0, 8 * at, 8)
        for at, one in enumerate(dict.fromkeys(cover))
    }
    items = {b"": to_header(), b"a": sliced(*cover)}
    items |= {key.encode("latin-1"): to_bytes(one) for key, one in parts.items()}
    with index(good).open("wb") as file:
        level_table.write(file, sorted(items.items()))
    refused(index(good), "BAD_HEADER", "slices of 'a' do not cover its shape (2, 2)")


@pytest.mark.parametrize("entry", [Entry(1, (2, 1), 0, 0, 8), Entry(9, (1,), 0, 0, 8)])
@pytest.mark.bad_input(56)
def test_a_slice_that_is_something_else(good, entry):
    rows = [((row, 1), (0, None)) for row in (0, 1)]
    items = {b"": to_header(), b"a": sliced(*rows)}
    for at, row in enumerate(rows):
        one = dataclasses.replace(entry, offset=8 * at)
        items[slice_key("a", row)] = to_bytes(one)
    with index(good).open("wb") as file:
        level_table.write(file, sorted(items.items()))
    refused(index(good), "BAD_HEADER", "'a' has a slice ((0, 1), (0, None)) of shape")


@pytest.mark.bad_input(56)
def test_a_text_of_any_size_hinders_nothing(good):
    start = data(good).read_bytes()[:8]
    whole = Entry(1, (2,), 0, 0, 8, masked(crc32c(start)))
    bundle(good, a=whole, t=Entry(7, (2**62, 2**62), 77, 2**62, 2**62))
    same(arrays(good), {"a": np.frombuffer(start, "<f4")})
    assert unsupported(good) == {"t": "string"}


@pytest.mark.bad_input(28, 57)
def test_damaged_data(good):
    content = bytearray(data(good).read_bytes())
    content[-1] ^= 1
    data(good).write_bytes(content)
    found = read(good)
    wrong = max(name for name in ARRAYS)
    with pytest.raises(FormatError, match=f"^CHECKSUM .*'{wrong}' has the checksum"):
        found[wrong].read()
    found["large"].read()
    data(good).write_bytes(content[:-1])
    with pytest.raises(CheckpointError, match="has changed since"):
        found["large"].read()
    refused(data(good), "TRUNCATED", f"{len(content) - 1} bytes", lambda _: read(good))
    data(good).write_bytes(POINTER)
    refused(data(good), "LFS_POINTER", "git lfs pull", lambda _: read(good))


def test_what_cannot_be_written(tmp_path):
    for arrays, code, text in [
        ({"a": np.array(1j)}, "BAD_DTYPE", "no number type for 'a' complex128. Conv"),
        ({"": np.array(1)}, "UNSUPPORTED", "cannot have the name ''"),
        ({"\ud800": np.array(1)}, "UNSUPPORTED", r"cannot have the name '\ud800'"),
        ({"\0a": np.array(1)}, "UNSUPPORTED", r"cannot have the name '\x00a'"),
    ]:
        refused(tmp_path / "x", code, text, lambda path, a=arrays: write(path, a))
    assert not list(tmp_path.iterdir())


# --- anything at all ------------------------------------------------------------------


def survives(path):
    """The file is read, or refused in the way that it should be."""
    try:
        for lazy in read(path).values():
            lazy.read()
        unsupported(path)
    except CheckpointError:
        pass


GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
SOME = {
    "a": numbers((2, 3)),
    "b/c": np.array(1),
    "d": np.array([1], ml_dtypes.bfloat16),
}


@FUZZ
@hypothesis.given(choice=st.data())
def test_any_index(choice, tmp_path):
    prefix = tmp_path / "model"
    for path in tmp_path.iterdir():
        path.unlink()
    write(prefix, SOME)
    content = index(prefix).read_bytes()
    # Changes that the checksum of a block finds say little of what comes behind it.
    pieces = [
        b"".join(pair(*one) for one in level_table.read(index(prefix)).items()),
        content,
        b"",
    ]
    at = choice.draw(st.integers(0, 2))
    new = choice.draw(changed(pieces[at]) if pieces[at] else st.binary(max_size=200))
    index(prefix).write_bytes(table(block(new)) if at == 0 else new)
    survives(prefix)


@FUZZ
@hypothesis.given(entry=st.data())
def test_any_entry(entry, tmp_path):
    prefix = tmp_path / "model"
    for path in tmp_path.iterdir():
        path.unlink()
    write(prefix, SOME)
    entries = level_table.read(index(prefix))
    name = entry.draw(st.sampled_from(sorted(entries)))
    start = entry.draw(st.sampled_from([entries[name], sliced(ROW, ((1, 1), (0, 2)))]))
    entries[name] = entry.draw(changed(start) | st.binary(max_size=40))
    with index(prefix).open("wb") as file:
        level_table.write(file, entries.items())
    survives(prefix)


def test_checksums():
    assert crc32c(b"123456789") == 0xE3069283  # of the catalogue of checksums
    numbers = np.random.default_rng(0).integers(0, 256, 2_500_000, np.uint8)
    for size in (0, 1, 3, 4, 12_000, 100_000, len(numbers)):
        plain = 0xFFFFFFFF
        for byte in numbers[:size].tobytes():
            plain = _TABLE[(plain ^ byte) & 255] ^ plain >> 8
        assert crc32c(numbers[:size]) == plain ^ 0xFFFFFFFF, size
    for piece in (999, 100_000, 2_000_000):
        found = Checksum()
        for at in range(0, len(numbers), piece):
            found.add(numbers[at : at + piece])
        assert found.end() == crc32c(numbers), piece
