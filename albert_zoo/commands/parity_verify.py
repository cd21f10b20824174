"""`albert-zoo parity verify`: whether a certificate still holds."""

import sys
from pathlib import Path
from typing import Any

import click

from albert_zoo.commands.conversion_options import json_option
from albert_zoo.commands.parity_outputs import signing_key_option
from albert_zoo.console import CHECK_FAILED, print_result, printable


@click.command()
@click.argument("certificate", type=click.Path(path_type=Path))
@click.argument("checkpoint")
@signing_key_option
@json_option
def verify(
    certificate: Path, checkpoint: str, signing_key: Path | None, json_file: Path | None
) -> None:
    """Check that a certificate is of a checkpoint, and that nothing was changed.

    Opens CHECKPOINT, of any format, and compares its weights and its configuration with
    those that CERTIFICATE is about; checks the certificate's own hash, the files that
    were written with it, the table of budgets, the verdict, and with --signing-key the
    signature. The exit code is 1 when anything does not hold. No framework is needed.

    \b
    Example:
      albert-zoo parity my-albert --certificate proof.json
      albert-zoo parity verify proof.json my-albert
    """  # noqa: D301  (click reads the backspace)
    from albert_zoo.parity import certificate as certificates
    from albert_zoo.parity.verification import verify

    found = certificates.read(certificate)
    key = certificates.read_key(signing_key) if signing_key else None
    problems = verify(certificate, checkpoint, key)
    is_signed = certificates.SIGNATURE in found
    result = {
        "certificate": str(certificate),
        "checkpoint": checkpoint,
        "holds": not problems,
        "problems": problems,
        "signature": "checked" if key else "not checked" if is_signed else "none",
        "date": found["date"],
        "runs": [_run(run) for run in found["runs"]],
    }

    def show(console: Any) -> None:
        lines = list(problems)
        if not problems:
            runs = ", ".join(result["runs"])
            lines = [f"The certificate of {found['date']} holds. It is about: {runs}."]
        if is_signed and not key:
            lines.append("It is signed, but the signature was not checked: no key.")
        for line in lines:
            line = printable(line)
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    print_result(result, json_file, show)
    if problems:
        sys.exit(CHECK_FAILED)


def _run(run: dict[str, Any]) -> str:
    return f"{run.get('framework')} in {run.get('dtype')}"
