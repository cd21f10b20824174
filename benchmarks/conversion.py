"""Time and memory of `albert-zoo convert`, beside what users have today.

    python -m benchmarks.conversion                         every format to every other
    python -m benchmarks.conversion --peer-python PYTHON    and transformers' own roads
    python -m benchmarks.conversion --xxlarge               the largest, beside a copy

A turn is a whole process, from its start until its files are safe on the disk, or for
transformers until it ends. Time is that on the wall; memory is the largest resident set
that the system has noted for the process. Sides that are compared run in turns. Medians
are printed; figures of the last run stand in docs/benchmarks.md.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

# This process stays small: the system counts what a parent had as its child's, too.
SAMPLE = """
import sys
from pathlib import Path
from albert_core import checkpoint, preset, schema
from albert_core.initial import initial_value
name, head, folder = sys.argv[1:]
config = preset(name).config
config.architectures = [f"Albert{head}"]
wanted = schema.parameters(config, head)
arrays = {p.name: initial_value(p, config.initializer_range, 0) for p in wanted}
checkpoint.save(Path(folder), config, arrays)
"""
# Those that have a model for pretraining.
FORMATS = """
from conversion.stores import STORES
print(*[name for name, store in STORES.items() if not store.heads])
"""
HEAD = "ForPreTraining"
ZOO = Path(sys.executable).with_name("albert-zoo")

# What transformers 4.57 offers, from `source` to `target`. Its `from_tf=True` and
# `from_flax=True` leave a model without numbers, so what is behind them is called.
_MODEL = "AlbertForPreTraining"
_THEIRS = "import sys; source, target = sys.argv[1:]; "
_FROM = f"from transformers import {{0}}{_MODEL}; model = {{0}}{_MODEL}"
_LOAD = _FROM.format("") + ".from_pretrained(source); "
_OTHER = _FROM + ".from_pretrained(source, from_pt=True); "
_MAKE = (
    f"from transformers import AlbertConfig, {_MODEL}; model = {_MODEL}("
    "AlbertConfig.from_json_file(source + '/{}')); "
)
_TF = (
    "from transformers.modeling_tf_pytorch_utils import *; "
    "load_tf2_checkpoint_in_pytorch_model(model, source + '/tf_model.h5'); "
)
_FLAX = (
    "from transformers.modeling_flax_pytorch_utils import *; model = "
    "load_flax_checkpoint_in_pytorch_model(model, source + '/flax_model.msgpack'); "
)
_GOOGLE = (
    "from transformers.models.albert.modeling_albert import load_tf_weights_in_albert; "
    "load_tf_weights_in_albert(model, model.config, source + '/model.ckpt-best'); "
)
_SAVE = "model.save_pretrained(target, safe_serialization={})"
PEERS = {
    ("safetensors", "pytorch-bin"): _LOAD + _SAVE.format(False),
    ("pytorch-bin", "safetensors"): _LOAD + _SAVE.format(True),
    ("safetensors", "tensorflow-h5"): _OTHER.format("TF") + _SAVE.format(False),
    ("safetensors", "flax-msgpack"): _OTHER.format("Flax") + _SAVE.format(False),
    ("tensorflow-h5", "safetensors"): (
        _MAKE.format("config.json") + _TF + _SAVE.format(True)
    ),
    ("flax-msgpack", "safetensors"): (
        _MAKE.format("config.json") + _FLAX + _SAVE.format(True)
    ),
    ("google-tf1", "safetensors"): (
        _MAKE.format("albert_config.json") + _GOOGLE + _SAVE.format(True)
    ),
}


def ended(command: Sequence[object]) -> tuple[float, float]:
    """Run a process: seconds on the wall, and megabytes of memory at most."""
    with tempfile.TemporaryFile("w+") as text:
        start = time.perf_counter()
        process = subprocess.Popen(
            [str(part) for part in command], stdout=text, stderr=text
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            text.seek(0)
            raise click.ClickException(f"{command} failed:\n{text.read()[-2000:]}")
    return seconds, usage.ru_maxrss * 1024 / 1e6


def medians(
    sides: dict[str, Sequence[object]], target: Path, rounds: int
) -> dict[str, tuple[float, float]]:
    """Run several commands in turns, each into an empty place."""
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, command in sides.items():
            shutil.rmtree(target, ignore_errors=True)
            turns[name].append(ended(command))
    return {
        name: (
            statistics.median(seconds for seconds, _ in found),
            statistics.median(size for _, size in found),
        )
        for name, found in turns.items()
    }


def sample(preset: str, target: Path) -> Path:
    """Write a checkpoint with random weights, in a process of its own."""
    subprocess.run([sys.executable, "-c", SAMPLE, preset, HEAD, target], check=True)
    return target


def convert(source: Path, target: Path, to: str, *options: str) -> list[object]:
    """The command that converts."""
    return [ZOO, "convert", source, target, "--to", to, *options]


def shown(found: tuple[float, float]) -> str:
    """Time and memory as the table has them."""
    return f"{found[0]:.2f} s, {found[1]:.0f} MB"


def all_pairs(place: Path, names: Sequence[str], rounds: int) -> None:
    """Print a table of every format to every other one."""
    source = sample("albert-base-v2", place / "source")
    for name in names:
        ended(convert(source, place / name, name))
    click.echo(f"| from, to | {' | '.join(names)} |")
    click.echo("|---" * (len(names) + 1) + "|")
    for one in names:
        cells = []
        for other in names:
            target = place / "target"
            command = convert(place / one, target, other)
            found = medians({"": command}, target, rounds) if one != other else {}
            cells.append(shown(found[""]) if found else "")
        click.echo(f"| {one} | {' | '.join(cells)} |")


def roads(
    place: Path, python: str, rounds: int, names: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """What transformers can convert, by both.

    Args:
        place: A folder for checkpoints; those that are there are taken.
        python: The interpreter where transformers is.
        rounds: Turns of each.
        names: Only these formats.
    """
    source = place / "source"
    if not source.exists():
        sample("albert-base-v2", source)
    for (one, other), code in PEERS.items():
        if names is not None and not {one, other} <= set(names):
            continue
        start, target = place / one, place / "target"
        if not start.exists():
            ended(convert(source, start, one))
        sides = {
            "ours": convert(start, target, other),
            "theirs": [python, "-c", _THEIRS + code, start, target],
        }
        found = medians(sides, target, rounds)
        same = subprocess.run([ZOO, "hash", start, target], stdout=subprocess.DEVNULL)
        yield {"from": one, "to": other, "same": not same.returncode, **found}


def beside_transformers(
    place: Path, names: Sequence[str], python: str, rounds: int
) -> None:
    """Print a table of the roads that transformers has."""
    click.echo("\n| road | albert-zoo | transformers | ratio | memory | same bits |")
    click.echo("|---|---|---|---|---|---|")
    for row in roads(place, python, rounds, names):
        ours, theirs = row["ours"], row["theirs"]
        click.echo(
            f"| {row['from']} → {row['to']} | {shown(ours)} | {shown(theirs)} "
            f"| {theirs[0] / ours[0]:.1f} | {theirs[1] / ours[1]:.1f} "
            f"| {'yes' if row['same'] else 'no'} |"
        )


def beside_a_copy(place: Path, names: Sequence[str], rounds: int) -> None:
    """Print what the largest model takes, and what a copy of it takes."""
    source, target = sample("albert-xxlarge-v2", place / "source"), place / "target"
    size = sum(path.stat().st_size for path in source.iterdir()) / 1e6
    copy = f"cp -r '{source}' '{target}' && sync"
    click.echo(f"{size:.0f} MB of safetensors")
    click.echo("| to | read back | not read back | cp and sync | ratios |")
    click.echo("|---|---|---|---|---|")
    for name in names:
        sides = {
            "read back": convert(source, target, name),
            "not": convert(source, target, name, "--no-verify"),
            "copy": ["sh", "-c", copy],
        }
        found = medians(sides, target, rounds)
        seconds = found["copy"][0]
        ratios = [found[side][0] / seconds for side in ("read back", "not")]
        click.echo(
            f"| {name} | {shown(found['read back'])} | {shown(found['not'])} "
            f"| {seconds:.2f} s | {ratios[0]:.1f}, {ratios[1]:.1f} |"
        )


@click.command()
@click.option("--peer-python", help="A Python that has transformers 4.57 and all else.")
@click.option("--xxlarge", is_flag=True, help="The largest model, beside a copy.")
@click.option("--format", "formats", multiple=True, help="Only these; several times.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--folder", type=click.Path(path_type=Path), help="Where to write.")
def main(
    peer_python: str | None,
    xxlarge: bool,
    formats: tuple[str, ...],
    rounds: int,
    folder: Path | None,
) -> None:
    """Measure conversions of a random checkpoint for pretraining."""
    found = subprocess.run(
        [sys.executable, "-c", FORMATS], capture_output=True, text=True, check=True
    )
    names = formats or found.stdout.split()
    click.echo(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory(dir=folder) as made:
        place = Path(made)
        if xxlarge:
            beside_a_copy(place, names, rounds)
        else:
            all_pairs(place, names, rounds)
            if peer_python:
                beside_transformers(place, names, peer_python, rounds)
    click.echo(f"load after: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
