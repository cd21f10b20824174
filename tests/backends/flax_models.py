"""Small Flax models for the tests of albert_flax."""

from contextlib import contextmanager

import jax
import numpy as np

import albert_flax
from albert_core.reference import Reference
from albert_core.schema import HEADS, parameters
from albert_core.spelling import FLAX
from albert_flax.params import nest, path_of
from albert_zoo.parity.inputs import batches
from tests.conftest import tiny, weights

SHALLOW = {"num_hidden_layers": 2, "num_hidden_groups": 1, "inner_group_num": 1}
ALL = list(HEADS)


@contextmanager
def quick_compiles():
    """Compile without most optimizations, for tests of neither speed nor rounding."""
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", False)


def class_of(head):
    """The model class of a head."""
    return getattr(albert_flax, f"FlaxAlbert{head}")


def build(head="Model", dtype="float32", pools=None, **changes):
    """A small model none of whose weights is special, computing in their type."""
    config = tiny(**{**SHALLOW, **changes})
    options = {} if pools is None else {"add_pooling_layer": pools}
    model = class_of(head)(config, dtype=dtype, _do_init=False, **options)
    values = weights(config, head, pools=pools)
    model.params = nest(
        {
            path_of(p): np.asarray(FLAX.turn(p, values[p.name]), dtype)
            for p in parameters(config, head, pools)
        }
    )
    return model


def batch(model):
    """Rows with both kinds of padding, a row of padding only, and labels."""
    return dict(batches(model.config, model.head)["rows"])


def expected(model, **inputs):
    """What the reference computes from a model's weights, in float64."""
    return Reference(model.config, model.canonical_arrays(), model.head)(**inputs)


def ids_of(model, rows=2, length=7):
    """Ids of the model's vocabulary and nothing else."""
    stream = np.random.default_rng(length)
    shape = (rows, 3, length) if model.head == "ForMultipleChoice" else (rows, length)
    return stream.integers(5, model.config.vocab_size, shape, np.int32)


def flat(tree):
    """Every number of a tree of arrays, in one."""
    return np.concatenate([np.ravel(np.asarray(x)) for x in jax.tree.leaves(tree)])


def close(found, wanted, bound=1e-12):
    """Whether arrays, or trees of them, agree relative to the largest number."""
    if jax.tree.structure(found) != jax.tree.structure(wanted):
        return False
    found, wanted = flat(found), flat(wanted)
    return bool(np.abs(found - wanted).max() <= bound * np.abs(wanted).max())
