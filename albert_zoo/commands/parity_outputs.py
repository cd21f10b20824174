"""The files that `albert-zoo parity` writes when it is done."""

import errno
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import click

from albert_zoo.console import print_result


def _file(name: str, variable: str, what: str) -> Callable[[Any], Any]:
    kind = click.Path(dir_okay=False, path_type=Path)
    return click.option(name, variable, type=kind, metavar="FILE", help=what)


_OPTIONS = (
    _file("--report", "html", "Write a page of HTML with charts and all figures."),
    _file("--junit", "junit", "Write JUnit XML, for a build server."),
    _file("--certificate", "certificate", "Write a certificate; see parity verify."),
)
signing_key_option = click.option(
    "--signing-key",
    "signing_key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Sign certificates with HMAC-SHA256 and the secret in this file.",
)


def output_options(command: Any) -> Any:
    """Give a command the options that `Outputs` is made from."""
    options = (*_OPTIONS, signing_key_option)
    return reduce(lambda made, option: option(made), reversed(options), command)


@dataclass
class Outputs:
    """What is written, and where; it is checked before anything long begins.

    Attributes:
        json: All figures.
        html: A page with charts.
        junit: For a build server.
        certificate: What `albert-zoo parity verify` checks.
        signing_key: The file of the secret that signs it.
    """

    json: Path | None
    html: Path | None
    junit: Path | None
    certificate: Path | None
    signing_key: Path | None

    def __post_init__(self) -> None:
        """Refuse what could only fail later.

        Raises:
            click.UsageError: Two options contradict each other.
            CertificateError: The key is too short.
            MissingPackageError: What a page is made with is not installed.
            OSError: There is no such folder, or it cannot be written to.
        """
        if self.signing_key and not self.certificate:
            raise click.UsageError("--signing-key needs a --certificate to sign.")
        if self.json == Path("-"):  # the terminal
            self.json = None
        files = [*self.reports, *([self.certificate] if self.certificate else [])]
        known = [file.resolve() for file in files]
        if twice := {str(file) for file in known if known.count(file) > 1}:
            raise click.UsageError(f"Two options name one file: {', '.join(twice)}.")
        for file in files:
            _require_folder(file)
        self._key = self._read_key()
        if self.html:
            from albert_zoo.parity import html_report

            html_report.require()

    @property
    def reports(self) -> list[Path]:
        """The files that a certificate covers."""
        return [file for file in (self.json, self.html, self.junit) if file]

    def write(
        self, result: Mapping[str, Any], json_file: Path | None, show: Any
    ) -> None:
        """Write everything; see `console.print_result` for the arguments."""
        self.write_reports(result)
        print_result(dict(result), json_file, show)
        self.write_certificate(result)

    def write_reports(self, result: Mapping[str, Any]) -> None:
        """Write the page and the XML; the figures are the command's to write."""
        if self.html:
            from albert_zoo.parity.html_report import write_html

            write_html(result, self.html)
        if self.junit:
            from albert_zoo.parity.junit import write_junit

            write_junit(result, self.junit)

    def write_certificate(self, result: Mapping[str, Any]) -> None:
        """Write the certificate, when all that it covers has been written."""
        if self.certificate:
            from albert_zoo.parity.certificate import write_certificate

            write_certificate(result, self.certificate, self.reports, self._key)

    def _read_key(self) -> bytes | None:
        if self.signing_key is None:
            return None
        from albert_zoo.parity.certificate import read_key

        return read_key(self.signing_key)


def _require_folder(file: Path) -> None:
    folder = file.parent
    if not folder.is_dir():
        raise FileNotFoundError(errno.ENOENT, "there is no folder for", str(file))
    if not os.access(file if file.exists() else folder, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
