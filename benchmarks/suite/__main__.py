"""Measure all of it, or some of it.

    python -m benchmarks.suite peers FOLDER           make the environments of the peers
    python -m benchmarks.suite run RESULTS --peers FOLDER
    python -m benchmarks.suite page RESULTS docs      write the page and its picture

RESULTS is a JSON file; a run adds to it what it measures, and replaces what was there.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from benchmarks.suite import forward, limits, others, page
from benchmarks.suite.peers import PEERS

PARTS = (
    *("peak", "profile", "forward", "sizes", "step", "finetuning", "ragged"),
    *("pipeline", "stream", "tokenization", "conversion", "start"),
)
SIZE = "base"


@click.group(help=__doc__.splitlines()[0] if __doc__ else None)
def cli() -> None:
    """The suite."""


@cli.command()
@click.argument("folder", type=click.Path(path_type=Path))
def peers(folder: Path) -> None:
    """Make an environment for each peer; takes gigabytes."""
    for name, packages in PEERS.items():
        place = folder / name
        venv.create(place, with_pip=True)
        python = place / "bin" / "python"
        command = [python, "-m", "pip", "install", "-q", *packages]
        subprocess.run(list(map(str, command)), check=True)


def pythons(folder: Path | None) -> dict[str, str]:
    """The interpreter of each environment that is there."""
    found = {"zoo": sys.executable}
    for name in PEERS if folder else ():
        python = folder / name / "bin" / "python"  # pyright: ignore
        if python.exists():
            found[name] = str(python)
    return found


def sample(folder: Path, size: str, head: str) -> Path:
    """A checkpoint with random weights, and a tokenizer."""
    from albert_core import checkpoint, preset, schema
    from albert_core.hub import ASSETS, BUNDLED
    from albert_core.initial import initial_value

    config = preset(f"albert-{size}-v2").config
    config.architectures = [f"Albert{head}"]
    config.classifier_dropout_prob = 0.0
    wanted = schema.parameters(config, head)
    place = folder / f"{size}-{head}"
    checkpoint.save(place, config, {p.name: initial_value(p, 0.02, 0) for p in wanted})
    for file in (ASSETS / BUNDLED).glob("*"):
        if "token" in file.name or file.suffix == ".model":
            shutil.copy(file, place)
    return place


@cli.command()
@click.argument("results", type=click.Path(path_type=Path))
@click.option("--peers", "folder", type=click.Path(path_type=Path, exists=True))
@click.option("--part", "chosen", type=click.Choice(PARTS), multiple=True)
@click.option("--threads", default=os.cpu_count(), show_default=True)
@click.option("--rounds", default=5, show_default=True)
@click.option(
    "--texts",
    default=256,
    show_default=True,
    help="Of the pipelines, not of the stream.",
)
def run(
    results: Path,
    folder: Path | None,
    chosen: tuple[str, ...],
    threads: int,
    rounds: int,
    texts: int,
) -> None:
    """Measure, on a machine that does nothing else."""
    from albert_core.hub import ASSETS, BUNDLED

    known: dict[str, Any] = {}
    if results.exists():
        known = json.loads(results.read_text())
    known["machine"] = machine(threads)
    environments = pythons(folder)
    with tempfile.TemporaryDirectory() as place:

        def at(head: str, size: str = SIZE) -> Path:
            return sample(Path(place), size, head)

        def tuned(shape: str) -> list[dict[str, Any]]:
            model = at("ForSequenceClassification")
            steps = others.finetuning_steps
            return [*steps(environments, model, threads, rounds, shape)]

        measured: dict[str, Callable[[], Any]] = {
            "peak": lambda: limits.peak(environments, threads),
            "profile": lambda: [*limits.shares(environments, at("Model"), threads)],
            "forward": lambda: [
                *forward.all_rows(environments, at("Model"), threads, rounds)
            ],
            "sizes": lambda: [
                *forward.larger_rows(environments, partial(at, "Model"), threads)
            ],
            "step": lambda: [
                *others.pretraining_steps(
                    environments, at("ForPreTraining"), threads, rounds
                )
            ],
            "finetuning": lambda: tuned(forward.FULL),
            "ragged": lambda: tuned(forward.RAGGED),
            "pipeline": lambda: [
                *others.pipelines(
                    environments,
                    at("ForSequenceClassification"),
                    threads,
                    min(rounds, 2),
                    texts,
                )
            ],
            "stream": lambda: [
                *others.streams(environments, at("ForSequenceClassification"), threads)
            ],
            "tokenization": lambda: [
                *others.tokenizers(environments, at("Model"), threads, rounds)
            ],
            "conversion": lambda: others.conversions(
                environments, Path(place) / "roads"
            ),
            "start": lambda: [*others.starts(environments, ASSETS / BUNDLED, rounds)],
        }
        for part in chosen or PARTS:
            click.echo(part, err=True)
            known[part] = measured[part]()
            results.write_text(json.dumps(known, indent=1) + "\n")


def machine(threads: int) -> dict[str, Any]:
    """Where it was measured."""
    names = ("albert-zoo", "torch", "tensorflow", "keras", "jax", "flax", "numpy")
    cpu = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((x.split(": ")[1] for x in lines if x.startswith("model name")), "")
    return {
        "size": SIZE,
        "threads": threads,
        "cores": os.cpu_count(),
        "processor": cpu,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in names},
        "peers": {name: list(packages) for name, packages in PEERS.items()},
    }


@cli.command("page")
@click.argument("results", type=click.Path(path_type=Path, exists=True))
@click.argument("docs", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--also",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    help="Results of another machine.",
)
def write_page(results: Path, docs: Path, also: tuple[Path, ...]) -> None:
    """Write docs/performance.md and its picture from what was measured."""
    found, *others = (json.loads(path.read_text()) for path in (results, *also))
    page.write(found, docs, others)


if __name__ == "__main__":
    cli()
