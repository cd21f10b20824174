"""Every format of a checkpoint: its files, what reads and writes them, its dialect."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from albert_core import safetensors_file
from albert_core.config import AlbertConfig
from albert_core.lazy import Array, Lazy
from albert_core.sharding import index_text
from conversion import keras_hub_preset
from conversion.dialects import keras as keras_names
from conversion.dialects.dialect import Dialect
from conversion.dialects.flax import OWN_FLAX
from conversion.dialects.google import GOOGLE
from conversion.dialects.hugging_face import FLAX, TENSORFLOW, TORCH
from conversion.dialects.keras import KERAS
from conversion.dialects.keras_hub import KERAS_HUB
from conversion.dialects.layer_norms import shared

Arrays = Mapping[str, Lazy | Array]


@dataclass(frozen=True)
class Store:
    """A format.

    Attributes:
        name: What `--to` calls it.
        title: Its name for people.
        dialect: How it spells the parameters.
        file: The file of all weights in a checkpoint's folder; of Orbax, a folder.
        read: Reads a file's headers: names and lazy arrays.
        write: Writes a file, which must not be there.
        shards: The names of the files when there are several, "" where there is one
            always; beside them is an index of that of `file` and ".index.json".
        mark: What the metadata of a safetensors file calls the framework.
        has_google_config: Whether Google's `albert_config.json` belongs to it.
        companions: Further files that `write` makes.
        heads: Keys of `schema.HEADS`, the models that it has; nothing where all are.
        head_file: The file of a head's weights, "" where they are with the others.
        texts: Makes the files that tell what the model is, by name, of configuration,
            head and whether there is a tokenizer; None where `config.json` does.
        tokenizer: The file of the tokenizer, a SentencePiece model, "" where its files
            have the names that Hugging Face gives them.
        others: Further files that belong to it.
        to_file: What a file calls an array that the dialect and `read` call so, if it
            is something else.
        to_index: What an index calls an array of a given name.
        from_index: The name of an array that an index calls so.
    """

    name: str
    title: str
    dialect: Dialect
    file: str
    read: Callable[[Path], Mapping[str, Lazy]]
    write: Callable[[Path, Arrays], None]
    shards: str = ""
    mark: str = ""
    has_google_config: bool = False
    companions: tuple[str, ...] = ()
    heads: frozenset[str] = frozenset()
    head_file: str = ""
    texts: Callable[[AlbertConfig, str, bool], dict[str, str]] | None = None
    tokenizer: str = ""
    others: tuple[str, ...] = ()
    to_file: Callable[[str], str] = str
    to_index: Callable[[str], str] = str
    from_index: Callable[[str], str] = str

    @property
    def index(self) -> str:
        """The file that says which array is in which of several files."""
        return f"{self.file}.index.json"

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The number types that weights may have in it."""
        return _DTYPES.get(self.name, ("float64", "float32", "float16", "bfloat16"))

    def files(self, name: str) -> list[str]:
        """A file of weights, and those that belong to it."""
        return [name, *self.companions]

    def owns(self, name: str) -> bool:
        """Whether a file's name is one of its weights, or of their index."""
        pattern = re.escape(self.shards).replace(r"\{:05\}", r"\d{5}")
        shard = self.shards and re.fullmatch(pattern, name)
        known = {*self.files(self.file), self.index, *self.others}
        return bool(shard) or name in known

    def index_of(self, homes: Mapping[str, str], size: int) -> str:
        """The text of an index.

        Args:
            homes: Name of an array -> the file that it is in.
            size: Bytes of all arrays.
        """
        keys = {self.to_index(name): file for name, file in homes.items()}
        return index_text(keys, size)


_DTYPES: Mapping[str, tuple[str, ...]] = {
    # HDF5 has no such type, and h5py would write it as bytes without a meaning.
    "tensorflow-h5": ("float64", "float32", "float16"),
}


def _safetensors(mark: str) -> Callable[[Path, Arrays], None]:
    def write(path: Path, arrays: Arrays) -> None:
        safetensors_file.write(path, arrays, metadata={"format": mark})

    return write


def _read_torch(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import torch_bin

    found = torch_bin.contents(path)
    # A file of a training may hold the weights beside an optimizer's.
    owners = [key for key in STATES if found.keys.get(key)]
    return torch_bin.read(path, owners[0] if owners else None)


def _write_torch(path: Path, arrays: Arrays) -> None:
    from conversion.formats import torch_bin

    torch_bin.write(path, arrays)


def _read_h5(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import hdf5

    return hdf5.read(path)


def _write_h5(path: Path, arrays: Arrays) -> None:
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
    names = [layer for layer, own in layers.items() if own]
    texts[""] = {"layer_names": names, "backend": "tensorflow"}
    texts[""]["keras_version"] = KERAS_VERSION
    placed = {f"{n.split('/')[0]}/{TF_MODEL}/{n}": array for n, array in arrays.items()}
    hdf5.write(path, placed, texts)


def _to_tf_index(name: str) -> str:
    return f"{TF_MODEL}/{name}"


def _from_tf_index(name: str) -> str:
    return re.sub(r"^tf_\w+/", "", name)


def _to_flax_index(name: str) -> str:
    return name.replace(".", "/")


def _from_flax_index(name: str) -> str:
    return name.replace("/", ".")


def _read_msgpack(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import msgpack_file

    return msgpack_file.read(path)


def _write_msgpack(path: Path, arrays: Arrays) -> None:
    from conversion.formats import msgpack_file

    msgpack_file.write(path, arrays)


def _read_bundle(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import tensor_bundle

    return shared(tensor_bundle.read(path), path)


def _write_bundle(path: Path, arrays: Arrays) -> None:
    from conversion.formats import tensor_bundle

    tensor_bundle.write(path.with_suffix(""), arrays)


# Under which keys programs put the weights of a model.
STATES = ("state_dict", "model_state_dict", "model", "net")


def _read_keras(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import hdf5, keras_archive

    reader = keras_archive if path.suffix == ".keras" else hdf5
    found = reader.read(path)
    ours = keras_names.from_file(found)
    return {ours[name]: lazy for name, lazy in found.items()}


def _write_keras(path: Path, arrays: Arrays) -> None:
    from conversion.formats import hdf5

    named = {keras_names.to_file(name): array for name, array in arrays.items()}
    hdf5.write(path, named, bfloat16=True)


def _read_orbax(path: Path) -> Mapping[str, Lazy]:
    from conversion.formats import orbax_folder

    return orbax_folder.read(path)


def _write_orbax(path: Path, arrays: Arrays) -> None:
    from conversion.formats import orbax_folder

    orbax_folder.write(path, arrays)


TF_MODEL = "tf_albert"  # any name will do
KERAS_VERSION = "2.19.0"  # what Hugging Face's last TensorFlow models are for
SAFETENSORS_FILE = "model.safetensors"
SAFETENSORS_SHARDS = "model-{:05}-of-{:05}.safetensors"

# In the order in which a folder that holds several is read.
STORES: Mapping[str, Store] = {
    store.name: store
    for store in (
        Store(
            "safetensors",
            "Hugging Face PyTorch, safetensors",
            TORCH,
            SAFETENSORS_FILE,
            safetensors_file.read_header,
            _safetensors("pt"),
            SAFETENSORS_SHARDS,
            "pt",
        ),
        Store(
            "tensorflow-safetensors",
            "Hugging Face TensorFlow, safetensors",
            TENSORFLOW,
            SAFETENSORS_FILE,
            safetensors_file.read_header,
            _safetensors("tf"),
            SAFETENSORS_SHARDS,
            "tf",
            to_index=_to_tf_index,
            from_index=_from_tf_index,
        ),
        Store(
            "flax-safetensors",
            "Hugging Face Flax, safetensors",
            FLAX,
            SAFETENSORS_FILE,
            safetensors_file.read_header,
            _safetensors("flax"),
            SAFETENSORS_SHARDS,
            "flax",
        ),
        Store(
            "pytorch-bin",
            "Hugging Face PyTorch, pytorch_model.bin",
            TORCH,
            "pytorch_model.bin",
            _read_torch,
            _write_torch,
            "pytorch_model-{:05}-of-{:05}.bin",
        ),
        Store(
            "tensorflow-h5",
            "Hugging Face TensorFlow, tf_model.h5",
            TENSORFLOW,
            "tf_model.h5",
            _read_h5,
            _write_h5,
            "tf_model-{:05}-of-{:05}.h5",
            to_index=_to_tf_index,
            from_index=_from_tf_index,
        ),
        Store(
            "flax-msgpack",
            "Hugging Face Flax, flax_model.msgpack",
            FLAX,
            "flax_model.msgpack",
            _read_msgpack,
            _write_msgpack,
            "flax_model-{:05}-of-{:05}.msgpack",
            to_index=_to_flax_index,
            from_index=_from_flax_index,
        ),
        Store(
            "google-tf1",
            "google-research/albert, TensorFlow 1",
            GOOGLE,
            "model.ckpt-best.index",
            _read_bundle,
            _write_bundle,
            has_google_config=True,
            companions=("model.ckpt-best.data-00000-of-00001",),
        ),
        Store(
            "keras",
            "albert-zoo's Keras classes, .weights.h5",
            KERAS,
            "model.weights.h5",
            _read_keras,
            _write_keras,
            to_file=keras_names.to_file,
        ),
        Store(
            "keras-hub",
            "keras-hub presets",
            KERAS_HUB,
            keras_hub_preset.WEIGHTS,
            keras_hub_preset.read,
            keras_hub_preset.write,
            heads=keras_hub_preset.HEADS,
            head_file=keras_hub_preset.HEAD_WEIGHTS,
            texts=keras_hub_preset.texts,
            tokenizer=keras_hub_preset.TOKENIZER,
            others=keras_hub_preset.OTHERS,
        ),
        Store(
            "orbax",
            "albert-zoo's Flax classes, a folder of Orbax",
            OWN_FLAX,
            "orbax",
            _read_orbax,
            _write_orbax,
        ),
    )
}
