"""What reads and writes one file of each format, with the names that dialects have.

The modules of `conversion.formats` are imported when they are needed.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from albert_core import safetensors_file
from albert_core.lazy import Array, Lazy
from conversion.dialects import keras as keras_names
from conversion.dialects.layer_norms import shared

Arrays = Mapping[str, Lazy | Array]

# Under which keys programs put the weights of a model.
STATES = ("state_dict", "model_state_dict", "model", "net")
TF_MODEL = "tf_albert"  # any name will do
KERAS_VERSION = "2.19.0"  # what Hugging Face's last TensorFlow models are for


def safetensors(mark: str) -> Callable[[Path, Arrays], None]:
    """A writer of safetensors files of a framework."""

    def write(path: Path, arrays: Arrays) -> None:
        safetensors_file.write(path, arrays, metadata={"format": mark})

    return write


def read_torch(path: Path) -> Mapping[str, Lazy]:
    """Read a file of PyTorch's: its weights, where there is more."""
    from conversion.formats import torch_bin

    found = torch_bin.contents(path)
    # A file of a training may hold the weights beside an optimizer's.
    owners = [key for key in STATES if found.keys.get(key)]
    return torch_bin.read(path, owners[0] if owners else None)


def write_torch(path: Path, arrays: Arrays) -> None:
    """Write a file of PyTorch's."""
    from conversion.formats import torch_bin

    torch_bin.write(path, arrays)


def read_h5(path: Path) -> Mapping[str, Lazy]:
    """Read a file of Hugging Face's TensorFlow classes."""
    from conversion.formats import hdf5

    return hdf5.read(path)


def write_h5(path: Path, arrays: Arrays) -> None:
    """Write a file of Hugging Face's TensorFlow classes, alone or one of several."""
    from conversion.formats import hdf5

    if path.name != "tf_model.h5":  # one of several: plain
        hdf5.write(path, arrays, {"": {"layer_names": list(arrays)}})
        return
    # A group for each layer of the model, and the model's name before every array's.
    layers: dict[str, list[str]] = {"top_level_model_weights": []}
    for name in arrays:
        layers.setdefault(name.split("/")[0], []).append(f"{TF_MODEL}/{name}")
    texts: dict[str, dict[str, str | list[str]]] = {
        layer: {"weight_names": names} for layer, names in layers.items()
    }
    links: dict[str, str] = {}
    if (
        "predictions" in layers
    ):  # which has the embeddings too, as transformers asks for
        tables = [n for n in layers["albert"] if "/albert/embeddings/" in n]
        layers["predictions"] += tables
        links = {f"predictions/{n}": f"albert/{n}" for n in tables}
    names = [layer for layer, own in layers.items() if own]
    texts[""] = {"layer_names": names, "backend": "tensorflow"}
    texts[""]["keras_version"] = KERAS_VERSION
    placed = {f"{n.split('/')[0]}/{TF_MODEL}/{n}": array for n, array in arrays.items()}
    hdf5.write(path, placed, texts, links=links)


def to_tf_index(name: str) -> str:
    """What an index of TensorFlow files calls an array."""
    return f"{TF_MODEL}/{name}"


def from_tf_index(name: str) -> str:
    """The opposite of `to_tf_index`."""
    return re.sub(r"^tf_\w+/", "", name)


def to_flax_index(name: str) -> str:
    """What an index of Flax files calls an array."""
    return name.replace(".", "/")


def from_flax_index(name: str) -> str:
    """The opposite of `to_flax_index`."""
    return name.replace("/", ".")


def read_msgpack(path: Path) -> Mapping[str, Lazy]:
    """Read a file of Hugging Face's Flax classes."""
    from conversion.formats import msgpack_file

    return msgpack_file.read(path)


def write_msgpack(path: Path, arrays: Arrays) -> None:
    """Write a file of Hugging Face's Flax classes."""
    from conversion.formats import msgpack_file

    msgpack_file.write(path, arrays)


def read_bundle(path: Path) -> Mapping[str, Lazy]:
    """Read a checkpoint of Google's."""
    from conversion.formats import tensor_bundle

    return shared(tensor_bundle.read(path), path)


def write_bundle(path: Path, arrays: Arrays) -> None:
    """Write a checkpoint of Google's, given the path of its index."""
    from conversion.formats import tensor_bundle

    tensor_bundle.write(path.with_suffix(""), arrays)


def read_keras(path: Path) -> Mapping[str, Lazy]:
    """Read what Keras saves of our classes."""
    from conversion.formats import hdf5, keras_archive

    reader = keras_archive if path.suffix == ".keras" else hdf5
    found = reader.read(path)
    ours = keras_names.from_file(found)
    return {ours[name]: lazy for name, lazy in found.items()}


def write_keras(path: Path, arrays: Arrays) -> None:
    """Write weights for our Keras classes."""
    from conversion.formats import hdf5

    named = {keras_names.to_file(name): array for name, array in arrays.items()}
    hdf5.write(path, named, bfloat16=True)


def read_orbax(path: Path) -> Mapping[str, Lazy]:
    """Read a folder of Orbax."""
    from conversion.formats import orbax_folder

    return orbax_folder.read(path)


def write_orbax(path: Path, arrays: Arrays) -> None:
    """Write a folder of Orbax."""
    from conversion.formats import orbax_folder

    orbax_folder.write(path, arrays)
