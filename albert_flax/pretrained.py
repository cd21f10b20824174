"""Loading, saving and changing Flax models; twins in albert_torch and albert_tf."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.tree_util import register_pytree_with_keys

from albert_core import checkpoint as canonical
from albert_core import loading, pruning, schema
from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError, ConfigError, InputError
from albert_core.initial import initial_value, resized_rows
from albert_core.losses import problem_type
from albert_core.outputs import OUTPUTS, ModelOutput, finish
from albert_core.spelling import FLAX
from albert_flax.ops import check_ids, dropout_keys, is_integer

Params = dict[str, Any]


def _register(output: type[ModelOutput]) -> None:
    """Let outputs pass through jit, grad and vmap."""
    key = jax.tree_util.DictKey
    register_pytree_with_keys(
        output,
        lambda out: ([(key(name), out[name]) for name in out], tuple(out)),
        lambda names, values: output(dict(zip(names, values, strict=True))),
    )


for _output in OUTPUTS:
    _register(_output)


class AlbertPreTrainedModule(nnx.Module):
    """What all modules have besides their layers.

    Attributes:
        config: The configuration.
        head: The key of `schema.HEADS` that a class is.
    """

    head = schema.BASE

    def __init__(self, config: AlbertConfig) -> None:
        config.validate()
        self.config = config

    def post_init(self) -> None:
        """Nothing to do: the parameters live outside of the modules."""

    @property
    def base_model(self) -> Any:
        """The encoder inside a module with a head, or the module itself."""
        return getattr(self, "albert", self)

    def get_output_embeddings(self) -> Any:
        """The table that a masked language model decodes with."""
        own = self.config.has_own_decoder
        embeddings = self.base_model.embeddings
        return self.predictions.decoder if own else embeddings.word_embeddings


class FlaxAlbertPreTrainedModel:
    """A model: a module, its parameters, and a compiled call.

    Args:
        config: The configuration.
        input_shape: Not used; kept for callers of Hugging Face's classes.
        seed: For the initial parameters.
        dtype: What the model computes in; the parameters stay as they are.
        _do_init: Whether to draw initial parameters.
        **options: Of the module, such as `add_pooling_layer`.
    """

    module_class: ClassVar[type[Any]]
    config_class = AlbertConfig
    base_model_prefix = "albert"
    main_input_name = "input_ids"

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
        self.dtype = to_dtype(dtype, "float32")
        self.head = self.module_class.head
        self._options = options
        self._recompute = False
        self._params: Params | None = None
        self._build()
        if _do_init:
            self._params = self._initial(seed)

    def _build(self) -> None:
        """Make the module, without memory for its parameters, and the compiled call."""

        def module() -> Any:
            made = self.module_class(self.config, **self._options)
            made.base_model.encoder.gradient_checkpointing = self._recompute
            return made

        abstract = nnx.eval_shape(module)
        self.pools = abstract.base_model.pooler is not None
        self._graph = nnx.graphdef(abstract)
        self._schema = schema.parameters(self.config, self.head, self.pools)
        self._run = jax.jit(self._forward, static_argnames=("flags",))

    def _forward(
        self, params: Params, inputs: Params, key: Array | None, flags: tuple[Any, ...]
    ) -> ModelOutput:
        # `flags` is all that can change what is traced, so that a change traces anew.
        output_attentions, output_hidden_states, _ = flags
        params = jax.tree.map(lambda array: array.astype(self.dtype), params)
        module = nnx.merge(self._graph, nnx.State(params))
        with dropout_keys(key):
            return module(
                **inputs,
                output_attentions=output_attentions,
                output_hidden_states=output_hidden_states,
                return_dict=True,
            )

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
        """
        ids = (input_ids, token_type_ids, position_ids)
        check_ids(self.config, *ids)
        if output_attentions is None:
            output_attentions = self.config.output_attentions
        if output_hidden_states is None:
            output_hidden_states = self.config.output_hidden_states
        given = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "head_mask": head_mask,
            "inputs_embeds": inputs_embeds,
            **labels,
        }
        inputs = {k: _to_input(v) for k, v in given.items() if v is not None}
        if self.head == "ForSequenceClassification" and "labels" in inputs:
            self._settle_problem(inputs["labels"])
        flags = (output_attentions, output_hidden_states, self.config.problem_type)
        tree = self.params if params is None else _plain(params)
        output = self._run(tree, inputs, self._key(train, dropout_rng), flags=flags)
        return finish(output, return_dict, self.config)

    def _settle_problem(self, labels: Array) -> None:
        # Before the trace, which would keep what it found the first time.
        if self.config.problem_type is None:
            integer = is_integer(labels)
            self.config.problem_type = problem_type(self.config.num_labels, integer)

    def _key(self, train: bool, key: Array | None) -> Array | None:
        if not train:
            return None
        rates = (
            self.config.hidden_dropout_prob,
            self.config.attention_probs_dropout_prob,
            self.config.classifier_dropout if self.head != schema.BASE else 0.0,
        )
        if key is None and any(rates):
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
        self._params = self._checked(_plain(params))

    def _checked(self, params: Params) -> Params:
        """Refuse a tree that is not exactly the model's; NNX would take it silently."""
        found = {name: tuple(x.shape) for name, x in _flatten(params).items()}
        wanted = {self._path(p): FLAX.shape(p) for p in self._schema}
        lines = [f"  missing     {'.'.join(n)}" for n in wanted if n not in found]
        lines += [f"  unexpected  {'.'.join(n)}" for n in found if n not in wanted]
        lines += [
            f"  shape       {'.'.join(name)}: {found[name]} given, {shape} in the model"
            for name, shape in wanted.items()
            if found.get(name, shape) != shape
        ]
        if lines:
            raise CheckpointError(
                f"These parameters do not fit {type(self).__name__}:\n"
                + "\n".join(lines)
                + "\nGive a tree like model.params of the same configuration."
            )
        return params

    @staticmethod
    def _path(parameter: schema.Parameter) -> tuple[str, ...]:
        return (*parameter.layer.split("."), FLAX.leaf(parameter))

    @property
    def required_params(self) -> set[tuple[str, ...]]:
        """The path of every parameter."""
        return {self._path(parameter) for parameter in self._schema}

    @property
    def params_shape_tree(self) -> Params:
        """The parameters' shapes and number types, without their values."""
        return self._tree(
            {p: jax.ShapeDtypeStruct(FLAX.shape(p), jnp.float32) for p in self._schema}
        )

    def _tree(self, arrays: Mapping[schema.Parameter, Any]) -> Params:
        tree: Params = {}
        for parameter, array in arrays.items():
            branch = tree
            *parents, leaf = self._path(parameter)
            for key in parents:
                branch = branch.setdefault(key, {})
            branch[leaf] = array
        return tree

    def _initial_array(self, parameter: schema.Parameter, seed: int) -> Array:
        value = initial_value(parameter, self.config.initializer_range, seed)
        return jnp.asarray(FLAX.turn(parameter, value))

    def _initial(self, seed: int) -> Params:
        return self._tree({p: self._initial_array(p, seed) for p in self._schema})

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
        """
        seed = int(jax.random.randint(rng, (), 0, 2**31 - 1))
        kept = {} if params is None else _flatten(_plain(params))
        return self._tree(
            {
                p: kept.get(self._path(p), self._initial_array(p, seed))
                for p in self._schema
            }
        )

    def canonical_arrays(
        self, params: Mapping[str, Any] | None = None
    ) -> dict[str, canonical.Array]:
        """All parameters as NumPy arrays, in canonical names and layout."""
        found = _flatten(self.params if params is None else self._checked(_plain(params)))
        return {
            p.name: FLAX.turn(p, np.asarray(found[self._path(p)])) for p in self._schema
        }

    def _set_arrays(self, arrays: Mapping[str, canonical.Array]) -> None:
        self._params = self._tree(
            {p: jnp.asarray(FLAX.turn(p, arrays[p.name])) for p in self._schema}
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        config: AlbertConfig | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        device_map: Any = None,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        _do_init: bool = True,
        **options: Any,
    ) -> Any:
        """Load a model from a directory or from the hub.

        Args:
            pretrained_model_name_or_path: A directory, or a hub name such as
                "albert/albert-base-v2".
            config: Used in place of the checkpoint's.
            dtype: What to compute in, float32 by default, "auto" for the checkpoint's;
                the parameters keep the number type of the checkpoint.
            torch_dtype: The same, by its name in PyTorch.
            device_map: A `jax.Device`, or a platform such as "gpu"; by default and for
                "auto" JAX chooses.
            output_loading_info: Return (model, info), info naming what was missing.
            ignore_mismatched_sizes: Draw new values for arrays of another shape.
            _do_init: False returns (model, params), the model holding none.
            **options: Fields of the configuration to change (`num_labels`, ...),
                options of the hub (`revision`, `cache_dir`, `local_files_only`,
                `token`, `force_download`, `subfolder`), `seed`, and keywords of the
                module (`add_pooling_layer`).

        Raises:
            CheckpointError: The checkpoint is damaged or does not fit.
            ConfigError: The configuration is not valid.
        """
        name = pretrained_model_name_or_path
        config, stored = loading.open_pretrained(name, config, options)
        seed = options.pop("seed", 0)
        first = next(iter(stored), None)
        kept = "float32" if first is None else stored.dtype(first)
        dtype = to_dtype(dtype or torch_dtype, kept)
        model = cls(config, dtype=dtype, _do_init=False, **options)
        wanted = {p.name: p.shape for p in model._schema}
        found = loading.match(wanted, stored, cls.__name__, ignore_mismatched_sizes)
        device = _device(device_map)
        arrays: dict[schema.Parameter, Array] = {}
        for p in model._schema:
            if p.name in found.sources:
                array = FLAX.turn(p, stored[found.sources[p.name]])
                arrays[p] = jax.device_put(jnp.asarray(array), device)
            else:
                arrays[p] = jax.device_put(model._initial_array(p, seed), device)
        found.report(cls.__name__, name)
        params = model._tree(arrays)
        if not _do_init:
            return model, params
        model._params = params
        return (model, found.info()) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | Path,
        params: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
    ) -> None:
        """Write `config.json` and `model.safetensors`, which every backend reads.

        Args:
            save_directory: Made if it is not there.
            params: Written in place of the model's own.
            max_shard_size: Larger models are written as several files.
        """
        arrays = self.canonical_arrays(params)
        self.config.architectures = [type(self).__name__.removeprefix("Flax")]
        self.config.dtype = str(next(iter(arrays.values())).dtype)
        canonical.save(save_directory, self.config, arrays, max_shard_size)

    @property
    def module(self) -> Any:
        """The NNX module with the model's parameters, for work in Flax itself."""
        return nnx.merge(self._graph, nnx.State(self.params))

    def num_parameters(
        self, only_trainable: bool = False, exclude_embeddings: bool = False
    ) -> int:
        """Number of weights.

        Args:
            only_trainable: Makes no difference: what trains is up to the optimizer.
            exclude_embeddings: Leave the embedding tables out.
        """
        return sum(
            parameter.size
            for parameter in self._schema
            if not (exclude_embeddings and "_embeddings." in parameter.name)
        )

    def _embeddings(self) -> Params:
        tree = self.params
        tree = tree if self.head == schema.BASE else tree[self.base_model_prefix]
        return tree["embeddings"]["word_embeddings"]

    def get_input_embeddings(self) -> Array:
        """The table of word embeddings, [vocab, embedding]."""
        return self._embeddings()["embedding"]

    def set_input_embeddings(self, value: Array) -> None:
        """Put another table in place, of any number of rows.

        A tied decoder reads it too, so `resize_token_embeddings` is for other sizes.
        """
        if value.shape != self.get_input_embeddings().shape:
            raise InputError(
                f"The table is {value.shape}, but the model's is "
                f"{self.get_input_embeddings().shape}. For another vocabulary call "
                f"resize_token_embeddings first."
            )
        self._embeddings()["embedding"] = value

    def tie_weights(self) -> None:
        """Nothing to do: a tied decoder reads the word embeddings at every call."""

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
        seed: int = 0,
    ) -> Array:
        """Give the vocabulary another size; the decoder and its bias follow.

        Args:
            new_num_tokens: The new size; None keeps it.
            pad_to_multiple_of: Round the size up.
            mean_resizing: Start new rows near the mean of the old ones.
            seed: For the new rows.
        """
        size = loading.padded(self.config, new_num_tokens, pad_to_multiple_of)
        if size != self.config.vocab_size:
            arrays = self.canonical_arrays()
            for name in arrays:
                if schema.base_name(name) in loading.VOCABULARY:
                    deviation = self.config.initializer_range
                    arrays[name] = resized_rows(
                        arrays[name], size, mean_resizing, deviation, seed
                    )
            self.config.vocab_size = size
            self._build()
            self._set_arrays(arrays)
        return self.get_input_embeddings()

    def prune_heads(self, heads_to_prune: Mapping[int, list[int]]) -> None:
        """Cut attention heads for good; `config.pruned_heads` remembers them.

        Args:
            heads_to_prune: Distinct block (group * inner_group_num + inner) -> heads.

        Raises:
            ConfigError: A block or head that is not there, or no head would be left.
        """
        config, arrays = pruning.prune(
            self.config, self.canonical_arrays(), heads_to_prune
        )
        self.config.pruned_heads = config.pruned_heads
        self._build()
        self._set_arrays(arrays)

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        """Keep only the layers' inputs for the backward pass: less memory, more time."""
        self._recompute = True
        self._build()

    enable_gradient_checkpointing = gradient_checkpointing_enable  # Flax's older name

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything for the backward pass."""
        self._recompute = False
        self._build()

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether the layers are computed again in the backward pass."""
        return self._recompute

    def to_bf16(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as bfloat16; a tree of booleans tells which, all by default."""
        return _cast(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as float16; a tree of booleans tells which, all by default."""
        return _cast(params, jnp.float16, mask)

    def to_fp32(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as float32; a tree of booleans tells which, all by default."""
        return _cast(params, jnp.float32, mask)


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
        raise ConfigError(f"dtype must be a floating point type, not {wanted}.")
    if jax.dtypes.canonicalize_dtype(wanted) != wanted:
        raise ConfigError(
            f"JAX computes in {jax.dtypes.canonicalize_dtype(wanted)} where {wanted} is "
            f"asked for. Use it inside `with jax.enable_x64(True):`, or set "
            f"JAX_ENABLE_X64=1."
        )
    return wanted


def _device(device_map: Any) -> Any:
    if device_map is None or device_map == "auto":
        return None
    return jax.devices(device_map)[0] if isinstance(device_map, str) else device_map


def _to_input(value: Any) -> Array:
    array = jnp.asarray(value)
    # Hugging Face's classes take 64-bit ids too.
    return array.astype(jnp.int32) if array.dtype == jnp.int64 else array


def _plain(params: Mapping[str, Any]) -> Params:
    """Nested dicts, from those, from a FrozenDict, or from an nnx.State."""
    if isinstance(params, nnx.State):
        params = nnx.to_pure_dict(params)
    return {
        str(key): _plain(value) if isinstance(value, Mapping) else value
        for key, value in params.items()
    }


def _flatten(params: Params, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in params.items():
        if isinstance(value, dict):
            flat |= _flatten(value, (*path, key))
        else:
            flat[*path, key] = value
    return flat


def _cast(params: Mapping[str, Any], dtype: Any, mask: Any) -> Params:
    tree = _plain(params)
    chosen = jax.tree.map(lambda _: True, tree) if mask is None else mask
    return jax.tree.map(lambda x, yes: x.astype(dtype) if yes else x, tree, chosen)
