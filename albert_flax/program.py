"""What a configuration makes of a module class: a schema and a compiled call."""

import copy
from inspect import signature
from typing import Any

import jax
from flax import nnx
from jax import Array

from albert_core.config import AlbertConfig
from albert_core.outputs import ModelOutput
from albert_core.schema import parameters
from albert_flax import int8
from albert_flax import params as trees
from albert_flax.modules import Dropout, dropout_keys
from albert_flax.params import Params

# Fields that a call reads anew, or that change nothing that is computed. `problem_type`
# is one, because it is among the flags of a call.
FREE = {
    "architectures",
    "dtype",
    "extra",
    "id2label",  # but their number counts
    "label2id",
    "output_attentions",
    "output_hidden_states",
    "problem_type",
    "return_dict",
}

INPUTS = (
    "input_ids",
    "attention_mask",
    "token_type_ids",
    "position_ids",
    "head_mask",
    "inputs_embeds",
)
NUMBERS = ("head_mask", "inputs_embeds")  # what is computed with as it is
# What a module's call takes besides labels.
OTHERS = {*INPUTS, "self", "output_attentions", "output_hidden_states", "return_dict"}


def _structure(config: AlbertConfig) -> dict[str, Any]:
    fields = {name: value for name, value in vars(config).items() if name not in FREE}
    return {**fields, "num_labels": config.num_labels}


class Program:
    """A module without its parameters, and its call through one `jax.jit`.

    Args:
        module_class: The module.
        config: Its configuration. It may change later; then `fits` tells.
        options: Further keywords of the module.
        recompute: Whether to keep only the layers' inputs for the backward pass.
        rounds: Whether products are in int8.
        title: The model's class, for messages.

    Attributes:
        graph: The module, as NNX merges it with parameters.
        schema: Its parameters.
        drops: Whether anything in it drops in training.
        labels: The names under which it takes labels.
    """

    def __init__(
        self,
        module_class: type[Any],
        config: AlbertConfig,
        options: dict[str, Any],
        recompute: bool,
        rounds: bool,
        title: str,
    ) -> None:
        self._made_for = copy.deepcopy(_structure(config)), recompute
        self._title = title
        self._rounds = rounds

        def module() -> Any:
            made = module_class(config, **options)
            made.base_model.encoder.gradient_checkpointing = recompute
            return made

        # Neither draws numbers nor takes memory.
        abstract = nnx.eval_shape(module)
        dropouts = [x for _, x in nnx.iter_modules(abstract) if isinstance(x, Dropout)]
        self.graph = nnx.graphdef(abstract)
        self.schema = parameters(config, module_class.head, abstract.pools)
        self.drops = any(dropout.rate for dropout in dropouts)
        self.labels = signature(module_class.__call__).parameters.keys() - OTHERS
        self.run = jax.jit(self._run, static_argnames=("dtype", "flags"))

    def fits(self, config: AlbertConfig, recompute: bool) -> bool:
        """Whether nothing has changed that makes another program."""
        return self._made_for == (_structure(config), recompute)

    def module(self, params: Params) -> Any:
        """The module with parameters."""
        module = nnx.merge(self.graph, nnx.State(params))
        return int8.with_int8(module) if self._rounds else module

    def _run(
        self,
        params: Params,
        inputs: dict[str, Array],
        key: Array | None,
        dtype: Any,
        flags: tuple[Any, ...],
    ) -> ModelOutput:
        # `flags` is all that can change what is traced, so that a change traces anew.
        output_attentions, output_hidden_states, _ = flags
        trees.check(params, self.schema, self._title)
        params = jax.tree.map(lambda array: array.astype(dtype), params)
        numbers = {k: inputs[k].astype(dtype) for k in NUMBERS if k in inputs}
        module = self.module(params)
        with dropout_keys(key):
            return module(
                **(inputs | numbers),
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
                return_dict=True,
            )
