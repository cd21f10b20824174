"""HDF5, through the process of its own and the whole converter."""

import base64
import json
import marshal

import h5py
import numpy as np
import pytest

from tests.conversion import test_hdf5
from tests.conversion.hostile.judging import refused, whole

WAYS = [
    *(test_hdf5.external_link, test_hdf5.soft_link, test_hdf5.external_dataset),
    *(test_hdf5.virtual, test_hdf5.reference, test_hdf5.group_loop, test_hdf5.filtered),
    *(test_hdf5.peta, test_hdf5.not_there),
]


@pytest.mark.parametrize("make", WAYS, ids=lambda make: make.__name__)
@pytest.mark.bad_input(42, 43, 44, 45)
def test_what_leads_elsewhere(make, tmp_path):
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["g/a"] = np.ones(4, "f4")
        make(file)
    refused(tmp_path / "tf_model.h5", *test_hdf5.HOSTILE[make])


@pytest.mark.bad_input(44)
def test_ten_thousand_groups_within_each_other(tmp_path):
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        group = file
        for _ in range(10_000):
            group = group.create_group("x")
    refused(tmp_path / "tf_model.h5", "TOO_LARGE", "is over 64 groups deep")


@pytest.mark.bad_input(45)
def test_a_plugin_is_not_loaded_though_the_user_has_some(tmp_path, monkeypatch):
    monkeypatch.setenv("HDF5_PLUGIN_PATH", str(tmp_path))
    (tmp_path / "libblosc.so").write_bytes(b"\x7fELF")
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        test_hdf5.filtered(file)
    refused(tmp_path / "tf_model.h5", "UNSUPPORTED", "packed by the filter 32001")


@pytest.mark.bad_input(47)
def test_code_in_the_configuration_is_not_even_read(tmp_path):
    sentinel = tmp_path / "sentinel"
    code = compile(f"open({str(sentinel)!r}, 'w')", "x", "exec")
    text = base64.b64encode(marshal.dumps(code)).decode()
    layer = {"class_name": "Lambda", "config": {"function": [text, None, None]}}
    config = {"class_name": "Sequential", "config": {"layers": [layer]}}
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        name = "tf_albert_model/albert/pooler/bias:0"
        file[f"albert/{name}"] = np.arange(3, dtype="f4")
        file["albert"].attrs["weight_names"] = [name.encode()]
        file.attrs["layer_names"] = [b"albert"]
        file.attrs["model_config"] = json.dumps(config)
    opened = whole(tmp_path / "tf_model.h5")
    assert opened["pooler.bias"].tolist() == [0, 1, 2]
    assert not sentinel.exists()
