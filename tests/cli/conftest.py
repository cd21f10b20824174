"""The command line in this process."""

import io
import sys

import pytest

from albert_zoo import cli


@pytest.fixture
def call(monkeypatch, capsys):
    """Run the command in this process: (*arguments, text) -> code, output, errors."""

    def run_here(*arguments, text=""):
        monkeypatch.setattr(sys, "argv", ["albert-zoo", *map(str, arguments)])
        data = text if isinstance(text, bytes) else text.encode()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
        with pytest.raises(SystemExit) as stop:
            cli.main()
        return stop.value.code, *capsys.readouterr()

    return run_here
