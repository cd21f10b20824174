"""Putting layers in the place of others in a model that is built."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras


@contextmanager
def unlocked(layer: keras.layers.Layer) -> Iterator[None]:
    """Let a built layer change what it holds; Keras does the same for its adapters."""
    layer._tracker.unlock()
    try:
        yield
    finally:
        layer._tracker.lock()


def replace(owner: Any, attribute: str, layer: Any) -> None:
    """Put a layer in the place of another one, which is forgotten."""
    old = getattr(owner, attribute)
    place = next(i for i, held in enumerate(owner._layers) if held is old)
    with unlocked(owner):
        owner._tracker.untrack(old)
        setattr(owner, attribute, layer)
    # The order of the layers is the order of the weights.
    owner._layers.insert(place, owner._layers.pop())
    if not layer.built:
        with owner._open_name_scope():
            layer.build()


def freeze_like(layer: keras.layers.Layer, old: keras.layers.Layer) -> None:
    """Freeze in a layer what is frozen in the one that it replaces."""
    pairs = zip(layer._flatten_layers(), old._flatten_layers(), strict=True)
    for new, before in pairs:
        new.trainable = before.trainable
