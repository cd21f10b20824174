"""The command `albert-zoo`: starts fast, loads a framework only when it needs one."""

import io
import os
import sys
from pathlib import Path

import click

from albert_core.errors import AlbertError, MissingPackageError
from albert_zoo.commands.bench import bench
from albert_zoo.commands.checkpoints import diff, hash_command, inspect
from albert_zoo.commands.convert import convert
from albert_zoo.commands.data import data
from albert_zoo.commands.evaluate import evaluate, predict
from albert_zoo.commands.finetune import finetune
from albert_zoo.commands.parity import parity
from albert_zoo.commands.pretrain import pretrain
from albert_zoo.commands.run import run
from albert_zoo.commands.tokenize import tokenize
from albert_zoo.commands.warm_up import warm_up
from albert_zoo.console import BAD_INPUT, ENVIRONMENT, MISSING, OK, printable


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="albert-zoo", prog_name="albert-zoo")
def cli() -> None:
    """One ALBERT in PyTorch, TensorFlow and JAX, with proof that they agree.

    Exit codes: 0 ok, 1 a check failed, 2 usage, 3 bad input, 4 a package is missing,
    5 the machine (disk, permission, signal), 6 inconclusive.
    """


for command in (
    bench,
    convert,
    data,
    diff,
    evaluate,
    finetune,
    hash_command,
    inspect,
    parity,
    predict,
    pretrain,
    run,
    tokenize,
    warm_up,
):
    cli.add_command(command)


def main() -> None:
    """Run the command line, turning every error of a user into a line and a code."""
    _open_streams()
    try:
        cli.main(standalone_mode=False)
        code = OK
    except click.ClickException as problem:
        problem.show()
        code = problem.exit_code
    except AlbertError as problem:
        of_disk = getattr(problem, "code", "") in ("CHANGED", "UNREADABLE")
        code = _complain(problem, ENVIRONMENT if of_disk else BAD_INPUT)
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


def _open_streams() -> None:
    """Be ready for output that is closed, or that cannot show every character."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 (to the end)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _complain(problem: object, code: int) -> int:
    click.echo(f"albert-zoo: {printable(str(problem))}", err=True)
    return code


if __name__ == "__main__":
    main()
