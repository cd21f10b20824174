"""Loading, saving and changing TensorFlow models; twins in albert_torch and _flax."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from functools import cache
from numbers import Number
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from albert_core import checkpoint as canonical
from albert_core import int8, loading, pruning, schema
from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError
from albert_core.fields import DTYPES
from albert_core.initial import initial_value, resized_rows
from albert_core.spelling import KERAS
from albert_tf.fitting import TFFitting
from albert_tf.int8 import is_int8, quantize
from albert_tf.modules import Embedding, Named, vector
from albert_tf.replacing import freeze_like, replace, unlocked
from conversion.pretrained import open_pretrained

logger = logging.getLogger("albert_zoo")

_filled_later: ContextVar[bool] = ContextVar("filled_later", default=False)

POLICIES = (*DTYPES, "mixed_float16", "mixed_bfloat16")
LARGEST_COPY = 2**20  # bytes


@contextmanager
def filled_later() -> Iterator[None]:
    """Build models without initial values, because a checkpoint brings them."""
    token = _filled_later.set(True)
    try:
        yield
    finally:
        _filled_later.reset(token)


def to_policy(dtype: Any, stored: str) -> keras.DTypePolicy:
    """The Keras policy that a user names by a number type, a policy, "auto" or None."""
    if dtype is None:
        return keras.config.dtype_policy()
    if isinstance(dtype, keras.DTypePolicy):
        return dtype
    name = stored if dtype == "auto" else dtype
    if not isinstance(name, str):
        name = getattr(name, "name", None) or getattr(name, "__name__", str(name))
    name = name.split(".")[-1]
    if name not in POLICIES:
        names = ", ".join((*POLICIES, int8.NAME))
        raise ConfigError(f"dtype must be one of {names}, not {dtype!r}.")
    return keras.DTypePolicy(name)


@contextmanager
def default_dtype(policy: keras.DTypePolicy) -> Iterator[None]:
    """Build layers with a Keras dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


class TFAlbertPreTrainedModel(Named, TFFitting):
    """What all ALBERT models can do besides computing.

    Attributes:
        config: The configuration.
        head: The key of `schema.HEADS` that a class is.
    """

    config_class = AlbertConfig
    base_model_prefix = "albert"
    main_input_name = "input_ids"
    head = schema.BASE
    pooler: Any

    def __init__(self, config: AlbertConfig, **options: Any) -> None:
        # Variables have the path of their Hugging Face name, "albert/embeddings/...".
        if self.head == schema.BASE:
            options["name"] = self.base_model_prefix
        super().__init__(**options)
        self._allow_non_tensor_positional_args = True
        config.validate()
        self.config = config

    def post_init(self) -> None:
        """Make the variables, and draw initial values unless a checkpoint brings them.

        The class with a head has no part in their paths. Keras would lock a model that
        it builds by itself, so that a subclass could add no layer.
        """
        scope = self._open_name_scope() if self.head == schema.BASE else nullcontext()
        with scope:
            Named.build(self)
        if not _filled_later.get():
            own = [p.name for p in self._parameters_of_schema() if self._owns(p.name)]
            self._initialise(own)

    def _owns(self, name: str) -> bool:
        # The encoder of a model with a head has drawn its values by itself.
        return self.head == schema.BASE or not name.startswith(schema.PREFIX)

    def _parameters_of_schema(self) -> tuple[schema.Parameter, ...]:
        pools = self.base_model.pooler is not None
        return schema.parameters(self.config, self.head, pools)

    def _initialise(self, names: list[str]) -> None:
        """Give parameters of the schema their initial values, by TensorFlow's seed."""
        seed = int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32))
        for parameter in self._parameters_of_schema():
            if parameter.name in names:
                value = initial_value(parameter, self.config.initializer_range, seed)
                self._assign(parameter, value)

    def _find(self, layer: str) -> Any:
        """The layer at a path of the schema."""
        found: Any = self
        for part in layer.split("."):
            found = found[int(part)] if part.isdecimal() else getattr(found, part)
        return found

    def _variable(self, parameter: schema.Parameter) -> Any:
        return getattr(self._find(parameter.layer), KERAS.leaf(parameter))

    def _assign(self, parameter: schema.Parameter, value: canonical.Array) -> None:
        variable, value = self._variable(parameter), KERAS.turn(parameter, value)
        mirrored = isinstance(variable.value, tf.distribute.DistributedValues)
        if value.nbytes <= LARGEST_COPY or mirrored:
            variable.assign(value)
            return
        # TensorFlow copies what it is given, so it is given a few rows at a time.
        step = max(1, LARGEST_COPY * len(value) // value.nbytes)
        for start in range(0, len(value), step):
            rows = tf.cast(value[start : start + step], variable.dtype)
            tf.raw_ops.ResourceStridedSliceAssign(
                ref=variable.value.handle,
                begin=[start],
                end=[start + len(rows)],
                strides=[1],
                value=rows,
            )
        # Else every product would copy the weight first.
        tf.raw_ops.DisableCopyOnRead(resource=variable.value.handle)

    def canonical_arrays(self) -> dict[str, canonical.Array]:
        """All parameters as NumPy arrays, in canonical names and layout.

        Raises:
            InputError: The model is in int8.
        """
        self._check_whole()
        return {
            parameter.name: KERAS.turn(
                parameter, np.asarray(self._variable(parameter).value)
            )
            for parameter in self._parameters_of_schema()
        }

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
        """Load a model from a directory or from the hub.

        Args:
            pretrained_model_name_or_path: A directory, or a hub name such as
                "albert/albert-base-v2".
            *model_args: Further arguments of the class.
            config: Used in place of the checkpoint's.
            dtype: A number type, a Keras dtype policy such as "mixed_bfloat16", or
                "auto" for the number type of the checkpoint; by default the policy
                that is set. "int8" is for prediction on a CPU: the products of the
                shared layers, all else in float32.
            torch_dtype: The same, by its name in PyTorch.
            device_map: A TensorFlow device such as "/GPU:0"; by default and for "auto"
                TensorFlow chooses.
            output_loading_info: Return (model, info), info naming what was missing.
            ignore_mismatched_sizes: Draw new values for arrays of another shape.
            **options: Fields of the configuration to change (`num_labels`, ...),
                options of the hub (`revision`, `cache_dir`, `local_files_only`,
                `token`, `force_download`, `subfolder`), and keywords of the class
                (`add_pooling_layer`).

        Raises:
            CheckpointError: The checkpoint is damaged or does not fit.
            ConfigError: The configuration is not valid.
            InputError: int8 is wanted elsewhere than on a CPU.
        """
        name = pretrained_model_name_or_path
        config, stored = open_pretrained(name, config, options)
        first = next(iter(stored), None)
        kept = "float32" if first is None else stored.dtype(first)
        asked = torch_dtype if dtype is None else dtype
        policy = to_policy("float32" if int8.is_meant(asked) else asked, kept)
        device = None if device_map == "auto" else device_map
        with tf.device(device), filled_later(), default_dtype(policy):
            model = cls(config, *model_args, **options)
        parameters = {p.name: p for p in model._parameters_of_schema()}
        wanted = {name: p.shape for name, p in parameters.items()}
        found = loading.match(wanted, stored, cls.__name__, ignore_mismatched_sizes)
        for target, source in found.sources.items():
            model._assign(parameters[target], stored[source])
        model._initialise(found.initialised)
        found.report(cls.__name__, name)
        if int8.is_meant(asked):
            quantize(model)
        return (model, found.info()) if output_loading_info else model

    def save_pretrained(
        self,
        save_directory: str | Path,
        saved_model: bool = False,
        max_shard_size: int | str = "5GB",
    ) -> None:
        """Write `config.json` and `model.safetensors`, which every backend reads.

        Args:
            save_directory: Made if it is not there.
            saved_model: Also export a SavedModel into its folder `saved_model/1`.
            max_shard_size: Larger models are written as several files.

        Raises:
            ConfigError: The model has weights that are not ALBERT's, and would be lost.
            InputError: The model is in int8.
        """
        self._check_whole()
        own = {id(self._variable(p)) for p in self._parameters_of_schema()}
        others = [variable.path for variable in self.weights if id(variable) not in own]
        if others:
            raise ConfigError(
                f"save_pretrained writes ALBERT's weights, but this model also has "
                f"{', '.join(others)}. Keep them with save_weights()."
            )
        self.config.architectures = [type(self).__name__.removeprefix("TF")]
        self.config.dtype = self.variable_dtype
        arrays = self.canonical_arrays()
        canonical.save(save_directory, self.config, arrays, max_shard_size)
        if saved_model:
            self.export(str(Path(save_directory) / "saved_model" / "1"), verbose=False)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the model, its inputs as keywords, in order, or in one dict or list.

        Names in a dict that are no argument are left out, with a message. A list of
        lists is one tensor.
        """
        named = self._named(args[0]) if args and isinstance(args[0], Mapping) else None
        if named is not None:
            args, kwargs = args[1:], {**named, **kwargs}
        elif len(args) == 1 and isinstance(args[0], list | tuple):
            args = args if _is_numbers(args[0]) else tuple(args[0])
        args = tuple(to_tensor(value) for value in args)
        kwargs = {name: to_tensor(value) for name, value in kwargs.items()}
        return super().__call__(*args, **kwargs)

    def _named(self, inputs: Mapping[str, Any]) -> dict[str, Any] | None:
        """The inputs that are arguments of `call`, or None if it takes them in one."""
        parameters = inspect.signature(self.call).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):  # a subclass's
            return dict(inputs)
        if self.main_input_name not in parameters:  # a subclass's as well
            return None
        known = {name: x for name, x in inputs.items() if name in parameters}
        if len(known) < len(inputs):
            _say_left(type(self).__name__, tuple(sorted(inputs.keys() - known.keys())))
        return known

    @property
    def base_model(self) -> Any:
        """The encoder inside a model with a head, or the model itself."""
        return getattr(self, self.base_model_prefix, self)

    def __dir__(self) -> list[str]:
        # Keras loads what `dir` names, and would follow the base model into itself.
        return [name for name in super().__dir__() if name != "base_model"]

    def num_parameters(
        self, only_trainable: bool = False, exclude_embeddings: bool = False
    ) -> int:
        """Number of weights.

        Args:
            only_trainable: Leave frozen weights out.
            exclude_embeddings: Leave the embedding tables out.
        """
        return sum(
            parameter.size
            for parameter in self._parameters_of_schema()
            if (not only_trainable or self._trains(parameter))
            and not (exclude_embeddings and "_embeddings." in parameter.name)
        )

    def _trains(self, parameter: schema.Parameter) -> bool:
        return not is_int8(self) and self._variable(parameter).trainable

    def get_input_embeddings(self) -> keras.layers.Layer:
        """The word embeddings."""
        return self.base_model.embeddings.word_embeddings

    def set_input_embeddings(self, value: keras.layers.Layer) -> None:
        """Put other word embeddings in place; the decoder follows."""
        replace(self.base_model.embeddings, "word_embeddings", value)

    def get_output_embeddings(self) -> Any:
        """The table that a masked language model decodes with, or None."""
        predictions = getattr(self, "predictions", None)
        if predictions is None:
            return None
        own = self.config.has_own_decoder
        return predictions.decoder if own else self.get_input_embeddings()

    def tie_weights(self) -> None:
        """Nothing to do: a tied decoder reads the word embeddings at every call."""

    def resize_token_embeddings(
        self,
        new_num_tokens: int | None = None,
        pad_to_multiple_of: int | None = None,
        mean_resizing: bool = True,
    ) -> keras.layers.Layer:
        """Give the vocabulary another size; the decoder and its bias follow.

        A model that was compiled must be compiled again.

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
        seed = int(tf.random.uniform((), maxval=2**31 - 1, dtype=tf.int32))
        arrays = self.canonical_arrays()
        old = {p.name: p for p in self._parameters_of_schema()}
        self.config.vocab_size = size
        for name in [n for n in arrays if schema.base_name(n) in loading.VOCABULARY]:
            deviation = self.config.initializer_range
            arrays[name] = resized_rows(arrays[name], size, mean, deviation, seed)
            parent, _, attribute = old[name].layer.rpartition(".")
            if old[name].kind == "embedding":
                before = self._find(old[name].layer)
                padding = getattr(before, "padding", None)
                with default_dtype(self.dtype_policy):
                    new = Embedding(size, self.config.embedding_size, padding)
                replace(self._find(parent), attribute, new)
                freeze_like(new, before)
            else:
                head = self._find(attribute)
                head.vocab_size = size
                with unlocked(head), head._open_name_scope():
                    del head.bias
                    head.bias = vector(head, size)
        for parameter in self._parameters_of_schema():
            if schema.base_name(parameter.name) in loading.VOCABULARY:
                self._assign(parameter, arrays[parameter.name])

    def prune_heads(self, heads_to_prune: Mapping[int, list[int]]) -> None:
        """Cut attention heads for good; `config.pruned_heads` remembers them.

        A model that was compiled must be compiled again.

        Args:
            heads_to_prune: Distinct block (group * inner_group_num + inner) -> heads.

        Raises:
            ConfigError: A block or head that is not there, or no head would be left.
        """
        config, arrays = pruning.prune(
            self.config, self.canonical_arrays(), heads_to_prune
        )
        self.config.pruned_heads = config.pruned_heads
        for group, inner in pruning.blocks(config):
            layer = self.base_model.encoder.albert_layer_groups[group]
            block = layer.albert_layers[inner]
            before = block.attention
            if before.heads == self.config.kept_heads(group, inner):
                continue
            with default_dtype(self.dtype_policy):
                after = type(before)(self.config, group, inner)
            replace(block, "attention", after)
            freeze_like(after, before)
        for parameter in self._parameters_of_schema():
            self._assign(parameter, arrays[parameter.name])

    def gradient_checkpointing_enable(self, **_: Any) -> None:
        """Keep only the layers' inputs for the backward pass: less memory, more time.

        Args:
            **_: What Hugging Face's method takes.
        """
        self.base_model.encoder.gradient_checkpointing = True

    def gradient_checkpointing_disable(self) -> None:
        """Keep everything for the backward pass."""
        self.base_model.encoder.gradient_checkpointing = False

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether the layers are computed again in the backward pass."""
        return self.base_model.encoder.gradient_checkpointing

    @property
    def input_signature(self) -> dict[str, Any]:
        """What an exported model takes: ids, mask and segments of any size."""
        shape = (None,) * (3 if self.head == "ForMultipleChoice" else 2)
        names = ("input_ids", "attention_mask", "token_type_ids")
        return {name: tf.TensorSpec(shape, tf.int32, name) for name in names}

    def export(self, filepath: str, *args: Any, **options: Any) -> None:
        """Write a SavedModel (or another format that Keras exports) for serving.

        Args:
            filepath: Where to.
            *args: As `keras.Model.export` has them.
            **options: The same; `input_signature` defaults to the model's own.
        """
        options.setdefault("input_signature", [self.input_signature])
        super().export(filepath, *args, **options)

    def get_config(self) -> dict[str, Any]:
        """What `.keras` files keep besides the weights."""
        self._check_whole()
        return {
            "config": self.config.to_dict(),
            "pools": self.base_model.pooler is not None,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> Any:
        """Build a model from `get_config`'s result."""
        base = cls.head == schema.BASE
        options = {"add_pooling_layer": config["pools"]} if base else {}
        with default_dtype(keras.dtype_policies.deserialize(config["dtype"])):
            model = cls(AlbertConfig.from_dict(config["config"]), **options)
        model.name = config["name"]
        return model


def _is_numbers(value: Any) -> bool:
    """Whether a value is a list of numbers, of lists of numbers, ..."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, Number)


def to_tensor(value: Any) -> Any:
    """Numbers in lists as a tensor; all else as it is."""
    numbers = isinstance(value, list | tuple) and _is_numbers(value)
    return tf.convert_to_tensor(value) if numbers else value


@cache
def _say_left(title: str, names: tuple[str, ...]) -> None:
    """Say once which inputs a model does not take."""
    logger.warning("%s does not take %s; left out.", title, ", ".join(names))
