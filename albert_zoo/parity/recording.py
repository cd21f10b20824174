"""A recording: a folder with all that one framework made of a checkpoint.

The manifest names every other file with its SHA-256. It is written last, so that a
folder without one was never finished.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self

from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, FormatError, listed, shown
from albert_core.file_checks import AGAIN
from albert_core.files import read_json
from albert_core.safetensors_file import metadata, read_header
from albert_core.sharding import PLAIN, check_links
from albert_zoo.backends import BACKENDS, Arrays
from albert_zoo.parity.budgets import MODES
from albert_zoo.parity.case import LEARNT
from albert_zoo.parity.inputs import Inputs
from conversion.target import file_digest

MANIFEST = "manifest.json"
KIND = "albert-zoo parity recording"
VERSION = 1

INPUTS, OUTPUTS, CALLS, GRADIENTS = "inputs", "outputs", "calls", "gradients"


def file_name(level: str, batch: str = "") -> str:
    """The file of a level and, where each has its own, a batch."""
    return f"{level}-{batch}.safetensors" if batch else f"{level}.safetensors"


@dataclass(frozen=True)
class Manifest:
    """What a recording says of itself.

    Attributes:
        checkpoint: Where the checkpoint was: an absolute path, or a hub name.
        head: What it is, a key of `schema.HEADS`.
        config: What the model was built from, as `config.json` has it.
        weights_sha256: The canonical SHA-256 of the checkpoint's weights.
        inputs_sha256: That of the inputs.
        framework: A key of `backends.BACKENDS`.
        mode: A key of `budgets.MODES`.
        versions: Of the framework's packages.
        switches: What decided its precision, and its device.
        environment: The machine and the packages.
        batches: Names of the inputs.
        weights: The digest of every weight, as the framework held it.
        changed: Outputs that a second run on the same inputs gave other numbers for.
        files: The SHA-256 of every file beside the manifest.
    """

    checkpoint: str
    head: str
    config: dict[str, Any]
    weights_sha256: str
    inputs_sha256: str
    framework: str
    mode: str
    versions: dict[str, str]
    switches: dict[str, str]
    environment: dict[str, str]
    batches: list[str]
    weights: dict[str, dict[str, Any]]
    changed: list[str]
    files: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"kind": KIND, "version": VERSION, **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], path: Path) -> Self:
        """Check what a file holds.

        Raises:
            FormatError: It is no manifest, or one of another version.
        """
        if values.get("kind") != KIND:
            what = f"its kind is {shown(values.get('kind'))}, not {KIND!r}"
            raise FormatError("BAD_HEADER", path, what, "Give a recording's folder.")
        if values.get("version") != VERSION:
            found = shown(values.get("version"))
            what = f"it is of version {found}, and only {VERSION} is known here"
            remedy = "Compare it with the version of albert-zoo that recorded it."
            raise FormatError("UNSUPPORTED", path, what, remedy)
        held = {field.name: values.get(field.name) for field in fields(cls)}
        wrong = [name for name, value in held.items() if not _fits(name, value)]
        if wrong:
            what = f"it lacks, or has in another form: {listed(wrong)}"
            raise FormatError("BAD_HEADER", path, what, f"{AGAIN}.")
        return cls(**held)  # pyright: ignore[reportArgumentType] (just checked)


TABLES = ("config", "versions", "switches", "environment", "weights", "files")


def _fits(name: str, value: object) -> bool:
    """Whether a value is of the kind that a field of the manifest has."""
    if name in ("batches", "changed"):
        return isinstance(value, list) and all(isinstance(x, str) for x in value)
    if name in ("versions", "switches", "environment", "files"):
        texts = value.values() if isinstance(value, dict) else [0]
        return all(isinstance(x, str) for x in texts)
    if name in TABLES:
        return isinstance(value, dict)
    known = {"framework": BACKENDS, "mode": MODES}
    return isinstance(value, str) and value in known.get(name, {value})


class Recording:
    """A recording that is whole.

    Attributes:
        folder: Where it is.
        manifest: What it says of itself.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: str | Path) -> Self:
        """Open a recording, and compare every file with its SHA-256.

        Raises:
            CheckpointError: It is not there, was never finished, was changed, is of
                another version, or names files that are not its own.
        """
        folder = Path(folder).expanduser()
        path = folder / MANIFEST
        if not path.exists():
            raise _unfinished(folder)
        values = read_json(path, CheckpointError)
        recording = cls(folder, Manifest.from_dict(values, path))
        recording._check_names()
        recording._check_files()
        return recording

    @property
    def config(self) -> AlbertConfig:
        """The configuration that the model was built from."""
        return AlbertConfig.from_dict(self.manifest.config)

    @property
    def batches(self) -> dict[str, Inputs]:
        """The inputs, by name."""
        return {b: self.read(INPUTS, b) for b in self.manifest.batches}

    def read(self, level: str, batch: str = "") -> Arrays:
        """All arrays of a level."""
        path = self.folder / file_name(level, batch)
        return {name: array.read() for name, array in read_header(path).items()}

    def call(self, batch: str, path: str) -> Any:
        """What one call of a part of the model gave.

        Raises:
            LookupError: It was not recorded.
        """
        calls = read_header(self.folder / file_name(CALLS, batch))
        if path not in calls:
            raise LookupError(f"{self.folder} holds no call {path} of batch {batch!r}")
        return calls[path].read()

    @property
    def loss(self) -> float:
        """The loss whose gradients were recorded."""
        texts = metadata(self.folder / file_name(GRADIENTS))
        return float.fromhex(texts.get("loss", "nan"))

    def _check_names(self) -> None:
        path, files = self.folder / MANIFEST, self.manifest.files
        outside = [name for name in files if not PLAIN.fullmatch(name)]
        if outside:
            what = f"it points outside its folder: {listed(outside)}"
            raise FormatError("UNSAFE", path, what, "Do not use this recording.")
        batches = self.manifest.batches
        levels = (INPUTS, OUTPUTS, CALLS)
        needed = {file_name(level, b) for level in levels for b in batches}
        unnamed = sorted(needed - files.keys())
        if unnamed or LEARNT not in batches:
            unnamed += [] if LEARNT in batches else [f"batch {LEARNT}"]
            what = f"it does not name {listed(unnamed)}"
            raise FormatError("BAD_HEADER", path, what, "Record it again.")

    def _check_files(self) -> None:
        path, files = self.folder / MANIFEST, self.manifest.files
        places = {name: self.folder / name for name in files}
        missing = [name for name, place in places.items() if not place.is_file()]
        if missing:
            what = f"of the {len(files)} files of its manifest there is no "
            what += listed(missing)
            raise FormatError("INCOMPLETE", self.folder, what, "Get them, too.")
        check_links(path, places.values())
        for name, place in places.items():
            found = file_digest(place)
            if found != files[name]:
                what = f"its SHA-256 is {found}, in {MANIFEST} {files[name]}"
                raise FormatError("CHECKSUM", place, what, f"{AGAIN}.")


def _unfinished(folder: Path) -> CheckpointError:
    """The error of a folder without a manifest."""
    part = folder.with_name(f".{folder.name}.part")  # that of `conversion.target`
    if not folder.exists() and not part.exists():
        return CheckpointError(f"{folder} does not exist. Give a recording's folder.")
    if folder.is_file():
        return CheckpointError(f"{folder} is a file. Give a recording's folder.")
    what = f"it has no {MANIFEST}, which is written last"
    return FormatError("INCOMPLETE", folder, what, "Record it again.")
