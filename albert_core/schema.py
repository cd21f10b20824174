"""The one parameter schema: every parameter of ALBERT, in forward order.

Names and layout are those of Hugging Face's PyTorch checkpoints: a dense kernel is
(outputs, inputs). Shapes come from the configuration.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from albert_core.config import AlbertConfig
from albert_core.errors import CheckpointError

# The kinds of layer that own parameters: leaf -> which of the layer's sizes it spans.
KINDS: dict[str, dict[str, tuple[int, ...]]] = {
    "embedding": {"weight": (0, 1)},
    "dense": {"weight": (0, 1), "bias": (0,)},
    "kernel": {"weight": (0, 1)},  # a dense layer without a bias
    "norm": {"weight": (0,), "bias": (0,)},
    "bias": {"bias": (0,)},
}

BASE = "Model"
PREFIX = "albert."  # of the encoder's names in a model with a head


@dataclass(frozen=True)
class Layer:
    """A row of the schema: a layer that owns parameters.

    Attributes:
        path: Where the layer is in the model, with places for group and inner block.
        kind: A key of `KINDS`.
        sizes: Numbers, or names that `_size` gives a number to.
        when: A property of the configuration without which the layer is not there.
    """

    path: str
    kind: str
    sizes: tuple[str | int, ...]
    when: str | None = None


@dataclass(frozen=True)
class Parameter:
    """One array of a model.

    Attributes:
        name: Its canonical name.
        layer: The path of the layer that owns it, "" for none.
        leaf: "weight" or "bias".
        kind: What the layer is, a key of `KINDS`.
        shape: In canonical layout.
    """

    name: str
    layer: str
    leaf: str
    kind: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Number of weights."""
        return math.prod(self.shape)


BLOCK = "encoder.albert_layer_groups.{group}.albert_layers.{inner}"

EMBEDDINGS = (
    Layer("embeddings.word_embeddings", "embedding", ("vocab_size", "embedding_size")),
    Layer(
        "embeddings.position_embeddings",
        "embedding",
        ("max_position_embeddings", "embedding_size"),
    ),
    Layer(
        "embeddings.token_type_embeddings",
        "embedding",
        ("type_vocab_size", "embedding_size"),
    ),
    Layer("embeddings.LayerNorm", "norm", ("embedding_size",)),
    Layer(
        "encoder.embedding_hidden_mapping_in",
        "dense",
        ("hidden_size", "embedding_size"),
    ),
)
BLOCKS = (
    Layer(f"{BLOCK}.attention.query", "dense", ("kept_size", "hidden_size")),
    Layer(f"{BLOCK}.attention.key", "dense", ("kept_size", "hidden_size")),
    Layer(f"{BLOCK}.attention.value", "dense", ("kept_size", "hidden_size")),
    Layer(
        f"{BLOCK}.attention.distance_embedding",
        "embedding",
        ("num_distances", "head_size"),
        when="is_relative",
    ),
    Layer(f"{BLOCK}.attention.dense", "dense", ("hidden_size", "kept_size")),
    Layer(f"{BLOCK}.attention.LayerNorm", "norm", ("hidden_size",)),
    Layer(f"{BLOCK}.ffn", "dense", ("intermediate_size", "hidden_size")),
    Layer(f"{BLOCK}.ffn_output", "dense", ("hidden_size", "intermediate_size")),
    Layer(f"{BLOCK}.full_layer_layer_norm", "norm", ("hidden_size",)),
)
POOLER = (Layer("pooler", "dense", ("hidden_size", "hidden_size")),)
PREDICTIONS = (
    Layer("predictions.dense", "dense", ("embedding_size", "hidden_size")),
    Layer("predictions.LayerNorm", "norm", ("embedding_size",)),
    Layer(
        "predictions.decoder",
        "embedding",  # a kernel without a bias, laid out like the table it stands for
        ("vocab_size", "embedding_size"),
        when="has_own_decoder",
    ),
    Layer("predictions", "bias", ("vocab_size",)),
)
SOP = (Layer("sop_classifier.classifier", "dense", (2, "hidden_size")),)
CLASSIFIER = (Layer("classifier", "dense", ("num_labels", "hidden_size")),)
CHOICE = (Layer("classifier", "dense", (1, "hidden_size")),)
SPAN = (Layer("qa_outputs", "dense", (2, "hidden_size")),)
BEAM = (
    Layer("start_logits.dense", "dense", (1, "hidden_size")),
    Layer("end_logits.dense_0", "dense", ("hidden_size", "pair_size")),
    Layer("end_logits.LayerNorm", "norm", ("hidden_size",)),
    Layer("end_logits.dense_1", "dense", (1, "hidden_size")),
    Layer("answer_class.dense_0", "dense", ("hidden_size", "pair_size")),
    Layer("answer_class.dense_1", "kernel", (1, "hidden_size")),
)


@dataclass(frozen=True)
class Head:
    """What a model class adds to the encoder: whether it pools, and its own layers."""

    pools: bool
    layers: tuple[Layer, ...]


HEADS: dict[str, Head] = {
    BASE: Head(True, ()),
    "ForPreTraining": Head(True, PREDICTIONS + SOP),
    "ForMaskedLM": Head(False, PREDICTIONS),
    "ForSequenceClassification": Head(True, CLASSIFIER),
    "ForMultipleChoice": Head(True, CHOICE),
    "ForTokenClassification": Head(False, CLASSIFIER),
    "ForQuestionAnswering": Head(False, SPAN),
    "ForQuestionAnsweringBeam": Head(False, BEAM),
}

# Names that stand for another array of the same checkpoint.
TIES = {
    "predictions.decoder.bias": "predictions.bias",
    "predictions.decoder.weight": f"{PREFIX}embeddings.word_embeddings.weight",
}
# Not parameters: constant tables that old checkpoints carry.
BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")


def _size(config: AlbertConfig, size: str | int, group: int, inner: int) -> int:
    if isinstance(size, int):
        return size
    if size == "kept_size":
        return len(config.kept_heads(group, inner)) * config.head_size
    return getattr(config, size)


def _rows(
    config: AlbertConfig, head: str, pools: bool
) -> Iterator[tuple[Layer, int, int, str]]:
    prefix = "" if head == BASE else PREFIX
    for layer in EMBEDDINGS:
        yield layer, 0, 0, prefix
    for group in range(config.num_hidden_groups):
        for inner in range(config.inner_group_num):
            for layer in BLOCKS:
                yield layer, group, inner, prefix
    for layer in POOLER if pools else ():
        yield layer, 0, 0, prefix
    for layer in HEADS[head].layers:
        yield layer, 0, 0, ""


def parameters(
    config: AlbertConfig, head: str = BASE, pools: bool | None = None
) -> tuple[Parameter, ...]:
    """List every parameter of a model, in forward order.

    Args:
        config: The configuration.
        head: A key of `HEADS`.
        pools: Whether the model pools; None for what the head does by itself.

    Examples:
        >>> sum(p.size for p in parameters(AlbertConfig()))
        222595584
    """
    pools = HEADS[head].pools if pools is None else pools
    found: list[Parameter] = []
    for row, group, inner, prefix in _rows(config, head, pools):
        if row.when is not None and not getattr(config, row.when):
            continue
        layer = prefix + row.path.format(group=group, inner=inner)
        for leaf, spans in KINDS[row.kind].items():
            shape = tuple(_size(config, row.sizes[i], group, inner) for i in spans)
            found.append(Parameter(f"{layer}.{leaf}", layer, leaf, row.kind, shape))
    return tuple(found)


def base_name(name: str) -> str:
    """The name that a parameter has in a model without a head."""
    return name.removeprefix(PREFIX)


def is_encoder(name: str) -> bool:
    """Whether a name belongs to the encoder, which no checkpoint may lack."""
    return base_name(name).startswith(("embeddings.", "encoder."))


def is_head(name: str) -> bool:
    """Whether a name belongs to the pooler or to a head that this library knows."""
    layers = [layer.path for head in HEADS.values() for layer in head.layers]
    owners = [layer.path for layer in POOLER] + layers
    owner, _, leaf = base_name(name).rpartition(".")
    return owner in owners and leaf in ("weight", "bias")


def guess_head(names: list[str], architectures: list[str] | None) -> str:
    """Tell which head a checkpoint has, by its class name or else by its parameters.

    Raises:
        CheckpointError: The parameters are those of no single head.
    """
    for architecture in architectures or ():
        head = architecture.removeprefix("TF").removeprefix("Flax")
        if head.removeprefix("Albert") in HEADS:
            return head.removeprefix("Albert")
    owners = {name.split(".")[0] for name in names if is_head(name)}
    pooled = any(base_name(name).startswith("pooler.") for name in names)
    owners -= {"pooler", "albert"}
    if not owners:
        return BASE
    for head, (required, pools) in {
        "ForPreTraining": ({"predictions", "sop_classifier"}, True),
        "ForMaskedLM": ({"predictions"}, pooled),
        "ForQuestionAnswering": ({"qa_outputs"}, pooled),
        "ForQuestionAnsweringBeam": (
            {layer.path.split(".")[0] for layer in BEAM},
            pooled,
        ),
        "ForSequenceClassification": ({"classifier"}, True),
        "ForTokenClassification": ({"classifier"}, False),
    }.items():
        if owners == required and pooled == pools:
            return head
    raise CheckpointError(
        f"The checkpoint holds {', '.join(sorted(owners))}, which is no single head of "
        f"ALBERT. Name the class in config.json under 'architectures', one of "
        f"{', '.join('Albert' + head for head in HEADS)}."
    )
