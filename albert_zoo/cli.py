"""The command `albert-zoo`: starts fast, loads a framework only when it needs one."""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from albert_core.errors import AlbertError, MissingPackageError
from albert_zoo import __version__

OK, CHECK_FAILED, USAGE, BAD_INPUT, MISSING, ENVIRONMENT = range(6)

FRAMEWORKS = ("torch", "tf", "flax")
DTYPES = ("float64", "float32")


class Choices(click.ParamType):
    """A list of words with commas between them."""

    name = "list"

    def __init__(self, known: tuple[str, ...]) -> None:
        self.known = known

    def get_metavar(self, *_: Any, **__: Any) -> str:
        """What --help shows."""
        return "[" + ",".join(self.known) + "]"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, ...]:
        """Split, and refuse words that are not known."""
        words = value if isinstance(value, tuple) else tuple(value.split(","))
        unknown = [word for word in words if word not in self.known]
        if unknown:
            self.fail(f"{', '.join(unknown)} is not among {', '.join(self.known)}")
        return tuple(dict.fromkeys(words))


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="albert-zoo")
def cli() -> None:
    """One ALBERT in PyTorch, TensorFlow and JAX, with proof that they agree.

    Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad input, 4 a package is missing,
    5 the machine (disk, permission, signal), 6 inconclusive.
    """


@cli.command()
@click.argument("checkpoint", required=False)
@click.option(
    "--frameworks",
    type=Choices(FRAMEWORKS),
    help="Those to compare; by default every one that is installed.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=Choices(DTYPES),
    default=",".join(DTYPES),
    show_default=True,
    help="Number types to compute in.",
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write all figures to this file; - prints them in place of the table.",
)
def parity(
    checkpoint: str | None,
    frameworks: tuple[str, ...] | None,
    dtypes: tuple[str, ...],
    json_file: Path | None,
) -> None:
    """Prove that the frameworks compute the same numbers from a checkpoint.

    CHECKPOINT is a directory with config.json and model.safetensors, or a hub name;
    without it a small one is made. Every framework runs it on inputs that can see
    faults, and is judged by a NumPy float64 reference.

    \b
    Examples:
      albert-zoo parity
      albert-zoo parity my-albert --frameworks torch,flax --dtype float32
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo import backends
    from albert_zoo.parity import proof, report

    if frameworks is None:
        known = backends.BACKENDS.values()
        frameworks = tuple(b.name for b in known if backends.is_installed(b))
    if not frameworks:
        raise MissingPackageError(
            "There is no framework to compare. Install one or more: "
            "pip install 'albert-zoo[all]', or [torch], [tf], [flax]."
        )
    with tempfile.TemporaryDirectory() as folder:
        path = checkpoint or str(proof.write_sample(Path(folder) / "sample"))
        with _Progress(proof.steps(frameworks, dtypes)) as step:
            result = proof.prove(path, frameworks, dtypes, step)
    result.checkpoint = checkpoint or "a small sample"
    _print_result(result.to_dict(), json_file, lambda to: report.show(result, to))
    sys.exit(OK if result.passed else CHECK_FAILED)


class _Progress:
    """A progress bar on a terminal's error stream; nothing elsewhere."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        shown = console.is_terminal
        self.bar = Progress(console=console, transient=True, disable=not shown)
        self.task = self.bar.add_task("", total=total)

    def __enter__(self) -> Any:
        self.bar.start()
        return self._step

    def _step(self, description: str) -> None:
        self.bar.update(self.task, description=description, advance=1)

    def __exit__(self, *_: object) -> None:
        self.bar.stop()


def _print_result(result: dict[str, Any], json_file: Path | None, show: Any) -> None:
    text = json.dumps(result, indent=2) + "\n"
    if json_file == Path("-"):
        click.echo(text, nl=False)
        return
    if json_file is not None:
        json_file.write_text(text, "utf-8")
    from rich.console import Console

    # Wide enough for the table where no terminal says how wide it is.
    width = None if sys.stdout.isatty() else 120
    show(Console(width=width))


def printable(text: str) -> str:
    """Text without the control characters that a hostile file could send a terminal."""
    return "".join(c if c == "\n" or c.isprintable() else repr(c)[1:-1] for c in text)


def main() -> None:
    """Run the command line, turning every error of a user into a line and a code."""
    try:
        cli.main(standalone_mode=False)
        code = OK
    except click.ClickException as problem:
        problem.show()
        code = problem.exit_code
    except AlbertError as problem:
        code = _complain(problem, BAD_INPUT)
    except MissingPackageError as problem:
        code = _complain(problem, MISSING)
    except (click.Abort, KeyboardInterrupt):
        code = _complain("stopped", ENVIRONMENT)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # nobody reads any more
        code = ENVIRONMENT
    except OSError as problem:
        code = _complain(problem, ENVIRONMENT)
    sys.exit(code)


def _complain(problem: object, code: int) -> int:
    click.echo(f"albert-zoo: {printable(str(problem))}", err=True)
    return code


if __name__ == "__main__":
    main()
