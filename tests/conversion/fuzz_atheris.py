"""Fuzz a reader with atheris, which looks for bytes that lead to new code.

python -m tests.conversion.fuzz_atheris READER [FOLDER ...] [-max_total_time=60 ...]

The options are those of libFuzzer. In the folders it keeps and finds what is of use; a
file that ends it is written as crash-..., oom-... or timeout-... Atheris comes with
`pip install 'albert-zoo[fuzz]'`, for Python up to 3.13.
"""

import os
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["albert_core", "conversion"]):
    from tests.conversion.fuzz_targets import TARGETS, WORDS, survives

# MiB of memory, and bytes of a file: small ones are quick, and arrays as large as they.
LIMITS = ["-rss_limit_mb=256", "-max_len=16384"]


def fuzz(folder: Path, program: str, reader: str, *options: str) -> None:
    """Fuzz a reader until an option or a finding ends this process."""
    work, seeds = folder / "work", folder / "seeds"
    work.mkdir()
    seeds.mkdir()
    target = TARGETS[reader]
    for number, seed in enumerate(target.seeds(work)):
        (seeds / f"{number}").write_bytes(seed)
    words = ("".join(f"\\x{byte:02x}" for byte in word.encode()) for word in WORDS)
    (folder / "words").write_text("".join(f'"{word}"\n' for word in words))
    limits = [*LIMITS, f"-timeout={target.seconds}", f"-dict={folder / 'words'}"]
    arguments = [program, *limits, *options, str(seeds)]
    atheris.Setup(arguments, lambda data: survives(reader, data, work))
    atheris.Fuzz()


def main() -> int:
    """Fuzz the reader that the command line names; return libFuzzer's exit code."""
    # In memory where there is such a place: each file is written once.
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        # libFuzzer ends its process at once, so somebody must stay to tidy up.
        if child := os.fork():
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        fuzz(Path(name), *sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
