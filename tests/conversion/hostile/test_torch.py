"""PyTorch's files, through the whole converter."""

import pickle
import zipfile

import pytest

from tests.conversion.hostile.judging import refused, whole
from tests.conversion.test_torch_bin import MEMBERS, Call, rezip

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("broken", [True, False])
@pytest.mark.bad_input(30, 31)
def test_nothing_is_run_on_the_command_line_either(broken, tmp_path):
    sentinel = tmp_path / "sentinel"
    call = Call(eval, f"open({str(sentinel)!r}, 'w')")
    data = pickle.dumps({"a": call}, 2)
    path = tmp_path / "pytorch_model.bin"
    rezip(path, {"data.pkl": data[:-1] + b"broken" if broken else data})
    refused(
        path, "UNSAFE", "eval', which is no part of weights", "nothing has been run"
    )
    path.write_bytes(data)
    refused(path, "UNSAFE", "eval', which is no part of weights")
    assert not sentinel.exists()


@pytest.mark.bad_input(36)
def test_a_checksum_is_looked_at_when_an_array_is_read(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    torch.save({"pooler.bias": torch.arange(100.0)}, path)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        (place,) = [one for one in archive.infolist() if one.file_size == 400]
    at = data.index(torch.arange(100.0).numpy().tobytes())
    data[at + 399] ^= 1
    path.write_bytes(data)
    refused(path, "CHECKSUM", f"bytes at byte {at}", f"should be {place.CRC:08x}")


@pytest.mark.bad_input(35)
def test_torchscript(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    rezip(path, MEMBERS | {"constants.pkl": b"", "code/__torch__.py": b"evil"})
    refused(path, "UNSUPPORTED", "TORCHSCRIPT", "torch.jit.load")


@pytest.mark.bad_input(39, 40)
def test_a_part_of_a_storage_takes_none_of_the_rest_along(tmp_path):
    large = torch.arange(1_000_000.0)
    part = large[5:17]
    path = tmp_path / "pytorch_model.bin"
    torch.save({"pooler.bias": part, "albert.pooler.bias": part}, path)
    opened = whole(path)  # both are one array of the model
    assert opened.sources["pooler.bias"] == ["pooler.bias", "albert.pooler.bias"]
    array = opened["pooler.bias"]
    assert array.tolist() == part.tolist()
    assert array.base is None or array.base.nbytes == array.nbytes


@pytest.mark.filterwarnings("ignore:.*are deprecated and will be removed:UserWarning")
@pytest.mark.bad_input(69)
def test_quantised_tensors_are_refused_by_name(tmp_path):
    path = tmp_path / "pytorch_model.bin"
    value = torch.quantize_per_tensor(torch.ones(3), 0.5, 0, torch.qint8)
    torch.save({"pooler.bias": value}, path)
    refused(path, "BAD_DTYPE", "'pooler.bias' is of the type torch.QInt8Storage")
