"""TFRecord files and Google's pretraining examples, against TensorFlow's."""

import gzip
import os
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert_core import wire
from albert_core.crc32c import crc32c, masked
from albert_core.data.example_proto import (
    example,
    from_varints,
    read_example,
    to_varints,
)
from albert_core.data.google_records import (
    FEATURES,
    read_pretraining,
    write_pretraining,
)
from albert_core.data.tfrecord import LARGEST, read_records, write_records
from albert_core.errors import InputError

RECORDS = [b"", b"a", bytes(range(256)) * 50, b"the end"]
EDGES = [0, 1, 127, 128, 2**14 - 1, 2**14, 2**32, 2**63 - 1, -1, -2, -(2**63)]
NUMBERS = {
    "small": np.arange(100),
    "large": np.array(EDGES),
    "none": np.array([], np.int64),
    "floats": np.array([0.5, -1e30, np.inf], np.float32),
    "é": np.array([], np.float32),
    "": np.array([7]),
}


def checksum(data):
    return struct.pack("<I", masked(crc32c(data)))


def framed(record, length=None):
    size = struct.pack("<Q", len(record) if length is None else length)
    return size + checksum(size) + record + checksum(record)


def row(length=12, text=9, second=5, boundary=True, **changes):
    """An example of Google's, with some features changed or, if None, without them."""
    places = np.arange(length)
    mask = (places < text).astype(np.int64)
    features = {
        "input_ids": (places + 300) * mask,
        "input_mask": mask,
        "segment_ids": mask * (places >= second),
        "token_boundary": mask * (places % 2),
        "masked_lm_positions": np.array([1, 4, 0]),
        "masked_lm_ids": np.array([29_999, 7, 0]),
        "masked_lm_weights": np.array([1, 1, 0], np.float32),
        "next_sentence_labels": np.array([1]),
    } | changes
    if not boundary:
        del features["token_boundary"]
    return {name: given for name, given in features.items() if given is not None}


def same(one, other):
    assert one.keys() == other.keys()
    for name, values in one.items():
        assert values.dtype == other[name].dtype, name
        np.testing.assert_array_equal(values, other[name])
    return True


def refused(call):
    with pytest.raises(InputError) as caught:
        call()
    return str(caught.value)


def reading(path, data=None):
    if data is not None:
        path.write_bytes(data)
    return refused(lambda: list(read_records(path)))


# Against TensorFlow


@pytest.fixture(scope="module")
def tf():
    return pytest.importorskip("tensorflow")


def proto(tf, features):
    """The example as protobuf's package makes it."""
    made = tf.train.Example(features=tf.train.Features(feature={}))
    for name, values in features.items():
        feature = made.features.feature[name]
        kind = feature.float_list if values.dtype == np.float32 else feature.int64_list
        kind.SetInParent()
        kind.value.extend(values.tolist())
    return made


@pytest.mark.parametrize("kind", ["", "GZIP"])
def test_tensorflow_writes_the_same_files(tf, tmp_path, kind):
    path, ours = tmp_path / "theirs", tmp_path / "ours"
    with tf.io.TFRecordWriter(str(path), kind) as writer:
        for record in RECORDS:
            writer.write(record)
    assert list(read_records(path)) == RECORDS
    write_records(ours, iter(RECORDS))
    theirs = path.read_bytes()
    assert ours.read_bytes() == (gzip.decompress(theirs) if kind else theirs)
    found = tf.data.TFRecordDataset(str(ours)).as_numpy_iterator()
    assert list(found) == RECORDS


@pytest.mark.parametrize("features", [{}, row(), NUMBERS])
def test_tensorflow_writes_the_same_examples(tf, features):
    theirs = proto(tf, features).SerializeToString(deterministic=True)
    found = read_example(theirs, "x")
    assert same(found, features)
    assert example(found) == theirs  # in the order of protobuf's package
    assert tf.train.Example.FromString(example(features)) == proto(tf, features)


def test_tensorflow_reads_what_we_write(tf, tmp_path):
    rows = [row(), row(text=12, second=1), row(text=6)]
    write_pretraining(tmp_path / "x", rows)
    lengths = {name: len(values) for name, values in row().items()}
    spec = {
        name: tf.io.FixedLenFeature([lengths[name]], tf.as_dtype(dtype))
        for name, (dtype, _) in FEATURES.items()
    }
    dataset = tf.data.TFRecordDataset(str(tmp_path / "x"))
    parsed = dataset.map(lambda record: tf.io.parse_single_example(record, spec))
    found = list(parsed.as_numpy_iterator())
    assert len(found) == len(rows)
    for one, other in zip(found, rows, strict=True):
        assert same(dict(one), other)


def test_what_tensorflow_writes_is_read(tf, tmp_path):
    rows = [row(), row(text=12, second=1)]
    with tf.io.TFRecordWriter(str(tmp_path / "x")) as writer:
        for one in rows:
            writer.write(proto(tf, one).SerializeToString())
    for one, other in zip(read_pretraining(tmp_path / "x"), rows, strict=True):
        assert same(one, other)


# The framing


def test_the_frame(tmp_path):
    """By the definition of the format, without our own checksums."""
    write_records(tmp_path / "x", [b"123456789"])
    data = (tmp_path / "x").read_bytes()
    assert data[:8] == (9).to_bytes(8, "little")
    assert data[12:-4] == b"123456789"
    crc = 0xE3069283  # of the catalogue of checksums
    turned = ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32
    assert data[-4:] == turned.to_bytes(4, "little")


def test_wrong_checksums(tmp_path):
    path = tmp_path / "x"
    good = framed(b"abc") + framed(b"defg")
    bad = bytearray(good)
    bad[19] = 5
    found, stored = (
        int.from_bytes(data, "little")
        for data in (checksum(bytes(bad[19:27])), good[27:31])
    )
    assert reading(path, bytes(bad)) == (
        f"{path}, record 1 at byte 19: its length, 5, has the checksum {found:#010x}, "
        f"but {stored:#010x} is stored behind it. Get the file again."
    )
    found, stored = (
        int.from_bytes(checksum(data), "little") for data in (b"abX", b"abc")
    )
    assert reading(path, good.replace(b"abc", b"abX")) == (
        f"{path}, record 0 at byte 0: its data, 3 bytes, has the checksum "
        f"{found:#010x}, but {stored:#010x} is stored behind it. Get the file again."
    )
    assert reading(path, b"<html> not found </html>").endswith(
        "Give a file of TFRecords."
    )


def test_what_is_read_before_the_damage(tmp_path):
    (tmp_path / "x").write_bytes(framed(b"abc") + b"damage")
    records = read_records(tmp_path / "x")
    assert next(records) == b"abc"
    assert refused(lambda: next(records)) == (
        f"{tmp_path / 'x'}, record 1 at byte 19: 12 bytes are expected, but only 6 are "
        f"left. Get the file again."
    )


def test_truncated(tmp_path):
    path, data = tmp_path / "x", framed(b"abc")
    assert reading(path, data[:5]) == (
        f"{path}, record 0 at byte 0: 12 bytes are expected, but only 5 are left. Give "
        f"a file of TFRecords."
    )
    assert reading(path, data + data[:14]) == (
        f"{path}, record 1 at byte 19, behind its length: 7 bytes are expected, but "
        f"only 2 are left. Get the file again."
    )
    for stop in range(1, len(data)):
        reading(path, data[:stop])


@pytest.mark.parametrize("packed", [False, True])
def test_an_absurd_length(tmp_path, packed):
    path, data = tmp_path / "x", framed(b"", 2**63)
    assert reading(path, gzip.compress(data) if packed else data) == (
        f"{path}, record 0 at byte 0 has {2**63} bytes; at most {LARGEST} are "
        f"expected. Give a file of smaller records."
    )


def test_too_large_to_write(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"old")
    large = bytes(LARGEST + 1)
    assert refused(lambda: write_records(path, [b"", large])) == (
        f"{path}: record 1 has {LARGEST + 1} bytes; at most {LARGEST} can be read. "
        f"Write smaller records."
    )
    assert [one.read_bytes() for one in tmp_path.iterdir()] == [b"old"]


def test_the_old_file_stays(tmp_path):
    path = tmp_path / "x"
    write_records(path, [b"old"])

    def records():
        yield b"new"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_records(path, records())
    assert list(read_records(path)) == [b"old"]
    write_records(path, (record + b"er" for record in read_records(path)))
    assert list(read_records(path)) == [b"older"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_read(tmp_path):
    assert reading(tmp_path / "x") == (
        f"{tmp_path / 'x'} cannot be read: No such file or directory. Check its name "
        f"and who may read it."
    )
    wrong = "is not a regular file. Give a file of TFRecords."
    assert reading(tmp_path) == f"{tmp_path} {wrong}"
    os.mkfifo(tmp_path / "pipe")
    assert reading(tmp_path / "pipe") == f"{tmp_path / 'pipe'} {wrong}"


def test_gzip(tmp_path):
    path = tmp_path / "x"
    plain = b"".join(map(framed, RECORDS))
    packed = gzip.compress(plain)
    path.write_bytes(packed)
    assert list(read_records(path)) == RECORDS
    message = reading(path, packed[:-9])
    assert message == (
        f"{path}, record 2 cannot be read: Compressed file ended before the "
        f"end-of-stream marker was reached. Get the file again."
    )
    assert "record 0 cannot be read: Unknown compression" in reading(
        path, packed[:2] + b"\0" + packed[3:]
    )
    assert "cannot be read: CRC check failed" in reading(
        path, packed[:-8] + bytes(4) + packed[-4:]
    )
    reading(path, packed[:20] + b"\xff" * 8 + packed[28:])
    assert "record 0 at byte 0: its length, " in reading(path, gzip.compress(b"x" * 99))


def test_a_length_that_looks_like_gzip(tmp_path):
    record = bytes(0x088B1F)
    write_records(tmp_path / "x", [record])
    assert (tmp_path / "x").read_bytes()[:4] == b"\x1f\x8b\x08\0"
    assert list(read_records(tmp_path / "x")) == [record]


def test_an_empty_file_has_no_records(tmp_path):
    write_records(tmp_path / "x", [])
    assert (tmp_path / "x").read_bytes() == b""
    assert list(read_records(tmp_path / "x")) == []


# Examples


INTS = (
    st.sampled_from(EDGES) | st.integers(0, 40_000) | st.integers(-(2**63), 2**63 - 1)
)
ARRAYS = st.lists(INTS).map(lambda values: np.array(values, np.int64)) | st.lists(
    st.floats(width=32)
).map(lambda values: np.array(values, np.float32))


@settings(deadline=None)
@given(st.dictionaries(st.text(), ARRAYS))
def test_any_features(features):
    found = read_example(example(features), "x")
    assert [*found] == [*features]
    assert same(found, features)


def one_by_one(values):
    out = bytearray()
    for value in values:
        value %= 2**64
        while value > 127:
            out.append(value % 128 + 128)
            value //= 128
        out.append(value)
    return bytes(out)


@settings(deadline=None)
@given(st.lists(INTS))
def test_any_varints(values):
    data = one_by_one(values)
    assert to_varints(np.array(values, np.int64)) == data
    assert from_varints(data).tolist() == values


def int_list(content, name="x"):
    feature = wire.write(2, wire.write(3, content))
    return wire.write(1, wire.write(1, wire.write(1, name) + feature))


def test_values_that_are_not_packed():
    singly = b"".join(b"\x08" + one_by_one([value]) for value in EDGES)
    packed = wire.write(1, one_by_one(EDGES))
    for content, times in ((singly, 1), (packed, 1), (packed + singly + packed, 3)):
        assert read_example(int_list(content), "x")["x"].tolist() == EDGES * times
    singly = b"".join(wire.write(1, value) for value in (0.5, -2.0))
    data = wire.write(1, wire.write(1, "x") + wire.write(2, wire.write(2, singly)))
    assert read_example(wire.write(1, data), "x")["x"].tolist() == [0.5, -2]


def test_what_protobuf_does_as_well(tf):
    """Unknown fields, no list, messages in pieces, fields in another order."""
    entry = wire.write(2, wire.write(3, wire.write(1, b"\1"))) + wire.write(1, "late")
    bare = wire.write(1, wire.write(1, "bare"))
    pieces = wire.write(3, wire.write(1, b"\2")) + wire.write(3, wire.write(1, b"\3"))
    twice = wire.write(1, wire.write(1, "pieces") + wire.write(2, pieces))
    unknown = wire.write(9, 5) + wire.write(8, b"?")
    data = wire.write(1, wire.write(1, entry) + bare) + unknown + wire.write(1, twice)
    found = read_example(data, "x")
    assert {name: values.tolist() for name, values in found.items()} == {
        "late": [1],
        "pieces": [2, 3],
    }
    theirs = tf.train.Example.FromString(data).features.feature
    assert {
        name: list(feature.int64_list.value) for name, feature in theirs.items()
    } == {"late": [1], "pieces": [2, 3], "bare": []}


BYTES = wire.write(1, wire.write(1, "b") + wire.write(2, wire.write(1, b"\x0a\1?")))
MIXED = wire.write(2, wire.write(2, b"") + wire.write(3, b""))
AFTER = ". Give a file of examples."
BROKEN = {
    "twice": (
        int_list(b"") * 2,
        "f, record 3 holds the feature 'x' twice. Write the file again with one of "
        "them.",
    ),
    "bytes": (
        wire.write(1, BYTES),
        "f, record 3 holds bytes as the feature 'b'; numbers are expected. Write the "
        "file again without it.",
    ),
    "two lists": (
        wire.write(1, wire.write(1, wire.write(1, "x") + MIXED)),
        f"'x' has lists of two kinds{AFTER}",
    ),
    "number": (
        wire.write(1, 5),
        f"the number 5 where a message is expected{AFTER}",
    ),
    "missing": (b"\x0a\x05ab", f"3 bytes are missing at the end{AFTER}"),
    "end": (
        int_list(wire.write(1, b"\1\x80")),
        f"no end of a number in a list of 2 bytes{AFTER}",
    ),
    "long": (
        int_list(wire.write(1, b"\x80" * 10 + b"\1")),
        f"a number of 11 bytes in a list{AFTER}",
    ),
    "floats": (
        wire.write(
            1,
            wire.write(1, wire.write(2, wire.write(2, wire.write(1, b"abc")))),
        ),
        f"a list of floats of 3 bytes{AFTER}",
    ),
    "name": (
        wire.write(1, wire.write(1, wire.write(1, b"\xff"))),
        "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
        f"{AFTER}",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_example(case):
    data, message = BROKEN[case]
    if message.endswith(AFTER):
        message = f"f, record 3 is no tf.train.Example: {message}"
    assert refused(lambda: read_example(data, "f", 3)) == message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            np.zeros((2, 3)),
            "has the shape (2, 3); one dimension is expected. Flatten it.",
        ),
        (
            np.array(["a"]),
            "has the type <U1; integers or floats are expected. Convert it.",
        ),
        (
            np.array([1, 2**63], np.uint64),
            f"holds {2**63}, too large for int64. Give smaller values.",
        ),
        (
            np.array([np.inf, 1e300]),
            "holds 1e+300, too large for float32. Give smaller values.",
        ),
    ],
)
def test_what_no_feature_can_be(values, message):
    assert refused(lambda: example({"x": values})) == f"The feature 'x' {message}"


def test_other_types():
    for dtype in (np.int8, np.uint64, np.bool_, ">i4"):
        found = read_example(example({"x": np.array([1, 0, 1], dtype)}), "x")["x"]
        assert (found.dtype, found.tolist()) == (np.int64, [1, 0, 1])
    for dtype in (np.float16, np.float64, ">f4"):
        found = read_example(example({"x": np.array([0.5, 2], dtype)}), "x")["x"]
        assert (found.dtype, found.tolist()) == (np.float32, [0.5, 2])
    strided = np.arange(1000)[::3]
    found = read_example(example({"x": strided}), "x")["x"]
    np.testing.assert_array_equal(found, strided)
    found[0] = 5  # what is read belongs to the reader


# Pretraining examples


def test_rows_come_back(tmp_path):
    rows = [row(), row(text=12, second=1), row(text=12, second=12)]
    write_pretraining(tmp_path / "a", rows)
    write_pretraining(tmp_path / "b", iter(rows[:1]))
    found = list(read_pretraining([tmp_path / "a", str(tmp_path / "b")]))
    for one, other in zip(found, [*rows, rows[0]], strict=True):
        assert same(one, other)
    assert len(list(read_pretraining(str(tmp_path / "b")))) == 1


def test_files_of_bert_have_no_boundaries(tmp_path):
    rows = [row(boundary=False), row(boundary=False)]
    write_pretraining(tmp_path / "x", rows)
    for one in read_pretraining(tmp_path / "x"):
        assert same(one, rows[0])


def test_lists_and_other_types_are_converted(tmp_path):
    write_pretraining(
        tmp_path / "x",
        [{name: values.tolist() for name, values in row().items()}],
    )
    small = row(input_mask=row()["input_mask"].astype(bool))
    write_pretraining(tmp_path / "y", [small])
    for name in "xy":
        (found,) = read_pretraining(tmp_path / name)
        assert same(found, row())


def test_other_features_are_left_out(tmp_path):
    write_records(tmp_path / "x", [example({**row(), "more": np.arange(3)})])
    (found,) = read_pretraining(tmp_path / "x")
    assert same(found, row())


def changed(name, at, value):
    values = row()[name].copy()
    values[at] = value
    return {name: values}


AGAIN = ". Write the file again with what is right."
SEGMENTS = "0s, then 1s, then 0s behind the text of 9 tokens are expected"
WRONG = [
    (
        {"input_ids": None, "token_boundary": None},
        " lacks 'input_ids'; it holds 'input_mask', 'segment_ids', "
        "'masked_lm_positions', 'masked_lm_ids', 'masked_lm_weights', "
        "'next_sentence_labels'. Give pretraining examples.",
    ),
    (
        {"input_ids": np.zeros(12, np.float32)},
        f": input_ids is float32 of the shape (12,); int64 of one dimension is "
        f"expected{AGAIN}",
    ),
    (
        {"masked_lm_weights": np.zeros(3, np.int64)},
        f": masked_lm_weights is int64 of the shape (3,); float32 of one dimension is "
        f"expected{AGAIN}",
    ),
    (
        {"segment_ids": np.zeros(11, np.int64)},
        ": segment_ids has 11 values; 12 are expected, which is max_seq_length in the "
        "first example. Give examples of one size.",
    ),
    (
        {"masked_lm_ids": np.zeros(2, np.int64)},
        ": masked_lm_ids has 2 values; 3 are expected, which is max_predictions in the "
        "first example. Give examples of one size.",
    ),
    (
        {"next_sentence_labels": np.array([0, 1])},
        ": next_sentence_labels has 2 values; 1 are expected. Give examples of one "
        "size.",
    ),
    (
        changed("input_mask", 3, 0),
        f": input_mask is 0 at 3; 1s and then 0s are expected{AGAIN}",
    ),
    (
        changed("input_mask", 8, 2),
        f": input_mask is 2 at 8; 1s and then 0s are expected{AGAIN}",
    ),
    (
        {"input_mask": np.zeros(12, np.int64)},
        f": input_mask has no 1, so no text{AGAIN}",
    ),
    (changed("segment_ids", 7, 0), f": segment_ids is 0 at 7; {SEGMENTS}{AGAIN}"),
    (changed("segment_ids", 6, 2), f": segment_ids is 2 at 6; {SEGMENTS}{AGAIN}"),
    (changed("segment_ids", 11, 1), f": segment_ids is 1 at 11; {SEGMENTS}{AGAIN}"),
    (changed("segment_ids", 0, 1), f": segment_ids is 1 at 0; {SEGMENTS}{AGAIN}"),
    (
        changed("masked_lm_positions", 1, 9),
        f": masked_lm_positions is 9 at 1; 0 to 8, in the text, are expected{AGAIN}",
    ),
    (
        changed("masked_lm_positions", 2, -1),
        f": masked_lm_positions is -1 at 2; 0 to 8, in the text, are expected{AGAIN}",
    ),
    (
        changed("masked_lm_weights", 0, np.nan),
        f": masked_lm_weights is nan at 0; no negative, infinite or missing numbers "
        f"are expected{AGAIN}",
    ),
    (
        changed("input_ids", 2, -5),
        f": input_ids is -5 at 2; ids from 0 on are expected{AGAIN}",
    ),
    (
        changed("masked_lm_ids", 0, -1),
        f": masked_lm_ids is -1 at 0; ids from 0 on are expected{AGAIN}",
    ),
    (
        changed("next_sentence_labels", 0, 2),
        f": next_sentence_labels is 2 at 0; 0 or 1 is expected{AGAIN}",
    ),
    (
        changed("token_boundary", 3, 7),
        f": token_boundary is 7 at 3; 0 or 1 is expected{AGAIN}",
    ),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_what_is_no_pretraining_example(tmp_path, changes, message):
    """Read after a good one, and written."""
    path, bad = tmp_path / "x", row(**changes)
    write_records(path, map(example, [row(), bad]))
    rows = read_pretraining(path)
    assert same(next(rows), row())
    assert refused(lambda: next(rows)) == f"{path}, record 1{message}"
    other = tmp_path / "y"
    assert (
        refused(lambda: write_pretraining(other, [row(), bad]))
        == f"{other}, row 1{message}"
    )
    assert not other.exists()


def test_examples_unlike_the_first(tmp_path):
    short, bare = tmp_path / "short", tmp_path / "bare"
    write_pretraining(tmp_path / "x", [row()])
    write_pretraining(short, [row(length=10)])
    write_pretraining(bare, [row(boundary=False)])
    assert refused(lambda: list(read_pretraining([tmp_path / "x", short]))) == (
        f"{short}, record 0: input_ids has 10 values; 12 are expected, which is "
        f"max_seq_length in the first example. Give examples of one size."
    )
    rest = "Read the two kinds of files one after the other."
    assert refused(lambda: list(read_pretraining([tmp_path / "x", bare]))) == (
        f"{bare}, record 0 lacks token_boundary, which the first example has. {rest}"
    )
    assert refused(lambda: list(read_pretraining([bare, tmp_path / "x"]))) == (
        f"{tmp_path / 'x'}, record 0 has token_boundary, which the first example "
        f"lacks. {rest}"
    )


def test_no_examples(tmp_path):
    write_pretraining(tmp_path / "x", [])
    assert refused(lambda: list(read_pretraining(tmp_path / "x"))) == (
        f"There is no example in {str(tmp_path / 'x')!r}. Give files of TFRecords."
    )
    assert refused(lambda: list(read_pretraining([]))) == (
        "There is no example in no file. Give files of TFRecords."
    )
    write_pretraining(tmp_path / "y", [row()])
    assert len(list(read_pretraining([tmp_path / "x", tmp_path / "y"]))) == 1


def test_unknown_features_are_not_written(tmp_path):
    bad = row(token_boundry=np.zeros(12))
    assert refused(lambda: write_pretraining(tmp_path / "x", [bad])).startswith(
        f"{tmp_path / 'x'}, row 0 holds 'token_boundry'; known are 'input_ids', "
    )


def test_too_large_values_are_not_written(tmp_path):
    bad = row(masked_lm_weights=np.array([1, 1e300, 0]))
    assert "masked_lm_weights is inf at 1" in refused(
        lambda: write_pretraining(tmp_path / "x", [bad])
    )


# Damage


@pytest.mark.parametrize("packed", [False, True])
def test_a_flipped_byte_anywhere(tmp_path, packed):
    path, rows = tmp_path / "x", [row(), row(second=3)]
    write_pretraining(path, rows)
    data = path.read_bytes()
    data = gzip.compress(data) if packed else data
    unnoticed = []
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 0xFF
        path.write_bytes(flipped)
        try:
            found = list(read_pretraining(path))
        except InputError:
            continue
        unnoticed.append(at)
        for one, other in zip(found, rows, strict=True):
            assert same(one, other)
    # Of gzip's own header the time and the like say nothing about the data.
    assert len(unnoticed) < 10 if packed else not unnoticed


def test_a_changed_byte_with_the_right_checksum(tmp_path):
    """What is then read is another example, or refused."""
    good, path = example(row()), tmp_path / "x"
    refusals = 0
    for at in range(len(good)):
        for flip in (1, 0x80, 0xFF):
            bad = bytearray(good)
            bad[at] ^= flip
            path.write_bytes(framed(bytes(bad)))
            try:
                list(read_pretraining(path))
            except InputError:
                refusals += 1
    assert refusals > len(good)


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes(data):
    with suppress(InputError):
        read_example(data, "x")
