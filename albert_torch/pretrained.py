"""Loading, saving and changing PyTorch models; twins in albert_tf and albert_flax."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import RLock
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from albert_core import checkpoint as canonical
from albert_core import int8, loading, pruning, schema
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError, InputError
from albert_core.fields import DTYPES
from albert_core.initial import initial_value, resized_rows
from albert_core.outputs import OUTPUTS, ModelOutput
from albert_torch.int8 import is_int8, quantize, rounded
from conversion.pretrained import open_pretrained


def _register(output: type[ModelOutput]) -> None:
    """Let outputs pass through torch.export, torch.func and distributed training."""

    def with_keys(out: Any) -> Any:
        return [(pytree.MappingKey(name), out[name]) for name in out], list(out)

    pytree.register_pytree_node(
        output,
        lambda out: (list(out.values()), list(out)),
        lambda values, names: output(zip(names, values, strict=True)),
        serialized_type_name=f"{output.__module__}.{output.__name__}",
        flatten_with_keys_fn=with_keys,
    )


for _output in OUTPUTS:
    _register(_output)

# The layers that `post_init` gives initial values, and what the schema calls them.
KINDS = {nn.Linear: "dense", nn.Embedding: "embedding", nn.LayerNorm: "norm"}

_filled_later: ContextVar[bool] = ContextVar("filled_later", default=False)


@contextmanager
def filled_later() -> Iterator[None]:
    """Build models without initial values, because a checkpoint brings them."""
    token = _filled_later.set(True)
    try:
        yield
    finally:
        _filled_later.reset(token)


def is_filled_later() -> bool:
    """Whether models are built without initial values now."""
    return _filled_later.get()


def to_array(tensor: Tensor) -> canonical.Array:
    """The numbers of a tensor as a NumPy array; on the CPU without a copy."""
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.bfloat16:
        return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return tensor.numpy()


def to_tensor(array: canonical.Array) -> Tensor:
    """The numbers of a NumPy array as a tensor."""
    if array.dtype == ml_dtypes.bfloat16:
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    # `ascontiguousarray` would give a scalar an axis.
    return torch.from_numpy(np.asarray(array, order="C"))


def type_named(dtype: Any, stored: str) -> str:
    """The number type that a user names: a torch.dtype, its name, "auto" or None.

    Raises:
        ConfigError: Models do not have such numbers.
    """
    if int8.is_meant(dtype):
        return int8.NAME
    name = stored if dtype == "auto" else "float32" if dtype is None else str(dtype)
    name = name.removeprefix("torch.")
    if name not in DTYPES:
        names = ", ".join((*DTYPES, int8.NAME))
        raise ConfigError(f"dtype must be one of {names}, not {dtype!r}.")
    return name


_building = RLock()  # the default type is that of all threads


def _build_anew() -> None:
    """Let a forked process build, whatever other threads did in the one before."""
    global _building
    _building = RLock()


if hasattr(os, "register_at_fork"):  # which Windows lacks
    os.register_at_fork(after_in_child=_build_anew)


@contextmanager
def default_dtype(name: str) -> Iterator[None]:
    """Build modules in a number type; what is not in int8 then is in float32."""
    with _building:
        before = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, name.replace(int8.NAME, "float32")))
        try:
            yield
        finally:
            torch.set_default_dtype(before)


class AlbertPreTrainedModel(nn.Module):
    """What all ALBERT models can do besides computing.

    Attributes:
        config: The configuration.
        head: The key of `schema.HEADS` that a class is.
    """

    config_class = AlbertConfig
    base_model_prefix = "albert"
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    head = schema.BASE

    def __init__(self, config: AlbertConfig, *_: Any, **__: Any) -> None:
        super().__init__()
        config.validate()
        self.config = config
        self.register_load_state_dict_pre_hook(_drop_buffers)
        self.register_load_state_dict_post_hook(_tie_again)

    def post_init(self) -> None:
        """Tie the decoder, and draw initial values unless a checkpoint brings them.

        A subclass calls it last: the dense layers, tables and norms of its own get the
        initial values of ALBERT's; whatever else it has keeps its own.
        """
        self.tie_weights()
        if not is_filled_later():
            self._initialise([n for n in self.canonical_tensors() if self._owns(n)])

    def _owns(self, name: str) -> bool:
        # An encoder inside has drawn its values by itself.
        return self.base_model is self or not name.startswith(schema.PREFIX)

    @torch.no_grad()
    def _initialise(self, names: list[str]) -> None:
        """Give parameters of known layers their initial values, by torch's own seed."""
        seed = int(torch.randint(2**31, (), device="cpu"))
        tensors = self.canonical_tensors()
        for name in names:
            if (parameter := self._parameter(name)) and not tensors[name].is_meta:
                value = initial_value(parameter, self.config.initializer_range, seed)
                tensors[name].copy_(to_tensor(value))

    def _parameter(self, name: str) -> schema.Parameter | None:
        """What a tensor is in the words of the schema, if it is of a known layer."""
        layer, _, leaf = name.rpartition(".")
        owner = self.get_submodule(layer)
        for known, kind in KINDS.items():
            if isinstance(owner, known):
                shape = tuple(getattr(owner, leaf).shape)
                return schema.Parameter(name, layer, leaf, kind, shape)
        return None

    def canonical_tensors(self) -> dict[str, Tensor]:
        """All tensors by canonical name, tied ones once, without a copy."""
        found: dict[str, Tensor] = {}
        seen: set[int] = set()
        for name, tensor in self.state_dict(keep_vars=True).items():
            if id(tensor) not in seen:
                seen.add(id(tensor))
                found[name] = tensor
        return found

    def canonical_arrays(self) -> dict[str, canonical.Array]:
        """All parameters as NumPy arrays, in canonical names and layout.

        Raises:
            InputError: The model is in int8.
        """
        self._check_whole()
        return {n: to_array(t) for n, t in self.canonical_tensors().items()}

    def _check_whole(self) -> None:
        if is_int8(self):
            raise int8.no_weights()

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *model_args: Any,
        config: AlbertConfig | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        device_map: Any = None,
        output_loading_info: bool = False,
        ignore_mismatched_sizes: bool = False,
        **options: Any,
    ) -> Any:
        """Load a model from a directory or from the hub, in evaluation mode.

        Args:
            pretrained_model_name_or_path: A directory, or a hub name such as
                "albert/albert-base-v2".
            *model_args: Further arguments of the class.
            config: Used in place of the checkpoint's.
            dtype: Number type of the weights: a torch.dtype, its name, or "auto" for
                that of the checkpoint; float32 by default. "int8" is for prediction
                on a CPU: the products of the shared layers, all else in float32.
            torch_dtype: The older name of `dtype`.
            device_map: A device, "auto" for the GPU if there is one, or {"": device}.
            output_loading_info: Return (model, info), info naming what was missing.
            ignore_mismatched_sizes: Draw new values for arrays of another shape.
            **options: Fields of the configuration to change (`attn_implementation`,
                `num_labels`, ...), options of the hub (`revision`, `cache_dir`,
                `local_files_only`, `token`, `force_download`, `subfolder`), and
                keywords of the class (`add_pooling_layer`).

        Raises:
            CheckpointError: The checkpoint is damaged or does not fit.
            ConfigError: The configuration is not valid.
            InputError: int8 is wanted elsewhere than on a CPU.
        """
        name = pretrained_model_name_or_path
        config, stored = open_pretrained(name, config, options)
        first = next(filter(schema.is_encoder, stored), None)
        kept = "float32" if first is None else stored.dtype(first)
        wanted_type = type_named(dtype or torch_dtype, kept)
        with filled_later(), default_dtype(wanted_type):
            model = cls(config, *model_args, **options)
        tensors = model.canonical_tensors()
        wanted = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
        found = loading.match(wanted, stored, cls.__name__, ignore_mismatched_sizes)
        with torch.no_grad():
            for target, source in found.sources.items():
                tensors[target].copy_(to_tensor(stored[source]))
        model._initialise(found.initialised)
        found.report(cls.__name__, name)
        model.eval()
        if device_map is not None:
            model.to(_device(device_map))
        if wanted_type == int8.NAME:
            quantize(model)
        return (model, found.info()) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | Path,
        state_dict: Mapping[str, Tensor] | None = None,
        max_shard_size: int | str = "5GB",
        is_main_process: bool = True,
        safe_serialization: bool = True,
    ) -> None:
        """Write `config.json` and `model.safetensors`, which every backend reads.

        Args:
            save_directory: Made if it is not there.
            state_dict: Written in place of the model's own tensors.
            max_shard_size: Larger models are written as several files.
            is_main_process: False writes nothing.
            safe_serialization: Only True; pickles are not written.

        Raises:
            ConfigError: A pickle is wanted.
            InputError: The model is in int8.
        """
        if not safe_serialization:
            raise ConfigError(
                "safe_serialization=False would write a pickle, which can run code "
                "when it is read. Leave it out to write safetensors."
            )
        if not is_main_process:
            return
        self._check_whole()
        tensors = self.canonical_tensors()
        if state_dict is not None:
            tensors = {name: state_dict[name] for name in tensors}
        arrays = {name: to_array(tensor) for name, tensor in tensors.items()}
        self.config.architectures = [type(self).__name__]
        self.config.dtype = str(self.dtype).removeprefix("torch.")
        canonical.save(save_directory, self.config, arrays, max_shard_size)

    @property
    def base_model(self) -> Any:
        """The encoder inside a model with a head, or the model itself."""
        return getattr(self, self.base_model_prefix, self)

    @property
    def dtype(self) -> torch.dtype:
        """Number type of the weights."""
        return next(self.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def num_parameters(
        self, only_trainable: bool = False, exclude_embeddings: bool = False
    ) -> int:
        """Number of weights, tied ones counted once.

        Args:
            only_trainable: Leave frozen weights out.
            exclude_embeddings: Leave the embedding tables out.
        """
        return sum(
            parameter.numel()
            for name, parameter in (*self.named_parameters(), *rounded(self))
            if (parameter.requires_grad or not only_trainable)
            and not (exclude_embeddings and "_embeddings." in name)
        )

    def get_input_embeddings(self) -> Any:
        """The word embeddings."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Put other word embeddings in place, and decode with them.

        Raises:
            InputError: The table has another shape.
        """
        old = self.get_input_embeddings().weight
        new = getattr(value, "weight", old)
        if new.shape != old.shape:
            raise InputError(
                f"The table is {tuple(new.shape)}, but the model's is "
                f"{tuple(old.shape)}. For another vocabulary call "
                f"resize_token_embeddings first."
            )
        self.base_model.embeddings.word_embeddings = value
        self.tie_weights()

    def get_output_embeddings(self) -> Any:
        """The decoder of a masked language model, or None."""
        predictions = getattr(self, "predictions", None)
        return None if predictions is None else predictions.decoder

    def tie_weights(self) -> None:
        """Let the decoder share the word embeddings, and its bias the head's."""
        decoder = self.get_output_embeddings()
        if decoder is not None:
            decoder.bias = self.predictions.bias  # pyright: ignore
            if self.config.tie_word_embeddings:
                decoder.weight = self.get_input_embeddings().weight

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> nn.Module:
        """Give the vocabulary another size; the decoder and its bias follow.

        Args:
            new_num_tokens: The new size; None keeps it.
            pad_to_multiple_of: Round the size up.
            mean_resizing: Start new rows near the mean of the old ones.
        """
        size = loading.padded(self.config, new_num_tokens, pad_to_multiple_of)
        if size != self.config.vocab_size:
            self._resize(size, mean_resizing)
        return self.get_input_embeddings()

    def _resize(self, size: int, mean: bool) -> None:
        seed = int(torch.randint(2**31, ()))
        tensors = self.canonical_tensors()
        for name in loading.VOCABULARY & {schema.base_name(name) for name in tensors}:
            owner, leaf = self._find(name)
            old = getattr(owner, leaf)
            rows = to_array(old)
            deviation = self.config.initializer_range
            rows = resized_rows(rows, size, mean, deviation, seed)
            new = nn.Parameter(to_tensor(rows).to(old), old.requires_grad)
            setattr(owner, leaf, new)
        self.config.vocab_size = size
        self.get_input_embeddings().num_embeddings = size
        if (decoder := self.get_output_embeddings()) is not None:
            decoder.out_features = size
        self.tie_weights()

    def _find(self, name: str) -> tuple[nn.Module, str]:
        """The module that owns a parameter, by its name without prefix."""
        path, _, leaf = name.rpartition(".")
        root = self.base_model if schema.is_encoder(name) else self
        return root.get_submodule(path), leaf

    @torch.no_grad()
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
        sample = next(self.parameters())
        for group, inner in pruning.blocks(config):
            layer = self.base_model.encoder.albert_layer_groups[group]
            block = layer.albert_layers[inner]
            with filled_later():
                attention = type(block.attention)(config, group, inner)
            attention.config = self.config
            attention.to(sample).train(block.training)
            for new, old in zip(
                attention.parameters(), block.attention.parameters(), strict=True
            ):
                new.requires_grad_(old.requires_grad)
            block.attention = attention
        for name, tensor in self.canonical_tensors().items():
            tensor.copy_(to_tensor(arrays[name]))

    def set_attn_implementation(self, implementation: str) -> None:
        """Choose "eager" or "sdpa" for the calls to come."""
        self.config.attn_implementation = implementation

    def gradient_checkpointing_enable(self, *_: Any, **__: Any) -> None:
        """Keep only layers' inputs for the backward pass: less memory, more time."""
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything for the backward pass."""
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether the layers are computed again in the backward pass."""
        return self.base_model.encoder.gradient_checkpointing


def _device(device_map: Any) -> torch.device | str:
    if isinstance(device_map, Mapping):
        devices = set(device_map.values())
        if len(devices) != 1:
            raise ConfigError(
                f"device_map names {len(devices)} devices, but ALBERT shares one layer "
                f"across its depth and is kept on one. Give one device."
            )
        return devices.pop()
    if device_map == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    return device_map


def _tie_again(module: nn.Module, _: Any) -> None:
    """Join what `load_state_dict(assign=True)` has put in the places of one tensor."""
    assert isinstance(module, AlbertPreTrainedModel)
    module.tie_weights()


def _drop_buffers(
    module: nn.Module, state: dict[str, Any], prefix: str, *_: Any
) -> None:
    """Accept state dicts from before positions stopped being stored."""
    for name in schema.BUFFERS:
        for base in ("", schema.PREFIX):
            state.pop(f"{prefix}{base}{name}", None)
