"""Texts of different lengths side by side in rows, with little padding."""

from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from albert_core import fast
from albert_core.errors import InputError

OURS = ("albert_torch", "albert_tf", "albert_flax")
FRAMEWORKS = ("torch", "keras", "flax")
PLAIN = (  # their classes that compute each place by itself, or nothing
    *("Linear", "Dense", "Embedding", "LayerNorm", "LayerNormalization", "Dropout"),
    *("Identity", "ModuleList", "Dict"),
)
METHODS = {"forward", "call", "pool"}  # where an instance may have its own
WORTH = 0.85  # of all places; rows that have more are not worth packing


class Packed(NamedTuple):
    """A mask whose padding is mostly not computed, in place of an `attention_mask`.

    The encoder puts the tokens of several texts into each row, lets each attend to its
    own text only, and puts them back. Hidden states at padding mean nothing. Real
    tokens get what the plain mask gives them. Heads that read the first place alone, as
    the pooler does, need a token there.

    Attributes:
        mask: [texts, width], 1 for tokens, 0 for padding.
        take: [rows, width], which of texts * width stands at each place of the rows.
        text: [rows, width], the number of its text from 1; 0 where none is.
        back: [texts, width], at which of rows * width each token stands.

    PyTorch takes the tokens without rows, and needs the mask alone. Rows belong to the
    whole batch: what cuts batches, such as Keras' `fit`, must get plain masks.
    """

    mask: Any
    take: Any = None
    text: Any = None
    back: Any = None


def check(packed: Packed, shape: Sequence[int | None], rows: bool = False) -> None:
    """Refuse a packed mask of another batch, or one that has no plan.

    Args:
        packed: The mask.
        shape: The batch, [texts, width]; None for what is not known yet.
        rows: Whether the plan is needed.

    Raises:
        InputError: As said.
    """
    found = tuple(packed.mask.shape)
    known = zip(found, shape, strict=True) if len(found) == 2 else [(0, 1)]
    if any(None not in (one, other) and one != other for one, other in known):
        raise InputError(
            f"The packed mask is of a batch of {found}, but this one is "
            f"{tuple(shape)}. Make it of this batch's mask."
        )
    if rows and packed.take is None:
        raise InputError("This Packed has no rows. Make it by pack(mask).")


def begins(mask: Any) -> Any:
    """Whether each row [rows, seq] begins with a token, which heads read."""
    return (mask[:, :1] != 0).all()


def parts_outside_layers(model: Any, children: Callable[[Any], Iterable[Any]]) -> Any:
    """A model, its encoder, and what the two consist of, but the layers themselves.

    Args:
        model: With a head, or an encoder.
        children: The parts of a part.
    """
    base = getattr(model, "albert", model)
    encoder = getattr(base, "encoder", base)
    whole = dict.fromkeys((model, base, encoder))
    return [*whole, *(child for part in whole for child in children(part))]


def is_all_ours(parts: Iterable[Any]) -> bool:
    """Whether only this library sees masks and padding; others may look at them.

    Args:
        parts: Modules or layers.
    """
    return all(map(_is_ours, parts))


def _is_ours(part: object) -> bool:
    kind = type(part)
    package = kind.__module__.partition(".")[0]
    known = package in OURS or (package in FRAMEWORKS and kind.__name__ in PLAIN)
    return known and METHODS.isdisjoint(vars(part))


def fit(sizes: Sequence[int] | NDArray[Any], width: int) -> NDArray[np.int64]:
    """Where texts begin in rows that stand behind one another.

    The longest is the first, and each goes into the row that it fills best.

    Args:
        sizes: Tokens of each text, at most the width.
        width: Of a row.
    """
    sizes = np.asarray(sizes)
    free: list[tuple[int, int]] = []  # room of a row, and its number
    places = np.zeros(len(sizes), np.int64)
    rows = 0
    for text in np.argsort(-sizes, kind="stable"):
        size = int(sizes[text])
        at = bisect_left(free, (size, -1))
        room, row = free.pop(at) if at < len(free) else (width, rows)
        rows = max(rows, row + 1)
        places[text] = (row + 1) * width - room
        insort(free, (room - size, row))
    return places


def few(number: int) -> int:
    """The next of 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, ..."""
    step = 1 << max(0, (number - 1).bit_length() - 3)
    return max(1, -(-number // step) * step)


def pack(given: ArrayLike, few_shapes: bool = False) -> Packed:
    """Plan the rows, as long as the mask: each text, longest first, where it fits best.

    Args:
        given: The mask [texts, width], 1 for tokens and 0 for padding, anywhere.
        few_shapes: Round the number of rows up, to one of four for each power of two.

    Raises:
        InputError: It has not two axes.

    Examples:
        >>> pack([[1, 1, 0], [1, 0, 0], [1, 1, 1]]).text.tolist()
        [[3, 3, 3], [1, 1, 2]]
    """
    mask: NDArray[np.bool_] = np.asarray(given) != 0
    if mask.ndim != 2:
        raise InputError(
            f"The mask has the shape {mask.shape}, but pack takes [texts, width]. Give "
            f"it as mask.reshape(-1, mask.shape[-1])."
        )
    width = mask.shape[1]
    # Holes stay, so that distances do.
    spots: NDArray[np.int64] = np.arange(width, dtype=np.int64)
    first = np.where(mask, spots, width).min(1, initial=width)
    sizes = np.maximum(np.where(mask, spots + 1, 0).max(1, initial=0) - first, 0)
    places = fit(sizes, width)
    used = places[sizes > 0]
    rows = int(used.max(initial=-1)) // max(1, width) + 1
    rows = few(rows) if few_shapes else max(rows, min(1, len(mask)))
    back = np.tile(np.arange(width, dtype=np.int64), (len(mask), 1))
    back += (places - first)[:, None]
    back *= mask
    take, owner = (np.zeros(rows * width, np.int32) for _ in range(2))
    take[back[mask]] = np.flatnonzero(mask)
    owner[back[mask]] = np.nonzero(mask)[0] + 1
    shape = (rows, width)
    return Packed(
        mask.astype(np.int32),
        take.reshape(shape),
        owner.reshape(shape),
        back.astype(np.int32),
    )


def pack_if_worth(mask: NDArray[Any], spare: bool = False) -> Any:
    """A mask [..., texts, width], packed into few shapes where that saves enough.

    Args:
        mask: 1 for tokens, 0 for padding.
        spare: Whether rows without a token at the end are nobody's.
    """
    rows = mask.reshape(-1, mask.shape[-1])
    used = np.flatnonzero(rows.any(-1))
    texts = rows[: used.max(initial=-1) + 1] if spare else rows
    if not fast.allowed() or rows.all() or not begins(texts):
        return mask
    packed = pack(rows, few_shapes=True)
    return packed if packed.take.size <= WORTH * mask.size else mask
