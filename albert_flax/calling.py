"""Hugging Face's calling style: a model is a module, its parameters, and a call."""

from collections.abc import Mapping
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from albert_core import schema
from albert_core.config import AlbertConfig
from albert_core.errors import InputError
from albert_core.initial import initial_value
from albert_core.losses import IGNORED, problem_type
from albert_core.outputs import ModelOutput, finish
from albert_core.packing import Packed
from albert_core.spelling import FLAX
from albert_flax import params as trees
from albert_flax.ops import can_read, check_ids
from albert_flax.params import Params, Path
from albert_flax.program import INPUTS, Program
from albert_flax.scoring import is_integer


class FlaxCallable:
    """What of `FlaxAlbertPreTrainedModel` makes parameters and computes with them."""

    module_class: ClassVar[type[Any]]

    def __init__(
        self,
        config: AlbertConfig,
        input_shape: tuple[int, ...] = (1, 1),
        seed: int = 0,
        dtype: Any = jnp.float32,
        _do_init: bool = True,
        **options: Any,
    ) -> None:
        self.config = config
        self._dtype = trees.to_dtype(dtype, "float32")
        self._options = options
        self._recompute = False
        self._rounds = False  # see `int8`
        self._built: Program | None = None
        self._params: Params | None = None
        parameters = self._program.schema
        if _do_init:
            self._params = self._tree(
                {p: self._initial_array(p, seed) for p in parameters}
            )

    @property
    def head(self) -> str:
        """The key of `schema.HEADS` that a class is."""
        return self.module_class.head

    @property
    def dtype(self) -> Any:
        """What the model computes in; of int8, what is between its products."""
        return self._dtype

    @property
    def _program(self) -> Program:
        """The program of the configuration as it is now."""
        program = self._built
        if program is None or not program.fits(self.config, self._recompute):
            self.config.validate()
            program = Program(
                self.module_class,
                self.config,
                self._options,
                self._recompute,
                self._rounds,
                type(self).__name__,
            )
            self._built = program
        return program

    def __getstate__(self) -> dict[str, Any]:
        # What is compiled can be neither copied nor written, but made again.
        return {**self.__dict__, "_built": None}

    def __call__(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        token_type_ids: Any = None,
        position_ids: Any = None,
        params: Mapping[str, Any] | None = None,
        dropout_rng: Array | None = None,
        train: bool = False,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        head_mask: Any = None,
        inputs_embeds: Any = None,
        **labels: Any,
    ) -> ModelOutput | tuple:
        """Run the model, compiled at the first call with arrays of new shapes.

        Args:
            input_ids: Token ids [batch, seq].
            attention_mask: 1 for tokens, 0 for padding; all tokens by default.
            token_type_ids: Segment of each token; 0 by default.
            position_ids: Position of each token; 0, 1, ... by default.
            params: Used in place of the model's own; gradients flow to them.
            dropout_rng: A key; needed to train with dropout.
            train: Whether dropout is on.
            output_attentions: Also return the attention probabilities.
            output_hidden_states: Also return the output of every layer.
            return_dict: Return named outputs (the default), or a tuple of them.
            head_mask: [heads] or [layers, heads], 1 to keep a head.
            inputs_embeds: Word embeddings in place of `input_ids`.
            **labels: What the head learns from: `labels`, `sentence_order_label`,
                `start_positions`, `end_positions`. With them there is a loss.

        Raises:
            InputError: Inputs that do not fit the model, or training without a key.
            CheckpointError: Parameters that do not fit it.
        """
        program = self._program
        if unknown := labels.keys() - program.labels:
            known = ", ".join(sorted(program.labels)) or "no labels"
            raise TypeError(
                f"{type(self).__name__} does not take {', '.join(sorted(unknown))}. "
                f"Besides its inputs it takes {known}."
            )
        check_ids(self.config, input_ids, token_type_ids, position_ids)
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        values = (
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            head_mask,
            inputs_embeds,
        )
        given = {**dict(zip(INPUTS, values, strict=True)), **labels}
        inputs = {k: _to_input(v) for k, v in given.items() if v is not None}
        if self.head == "ForSequenceClassification" and "labels" in inputs:
            self._settle_problem(inputs["labels"])
        output = program.run(
            self.params if params is None else trees.plain(params),
            inputs,
            self._key(train, dropout_rng),
            dtype=self.dtype,
            flags=(output_attentions, output_hidden_states, self.config.problem_type),
        )
        if "loss" in output and self._classifies():
            for name in labels.keys() & inputs.keys():
                _check_classes(name, inputs[name], output)
        return finish(output, return_dict, self.config)

    def _classifies(self) -> bool:
        """Whether labels are class numbers, and not numbers or flags."""
        problem = self.config.problem_type
        single = problem == "single_label_classification"
        return self.head != "ForSequenceClassification" or single

    def _settle_problem(self, labels: Array) -> None:
        # Before the trace, which would keep what it found the first time.
        if self.config.problem_type is None:
            integer = is_integer(labels)
            self.config.problem_type = problem_type(self.config.num_labels, integer)

    def _key(self, train: bool, key: Array | None) -> Array | None:
        if not train or not self._program.drops:
            return None
        if key is None:
            raise InputError(
                "train=True turns dropout on, which needs a key: give "
                "dropout_rng=jax.random.key(seed), another one at every step."
            )
        return key

    @property
    def params(self) -> Params:
        """The parameters: nested dicts with Hugging Face's names.

        Raises:
            InputError: The model was made with `_do_init=False` and has none yet.
        """
        if self._params is None:
            raise InputError(
                "This model has no parameters, because it was made with "
                "_do_init=False. Set model.params, or give params= with each call."
            )
        return self._params

    @params.setter
    def params(self, params: Mapping[str, Any]) -> None:
        self._params = jax.tree.map(trees.to_array, self._checked(params))

    def _checked(self, params: Mapping[str, Any]) -> Params:
        title = type(self).__name__
        return trees.check(trees.plain(params), self._program.schema, title)

    @property
    def required_params(self) -> set[Path]:
        """The path of every parameter."""
        return {trees.path_of(parameter) for parameter in self._program.schema}

    @property
    def params_shape_tree(self) -> Params:
        """The parameters' shapes and number types, without their values."""
        shape = FLAX.shape
        return self._tree(
            {
                p: jax.ShapeDtypeStruct(shape(p), jnp.float32)
                for p in self._program.schema
            }
        )

    @staticmethod
    def _tree(arrays: Mapping[schema.Parameter, Any]) -> Params:
        return trees.nest({trees.path_of(p): array for p, array in arrays.items()})

    def _initial_array(self, parameter: schema.Parameter, seed: int) -> Array:
        value = initial_value(parameter, self.config.initializer_range, seed)
        return jax.device_put(FLAX.turn(parameter, value))

    def init_weights(
        self,
        rng: Array,
        input_shape: tuple[int, ...] = (1, 1),
        params: Mapping[str, Any] | None = None,
    ) -> Params:
        """Draw initial parameters.

        Args:
            rng: A key.
            input_shape: Not used; kept for callers of Hugging Face's classes.
            params: Kept as they are; only what they lack is drawn.

        Raises:
            CheckpointError: `params` has what the model does not, or other shapes.
        """
        seed = int(jax.random.randint(rng, (), 0, 2**31 - 1))
        leaves = {} if params is None else trees.flatten(trees.plain(params))
        for parameter in self._program.schema:
            if (path := trees.path_of(parameter)) not in leaves:
                leaves[path] = self._initial_array(parameter, seed)
        return self._checked(trees.nest(leaves))


def _check_classes(name: str, labels: Array, output: ModelOutput) -> None:
    """Refuse labels that are no class; the compiled loss, which cannot, is NaN then."""
    order = name == "sentence_order_label"
    field = "sop_logits" if order else "prediction_logits"
    scores = output.get(field, output.get("logits"))
    if scores is None or not can_read(labels):
        return
    count, found = scores.shape[-1], np.unique(np.asarray(labels))
    wrong = found[(found != IGNORED) & ((found < 0) | (found >= count))]
    if wrong.size:
        raise InputError(
            f"{name} holds {wrong.tolist()}, but the classes go from 0 to {count - 1}. "
            f"Use {IGNORED} for what is to be left out."
        )


def _to_input(value: Any) -> Any:
    if isinstance(value, Packed):
        return Packed(*(x if x is None else _to_input(x) for x in value))
    # NumPy's go to the device with the call; sent before, each shape would compile.
    array = value if isinstance(value, Array) else np.asarray(value)
    # Hugging Face's classes take 64-bit ids too.
    return array.astype(np.int32) if array.dtype == np.int64 else array
