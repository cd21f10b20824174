"""The mistakes that a diagnosis knows."""

from typing import Any

import ml_dtypes
import numpy as np

from albert_core.config import AlbertConfig
from albert_core.numerics import F64
from albert_core.reference import Reference
from albert_zoo.parity.causes import (
    ATTENTION,
    FEED_FORWARD,
    Array,
    Cause,
    Change,
    blocks,
    config,
    edit,
    inputs,
    kind,
    swap,
)


class WithoutTanh(Reference):
    """A pooler that forgets its tanh."""

    def pool(self, hidden: F64) -> F64:
        """The dense layer alone."""
        return self.dense(hidden[:, 0], "pooler")


class PoolsTheLast(Reference):
    """A pooler that takes the last token."""

    def pool(self, hidden: F64) -> F64:
        """Of the last token."""
        return np.tanh(self.dense(hidden[:, -1], "pooler"))


class SmallMask(Reference):
    """A mask of -10000, which does not swallow the scores of a row of padding."""

    def scores(self, query: F64, key: F64, bias: F64 | None, module: str) -> F64:
        """With the smaller constant."""
        small = None if bias is None else np.maximum(bias, -10000.0)
        return super().scores(query, key, small, module)


def _turn(array: Array, config: AlbertConfig) -> Array:
    return array.T


def _zero(array: Array, config: AlbertConfig) -> Array:
    return np.zeros_like(array)


def _one(array: Array, config: AlbertConfig) -> Array:
    return np.ones_like(array)


def _next(array: Array, config: AlbertConfig) -> Array:
    return np.roll(array, 1, 0)


def _previous(array: Array, config: AlbertConfig) -> Array:
    return np.roll(array, -1, 0)


def _reverse(array: Array, config: AlbertConfig) -> Array:
    return array[::-1]


def _double(array: Array, config: AlbertConfig) -> Array:
    return 2 * array


def _last_wrong(array: Array, config: AlbertConfig) -> Array:
    return np.concatenate([array[:-1], array[:1]])


def _no_padding(array: Array, config: AlbertConfig) -> Array:
    made = array.copy()
    made[config.pad_token_id or 0] = 0
    return made


def _heads_inside(array: Array, config: AlbertConfig) -> Array:
    """Rows of heads laid out as (width, heads) in place of (heads, width)."""
    parts = array.reshape(-1, config.head_size, *array.shape[1:])
    return parts.swapaxes(0, 1).reshape(array.shape)


def _next_head(array: Array, config: AlbertConfig) -> Array:
    return np.roll(array, config.head_size, 1)


def _scaled(power: float) -> Change:
    """Scores off by a power of the width of a head."""
    return edit(f"{_Q}.", lambda x, c: x * float(c.head_size) ** power)


def _rounded(dtype: Any) -> Change:
    return edit("", lambda x, c: x.astype(dtype).astype(x.dtype))


_TABLE, _NORM = "embeddings.{}_embeddings.weight", "embeddings.LayerNorm"
_SEGMENTS, _PLACES, _WORDS = map(_TABLE.format, ("token_type", "position", "word"))
_INTO = "embedding_hidden_mapping_in"
_Q, _K, _V, _OUT, _AFTER = (
    f"attention.{name}" for name in ("query", "key", "value", "dense", "LayerNorm")
)
_LAST = "full_layer_layer_norm"
_HEAD, _SOP = "predictions", "sop_classifier.classifier"
_MASK = "attention_mask"

# (name, what makes it, the call that is the first to be wrong); of mistakes that look
# alike in some models the simpler one stands first.
_KNOWN: tuple[tuple[str, Change, str], ...] = (
    ("segments flipped", edit(_SEGMENTS, _reverse), "embeddings"),
    ("segments lost", edit(_SEGMENTS, _zero), "embeddings"),
    ("positions off by one", edit(_PLACES, _next), "embeddings"),
    ("positions begin at 1", edit(_PLACES, _previous), "embeddings"),
    ("positions lost", edit(_PLACES, _zero), "embeddings"),
    ("last position wrong", edit(_PLACES, _last_wrong), "embeddings"),
    ("words off by one", edit(_WORDS, _next), "embeddings"),
    ("row of padding is zero", edit(_WORDS, _no_padding), "embeddings"),
    ("embedding norm scale missing", edit(f"{_NORM}.weight", _one), "embeddings"),
    ("embedding norm bias missing", edit(f"{_NORM}.bias", _zero), "embeddings"),
    ("projection bias missing", edit(f"{_INTO}.bias", _zero), "projection"),
    ("projection transposed", edit(f"{_INTO}.weight", _turn), "projection"),
    ("query and key swapped", swap(_Q, _K), ATTENTION),
    ("key and value swapped", swap(_K, _V), ATTENTION),
    ("query and value swapped", swap(_Q, _V), ATTENTION),
    ("query kernel transposed", edit(f"{_Q}.weight", _turn), ATTENTION),
    ("key kernel transposed", edit(f"{_K}.weight", _turn), ATTENTION),
    ("value kernel transposed", edit(f"{_V}.weight", _turn), ATTENTION),
    ("attention output transposed", edit(f"{_OUT}.weight", _turn), ATTENTION),
    ("query bias missing", edit(f"{_Q}.bias", _zero), ATTENTION),
    ("value bias missing", edit(f"{_V}.bias", _zero), ATTENTION),
    ("attention output bias missing", edit(f"{_OUT}.bias", _zero), ATTENTION),
    ("value heads laid out inside out", edit(f"{_V}.", _heads_inside), ATTENTION),
    ("query heads laid out inside out", edit(f"{_Q}.", _heads_inside), ATTENTION),
    ("heads in another order", edit(f"{_OUT}.weight", _next_head), ATTENTION),
    ("scores scaled twice", _scaled(-0.5), ATTENTION),
    ("scores not scaled", _scaled(0.5), ATTENTION),
    ("attention norm scale missing", edit(f"{_AFTER}.weight", _one), ATTENTION),
    ("attention norm bias missing", edit(f"{_AFTER}.bias", _zero), ATTENTION),
    ("feed-forward bias missing", edit("ffn.bias", _zero), FEED_FORWARD),
    ("feed-forward output bias missing", edit("ffn_output.bias", _zero), FEED_FORWARD),
    ("feed-forward norm scale missing", edit(f"{_LAST}.weight", _one), FEED_FORWARD),
    ("feed-forward norm bias missing", edit(f"{_LAST}.bias", _zero), FEED_FORWARD),
    ("norms swapped", swap(_AFTER, _LAST), ATTENTION),
    ("gelu by erf in place of tanh", config(hidden_act="gelu"), FEED_FORWARD),
    ("gelu by tanh in place of erf", config(hidden_act="gelu_new"), FEED_FORWARD),
    ("relu in place of gelu", config(hidden_act="relu"), FEED_FORWARD),
    ("quick gelu in place of gelu", config(hidden_act="quick_gelu"), FEED_FORWARD),
    ("silu in place of gelu", config(hidden_act="silu"), FEED_FORWARD),
    ("layer norm epsilon of 1e-5", config(layer_norm_eps=1e-5), "embeddings"),
    ("layer norm epsilon of 1e-6", config(layer_norm_eps=1e-6), "embeddings"),
    ("layer norm epsilon of 1e-7", config(layer_norm_eps=1e-7), "embeddings"),
    ("layer norm epsilon of 1e-9", config(layer_norm_eps=1e-9), "embeddings"),
    ("layer norm epsilon of 1e-3", config(layer_norm_eps=1e-3), "embeddings"),
    ("layer norm epsilon of 1e-12", config(layer_norm_eps=1e-12), "embeddings"),
    ("mask ignored", inputs(_MASK, np.ones_like), ATTENTION),
    ("mask inverted", inputs(_MASK, lambda x: 1 - x), ATTENTION),
    ("mask off by one", inputs(_MASK, lambda x: np.roll(x, 1, -1)), ATTENTION),
    ("mask too weak", kind(SmallMask), ATTENTION),
    ("groups in the wrong order", blocks("groups.0.", "groups.1."), ATTENTION),
    ("one group for all layers", blocks("groups.1.", "groups.0.", True), ATTENTION),
    ("inner blocks in the wrong order", blocks("layers.0.", "layers.1."), ATTENTION),
    ("pooler transposed", edit("pooler.weight", _turn), "pooler"),
    ("pooler bias missing", edit("pooler.bias", _zero), "pooler"),
    ("pooler without tanh", kind(WithoutTanh), "pooler"),
    ("pooler takes the last token", kind(PoolsTheLast), "pooler"),
    ("decoder bias doubled", edit(f"{_HEAD}.bias", _double), _HEAD),
    ("decoder bias missing", edit(f"{_HEAD}.bias", _zero), _HEAD),
    ("head's dense bias missing", edit(f"{_HEAD}.dense.bias", _zero), _HEAD),
    ("head's norm scale missing", edit(f"{_HEAD}.LayerNorm.weight", _one), _HEAD),
    ("head's norm bias missing", edit(f"{_HEAD}.LayerNorm.bias", _zero), _HEAD),
    ("sentence orders swapped", edit(f"{_SOP}.weight", _reverse), _SOP),
    ("sentence order bias missing", edit(f"{_SOP}.bias", _zero), _SOP),
    ("weights rounded to bfloat16", _rounded(ml_dtypes.bfloat16), "embeddings"),
    ("weights rounded to float16", _rounded(np.float16), "embeddings"),
)
CAUSES = tuple(Cause(*known) for known in _KNOWN)
