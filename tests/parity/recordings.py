"""Recordings for tests, and ways to damage them."""

import json

from albert_core.safetensors_file import metadata, read_header, write
from albert_zoo.parity import recorder
from albert_zoo.parity.case import LEARNT
from albert_zoo.parity.inputs import batches
from albert_zoo.parity.recording import MANIFEST
from conversion.target import file_digest
from tests.conftest import tiny
from tests.conftest import write as write_checkpoint

SMALL = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}


def rows(config, head):
    """The first batch alone, for frameworks that compile for every shape."""
    return {LEARNT: batches(config, head)[LEARNT]}


def make(
    folder, framework="torch", mode="float64", head="ForPreTraining", seed=0, **options
):
    """Write a small checkpoint and a recording of it; gives the recording's folder."""
    checkpoint = folder / "checkpoint"
    if not checkpoint.exists():
        write_checkpoint(checkpoint, tiny(**SMALL), head, seed)
    recorder.record(checkpoint, folder / framework, framework, mode, **options)
    return folder / framework


def manifest(folder, **changes):
    """The manifest of a recording, with some fields changed in the file."""
    values = json.loads((folder / MANIFEST).read_text())
    if changes:
        values |= changes
        (folder / MANIFEST).write_text(json.dumps(values))
    return values


def rewrite(folder, file, edit):
    """Change the arrays of a file by a function, and its SHA-256 with it."""
    path = folder / file
    arrays = {name: stored.read() for name, stored in read_header(path).items()}
    texts = metadata(path)
    edit(arrays)
    path.unlink()
    write(path, arrays, metadata=texts)
    files = manifest(folder)["files"]
    manifest(folder, files={**files, file: file_digest(path)})
