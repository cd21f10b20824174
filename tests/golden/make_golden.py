r"""Write the golden cases: tiny ALBERT models and what transformers 4.57.6 computes.

That release is the last with ALBERT in PyTorch, TensorFlow and Flax, but it needs older
frameworks than this project. So run this in an environment of its own, Python 3.11:

    pip install transformers==4.57.6 torch==2.13.0 tensorflow==2.19.1 \
        tf_keras==2.19.0 jax==0.6.2 flax==0.10.7 numpy==2.1.3 safetensors==0.8.0
    python tests/golden/make_golden.py            # write the cases
    python tests/golden/make_golden.py --check    # recompute and compare

A case, `<config>-<Head>/`, has the checkpoint of `save_pretrained`, inputs.npz and
expected_{torch,tf,flax}.npz: evaluation mode, eager attention, float32. The keys are
the output fields, `hidden_states.<i>`, `attentions.<i>`; for torch also `loss` and
`grad.<parameter>` (a tied tensor once, its gradients summed). Inner states are kept for
the heads in `INNER` only, for size; TensorFlow's and Flax's are compared with torch's
first. Those two ignore relative positions and have no files for them.
"""

import argparse
import datetime
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from safetensors.numpy import load_file

os.environ |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
os.environ |= {"TF_CPP_MIN_LOG_LEVEL": "3", "TF_USE_LEGACY_KERAS": "1"}
PACKAGES = ("transformers", "torch", "tensorflow", "tf_keras", "jax", "flax", "numpy")
SEED = 72  # tried out: no gradient fades, and float32 is within 2e-6 of float64
CHECK_LIMIT = 1e-6  # of --check; a processor without AVX may come to 3e-6
TWIN_LIMIT = 5e-6  # TensorFlow and Flax against torch
INNER = {"torch": ("Model", "ForPreTraining"), "tf": ("Model",), "flax": ("Model",)}
V, E, H, FFN, POSITIONS, SEQ = 31, 5, 12, 17, 23, 9  # distinct: no transpose fits
SIZES = {"vocab_size": V, "embedding_size": E, "hidden_size": H}
SIZES |= {"num_hidden_layers": 3, "num_attention_heads": 3, "intermediate_size": FFN}
SIZES |= {"max_position_embeddings": POSITIONS, "initializer_range": 0.3}
GROUPS = {"num_hidden_layers": 6, "num_hidden_groups": 2, "inner_group_num": 2}
CLASSIFIER = "ForSequenceClassification"
CASES = {
    "plain-Model": {},
    "plain-ForPreTraining": {},
    "plain-ForMaskedLM": {},
    "plain-ForSequenceClassification": {},
    "plain-ForMultipleChoice": {},
    "plain-ForTokenClassification": {},
    "plain-ForQuestionAnswering": {},
    "groups-ForPreTraining": GROUPS,
    "groups-ForTokenClassification": GROUPS,
    "erf-ForPreTraining": {"hidden_act": "gelu"},
    "relu_eps-ForPreTraining": {"hidden_act": "relu", "layer_norm_eps": 1e-5},
    "same_size-ForPreTraining": {"embedding_size": H},
}
for kind in ("relative_key", "relative_key_query"):
    CASES[f"{kind}-ForPreTraining"] = {"position_embedding_type": kind}
for kind in ("regression", "multi_label_classification"):
    CASES[f"{kind}-{CLASSIFIER}"] = {"problem_type": kind}
CASES[f"regression1-{CLASSIFIER}"] = {"problem_type": "regression", "num_labels": 1}


def make_inputs(config: str, head: str) -> tuple[dict, dict]:
    """Draw inputs (two segments, padding right and left) and the labels of the case."""
    rng = np.random.default_rng(list(f"{config}-{head}".encode()))
    shape = (2, 3, SEQ) if head == "ForMultipleChoice" else (3, SEQ)
    mask = np.ones(shape, int)
    mask.reshape(-1, SEQ)[1, 6:] = mask.reshape(-1, SEQ)[2, :2] = 0
    ids, words = rng.integers(5, V, (2, *shape)) * mask
    segments = (np.arange(SEQ) >= 4) * mask
    inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": segments}
    scored = mask * np.isin(np.arange(SEQ), (1, 4, 5, 8))
    words = np.where(scored, words, -100)
    tags, choice = rng.integers(3, size=shape), rng.permutation(3)[: shape[0]]
    values = rng.normal(size=(3, 3)).astype(np.float32)
    return inputs, {
        "Model": {},
        "ForPreTraining": {"sentence_order_label": choice % 2, "labels": words},
        "ForMaskedLM": {"labels": words},
        "ForTokenClassification": {"labels": np.where(scored, tags, -100)},
        "ForQuestionAnswering": {  # ends: as it is, clamped to 0, ignored
            "start_positions": np.array([1, 0, 3]),
            "end_positions": np.array([5, -4, 30]),
        },
        "regression1": {"labels": values[:, 0]},
        "regression": {"labels": values},
        "multi_label_classification": {"labels": (values > 0).astype(np.float32)},
    }.get(config if head == CLASSIFIER else head, {"labels": choice})


def run(model: Callable, inputs: dict) -> tuple[dict, dict[str, np.ndarray]]:
    """Call a model of any framework; name every array, those of tuples with `.<i>`."""
    outputs = model(**inputs, output_hidden_states=True, output_attentions=True)
    arrays = {k: v for k, v in outputs.items() if not isinstance(v, tuple)}
    for key in ("hidden_states", "attentions"):
        arrays |= {f"{key}.{i}": v for i, v in enumerate(outputs[key])}
    detached = {k: getattr(v, "detach", lambda v=v: v)() for k, v in arrays.items()}
    return outputs, {key: np.asarray(value) for key, value in detached.items()}


def write_case(folder: Path) -> None:
    """Write the case that `folder` is named after; the frameworks must agree."""
    kind, head = folder.name.split("-")
    classes = 2 if head in ("ForPreTraining", "ForQuestionAnswering") else 3
    sizes = {**SIZES, "num_labels": classes, **CASES[folder.name]}
    config = transformers.AlbertConfig(**sizes, attn_implementation="eager")
    model = getattr(transformers, f"Albert{head}")(config).eval()
    rng = np.random.default_rng(SEED)
    with torch.no_grad():  # NumPy's noise, for torch's depends on the processor
        for parameter in model.parameters():
            mean = float((parameter == 1).all())  # the scales of the norms
            parameter.copy_(torch.tensor(rng.normal(mean, 0.3, parameter.shape)))
    model.save_pretrained(folder)
    inputs, labels = make_inputs(kind, head)
    np.savez_compressed(folder / "inputs.npz", **inputs, **labels)
    tensors = {key: torch.tensor(value) for key, value in (inputs | labels).items()}
    outputs, expected = run(model, tensors)
    results = {"torch": expected.copy()}
    if labels:
        outputs.loss.backward()
        named = [(key, p) for key, p in model.named_parameters() if p.grad is not None]
        results["torch"] |= {f"grad.{key}": p.grad.numpy() for key, p in named}
    with tempfile.TemporaryDirectory() as pickled:  # they misread model.safetensors
        model.save_pretrained(pickled, safe_serialization=False)
        absolute = config.position_embedding_type == "absolute"
        for prefix in ("TF", "Flax") if absolute else ():
            twin_class = getattr(transformers, f"{prefix}Albert{head}")
            twin = twin_class.from_pretrained(pickled, from_pt=True)
            _, found = run(twin, {k: v.astype(np.int32) for k, v in inputs.items()})
            for key in expected.keys() - {"loss"}:
                np.testing.assert_allclose(found[key], expected[key], 0, TWIN_LIMIT)
            results[prefix.lower()] = found
    for framework, arrays in results.items():
        drop = () if head in INNER[framework] else ("hidden_states.", "attentions.")
        kept = {key: v for key, v in arrays.items() if not key.startswith(drop)}
        np.savez_compressed(folder / f"expected_{framework}.npz", **kept)


def difference(old: Path, new: Path) -> float:
    """Return the largest difference of two files of arrays with the same names."""
    load = np.load if new.suffix == ".npz" else load_file
    a, b = load(old), load(new)
    gaps = [np.abs(a[key] - b[key]) for key in {*a, *b}]
    return max(float(np.nan_to_num(gap, nan=np.inf).max()) for gap in gaps)


def main() -> int:
    """Write the cases beside this file, or check those that are there."""
    parser = argparse.ArgumentParser(description="Make or check the golden cases.")
    parser.add_argument("--check", action="store_true", help="recompute and compare")
    check, here = parser.parse_args().check, Path(__file__).parent
    transformers.logging.set_verbosity_error()
    with tempfile.TemporaryDirectory() as fresh:
        root = Path(fresh) if check else here
        for name in CASES:
            write_case(root / name)
        files = [f.relative_to(root) for f in sorted(root.glob("*-*/*"))]
        if check:
            files = [f for f in files if f.suffix != ".json"]
            worst, file = max((difference(here / f, root / f), f) for f in files)
            print(f"{len(files)} files, largest difference {worst:.1e} in {file}")
            return int(worst > CHECK_LIMIT)
    record = {
        "command": "python tests/golden/make_golden.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "sha256": {
            f.as_posix(): hashlib.sha256((here / f).read_bytes()).hexdigest()
            for f in files
        },
    }
    (here / "provenance.json").write_text(json.dumps(record, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
