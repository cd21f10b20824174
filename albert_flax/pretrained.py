"""Loading, saving and changing Flax models; twins in albert_torch and albert_tf."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from albert_core import checkpoint as canonical
from albert_core import loading, pruning, schema
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError, InputError
from albert_core.initial import initial_value, resized_rows
from albert_core.int8 import is_meant
from albert_core.spelling import FLAX
from albert_flax import params as trees
from albert_flax.calling import FlaxCallable
from albert_flax.int8 import quantize
from albert_flax.ops import can_read
from albert_flax.params import Params
from conversion.pretrained import open_pretrained


class AlbertPreTrainedModule(nnx.Module):
    """What all modules have besides their layers.

    Attributes:
        config: The configuration.
        head: The key of `schema.HEADS` that a class is.
    """

    head = schema.BASE
    # What some of them have.
    albert: Any
    pooler: Any
    predictions: Any

    def __init__(self, config: AlbertConfig) -> None:
        config.validate()
        self.config = config

    def post_init(self) -> None:
        """Draw initial values, by seed 0, unless only shapes are asked for."""
        deviation = self.config.initializer_range
        for parameter in schema.parameters(self.config, self.head, self.pools):
            # An encoder inside has drawn its values by itself.
            if self.base_model is self or not parameter.name.startswith(schema.PREFIX):
                variable = getattr(self._find(parameter.layer), FLAX.leaf(parameter))
                if can_read(variable[...]):
                    value = initial_value(parameter, deviation, seed=0)
                    variable[...] = jax.device_put(FLAX.turn(parameter, value))

    def _find(self, layer: str) -> Any:
        """The layer at a path of the schema."""
        found: Any = self
        for part in layer.split("."):
            found = found[part] if part.isdecimal() else getattr(found, part)
        return found

    @property
    def pools(self) -> bool:
        """Whether the encoder has a pooler."""
        return self.base_model.pooler is not None

    @property
    def base_model(self) -> Any:
        """The encoder inside a module with a head, or the module itself."""
        return getattr(self, "albert", self)

    def get_output_embeddings(self) -> Any:
        """The table that a masked language model decodes with."""
        own = self.config.has_own_decoder
        embeddings = self.base_model.embeddings
        return self.predictions.decoder if own else embeddings.word_embeddings


class FlaxAlbertPreTrainedModel(FlaxCallable):
    """A model: a module, its parameters, and a compiled call.

    Args:
        config: The configuration. A change of it takes effect at the next call; where
            the parameters do not fit it any more, the call says so.
        input_shape: Not used; kept for callers of Hugging Face's classes.
        seed: For the initial parameters.
        dtype: What the model computes in; the parameters stay as they are.
        _do_init: Whether to draw initial parameters.
        **options: Of the module, such as `add_pooling_layer`.
    """

    config_class = AlbertConfig
    base_model_prefix = "albert"
    main_input_name = "input_ids"

    @property
    def module(self) -> Any:
        """The NNX module with the model's parameters, for work in Flax itself.

        Its dropout is on inside `with dropout_keys(key):`. To take over what was
        trained in it, set `model.params = nnx.state(module)`. Of a model in int8 it
        only predicts, and has no kernels to take over.
        """
        return self._program.module(self.params)

    def canonical_arrays(
        self, params: Mapping[str, Any] | None = None
    ) -> dict[str, canonical.Array]:
        """All parameters as NumPy arrays, in canonical names and layout."""
        found = trees.flatten(self._checked(self.params if params is None else params))
        return {
            p.name: FLAX.turn(p, np.asarray(found[trees.path_of(p)]))
            for p in self._program.schema
        }

    def _set_arrays(self, arrays: Mapping[str, canonical.Array]) -> None:
        """Put other arrays in place, where the old ones of their names are."""
        old = trees.flatten(self.params)
        self._params = self._tree(
            {
                p: jax.device_put(
                    FLAX.turn(p, arrays[p.name]), old[trees.path_of(p)].sharding
                )
                for p in self._program.schema
            }
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        dtype: Any = None,
        *,
        config: AlbertConfig | None = None,
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
            dtype: What to compute in, float32 by default, "auto" for the checkpoint's;
                the parameters keep the number type of the checkpoint. "int8" is for
                prediction on a CPU: the products of the shared layers, all else in
                float32.
            config: Used in place of the checkpoint's.
            torch_dtype: The same as `dtype`, by its name in PyTorch.
            device_map: A `jax.Device`, a platform such as "gpu", or a sharding; by
                default and for "auto" JAX chooses.
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
            InputError: int8 is wanted elsewhere than on a CPU.
        """
        name = pretrained_model_name_or_path
        config, stored = open_pretrained(name, config, options)
        seed = options.pop("seed", 0)
        first = next(iter(stored), None)
        kept = "float32" if first is None else stored.dtype(first)
        asked = torch_dtype if dtype is None else dtype
        dtype = trees.to_dtype(None if is_meant(asked) else asked, kept)
        model = cls(config, dtype=dtype, _do_init=False, **options)
        parameters = model._program.schema
        wanted = {p.name: p.shape for p in parameters}
        found = loading.match(wanted, stored, cls.__name__, ignore_mismatched_sizes)
        device = trees.to_device(device_map)
        arrays: dict[schema.Parameter, Array] = {}
        for p in parameters:
            if p.name in found.sources:
                array = stored[found.sources[p.name]]
            else:
                array = initial_value(p, config.initializer_range, seed)
            # Waited for, so that no more than one array is on its way at a time.
            arrays[p] = jax.device_put(FLAX.turn(p, array), device).block_until_ready()
        found.report(cls.__name__, name)
        loaded = model._tree(arrays)
        if _do_init:
            model._params = loaded
        if is_meant(asked):
            quantize(model, loaded)
        result = (model,) if _do_init else (model, loaded)
        result = (*result, found.info()) if output_loading_info else result
        return result if len(result) > 1 else model

    def save_pretrained(
        self,
        save_directory: str | Path,
        params: Mapping[str, Any] | None = None,
        max_shard_size: int | str = "5GB",
        safe_serialization: bool = True,
    ) -> None:
        """Write `config.json` and `model.safetensors`, which every backend reads.

        Args:
            save_directory: Made if it is not there.
            params: Written in place of the model's own.
            max_shard_size: Larger models are written as several files.
            safe_serialization: Only True; msgpack is not written here.
        """
        if not safe_serialization:
            raise ConfigError(
                "safe_serialization=False would write msgpack, which only Flax reads. "
                "Leave it out to write safetensors; albert-zoo convert writes msgpack."
            )
        arrays = self.canonical_arrays(params)
        self.config.architectures = [type(self).__name__.removeprefix("Flax")]
        self.config.dtype = str(next(iter(arrays.values())).dtype)
        canonical.save(save_directory, self.config, arrays, max_shard_size)

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
            for parameter in self._program.schema
            if not (exclude_embeddings and "_embeddings." in parameter.name)
        )

    def _embeddings(self, params: Params) -> Params:
        tree = params if self.head == schema.BASE else params[self.base_model_prefix]
        return tree["embeddings"]["word_embeddings"]

    def get_input_embeddings(self) -> Array:
        """The table of word embeddings, [vocab, embedding]."""
        return self._embeddings(self.params)["embedding"]

    def set_input_embeddings(self, value: Array) -> None:
        """Put another table of the same size in place; a tied decoder follows."""
        if np.shape(value) != self.get_input_embeddings().shape:
            raise InputError(
                f"The table is {np.shape(value)}, but the model's is "
                f"{self.get_input_embeddings().shape}. For another vocabulary call "
                f"resize_token_embeddings first."
            )
        params = trees.plain(self.params)  # new dicts: the caller may hold the old
        self._embeddings(params)["embedding"] = trees.to_array(value)
        self._params = params

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

        Raises:
            ConfigError: It is no size, or it cuts padding off.
        """
        size = loading.padded(self.config, new_num_tokens, pad_to_multiple_of)
        if size != self.config.vocab_size:
            arrays = self.canonical_arrays()
            deviation = self.config.initializer_range
            for name, rows in arrays.items():
                if schema.base_name(name) in loading.VOCABULARY:
                    new = resized_rows(rows, size, mean_resizing, deviation, seed)
                    arrays[name] = new
            self.config.vocab_size = size
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
        self._set_arrays(arrays)

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        """Keep only the layers' inputs for the backward pass, to save memory."""
        self._recompute = True

    enable_gradient_checkpointing = gradient_checkpointing_enable  # Flax's older name

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything for the backward pass."""
        self._recompute = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether the layers are computed again in the backward pass."""
        return self._recompute

    def to_bf16(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as bfloat16; a tree of booleans tells which, all by default."""
        return trees.cast(params, jnp.bfloat16, mask)

    def to_fp16(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as float16; a tree of booleans tells which, all by default."""
        return trees.cast(params, jnp.float16, mask)

    def to_fp32(self, params: Mapping[str, Any], mask: Any = None) -> Params:
        """Parameters as float32; a tree of booleans tells which, all by default."""
        return trees.cast(params, jnp.float32, mask)
