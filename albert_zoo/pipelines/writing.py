"""The output of a run: one JSON line a record, and a way back after a stop."""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from albert_core.errors import InputError, shown
from albert_core.files import read_json

ERROR = b'{"line": '


class Output:
    """A file of results that an interrupted run can go on with.

    While a run lasts, a small file beside it, with ".resume" at the end of its name,
    says what the run was told. It is gone when the run is complete.

    Args:
        path: The file; None for the standard output.
        settings: What decides the results, to be the same when the run goes on.
        resume: Go on with what is there.
        overwrite: Begin anew if there is something.

    Attributes:
        done: How many lines are written.
        errors: How many of them are errors.
        complete: Whether an earlier run has written all of it.

    Raises:
        InputError: There is a file already, or it was written in another way.
    """

    def __init__(
        self,
        path: Path | None,
        settings: Mapping[str, Any],
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self.done = self.errors = 0
        self.complete = False
        self._file: BinaryIO | None = None
        if path is None:
            return
        self._note = path.with_name(f"{path.name}.resume")
        if path.exists() and not overwrite:
            if not resume:
                raise InputError(
                    f"{path} is there already. Give --overwrite to write it anew, or "
                    f"--resume to go on with it."
                )
            self._take_up(path, settings)
        else:
            path.unlink(missing_ok=True)
        if not self.complete:
            self._note.write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
            # Unbuffered: what is computed is kept, whatever stops the run.
            self._file = path.open("ab", buffering=0)

    def _take_up(self, path: Path, settings: Mapping[str, Any]) -> None:
        with path.open("rb+") as file:
            end = 0
            for line in file:
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                self.done += 1
                self.errors += line.startswith(ERROR) and b'"error": ' in line
            if not self._note.exists():
                self.complete = True
                return
            file.truncate(end)  # of a line that was not written to its end
        before = read_json(self._note, InputError)
        now = json.loads(json.dumps(settings))
        changed = [
            f"{name} was {shown(before.get(name))} and is {shown(now.get(name))}"
            for name in [*before, *(name for name in now if name not in before)]
            if before.get(name) != now.get(name)
        ]
        if changed:
            raise InputError(
                f"{path} was begun in another way: {'; '.join(changed)}. Give the same "
                f"as then, or --overwrite."
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            self._file.close()
            if kind is None:
                self._note.unlink(missing_ok=True)

    def write(self, record: Any) -> None:
        """Write a result.

        Raises:
            InputError: It holds a number that JSON does not have.
        """
        try:
            text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        except ValueError:
            raise InputError(
                "The result is not a finite number. Check the weights of the model."
            ) from None
        self._put(text)

    def write_error(self, line: int, problem: object) -> None:
        """Write why there is no result for a line of the input."""
        self.errors += 1
        self._put(json.dumps({"line": line, "error": str(problem)}, ensure_ascii=False))

    def _put(self, text: str) -> None:
        data = (text + "\n").encode(errors="backslashreplace")
        if self._file is None:
            sys.stdout.buffer.write(data)
        else:
            # A write may take a part only, on a full disk for one.
            while data:
                data = data[os.write(self._file.fileno(), data) :]
        self.done += 1
