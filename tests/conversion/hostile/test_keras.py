"""Keras' files, through the whole converter."""

import json
import zipfile

import numpy as np
import pytest

import conversion
from conversion.formats import hdf5, keras_archive
from tests.conftest import tiny, write
from tests.conversion.hostile.judging import command, refused, whole


@pytest.fixture
def weights(tmp_path):
    """The arrays of a whole model, by Keras' paths."""
    source = write(tmp_path / "source", tiny(), "ForMaskedLM")
    conversion.convert(source, tmp_path / "made", "keras", verify=False)
    return hdf5.read(tmp_path / "made" / "model.weights.h5")


@pytest.mark.bad_input(49)
def test_classes_of_the_configuration_are_never_imported(weights, tmp_path):
    """A module of that name is there to be found, and would leave a trace."""
    module = tmp_path / "x" / "evil_module.py"
    module.parent.mkdir()
    module.write_text(f"open({str(tmp_path / 'sentinel')!r}, 'w')\n")
    layer = {"module": "evil_module", "class_name": "Evil", "registered_name": "Evil"}
    config = {**layer, "config": {"fn": "os.system", "layers": [layer]}}
    path = module.parent / "model.keras"
    keras_archive.write(path, dict(weights), config, {"keras_version": "3.15.1"})
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(module.parent)
        patch.chdir(module.parent)
        assert len(whole(path)) == len(weights)
        assert command("hash", path)[0] == 0
    assert not (tmp_path / "sentinel").exists()


@pytest.mark.bad_input(50)
def test_layers_of_other_names_are_listed(weights, tmp_path):
    folder = tmp_path / "x"
    folder.mkdir()
    renamed = {name.replace("Norm", "Norms"): a for name, a in weights.items()}
    odd = [f"albert/embeddings/LayerNorms/vars/{n}" for n in "01"]
    assert renamed.keys() >= {*odd}
    hdf5.write(folder / "model.weights.h5", renamed)
    (folder / "config.json").write_text(tiny().to_json_string())
    code, _, err = command("convert", folder, tmp_path / "y", "--to", "safetensors")
    assert code == 3
    assert "UNEXPECTED" in err
    assert all(repr(name) in err for name in odd)


@pytest.mark.bad_input(50)
def test_a_model_that_is_none_of_ours(tmp_path):
    names = [
        f"layers/functional/layers/dense_{n}/vars/{k}" for n in (1, 2) for k in "01"
    ]
    folder = tmp_path / "x"
    folder.mkdir()
    hdf5.write(folder / "model.weights.h5", dict.fromkeys(names, np.ones(3, "f4")))
    (folder / "config.json").write_text(tiny().to_json_string())
    code, _, err = command("convert", folder, tmp_path / "y", "--to", "safetensors")
    assert code == 3
    assert "WRONG_MODEL" in err
    assert "0 of its 4 arrays" in err
    assert repr(names[3]) in err


@pytest.mark.bad_input(36, 37)
def test_archives_that_lie(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../model.weights.h5", b"\x89HDF\r\n\x1a\n")
    refused(path, "UNSAFE", "'../model.weights.h5' has a name that is no plain path")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps("a" * 10**7))
        archive.writestr("model.weights.h5", b"x")
    refused(path, "TOO_LARGE", "'config.json' unpacks from")
