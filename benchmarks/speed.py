"""What neither `albert-zoo bench` nor `benchmarks.suite` measures.

    python -m benchmarks.speed flax       the scan over the shared layer, and a loop
    python -m benchmarks.speed load       memory of from_pretrained

Both sides of a ratio run in turns in one process, so that what else the machine does
meets both. Medians are printed; figures of the last run stand in docs/benchmarks.md.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np

from albert_core import AlbertConfig, checkpoint, preset, schema
from albert_core.initial import initial_value

PRESET = "albert-base-v2"


def in_turns(
    sides: dict[str, Callable[[], object]], rounds: int
) -> dict[str, list[float]]:
    """Time several functions, one after another, again and again.

    Returns:
        Seconds of every round, the first of each side left out.
    """
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, run in sides.items():
            start = time.perf_counter()
            run()
            if turn:
                times[name].append(time.perf_counter() - start)
    return times


def tell(title: str, times: dict[str, list[float]]) -> dict[str, float]:
    """Print medians, and the ratio of the first side to the second."""
    medians = {name: statistics.median(values) for name, values in times.items()}
    first, second = medians.values()
    shown = "  ".join(f"{name} {1000 * t:.1f} ms" for name, t in medians.items())
    click.echo(f"{title}: {shown}  ratio {first / second:.2f}")
    return {**medians, "ratio": first / second}


def batch(config: AlbertConfig, rows: int, length: int) -> dict[str, np.ndarray]:
    """A batch whose rows are padded to different lengths."""
    stream = np.random.default_rng(0)
    mask = np.ones((rows, length), np.int64)
    for row in range(rows):
        mask[row, length - row * length // (2 * rows) :] = 0
    return {
        "input_ids": stream.integers(5, config.vocab_size, (rows, length)),
        "attention_mask": mask,
        "token_type_ids": np.zeros((rows, length), np.int64),
    }


def sample(directory: Path, head: str = "ForMaskedLM") -> Path:
    """Write a checkpoint of the base size with random weights."""
    config = preset(PRESET).config
    config.architectures = [f"Albert{head}"]
    arrays = {
        p.name: initial_value(p, config.initializer_range, 0)
        for p in schema.parameters(config, head)
    }
    checkpoint.save(directory, config, arrays)
    return directory


@click.group()
def cli() -> None:
    """Measure speed and memory on the base size."""


def unrolled(group, times, hidden, bias, head_mask, attentions, states, recompute):
    """What `albert_flax.ops.repeat` would be without the scan."""
    for _ in range(times):
        hidden, _ = group(hidden, bias, None, attentions)
    return hidden, (), ()


@cli.command("flax")
@click.option("--rows", default=8, show_default=True)
@click.option("--length", default=128, show_default=True)
@click.option("--rounds", default=7, show_default=True)
def flax_speed(rows: int, length: int, rounds: int) -> None:
    """Compare the scan over the shared layer with a loop over twelve calls."""
    import jax

    import albert_flax.layers
    from albert_flax import FlaxAlbertModel

    config = preset(PRESET).config
    inputs = {k: v.astype(np.int32) for k, v in batch(config, rows, length).items()}
    small = AlbertConfig(hidden_size=64, num_attention_heads=4, intermediate_size=256)
    FlaxAlbertModel(small)(**inputs)  # what JAX does only once belongs to neither side
    scan = FlaxAlbertModel(config)
    loop = FlaxAlbertModel(config)
    first: dict[str, list[float]] = {"scan": [], "loop": []}
    repeat = albert_flax.layers.repeat
    for name, model in {"scan": scan, "loop": loop}.items():
        albert_flax.layers.repeat = repeat if name == "scan" else unrolled
        start = time.perf_counter()
        model(**inputs).last_hidden_state.block_until_ready()
        first[name].append(time.perf_counter() - start)
    albert_flax.layers.repeat = repeat
    outputs = [np.asarray(m(**inputs).last_hidden_state) for m in (scan, loop)]
    difference = np.abs(outputs[0] - outputs[1]).max()
    click.echo(f"batch {rows} x {length}, largest difference {difference:.1e}")

    def run(model: FlaxAlbertModel) -> object:
        return jax.block_until_ready(model(**inputs).last_hidden_state)

    sides = {"scan": lambda: run(scan), "loop": lambda: run(loop)}
    later = tell("forward", in_turns(sides, rounds))
    tell("first call", first)
    compiling = {name: [first[name][0] - later[name]] for name in first}
    tell("first call less a forward, that is tracing and compiling", compiling)


LOADERS = {
    "torch": "from albert_torch import AlbertForMaskedLM as M",
    "tf": "from albert_tf import TFAlbertForMaskedLM as M",
    "flax": "from albert_flax import FlaxAlbertForMaskedLM as M",
}
# Memory that is the process's own: pages of the mapped file can be dropped at any time.
LOAD = """
import sys, threading, time
{load}
def own():
    lines = open('/proc/self/status').read().split('\\n')
    return next(int(x.split()[1]) for x in lines if x.startswith('RssAnon')) / 1024
M.from_pretrained(sys.argv[2])
before, peak, on = own(), 0, True
def watch():
    global peak
    while on:
        peak = max(peak, own()); time.sleep(0.0005)
thread = threading.Thread(target=watch); thread.start()
model = M.from_pretrained(sys.argv[1]); on = False; thread.join()
print(peak - before)
"""


@cli.command("load")
@click.option("--megabytes", default=400, show_default=True)
def load(megabytes: int) -> None:
    """Measure the memory of loading beyond what was there before."""
    with tempfile.TemporaryDirectory() as folder:
        small = AlbertConfig(
            hidden_size=64, num_attention_heads=4, intermediate_size=256
        )
        size = int((megabytes * 2**20 / 4 / 12) ** 0.5) // 64 * 64
        large = AlbertConfig(
            hidden_size=size, num_attention_heads=16, intermediate_size=4 * size
        )
        paths, sizes = [], []
        for name, config in {"large": large, "small": small}.items():
            wanted = schema.parameters(config, "ForMaskedLM")
            arrays = {p.name: initial_value(p, 0.02, 0) for p in wanted}
            checkpoint.save(Path(folder) / name, config, arrays)
            paths.append(str(Path(folder) / name))
            sizes.append([array.nbytes / 2**20 for array in arrays.values()])
        total, largest = sum(sizes[0]), max(sizes[0])
        del arrays
        click.echo(f"weights {total:.0f} MiB, largest array {largest:.0f} MiB")
        for name, line in LOADERS.items():
            code = LOAD.format(load=line)
            command = [sys.executable, "-c", code, *paths]
            shown = subprocess.run(command, capture_output=True, text=True, check=True)
            peak = float(shown.stdout.splitlines()[-1])
            share = (peak - total) / largest
            click.echo(
                f"{name}: peak {peak:.0f} MiB = weights + "
                f"{share:.2f} x the largest array"
            )


if __name__ == "__main__":
    cli()
