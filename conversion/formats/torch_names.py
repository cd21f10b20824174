"""What the pickle of a PyTorch file may name, and what we make of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import ml_dtypes
import numpy as np

from conversion.formats.restricted_pickle import (
    MOST_STEPS,
    Function,
    Global,
    OrderedTable,
    put,
)

DTYPES: Mapping[str, np.dtype[Any]] = {  # by the names of storages and of dtypes
    "torch.DoubleStorage": np.dtype("<f8"),
    "torch.FloatStorage": np.dtype("<f4"),
    "torch.HalfStorage": np.dtype("<f2"),
    "torch.BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "torch.LongStorage": np.dtype("<i8"),
    "torch.IntStorage": np.dtype("<i4"),
    "torch.ShortStorage": np.dtype("<i2"),
    "torch.CharStorage": np.dtype("i1"),
    "torch.ByteStorage": np.dtype("u1"),
    "torch.BoolStorage": np.dtype("?"),
    "torch.storage.UntypedStorage": np.dtype("u1"),
    "torch.uint64": np.dtype("<u8"),
    "torch.uint32": np.dtype("<u4"),
    "torch.uint16": np.dtype("<u2"),
}
_STORAGES = "ComplexDouble ComplexFloat QInt8 QInt32 QUInt8 QUInt4x2"
_TYPES = (
    "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool complex64 "
    "complex128 float8_e4m3fn float8_e5m2"
)
OTHERS = [  # types that are refused where a tensor has them, and harmless elsewhere
    "torch.storage.TypedStorage",
    *(f"torch.{name}Storage" for name in _STORAGES.split()),
    *(f"torch.{name}" for name in _TYPES.split()),
    *("torch.per_tensor_affine", "torch.per_channel_affine"),
]


@dataclass(frozen=True)
class Storage:
    """Bytes that tensors are views of.

    Attributes:
        key: Their name in the file.
        kind: The name of the type.
        count: How many numbers of that type they are said to be.
    """

    key: str
    kind: str
    count: int


@dataclass(frozen=True)
class Tensor:
    """What a pickle says of a tensor; nothing of it has been checked."""

    storage: object
    offset: object
    shape: object
    strides: object
    kind: object = None


def _tensor(
    storage: object, offset: object, shape: object, strides: object, *_: object
) -> Tensor:
    return Tensor(storage, offset, shape, strides)


def _tensor_of_kind(
    storage: object,
    offset: object,
    shape: object,
    strides: object,
    _gradient: object,
    _hooks: object,
    kind: object,
    *_: object,
) -> Tensor:
    return Tensor(storage, offset, shape, strides, kind)


def _same(value: object = (), *_: object) -> object:
    return value


def _device(*_: object) -> Global:
    return Global("torch.device")


def functions(path: Path) -> dict[str, Function | None]:
    """The functions by name; a name without one may stand there, but not be called.

    Args:
        path: The file, for messages.
    """
    # A pickle could give the same long list again and again.
    room = iter(range(MOST_STEPS))

    def table(pairs: object = ()) -> OrderedTable:
        result = OrderedTable()
        for key, value in cast(list[tuple[object, object]], pairs):
            if next(room, None) is None:
                raise ValueError(f"its dicts have over {MOST_STEPS} values")
            put(path, result, key, value)
        return result

    found: dict[str, Function | None] = dict.fromkeys([*DTYPES, *OTHERS])
    found["collections.OrderedDict"] = table
    found["torch.device"] = _device
    found["torch.Size"] = _same
    found["torch._utils._rebuild_parameter"] = _same
    found["torch._utils._rebuild_parameter_with_state"] = _same
    found["torch._utils._rebuild_tensor"] = _tensor
    found["torch._utils._rebuild_tensor_v2"] = _tensor
    found["torch._utils._rebuild_tensor_v3"] = _tensor_of_kind
    found["torch._utils._rebuild_qtensor"] = _tensor  # its type is refused by name
    return found
