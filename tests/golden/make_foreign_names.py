"""Write foreign_names.json: how other software names and lays out ALBERT's arrays.

    python tests/golden/make_foreign_names.py FOLDER

FOLDER holds `hf-4.57.6/<config>-<head>/` with pytorch_model.bin, tf_model.h5 and
flax_model.msgpack as transformers 4.57.6 saves them, and `google-tf1/<name>/` with
checkpoints of google-research/albert. Only names and shapes are kept, which the tests
compare the tables of `conversion.dialects` with.
"""

import json
import sys
from pathlib import Path

from albert_core import AlbertConfig
from conversion.locate import locate
from conversion.stores import STORES

CASES = ("groups-ForPreTraining", "plain-Model", "plain-ForMultipleChoice")
CASES += ("plain-ForQuestionAnswering", "plain-ForTokenClassification")
FIELDS = ("vocab_size", "embedding_size", "hidden_size", "intermediate_size")
FIELDS += ("num_hidden_layers", "num_hidden_groups", "inner_group_num")
FIELDS += ("num_attention_heads", "max_position_embeddings", "num_labels")


def shapes(path):
    store = locate(path).store
    return {name: list(lazy.shape) for name, lazy in sorted(store.read(path).items())}


def main(root):
    found = []
    for case in CASES:
        place = root / "hf-4.57.6" / case
        config = AlbertConfig.from_pretrained(place)
        entry = {"head": case.partition("-")[2]}
        entry["config"] = {name: getattr(config, name) for name in FIELDS}
        for name in ("pytorch-bin", "tensorflow-h5", "flax-msgpack"):
            entry[name] = shapes(place / STORES[name].file)
        found.append(entry)
    for case in ("g2", "g3_same_size"):
        place = root / "google-tf1" / case
        config = AlbertConfig.from_pretrained(place)
        entry = {"head": "ForPreTraining"}
        entry["config"] = {name: getattr(config, name) for name in FIELDS}
        entry["google-tf1"] = shapes(place / "model.ckpt-best.index")
        found.append(entry)
    target = Path(__file__).with_name("foreign_names.json")
    lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in found)
    target.write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
