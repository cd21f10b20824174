"""The machine's limit, and where our time goes."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PEAK = """
import statistics, sys, time, torch
torch.set_num_threads(int(sys.argv[1]))
x, w, b = torch.randn(1024, 768), torch.randn(3072, 768), torch.randn(3072)
w = torch.ops.mkldnn._reorder_linear_weight(w)
times = []
with torch.inference_mode():
    for _ in range(60):
        start = time.perf_counter()
        torch.ops.mkldnn._linear_pointwise(x, w, b, "none", [], "")
        times.append(time.perf_counter() - start)
print(2 * 1024 * 768 * 3072 / statistics.median(times[10:]))
"""


# What PyTorch's profiler calls the parts of a pass; all else is small.
PARTS = {
    "mkldnn::_linear_pointwise": "products",
    "aten::_scaled_dot_product_flash_attention_for_cpu": "attention",
    "aten::_softmax": "softmax",
    "aten::native_layer_norm": "norms",
    "aten::add_": "sums",
}
PROFILE = """
import json, sys, torch
from albert_torch import AlbertModel
from albert_torch.fused import freeze
from torch.profiler import profile
folder, threads, rows, length = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = AlbertModel.from_pretrained(folder)
freeze(model)
ids = torch.randint(5, 30000, (rows, length))
with torch.inference_mode():
    for _ in range(5):
        model(ids)
    with profile() as seen:
        for _ in range(5):
            model(ids)
print(json.dumps({x.key: x.self_cpu_time_total for x in seen.key_averages()}))
"""


def peak(pythons: Mapping[str, str], threads: int) -> float:
    """Operations a second of oneDNN's product of float32, the largest of the model."""
    command = [pythons["zoo"], "-c", PEAK, str(threads)]
    shown = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(shown.stdout)


def shares(
    pythons: Mapping[str, str], folder: Path, threads: int
) -> Iterator[dict[str, Any]]:
    """The share of each part of PyTorch's pass in its time, by its own profiler."""
    for rows, length in ((8, 128), (1, 32), (1, 512)):
        command = [pythons["zoo"], "-c", PROFILE, folder, threads, rows, length]
        shown = subprocess.run(
            list(map(str, command)), check=True, capture_output=True, text=True
        )
        found = json.loads(shown.stdout.splitlines()[-1])
        whole = sum(found.values())
        parts = {name: found.pop(key, 0) / whole for key, name in PARTS.items()}
        parts["all else"] = sum(found.values()) / whole
        yield {"batch": f"{rows} x {length}", "shares": parts}


def operations(size: dict[str, int], rows: int, length: float) -> float:
    """Floating-point operations of the products of a forward pass."""
    hidden, wide = size["hidden_size"], size["intermediate_size"]
    layer = 2 * (4 * hidden**2 + 2 * hidden * wide) + 4 * length * hidden
    mapped = 2 * size["embedding_size"] * hidden
    return rows * length * (layer * size["num_hidden_layers"] + mapped)


def size_of(results: Mapping[str, Any]) -> dict[str, int]:
    """The configuration of the model that was measured."""
    from albert_core import preset

    return preset(f"albert-{results['machine']['size']}-v2").config.to_dict()
