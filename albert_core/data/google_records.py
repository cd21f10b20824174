"""The pretraining examples of Google's ALBERT and BERT, in TFRecord files.

Source: create_pretraining_data.py and run_pretraining.py of google-research/albert
"""

from collections.abc import Generator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core.data.example_proto import example, read_example
from albert_core.data.tfrecord import read_records, write_records
from albert_core.errors import InputError, listed, shown

Row = dict[str, NDArray[Any]]

LENGTH, PREDICTIONS = "max_seq_length", "max_predictions"
# The type of each feature, and its size: a number or the name that it has in messages.
FEATURES: dict[str, tuple[type[np.generic], str | int]] = {
    "input_ids": (np.int64, LENGTH),
    "input_mask": (np.int64, LENGTH),
    "segment_ids": (np.int64, LENGTH),
    "token_boundary": (np.int64, LENGTH),
    "masked_lm_positions": (np.int64, PREDICTIONS),
    "masked_lm_ids": (np.int64, PREDICTIONS),
    "masked_lm_weights": (np.float32, PREDICTIONS),
    "next_sentence_labels": (np.int64, 1),
}
OPTIONAL = "token_boundary"  # BERT's files lack it
_AGAIN = "Write the file again with what is right"


def read_pretraining(paths: str | Path | Iterable[str | Path]) -> Iterator[Row]:
    """Yield the examples of some files, each a dict of the arrays in `FEATURES`.

    "token_boundary" is in all of them or in none; features that are not in the table
    are left out.

    Raises:
        InputError: A file is damaged, an example is not as the table has it or not
            like the first one, or there is none at all.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    check = _Check()
    for path in paths:
        for number, record in enumerate(read_records(path)):
            row = read_example(record, path, number)
            yield check(row, f"{path}, record {number}")
    if not check.sizes:
        held = listed([str(path) for path in paths]) or "no file"
        raise InputError(f"There is no example in {held}. Give files of TFRecords.")


def write_pretraining(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write examples as Google's script does, each with the features in `FEATURES`.

    Args:
        path: The file; what it held stays until all is written.
        rows: Arrays by the name of the feature; "token_boundary" may be missing.

    Raises:
        InputError: An example is not as the table has it or not like the first one.
    """

    def records() -> Generator[bytes]:
        check = _Check()
        for number, row in enumerate(rows):
            where = f"{path}, row {number}"
            if unknown := [name for name in row if name not in FEATURES]:
                raise InputError(
                    f"{where} holds {listed(unknown)}; known are {listed(FEATURES)}. "
                    f"Leave out the others."
                )
            arrays = {name: np.asarray(values) for name, values in row.items()}
            yield example(check(arrays, where))

    write_records(path, records())


class _Check:
    """Whether examples are as the table has them, and like the first.

    Attributes:
        sizes: What the first one has, by the name of the size.
    """

    def __init__(self) -> None:
        self.sizes: dict[str | int, int] = {}
        self._names: list[str] = []

    def __call__(self, given: Mapping[str, NDArray[Any]], where: str) -> Row:
        """The features of the table, with its types.

        Args:
            given: The features of an example.
            where: How a message begins.
        """
        names = [name for name in FEATURES if name in given]
        if missing := [name for name in FEATURES if name not in {*given, OPTIONAL}]:
            raise InputError(
                f"{where} lacks {listed(missing)}; it holds "
                f"{listed(given) or 'nothing'}. Give pretraining examples."
            )
        self._names = self._names or names
        if names != self._names:
            has, had = ("has", "lacks") if OPTIONAL in given else ("lacks", "has")
            raise InputError(
                f"{where} {has} {OPTIONAL}, which the first example {had}. Read the "
                f"two kinds of files one after the other."
            )
        row = {name: self._array(name, given[name], where) for name in names}
        _check_values(row, where)
        return row

    def _array(self, name: str, array: NDArray[Any], where: str) -> NDArray[Any]:
        dtype, size = FEATURES[name]
        kinds = "f" if dtype is np.float32 else "iub"
        if array.dtype.kind not in kinds or array.ndim != 1:
            raise InputError(
                f"{where}: {name} is {array.dtype} of the shape {array.shape}; "
                f"{dtype.__name__} of one dimension is expected. {_AGAIN}."
            )
        if isinstance(size, int):
            expected, why = size, ""
        else:
            expected = self.sizes.setdefault(size, len(array))
            why = f", which is {size} in the first example"
        if len(array) != expected:
            raise InputError(
                f"{where}: {name} has {len(array)} values; {expected} are expected"
                f"{why}. Give examples of one size."
            )
        # What is too large for the type becomes infinite, or negative, and is refused.
        with np.errstate(over="ignore"):
            return array.astype(dtype, copy=False)


def _check_values(row: Row, where: str) -> None:
    mask, segments = row["input_mask"], row["segment_ids"]
    places = np.arange(len(mask))
    text = np.count_nonzero(mask)
    _refuse_unless(
        mask == (places < text), where, row, "input_mask", "1s and then 0s are expected"
    )
    if not text:
        raise InputError(f"{where}: input_mask has no 1, so no text. {_AGAIN}.")
    # Where the second segment begins; [CLS], the first token, is never of it.
    second = int(np.argmax(segments != 0)) or text
    _refuse_unless(
        segments == ((places >= second) & (places < text)),
        where,
        row,
        "segment_ids",
        f"0s, then 1s, then 0s behind the text of {text} tokens are expected",
    )
    positions = row["masked_lm_positions"]
    _refuse_unless(
        (positions >= 0) & (positions < text),
        where,
        row,
        "masked_lm_positions",
        f"0 to {text - 1}, in the text, are expected",
    )
    weights = row["masked_lm_weights"]
    _refuse_unless(
        np.isfinite(weights) & (weights >= 0),
        where,
        row,
        "masked_lm_weights",
        "no negative, infinite or missing numbers are expected",
    )
    for name in ("input_ids", "masked_lm_ids"):
        _refuse_unless(row[name] >= 0, where, row, name, "ids from 0 on are expected")
    for name in ("next_sentence_labels", OPTIONAL):
        if name in row:
            right = (row[name] == 0) | (row[name] == 1)
            _refuse_unless(right, where, row, name, "0 or 1 is expected")


def _refuse_unless(
    right: NDArray[np.bool_], where: str, row: Row, name: str, rule: str
) -> None:
    """Name the first value that is not right, and how it should be."""
    if not right.all():
        at = int(np.argmin(right))
        raise InputError(
            f"{where}: {name} is {shown(row[name][at].item())} at {at}; {rule}. "
            f"{_AGAIN}."
        )
