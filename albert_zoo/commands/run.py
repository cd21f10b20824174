"""`albert-zoo run`: a pipeline over a file, or over what a pipe brings."""

import json
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from typing import Any, BinaryIO

import click

from albert_core.errors import AlbertError, InputError
from albert_zoo.commands import task_options
from albert_zoo.console import (
    CHECK_FAILED,
    FRAMEWORKS,
    OK,
    Progress,
    printable,
)

FORMATS = {".jsonl": "jsonl", ".json": "jsonl", ".ndjson": "jsonl", ".csv": "csv"}
FILE = click.Path(dir_okay=False, path_type=Path, allow_dash=True)
STDIN = STDOUT = Path("-")


@click.command()
@click.option("--task", help="By default what the checkpoint was made for.")
@click.option("--model", required=True, help="A checkpoint directory or a hub name.")
@click.option("--tokenizer", help="Another directory or hub name for the tokenizer.")
@click.option("--framework", type=click.Choice(FRAMEWORKS))
@click.option("--input", "source", type=FILE, default="-", show_default=True)
@click.option("--output", "target", type=FILE, default="-", show_default=True)
@click.option(
    "--format",
    "kind",
    type=click.Choice(["text", "jsonl", "csv"]),
    help="Of the input; by default by the name of the file, else text.",
)
@click.option(
    "--column",
    "columns",
    multiple=True,
    help="Where the text is in a record; repeat it for tasks that need more.",
)
@click.option(
    "--dtype",
    type=click.Choice(["float32", "bfloat16", "float16", "int8"]),
    help="int8 is for a CPU.",
)
@click.option("--device", help="cpu, cuda, cuda:1, tpu, or a number; -1 is the cpu.")
@click.option("--batch-tokens", type=click.IntRange(1), help="Tokens that run at once.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted run.")
@click.option("--overwrite", is_flag=True, help="Write over an existing output.")
@click.option("--strict", is_flag=True, help="Stop at the first bad line.")
@task_options.add
def run(
    task: str | None,
    model: str,
    tokenizer: str | None,
    framework: str | None,
    source: Path,
    target: Path,
    kind: str | None,
    columns: tuple[str, ...],
    dtype: str | None,
    device: str | None,
    batch_tokens: int | None,
    resume: bool,
    overwrite: bool,
    strict: bool,
    **given: Any,
) -> None:
    """Run a task on every line of a file, in any framework.

    A line of the output is the result of a line of the input, as JSON. A line that
    cannot be used gives {"line": ..., "error": ...}, and 1 as the exit code. Texts may
    be lines, JSON records or columns of a csv file; where a task needs two, as
    question and context, a tab is between them.

    \b
    Examples:
      echo "A [MASK] of tea." | albert-zoo run --task fill-mask --model DIR
      albert-zoo run --model DIR --input reviews.csv --column review --output out.jsonl
      albert-zoo run --model DIR --input reviews.csv --column review \\
        --output out.jsonl --resume
    """  # noqa: D301  (click reads the backspace)
    import albert_zoo
    from albert_zoo import models, programs
    from albert_zoo.pipelines import PIPELINES, pipeline, records
    from albert_zoo.pipelines.writing import Output
    from conversion.checkpoint import resolved

    if resume and overwrite:
        raise click.UsageError("--resume and --overwrite exclude each other.")
    if resume and target == STDOUT:
        raise click.UsageError("--resume needs an --output file.")
    if target.exists() and source.exists() and target.samefile(source):
        raise click.UsageError("--output would be written over --input.")
    directory = resolved(model)
    task = models.task_of(directory) if task is None else models.task_named(task)
    kind = kind or FORMATS.get(source.suffix.lower(), "text")
    if kind == "text" and columns:
        raise click.UsageError("--column is for --format jsonl and csv.")
    options = task_options.chosen(task, PIPELINES[task].Options, given)
    programs.keep(framework or models.default_framework())
    framework = models.framework_named(framework)
    settings = {
        "version": albert_zoo.__version__,
        "task": task,
        "model": model,
        "tokenizer": tokenizer,
        "framework": framework,
        "input": str(source),
        "format": kind,
        "column": list(columns),
        "dtype": dtype,
        "device": device,
        "batch_tokens": batch_tokens,
        **options,
    }
    with ExitStack() as stack:
        file = _open(source, stack)
        found = records.read(kind, file, PIPELINES[task], columns)
        ready = pipeline(
            task,
            directory,
            tokenizer=tokenizer,
            framework=framework,
            dtype=dtype,
            device=_device(device),
            batch_tokens=batch_tokens,
            **options,
        )
        path = None if target == STDOUT else target
        output = stack.enter_context(Output(path, settings, resume, overwrite))
        if output.complete:
            click.echo(f"{path} is complete.", err=True)
        else:
            readable = path is None and sys.stdout.isatty()
            with nullcontext() if readable else Progress(None) as step:
                _write(ready, found, output, strict, step)
    sys.exit(CHECK_FAILED if output.errors else OK)


def _write(
    ready: Any,
    found: Iterable[tuple[int, Any]],
    output: Any,
    strict: bool,
    step: Callable[[str], None] | None,
) -> None:
    """Write what comes out, each with the line that it came from at hand.

    Args:
        ready: The pipeline.
        found: Inputs with their lines.
        output: Where to.
        strict: Whether to stop at the first bad line.
        step: Tells how many there are; None to show results to people instead.
    """
    lines: deque[int] = deque()
    before = output.done

    def items() -> Iterator[Any]:
        for place, (line, item) in enumerate(found):
            if place >= before:
                lines.append(line)
            yield item

    for result in ready.stream(items(), skip=before):
        line = lines.popleft()
        try:
            if isinstance(result, AlbertError):
                raise result
            if step is None:
                click.echo(printable("\n".join(_readable(result))))
            else:
                output.write(result)
        except AlbertError as problem:
            if strict:
                raise InputError(f"line {line}: {problem}") from problem
            output.write_error(line, problem)
        if step is not None:
            step(f"{output.done} records")
    sys.stdout.flush()


def _open(source: Path, stack: ExitStack) -> BinaryIO:
    return (
        sys.stdin.buffer if source == STDIN else stack.enter_context(source.open("rb"))
    )


def _device(device: str | None) -> str | int | None:
    number = device is not None and device.removeprefix("-").isdecimal()
    return int(device) if device is not None and number else device


def _readable(result: Any) -> list[str]:
    """A result for people: a line for each part, numbers cut short."""
    if isinstance(result, dict):
        return ["  ".join(f"{name} {_short(part)}" for name, part in result.items())]
    if not isinstance(result, list) or not result or isinstance(result[0], float):
        return [_short(result)]
    end = [""] if isinstance(result[0], list) else []
    return [line for part in result for line in [*_readable(part), *end]]


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and len(value) > 8:
        return f"[{', '.join(map(_short, value[:4]))}, ... {len(value)} in all]"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return value if isinstance(value, str) else json.dumps(value)
