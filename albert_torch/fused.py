"""The shared layer in few calls, for prediction on a CPU; `ops.repeat` takes it.

The activation is part of the product before it, query, key and value of a frozen model
are one product, and padding that a `Packed` mask leaves out is not computed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from albert_core import fast
from albert_torch import kernels
from albert_torch.packing import Unpadded, attend_texts

Attend = Callable[[Tensor, Tensor, Tensor], Tensor]
Pair = tuple[Tensor, Tensor]
HOOKS = (
    "_forward_hooks",
    "_forward_pre_hooks",
    "_backward_hooks",
    "_backward_pre_hooks",
)


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
        linear, attention = kernels.linear, self.layer.attention
        parts = [linear(tokens, *pair) for pair in self.projections]
        query, key, value = parts if len(parts) == 3 else parts[0].chunk(3, -1)
        context = linear(attend(query, key, value), *self.dense)
        attended = attention.LayerNorm(context.add_(tokens))
        name, activation = attention.config.hidden_act, self.layer.activation
        expanded = kernels.activated(attended, *self.ffn, name, activation)
        contracted = linear(expanded, *self.ffn_output)
        return self.layer.full_layer_layer_norm(contracted.add_(attended))


# Groups whose weights were ordered, what these were, and the blocks.
_frozen: WeakKeyDictionary[nn.Module, tuple[Any, list[Block]]] = WeakKeyDictionary()


def freeze(model: nn.Module) -> None:
    """Keep a second copy of the shared layers, in the order that is read fastest.

    Weights that change later by what PyTorch counts, an optimizer or `load_state_dict`,
    are ordered anew; those changed behind its back, through `.data`, are not seen.
    """
    for group in model.modules():
        if hasattr(group, "albert_layers"):
            _frozen[group] = (None, [])


def suits(
    group: nn.Module, hidden: Tensor, head_mask: Any, output_attentions: bool
) -> bool:
    """Whether `run` gives what the group's own modules give."""
    return (
        kernels.can_read(hidden)
        and hidden.device.type == "cpu"
        and not torch.is_grad_enabled()
        and not group.training
        and head_mask is None
        and not output_attentions
        and hidden.numel() > 0
        and fast.allowed()
        and not torch.is_autocast_enabled("cpu")
        and all(map(_is_plain, group.modules()))
    )


def _is_plain(module: nn.Module) -> bool:
    """Whether a module is ours, and nobody looks at what goes through it."""
    return (
        type(module).__module__.startswith(("albert_torch.", "torch.nn.modules."))
        and not any(getattr(module, name) for name in HOOKS)
        and "forward" not in vars(module)
        and not getattr(getattr(module, "config", None), "is_relative", False)
        and getattr(getattr(module, "config", None), "attn_implementation", "")
        != "eager"
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
    blocks = _blocks(group)
    width = blocks[0].layer.attention.config.head_size
    texts = bias if isinstance(bias, Unpadded) else None
    if texts is None:
        tokens = hidden.flatten(0, 1)

        def within(*parts: Tensor) -> Tensor:
            shape = (*hidden.shape[:2], -1, width)
            return attend(*(x.view(shape) for x in parts), bias).reshape_as(parts[0])
    else:
        tokens = texts.pack(hidden)
        within = attend_texts(texts, width)

    def whole() -> Tensor:
        return texts.unpack(tokens) if texts else tokens.view_as(hidden)

    states: tuple[Tensor, ...] = ()
    for _ in range(times):
        for block in blocks:
            tokens = block(tokens, within)
        states = (*states, whole()) if output_hidden_states else ()
    return (states[-1] if states else whole()), states


def _blocks(group: nn.Module) -> list[Block]:
    if group not in _frozen:
        return list(_made(group, lambda weight: weight, False))
    weights = list(group.parameters())
    if any(weight.is_inference() for weight in weights):
        return list(_made(group, lambda weight: weight, False))  # changes unseen
    key = [(x.data_ptr(), x._version, x.dtype) for x in weights]
    known, blocks = _frozen[group]
    if known != key:
        blocks = list(_made(group, kernels.ordered, True))
        _frozen[group] = (key, blocks)
    return blocks


def _made(
    group: nn.Module, order: Callable[[Tensor], Tensor], fuse: bool
) -> Iterator[Block]:
    layers: Any = group.albert_layers
    for layer in layers:
        attention = layer.attention
        three = (attention.query, attention.key, attention.value)
        pairs = [(x.weight, x.bias) for x in three]
        if fuse:
            pairs = [
                tuple(torch.cat(parts).detach() for parts in zip(*pairs, strict=True))
            ]
        rest = (attention.dense, layer.ffn, layer.ffn_output)
        projections = tuple((order(weight), bias) for weight, bias in pairs)
        yield Block(layer, projections, *((order(x.weight), x.bias) for x in rest))
