"""The files of a keras-hub preset: its weights, and what tells Keras how to use them.

A preset is a folder that `from_preset` of keras-hub loads: the encoder's weights in one
file, the head's in another, and objects that Keras has serialized: the model, the task,
the tokenizer and what calls it.

The head of a masked LM has a layer norm of 1e-5 in keras-hub and of 1e-12 here, as in
the original: logits differ by some 1e-5 of their size. Its tokenizer cuts a text as the
SentencePiece model does, without lower case or the treatment of accents.
"""

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from albert_core import keras_hub
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError, FormatError, shown
from albert_core.files import read_json
from albert_core.folder import CONFIG_NAME
from albert_core.lazy import Array, Lazy
from albert_core.schema import BASE
from conversion.dialects.keras_hub import from_file, to_file

logger = logging.getLogger("albert_zoo")

WEIGHTS, HEAD_WEIGHTS = "model.weights.h5", "task.weights.h5"
TOKENIZER = "assets/tokenizer/vocabulary.spm"
OTHERS = (
    *(keras_hub.TASK_NAME, "metadata.json", "preprocessor.json", "tokenizer.json"),
    *(HEAD_WEIGHTS, TOKENIZER),
)
VERSION = "0.32.0"  # whose classes these are
TASKS = ("MaskedLM", "TextClassifier")
_THEIRS = re.compile(r"/_self_attention_layer/_?query_dense/")
POOLER = ("pooled_dense/vars/0", "pooled_dense/vars/1")


def is_preset(path: Path) -> bool:
    """Whether a file of weights is keras-hub's, by what is beside it or else in it."""
    config = path.with_name(CONFIG_NAME)
    if config.is_file():
        return keras_hub.is_theirs(read_json(config, ConfigError))
    from conversion.formats import hdf5

    return any(_THEIRS.search(name) for name in hdf5.read(path))


def read(path: Path) -> dict[str, Lazy]:
    """Read the encoder's weights, and those of the head where there is one beside."""
    from conversion.formats import hdf5

    found: dict[str, Lazy] = {}
    head = path.with_name(HEAD_WEIGHTS)
    for file in (path, head) if head.exists() and path.name == WEIGHTS else (path,):
        contents = hdf5.contents(file)
        names = from_file(contents.arrays, contents.texts)
        if len(names) > len(counted := Counter(names.values())):
            twice = [shown(name) for name, count in counted.items() if count > 1]
            raise FormatError(
                "DUPLICATE",
                file,
                f"two of its layers have one name: {', '.join(twice[:20])}",
                "Save the preset again with keras-hub.",
            )
        found |= {names[name]: lazy for name, lazy in contents.arrays.items()}
    pooler = [found[name] for name in POOLER if name in found]
    if pooler and not any(lazy.read().any() for lazy in pooler[::-1]):
        found = {name: lazy for name, lazy in found.items() if name not in POOLER}
    return found


def write(path: Path, arrays: Mapping[str, Lazy | Array]) -> None:
    """Write a file of weights.

    Every backbone of keras-hub's has a pooler: one of zeros stands for none.
    """
    from conversion.formats import hdf5

    arrays = dict(arrays)
    bias = arrays.get("embedding_projection/vars/1")
    if bias is not None and not arrays.keys() & set(POOLER):
        size = bias.shape[0]
        shapes: tuple[tuple[int, ...], ...] = ((size, size), (size,))
        for name, shape in zip(POOLER, shapes, strict=True):
            arrays[name] = np.zeros(shape, bias.dtype)
    layers = to_file(arrays)
    placed: dict[str, Lazy | Array] = {}
    for name, array in arrays.items():
        own, _, rest = name.partition("/")
        placed[f"{layers[own]}/{rest}"] = array
    texts = {f"{theirs}/vars": {"name": own} for own, theirs in layers.items()}
    hdf5.write(path, placed, texts, bfloat16=True)


def texts(config: AlbertConfig, head: str, has_tokenizer: bool) -> dict[str, str]:
    """The texts of a preset.

    Args:
        config: The configuration.
        head: One of `HEADS`.
        has_tokenizer: Whether there is a SentencePiece model.

    Raises:
        ConfigError: keras-hub cannot express the model.
    """
    backbone = keras_hub.write(config)
    noted = {keras_hub.NOTE: json.loads(config.to_json_string())}
    files: dict[str, Mapping[str, Any]] = {
        CONFIG_NAME: {**backbone, **noted},
        "metadata.json": {
            "keras_hub_version": VERSION,
            "tasks": ["MaskedLM", "TextClassifier"],
        },
    }
    if has_tokenizer:
        files["tokenizer.json"] = _tokenizer()
    if task := _TASKS.get(head):
        if head == "ForMaskedLM":
            logger.warning(
                "The head of keras-hub's AlbertMaskedLM has a layer norm of 1e-5, that "
                "of this model one of %g, so its logits will differ a little.",
                config.layer_norm_eps,
            )
        values: dict[str, Any] = {"backbone": backbone, "preprocessor": None}
        if has_tokenizer:
            values["preprocessor"] = files["preprocessor.json"] = _caller(task, config)
        if head == "ForSequenceClassification":
            values |= {"num_classes": config.num_labels, "activation": "linear"}
            values["dropout"] = config.classifier_dropout
        files[keras_hub.TASK_NAME] = _object(task, values)
    return {name: json.dumps(own, indent=4) + "\n" for name, own in files.items()}


# A key of `schema.HEADS` -> the class of a task, the one of today.
_TASKS = {head: task for task, head in reversed(keras_hub.TASKS.items())}
HEADS = frozenset({BASE, *_TASKS})
_MODULES = {
    "AlbertMaskedLM": "albert_masked_lm",
    "AlbertTextClassifier": "albert_text_classifier",
    "AlbertMaskedLMPreprocessor": "albert_masked_lm_preprocessor",
    "AlbertTextClassifierPreprocessor": "albert_text_classifier_preprocessor",
    "AlbertTokenizer": "albert_tokenizer",
}


def _object(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """An object as Keras serializes it."""
    module = _MODULES[name]
    return {
        "module": f"keras_hub.src.models.albert.{module}",
        "class_name": name,
        "config": {"name": module, **values},
        "registered_name": f"keras_hub>{name}",
    }


def _tokenizer() -> dict[str, Any]:
    values = {"config_file": "tokenizer.json", "proto": None, "sequence_length": None}
    return _object("AlbertTokenizer", {**values, "dtype": keras_hub.policy("int32")})


def _caller(task: str, config: AlbertConfig) -> dict[str, Any]:
    values = {
        "tokenizer": _tokenizer(),
        "config_file": "preprocessor.json",
        "sequence_length": config.max_position_embeddings,
    }
    return _object(f"{task}Preprocessor", values)
