"""Models made fast for prediction: NumPy arrays in, only the wanted outputs out.

Each function takes a loaded model of its framework.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from albert_core import fast, processor
from albert_core.config import AlbertConfig
from albert_core.inputs import check_arrays
from albert_core.packing import Packed, pack_if_worth

logger = logging.getLogger("albert_zoo")
BATCH_TOKENS = 8192  # at once, on an accelerator
NEAR = 3 * 2**20  # numbers of a layer's widest part at once, on a CPU

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Predictor:
    """A model that is ready to predict.

    Attributes:
        config: The model's.
        run: Takes inputs by name and the names of the wanted outputs. With "positions"
            [batch, count] among the inputs of a masked language model, there are
            logits of those places only. At last, whether what stands at padding is
            read; it means nothing otherwise, nor does what rows without a token at the
            end give.
        batch_tokens: How many tokens at once are fastest, about.
        shares_rows: Whether texts are put into rows together, which are all of few
            shapes.
        compiles: Whether each new shape costs time.
        to_tensor: Makes the framework's own tensor of a NumPy array.
    """

    config: AlbertConfig
    run: Callable[..., Arrays]
    batch_tokens: int
    shares_rows: bool
    compiles: bool
    to_tensor: Callable[[NDArray[Any]], Any]


class _Latest:
    """What is made of a model, and made again when it has other weights or layers.

    Args:
        make: Makes it.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._known: tuple[tuple[Any, ...], Any] = ((), None)

    def __call__(self, *of: Any) -> Any:
        """What was made of exactly these."""
        known, made = self._known
        if [*map(id, known)] != [*map(id, of)]:
            made = self._make()
            self._known = (of, made)
        return made


def _batch_tokens(config: AlbertConfig, on_cpu: bool) -> int:
    """More tokens at once than fit near a CPU take longer each, in JAX by 40 %."""
    return max(256, NEAR // config.intermediate_size) if on_cpu else BATCH_TOKENS


def _outputs(
    model: Any, modules: Any, take: Any, inputs: Mapping[str, Any], ours: bool
) -> Any:
    """Run a model of any framework; decode at some positions only, if there are any.

    A call that is not ours may do anything, and is not gone round.
    """
    inputs = dict(inputs)
    positions = inputs.pop("positions", None)
    if positions is None:
        return model(**inputs, return_dict=True)
    if not ours:
        return {"logits": take(model(**inputs, return_dict=True).logits, positions)}
    hidden = model.albert(**inputs, return_dict=True).last_hidden_state
    table = modules.table_of(model.get_output_embeddings())
    return {"logits": model.predictions(take(hidden, positions), table)}


def _shaped(model: Any, inputs: Mapping[str, NDArray[Any]]) -> Arrays:
    """Rows as a model takes them: one choice each where it chooses, unless it has."""
    if model.head == "ForMultipleChoice":
        return {k: x[:, None] if x.ndim == 2 else x for k, x in inputs.items()}
    return dict(inputs)


def _for_program(
    model: Any, given: Mapping[str, NDArray[Any]], leave_out: bool
) -> dict[str, Any]:
    """Inputs of a compiled program, which looks at no numbers by itself.

    Args:
        model: The model.
        given: The inputs.
        leave_out: Whether padding may be left out.
    """
    check_arrays(model.config, given)
    inputs: dict[str, Any] = _shaped(model, given)
    mask = inputs.get("attention_mask")
    if mask is not None and leave_out:
        inputs["attention_mask"] = pack_if_worth(mask, spare=True)
    return inputs


def torch_predictor(model: Any) -> Predictor:
    """A predictor of a PyTorch model, which is put into evaluation mode."""
    import torch

    from albert_torch import fused, modules, ops, packing

    model.eval()
    fused.freeze(model)

    def take(hidden: Any, positions: Any) -> Any:
        return hidden.take_along_dim(positions[..., None], 1)

    def run(
        inputs: Mapping[str, NDArray[Any]],
        wanted: Sequence[str],
        padding: bool = False,
    ) -> Arrays:
        tensors: dict[str, Any] = {
            name: torch.from_numpy(array).to(model.device, torch.long)
            for name, array in _shaped(model, inputs).items()
        }
        mask, ours = tensors.get("attention_mask"), ops.is_open(model)
        if mask is not None and ours and not padding:
            tensors["attention_mask"] = packing.without_padding(mask)
        with torch.inference_mode():
            found = _outputs(model, modules, take, tensors, ours)
            return {name: found[name].float().cpu().numpy() for name in wanted}

    tokens = _batch_tokens(model.config, model.device.type == "cpu")
    return Predictor(model.config, run, tokens, False, False, torch.from_numpy)


def tf_predictor(model: Any) -> Predictor:
    """A predictor of a TensorFlow model: a program of XLA for each shape.

    Without fast paths it is one graph, for every shape; and in float32 on a processor
    by Intel, where that takes less time.
    """
    import tensorflow as tf

    from albert_tf import modules, ops
    from albert_tf.int8 import is_int8

    if model.variable_dtype == "float32":
        # Rounding to 10 bits would set this framework apart from the others.
        tf.config.experimental.enable_tensor_float_32_execution(False)
    device = model.weights[0].value.device
    on_cpu = "CPU" in device
    narrow = is_int8(model) or tf.as_dtype(model.compute_dtype).size < 4
    compiles = narrow or not (on_cpu and processor.is_intel())
    refused: list[str] = []  # what XLA said, if it cannot compile the model

    def take(hidden: Any, positions: Any) -> Any:
        return tf.gather(hidden, positions, axis=1, batch_dims=1)

    def graph(
        names: tuple[str, ...], packs: bool, wanted: tuple[str, ...], compiled: bool
    ) -> Any:
        chooses = model.head == "ForMultipleChoice"
        shape = (None, None, None) if chooses else (None, None)
        specs: dict[str, Any] = {
            name: tf.TensorSpec(shape, tf.int32, name) for name in names
        }
        if packs:
            fields = (tf.TensorSpec((None, None), tf.int32, n) for n in Packed._fields)
            specs["attention_mask"] = Packed(*fields)

        def forward(inputs: Any) -> Any:
            with ops.compact() if compiled else nullcontext():
                ours = ops.is_open(model)
                found = _outputs(model, modules, take, inputs, ours)
            return {name: tf.cast(found[name], tf.float32) for name in wanted}

        return tf.function(forward, input_signature=[specs], jit_compile=compiled)

    graphs = _Latest(lambda: cache(graph))

    def run(
        inputs: Mapping[str, NDArray[Any]],
        wanted: Sequence[str],
        padding: bool = False,
    ) -> Arrays:
        graph_of = graphs(*model.weights)
        ours = ops.is_open(model)
        with tf.device(device):
            rows = _for_program(model, inputs, ours and not padding)
            given = {k: tf.nest.map_structure(tf.constant, x) for k, x in rows.items()}
            packs = isinstance(given.get("attention_mask"), Packed)
            key = (tuple(given), packs, tuple(wanted))
            compiled = compiles and fast.allowed() and not refused
            try:
                found = graph_of(*key, compiled)(given)
            except tf.errors.OpError as problem:
                if not compiled:
                    raise
                found = graph_of(*key, False)(given)  # or it is something else's fault
                refused.append(str(problem).partition("\n")[0])
                logger.warning(
                    "XLA cannot compile this model, so that it predicts more slowly: "
                    "%s",
                    refused[0],
                )
        return {name: value.numpy() for name, value in found.items()}

    tokens = _batch_tokens(model.config, on_cpu)
    return Predictor(model.config, run, tokens, True, compiles, tf.constant)


def flax_predictor(model: Any) -> Predictor:
    """A predictor of a Flax model: a program for each shape."""
    import jax
    import jax.numpy as jnp
    from flax import nnx

    from albert_flax import modules, ops

    def wide(array: Any) -> Any:
        numbers = jnp.issubdtype(array.dtype, jnp.floating)
        return array.astype(model.dtype) if numbers else array

    def take(hidden: Any, positions: Any) -> Any:
        return jnp.take_along_axis(hidden, positions[..., None], 1)

    def program() -> tuple[Any, bool]:
        """What computes the model as it is now, and whether all of that is ours."""
        module = model.module
        graph, ours = nnx.graphdef(module), ops.is_open(module)

        def forward(state: Any, inputs: Any, wanted: tuple[str, ...]) -> Any:
            found = _outputs(nnx.merge(graph, state), modules, take, inputs, ours)
            return {name: found[name].astype(jnp.float32) for name in wanted}

        return jax.jit(forward, static_argnames="wanted"), ours

    def numbers() -> Any:
        return jax.tree.map(wide, nnx.state(model.module))

    programs, states = _Latest(program), _Latest(numbers)

    def run(
        inputs: Mapping[str, NDArray[Any]],
        wanted: Sequence[str],
        padding: bool = False,
    ) -> Arrays:
        compiled, ours = programs(model._program)
        state = states(model._program, model.params)
        with jax.default_matmul_precision("highest"):
            rows = _for_program(model, inputs, ours and not padding)
            found = compiled(state, rows, tuple(wanted))
        return {name: np.asarray(value) for name, value in found.items()}

    devices = jax.tree.leaves(model.params)[0].devices()
    tokens = _batch_tokens(model.config, all(x.platform == "cpu" for x in devices))
    return Predictor(model.config, run, tokens, True, True, jnp.asarray)
