"""TensorFlow's checkpoints, through the whole converter."""

import numpy as np
import pytest

from albert_core.errors import FormatError
from conversion.formats import tensor_bundle
from conversion.formats.bundle_entry import Entry
from tests.conversion.hostile.judging import refused, whole
from tests.conversion.test_tensor_bundle import HEAD, block, bundle, table

BIAS = np.arange(12, dtype="f4")


@pytest.fixture
def prefix(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    tensor_bundle.write(folder / "model.ckpt-best", {"bert/pooler/dense/bias": BIAS})
    return folder / "model.ckpt-best"


def index(prefix):
    return prefix.with_name(f"{prefix.name}.index")


def data(prefix):
    return prefix.with_name(f"{prefix.name}.data-00000-of-00001")


@pytest.mark.bad_input(55)
@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (table(block(HEAD))[:-1], "TRUNCATED", "ends with"),
        (table(block(HEAD, count=2**32 - 1)), "BAD_HEADER", "4294967295 restarts"),
        (table(block(HEAD)[:-1] + b"x"), "CHECKSUM", "the block of"),
        (table(block(HEAD, kind=1)), "UNSUPPORTED", "compressed (Snappy)"),
    ],
)
def test_damaged_indexes(prefix, content, code, words):
    index(prefix).write_bytes(content)
    refused(index(prefix), code, words)


@pytest.mark.bad_input(56)
def test_a_text_of_any_size(prefix):
    """A file of 100 bytes that has crashed TensorFlow."""
    bundle(prefix, t=Entry(7, (2**62, 2**62), 0, 0, 100))
    assert index(prefix).stat().st_size < 150
    opened = whole(prefix)
    assert dict(opened) == {}


@pytest.mark.bad_input(57)
def test_another_checksum(prefix):
    content = bytearray(data(prefix).read_bytes())
    content[5] ^= 1
    data(prefix).write_bytes(content)
    refused(index(prefix), "CHECKSUM", "'bert/pooler/dense/bias' has the checksum")


@pytest.mark.bad_input(58)
def test_a_foreign_path_is_looked_for_in_the_folder_only(prefix, tmp_path):
    state = prefix.with_name("checkpoint")
    elsewhere = tmp_path / "model.ckpt-best"
    tensor_bundle.write(elsewhere, {"bert/pooler/dense/bias": BIAS + 1})
    state.write_text(f'model_checkpoint_path: "{elsewhere}"\n')
    for path in prefix.parent, prefix, index(prefix), data(prefix):
        assert whole(path)["pooler.bias"].tolist() == BIAS.tolist()
    index(prefix).unlink()
    with pytest.raises(FormatError, match=r"NOT_A_CHECKPOINT .*it holds no weights"):
        whole(prefix.parent)


@pytest.mark.bad_input(20, 58)
def test_numbers_that_are_elsewhere(prefix, tmp_path):
    data(prefix).rename(tmp_path / "secret")
    data(prefix).symlink_to(tmp_path / "secret")
    name = repr(data(prefix).name)
    refused(index(prefix), "UNSAFE", f"links that leave the folder: {name}")
