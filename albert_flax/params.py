"""Trees of parameters: nested dicts with the names of Hugging Face's Flax classes."""

from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albert_core.errors import CheckpointError, ConfigError
from albert_core.schema import Parameter
from albert_core.spelling import FLAX

Params = dict[str, Any]
Path = tuple[str, ...]


def path_of(parameter: Parameter) -> Path:
    """Where a parameter is in the tree."""
    return (*parameter.layer.split("."), FLAX.leaf(parameter))


def nest(leaves: Mapping[Path, Any]) -> Params:
    """A tree of what its paths lead to."""
    tree: Params = {}
    for path, leaf in leaves.items():
        branch = tree
        for key in path[:-1]:
            branch = branch.setdefault(key, {})
        branch[path[-1]] = leaf
    return tree


def flatten(tree: Params, path: Path = ()) -> dict[Path, Any]:
    """The leaves of a tree by their paths, the inverse of `nest`."""
    flat: dict[Path, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat |= flatten(value, (*path, key))
        else:
            flat[*path, key] = value
    return flat


def plain(tree: Mapping[str, Any]) -> Params:
    """Nested dicts, from those, from a FrozenDict, or from an nnx.State."""
    if isinstance(tree, nnx.State):
        tree = nnx.to_pure_dict(tree)
    return {
        str(key): plain(value) if isinstance(value, Mapping) else value
        for key, value in tree.items()
    }


def to_array(leaf: Any) -> Array:
    """A leaf as an array of JAX, which no later change of NumPy's can reach."""
    return leaf if isinstance(leaf, Array) else jax.device_put(np.array(leaf))


def check(tree: Params, schema: Iterable[Parameter], title: str) -> Params:
    """Refuse a tree that is not exactly a model's; NNX would take it silently.

    Raises:
        CheckpointError: All that is missing, unexpected or of another shape.
    """
    found = {path: np.shape(leaf) for path, leaf in flatten(tree).items()}
    wanted = {path_of(p): FLAX.shape(p) for p in schema}
    lines = [f"  missing     {'.'.join(path)}" for path in wanted if path not in found]
    lines += [f"  unexpected  {'.'.join(path)}" for path in found if path not in wanted]
    lines += [
        f"  shape       {'.'.join(path)}: {found[path]} given, {shape} in the model"
        for path, shape in wanted.items()
        if found.get(path, shape) != shape
    ]
    if lines:
        raise CheckpointError(
            f"These parameters do not fit {title}:\n"
            + "\n".join(lines)
            + "\nGive a tree like model.params of the same configuration."
        )
    return tree


def cast(tree: Mapping[str, Any], dtype: Any, mask: Any) -> Params:
    """A tree in another number type, where a tree of booleans says so."""
    tree = plain(tree)
    chosen = jax.tree.map(lambda _: True, tree) if mask is None else plain(mask)
    return jax.tree.map(lambda x, yes: x.astype(dtype) if yes else x, tree, chosen)


def to_dtype(dtype: Any, stored: str) -> Any:
    """The number type that a user names, or "auto", or None for float32.

    Raises:
        ConfigError: It is no number type, or JAX is not set up for it.
    """
    name = stored if dtype == "auto" else "float32" if dtype is None else dtype
    name = name.removeprefix("torch.") if isinstance(name, str) else name
    try:
        wanted = jnp.dtype(name)
    except TypeError as problem:
        raise ConfigError(f"dtype cannot be {dtype!r}: {problem}") from problem
    if not jnp.issubdtype(wanted, jnp.floating):
        raise ConfigError(
            f"dtype must be a floating point type, or int8 of from_pretrained, not "
            f"{wanted}."
        )
    if (narrow := jax.dtypes.canonicalize_dtype(wanted)) != wanted:
        raise ConfigError(
            f"JAX computes in {narrow} where {wanted} is asked for. Use it inside "
            f"`with jax.enable_x64(True):`, or set JAX_ENABLE_X64=1."
        )
    return wanted


def to_device(device_map: Any) -> Any:
    """The device or sharding that a user names, None where JAX chooses.

    Raises:
        ConfigError: There is no such device, or there is more than one.
    """
    if isinstance(device_map, Mapping):
        devices = set(device_map.values())
        if len(devices) != 1:
            raise ConfigError(
                f"device_map names {len(devices)} devices, but ALBERT shares one layer "
                f"across its depth. Give one device, or a sharding."
            )
        (device_map,) = devices
    if device_map is None or device_map == "auto":
        return None
    if not isinstance(device_map, str):
        return device_map
    try:
        return jax.devices(device_map)[0]
    except RuntimeError as problem:
        raise ConfigError(
            f"device_map cannot be {device_map!r}: {problem}"
        ) from problem
