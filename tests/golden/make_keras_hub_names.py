"""Note what keras-hub writes, every name and shape in its presets, and computes.

Run it where keras-hub 0.32 is installed: `python tests/golden/make_keras_hub_names.py`.
"""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "torch"

import h5py
import keras
import keras_hub
import numpy as np

OUT = Path(__file__).with_name("keras_hub_names.json")
SIZES: dict[str, Any] = {
    "vocabulary_size": 31,
    "num_layers": 4,
    "num_heads": 3,
    "num_groups": 2,
    "num_inner_repetitions": 2,
    "embedding_dim": 5,
    "hidden_dim": 12,
    "intermediate_dim": 17,
    "dropout": 0.1,
    "max_sequence_length": 23,
    "num_segments": 2,
}
models: Any = keras_hub.models


def file_contents(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The shapes of all arrays, and the names that layers have."""
    shapes: dict[str, Any] = {}
    names: dict[str, str] = {}

    def note(name: str, value: Any) -> None:
        if isinstance(value, h5py.Dataset) and not name.startswith("optimizer/"):
            shapes[name] = list(value.shape)
        if name.startswith("layers/") and name.count("/") == 2 and value.attrs:
            names[name] = value.attrs["name"]

    with h5py.File(path) as file:
        file.visititems(note)
    return shapes, names


def fill(path: Path, shapes: dict[str, Any], stream: np.random.Generator) -> None:
    """Put numbers in a file, in the order of its sorted names."""
    with h5py.File(path, "r+") as file:
        for name in sorted(shapes):
            file[name][...] = stream.normal(0, 0.3, shapes[name]).astype(np.float32)


def main() -> None:
    stream = np.random.default_rng(5)
    inputs = {
        "token_ids": stream.integers(4, 31, (2, 7)),
        "segment_ids": stream.integers(0, 2, (2, 7)),
        "padding_mask": np.arange(7) < [[7], [4]],
    }
    whole = np.tile(np.arange(7), (2, 1))
    cases: list[dict[str, Any]] = []
    for task in ("", "AlbertMaskedLM", "AlbertTextClassifier"):
        keras.utils.clear_session()  # it counts the models of a session
        model = models.AlbertBackbone(**SIZES)
        own = {"num_classes": 4} if task == "AlbertTextClassifier" else {}
        model = getattr(models, task)(model, **own) if task else model
        case: dict[str, Any] = {"task": task, "files": {}, "names": {}, "seed": 7}
        with tempfile.TemporaryDirectory() as place:
            model.save_to_preset(place)
            stream = np.random.default_rng(case["seed"])
            for file in sorted(Path(place).glob("*.weights.h5")):
                shapes, names = file_contents(file)
                case["files"][file.name], case["names"][file.name] = shapes, names
                fill(file, shapes, stream)
            for file in ("config.json", "task.json"):
                if (Path(place) / file).exists():
                    case[file] = json.loads((Path(place) / file).read_text())
            if task:
                model = getattr(models, task).from_preset(place)
            else:
                model = models.AlbertBackbone.from_preset(place)
        given = {key: np.asarray(value, np.int32) for key, value in inputs.items()}
        case["inputs"] = {key: value.tolist() for key, value in given.items()}
        if task == "AlbertMaskedLM":
            given["mask_positions"] = whole
        output = model(given)
        output = output["sequence_output"] if not task else output
        case["output"] = np.round(output.detach().numpy().astype(float), 7).tolist()
        cases.append(case)
    lines = ",\n".join(json.dumps(case, sort_keys=True) for case in cases)
    OUT.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
