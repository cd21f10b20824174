"""HDF5 files: `tf_model.h5` of Hugging Face and `.weights.h5` of Keras.

`read` gives the arrays by their paths, `attributes` the texts beside them, `contents`
both at once. The HDF5 library is large and not made for hostile files: a child process
looks into the file, and this one reads the numbers by plain reads.
"""

from pathlib import Path

from albert_core.file_checks import first_bytes, not_a
from albert_core.lazy import Lazy
from conversion.formats.hdf5_process import Window
from conversion.formats.hdf5_table import Contents, Texts
from conversion.formats.hdf5_table import contents as look
from conversion.formats.hdf5_writer import write

__all__ = ["Contents", "attributes", "contents", "read", "write"]

MAGIC = b"\x89HDF\r\n\x1a\n"


def read(path: Path) -> dict[str, Lazy]:
    """Read what a file holds.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    return dict(contents(path).arrays)


def attributes(path: Path) -> Texts:
    """The texts that Keras keeps beside arrays, by the group or array they are of.

    These are `layer_names`, `weight_names`, `backend`, `keras_version`, `name` and
    `dtype`; no other is read, configurations least of all.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    return contents(path).texts


def contents(path: Path) -> Contents:
    """Both of them, of one look into the file.

    Raises:
        FormatError: The file is damaged or hostile.
    """
    start, state = first_bytes(path)
    return inside(Window(path, 0, state[0], state), start)


def inside(window: Window, start: bytes) -> Contents:
    """The contents of a part of a file.

    Args:
        window: The part.
        start: Its first bytes.

    Raises:
        FormatError: It is no HDF5, damaged or hostile.
    """
    if not start.startswith(MAGIC):
        raise not_a("HDF5 file", window.path, start)
    return look(window)
