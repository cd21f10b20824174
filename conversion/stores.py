"""Every format of a checkpoint: its files, what reads and writes them, its dialect."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from albert_core import safetensors_file
from albert_core.config import AlbertConfig
from albert_core.lazy import Lazy
from albert_core.sharding import index_text
from conversion import codecs, keras_hub_preset
from conversion.codecs import Arrays
from conversion.dialects import keras as keras_names
from conversion.dialects.dialect import Dialect
from conversion.dialects.flax import OWN_FLAX
from conversion.dialects.google import GOOGLE
from conversion.dialects.hugging_face import FLAX, TENSORFLOW, TORCH
from conversion.dialects.keras import KERAS
from conversion.dialects.keras_hub import KERAS_HUB


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
            codecs.safetensors("pt"),
            SAFETENSORS_SHARDS,
            "pt",
        ),
        Store(
            "tensorflow-safetensors",
            "Hugging Face TensorFlow, safetensors",
            TENSORFLOW,
            SAFETENSORS_FILE,
            safetensors_file.read_header,
            codecs.safetensors("tf"),
            SAFETENSORS_SHARDS,
            "tf",
            to_index=codecs.to_tf_index,
            from_index=codecs.from_tf_index,
        ),
        Store(
            "flax-safetensors",
            "Hugging Face Flax, safetensors",
            FLAX,
            SAFETENSORS_FILE,
            safetensors_file.read_header,
            codecs.safetensors("flax"),
            SAFETENSORS_SHARDS,
            "flax",
        ),
        Store(
            "pytorch-bin",
            "Hugging Face PyTorch, pytorch_model.bin",
            TORCH,
            "pytorch_model.bin",
            codecs.read_torch,
            codecs.write_torch,
            "pytorch_model-{:05}-of-{:05}.bin",
        ),
        Store(
            "tensorflow-h5",
            "Hugging Face TensorFlow, tf_model.h5",
            TENSORFLOW,
            "tf_model.h5",
            codecs.read_h5,
            codecs.write_h5,
            "tf_model-{:05}-of-{:05}.h5",
            to_index=codecs.to_tf_index,
            from_index=codecs.from_tf_index,
        ),
        Store(
            "flax-msgpack",
            "Hugging Face Flax, flax_model.msgpack",
            FLAX,
            "flax_model.msgpack",
            codecs.read_msgpack,
            codecs.write_msgpack,
            "flax_model-{:05}-of-{:05}.msgpack",
            to_index=codecs.to_flax_index,
            from_index=codecs.from_flax_index,
        ),
        Store(
            "google-tf1",
            "google-research/albert, TensorFlow 1",
            GOOGLE,
            "model.ckpt-best.index",
            codecs.read_bundle,
            codecs.write_bundle,
            has_google_config=True,
            companions=("model.ckpt-best.data-00000-of-00001",),
        ),
        Store(
            "keras",
            "albert-zoo's Keras classes, .weights.h5",
            KERAS,
            "model.weights.h5",
            codecs.read_keras,
            codecs.write_keras,
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
            codecs.read_orbax,
            codecs.write_orbax,
        ),
    )
}
