"""The shared layer in few calls, for prediction on a CPU; `ops.repeat` takes it.

The activation is part of the product before it, query, key and value of a frozen model
are one product, and padding that a `Packed` mask leaves out is not computed.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules import module as torch_module
from torch.optim import Optimizer
from torch.optim.optimizer import register_optimizer_step_post_hook

from albert_core import fast
from albert_torch import kernels
from albert_torch.packing import Unpadded, attend_texts, is_long

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Pair = tuple[Any, Tensor]  # a weight, which may be `Int8`, and a bias

# The classes that may stand at a name within a layer, which import this file.
_PRODUCT = (
    "albert_torch.modules.Linear",
    "albert_torch.int8.Int8Linear",
    "torch.nn.modules.linear.Linear",
)
_NORM = ("albert_torch.modules.LayerNorm", "torch.nn.modules.normalization.LayerNorm")
_DROPOUT = ("torch.nn.modules.dropout.Dropout", "torch.nn.modules.linear.Identity")
_PARTS = {
    **dict.fromkeys(("query", "key", "value", "dense", "ffn", "ffn_output"), _PRODUCT),
    **dict.fromkeys(("LayerNorm", "full_layer_layer_norm"), _NORM),
    **dict.fromkeys(("dropout", "output_dropout", "attention_dropout"), _DROPOUT),
}
_CONTAINERS = (
    "albert_torch.layers.AlbertLayerGroup",
    "albert_torch.layers.AlbertLayer",
    "albert_torch.layers.AlbertAttention",
    "torch.nn.modules.container.ModuleList",
)
_HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)
_EVERYWHERE = tuple(f"_global{name}" for name in _HOOKS)


@dataclass(frozen=True)
class Block:
    """The weights of a layer as its products take them.

    Attributes:
        layer: The `AlbertLayer`.
        projections: Weight and bias of query, key and value, or of all three in one.
        dense: Those behind the attention.
        ffn: Those that expand.
        ffn_output: Those that contract.
    """

    layer: Any
    projections: tuple[Pair, ...]
    dense: Pair
    ffn: Pair
    ffn_output: Pair

    def __call__(self, tokens: Tensor, attend: Attend) -> Tensor:
        """[tokens, hidden] to the same."""
        linear, layer = kernels.linear, self.layer
        parts = [linear(tokens, *pair) for pair in self.projections]
        query, key, value = parts if len(parts) == 3 else parts[0].chunk(3, -1)
        context = linear(attend(query, key, value), *self.dense)
        attended = layer.attention.LayerNorm(context.add_(tokens))
        expanded = kernels.activated(attended, *self.ffn, layer.activation)
        contracted = linear(expanded, *self.ffn_output)
        return layer.full_layer_layer_norm(contracted.add_(attended))


# Groups to order the weights of. Then what they were, and the blocks; the weights are
# held, so that nothing else can come to stand at their addresses.
_frozen: WeakKeyDictionary[nn.Module, tuple[Any, list[Tensor], list[Block]]] = (
    WeakKeyDictionary()
)


_freezing = Lock()  # none may come while they are counted


def freeze(model: nn.Module) -> None:
    """Keep a second copy of the shared layers, in the order that is read fastest.

    Weights that change later by what PyTorch counts, an optimizer or `load_state_dict`,
    are ordered anew; those changed behind its back, through `.data`, NumPy or another
    process, are not seen.
    """
    _notice_optimizers()
    groups = [x for x in model.modules() if hasattr(x, "albert_layers")]
    with _freezing:
        for group in groups:
            _frozen.setdefault(group, (None, [], []))


@cache
def _notice_optimizers() -> None:
    """Forget what optimizers change; `fused=True` does not count as a change."""

    def forget(optimizer: Optimizer, *_: Any) -> None:
        with _freezing:
            groups = list(_frozen)
        if not groups:
            return
        changed = {id(x) for rows in optimizer.param_groups for x in rows["params"]}
        for group in groups:
            if any(id(x) in changed for x in group.parameters()):
                _frozen[group] = (None, [], [])

    register_optimizer_step_post_hook(forget)


def is_plain(group: nn.Module, hidden: Tensor, output_attentions: bool) -> bool:
    """Whether the tokens of a group can stand elsewhere: nobody asks, or looks."""
    return (
        kernels.can_read(hidden)
        and hidden.device.type == "cpu"
        and not output_attentions
        and hidden.numel() > 0
        and fast.allowed()
        and not _has_global_hooks()
        and all(_is_plain(path, x) for path, x in group.named_modules())
    )


def can_run(group: nn.Module, hidden: Tensor, head_mask: Any) -> bool:
    """Whether `run` gives what the modules of a plain group give."""
    return (
        not torch.is_grad_enabled()
        and head_mask is None
        and not torch.is_autocast_enabled("cpu")
        and not any(module.training for module in group.modules())
        and all(kernels.is_plain(x, hidden) for x in group.parameters())
    )


def is_watched(modules: Iterable[nn.Module]) -> bool:
    """Whether hooks look into calls of modules."""
    return _has_global_hooks() or any(map(_has_hooks, modules))


def _has_global_hooks() -> bool:
    return any(getattr(torch_module, name) for name in _EVERYWHERE)


def _has_hooks(module: nn.Module) -> bool:
    return any(getattr(module, name) for name in _HOOKS)


def _is_plain(path: str, module: nn.Module) -> bool:
    """Whether a module is what `Block` takes it for, and nobody looks into it."""
    name = path.rpartition(".")[2]
    if "activation" in path.split("."):
        return True  # which is called as it is
    kind = f"{type(module).__module__}.{type(module).__qualname__}"
    config = getattr(module, "config", None)
    return (
        kind in _PARTS.get(name, _CONTAINERS)
        and not _has_hooks(module)
        and not any(
            callable(x) and hasattr(type(module), k) for k, x in vars(module).items()
        )
        and (name not in _PARTS or getattr(module, "bias", 0) is not None)
        and not getattr(config, "is_relative", False)
        and getattr(config, "attn_implementation", None) != "eager"
    )


def run(
    group: nn.Module,
    times: int,
    hidden: Tensor,
    bias: Tensor | Unpadded | None,
    attend: Callable[..., Tensor],
    output_hidden_states: bool,
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Run a group of layers several times, as `ops.repeat`.

    Args:
        group: An `AlbertLayerGroup`.
        times: How often.
        hidden: [batch, seq, hidden].
        bias: What is added to scores, or which texts there are.
        attend: Takes query, key, value [batch, seq, heads, width] and the bias.
        output_hidden_states: Return the output of every call.

    Returns:
        The last output, and all outputs.
    """
    blocks = _blocks(group, hidden)
    width = blocks[0].layer.attention.config.head_size
    texts = bias if isinstance(bias, Unpadded) else None
    tokens = texts.pack(hidden) if texts else hidden.flatten(0, 1)
    rows, length = hidden.shape[:2]
    if texts or (bias is None and is_long(length, hidden)):
        within = attend_texts(texts.lengths if texts else [length] * rows, width)
    else:

        def within(*parts: Tensor) -> Tensor:
            shape = (rows, length, -1, width)
            return attend(*(x.view(shape) for x in parts), bias).reshape_as(parts[0])

    def whole() -> Tensor:
        return texts.unpack(tokens) if texts else tokens.view_as(hidden)

    states: tuple[Tensor, ...] = ()
    for _ in range(times):
        for block in blocks:
            tokens = block(tokens, within)
        states = (*states, whole()) if output_hidden_states else ()
    return (states[-1] if states else whole()), states


def _blocks(group: nn.Module, hidden: Tensor) -> list[Block]:
    weights = [*group.parameters(), *group.buffers()]
    orders = kernels.suits(hidden, torch.float32, torch.bfloat16)
    # Changes of tensors made in inference mode are not counted.
    if group not in _frozen or not orders or any(x.is_inference() for x in weights):
        return list(_made(group, lambda weight: weight, False))
    key = [(x.data_ptr(), x._version, x.dtype) for x in weights]
    known, _, blocks = _frozen[group]
    if known != key:
        blocks = list(_made(group, kernels.ordered, True))
        _frozen[group] = (key, [x.detach() for x in weights], blocks)
    return blocks


def _made(group: nn.Module, order: Callable[[Any], Any], fuse: bool) -> Iterator[Block]:
    layers: Any = group.albert_layers
    for layer in layers:
        attention = layer.attention
        three = (attention.query, attention.key, attention.value)
        pairs = [(x.weight, x.bias) for x in three]
        weights, biases = zip(*pairs, strict=True)
        if fuse and len(set(map(type, weights))) == 1:
            pairs = [(kernels.joined(weights), torch.cat(biases).detach())]
        rest = (attention.dense, layer.ffn, layer.ffn_output)
        projections = tuple((order(weight), bias) for weight, bias in pairs)
        yield Block(layer, projections, *((order(x.weight), x.bias) for x in rest))
