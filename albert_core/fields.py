"""The fields of the configuration: their defaults, their rules, what follows from them.

Sources: Lan et al. 2020 (arXiv 1909.11942) §3; google-research/albert
`modeling.AlbertConfig`; transformers 4.57 `AlbertConfig`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from albert_core.rules import (
    ACTIVATION,
    ATTENTION_IMPLEMENTATIONS,
    COUNT,
    DEPTH,
    DTYPE,
    DTYPES,
    FLAG,
    LABEL_NUMBERS,
    LABELS,
    LARGEST_DEPTH,
    NAMES,
    POSITION_EMBEDDINGS,
    POSITIVE,
    PROBABILITY,
    PROBLEM_TYPES,
    PRUNING,
    SIZE,
    TOKEN,
    Rule,
    one_of,
    optional,
)

__all__ = ["COUNT", "DTYPES", "RULES", "SIZE", "Fields"]

RULES: Mapping[str, Rule] = {
    "vocab_size": SIZE,
    "embedding_size": SIZE,
    "hidden_size": SIZE,
    "num_hidden_layers": DEPTH,
    "num_hidden_groups": DEPTH,
    "num_attention_heads": SIZE,
    "intermediate_size": SIZE,
    "inner_group_num": DEPTH,
    "hidden_act": ACTIVATION,
    "hidden_dropout_prob": PROBABILITY,
    "attention_probs_dropout_prob": PROBABILITY,
    "max_position_embeddings": SIZE,
    "type_vocab_size": SIZE,
    "initializer_range": POSITIVE,
    "layer_norm_eps": POSITIVE,
    "classifier_dropout_prob": optional(PROBABILITY),
    "position_embedding_type": one_of(POSITION_EMBEDDINGS),
    "pad_token_id": TOKEN,
    "bos_token_id": TOKEN,
    "eos_token_id": TOKEN,
    "id2label": LABELS,
    "label2id": LABEL_NUMBERS,
    "problem_type": optional(one_of(PROBLEM_TYPES)),
    "start_n_top": COUNT,
    "end_n_top": COUNT,
    "output_attentions": FLAG,
    "output_hidden_states": FLAG,
    "return_dict": FLAG,
    "tie_word_embeddings": FLAG,
    "pruned_heads": PRUNING,
    "dtype": optional(DTYPE),
    "architectures": NAMES,
    "attn_implementation": optional(one_of(ATTENTION_IMPLEMENTATIONS)),
}


class Fields:
    """The values of a configuration, and the numbers that follow from them."""

    vocab_size: int = 30000
    """Number of entries in the vocabulary."""
    embedding_size: int = 128
    """Width E of the embedding tables."""
    hidden_size: int = 4096
    """Width H of the encoder and the pooler."""
    num_hidden_layers: int = 12
    """Number of layers, counted as calls: layers of a group share their weights."""
    num_hidden_groups: int = 1
    """Number of groups of layers; each group has weights of its own."""
    num_attention_heads: int = 64
    """Attention heads in each block; must divide `hidden_size`."""
    intermediate_size: int = 16384
    """Width of the feed-forward expansion."""
    inner_group_num: int = 1
    """Blocks (attention and feed-forward) that each layer runs in turn."""
    hidden_act: Any = "gelu_new"
    """Activation of the feed-forward and the masked language model head."""
    hidden_dropout_prob: float = 0.0
    """Dropout after the embeddings, the attention output and the feed-forward."""
    attention_probs_dropout_prob: float = 0.0
    """Dropout on the attention probabilities."""
    max_position_embeddings: int = 512
    """Longest sequence, in tokens."""
    type_vocab_size: int = 2
    """Number of segments that `token_type_ids` can tell apart."""
    initializer_range: float = 0.02
    """Standard deviation of the initial weights."""
    layer_norm_eps: float = 1e-12
    """Added to the variance in every layer norm."""
    classifier_dropout_prob: float | None = 0.1
    """Dropout before a classifier; None means `hidden_dropout_prob`."""
    position_embedding_type: str = "absolute"
    """"absolute", "relative_key" (Shaw et al. 2018) or "relative_key_query" (Huang et
    al. 2020, method 4)."""
    pad_token_id: int | None = 0
    """Id of padding; its embedding gets no gradient."""
    bos_token_id: int | None = 2
    """Id of [CLS]."""
    eos_token_id: int | None = 3
    """Id of [SEP]."""

    id2label: dict[int, str]
    """Labels of a classifier's outputs."""
    label2id: dict[str, int]
    """The inverse of `id2label`."""
    problem_type: str | None = None
    """Loss of a sequence classifier; None lets the labels decide."""
    start_n_top: int = 5
    """Starts of an answer that `ForQuestionAnsweringBeam` follows up."""
    end_n_top: int = 5
    """Ends that it gives for each of them."""
    output_attentions: bool = False
    """Return the attention probabilities unless a call says otherwise."""
    output_hidden_states: bool = False
    """Return every layer's output unless a call says otherwise."""
    return_dict: bool = True
    """Return named outputs, not tuples, unless a call says otherwise."""
    tie_word_embeddings: bool = True
    """Decode with the word embedding table."""
    pruned_heads: dict[int, list[int]]
    """Heads cut from each block; blocks count as `group * inner_group_num + inner`."""
    dtype: str | None = None
    """Number type of the stored weights."""
    architectures: list[str] | None = None
    """The classes that the checkpoint was saved from."""
    attn_implementation: str | None = None
    """"eager" or "sdpa"; None takes the fastest that gives what a call asks for."""

    @property
    def head_size(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_attention_heads

    @property
    def num_blocks(self) -> int:
        """Number of blocks that have weights of their own."""
        return self.num_hidden_groups * self.inner_group_num

    @property
    def pair_size(self) -> int:
        """Width of two hidden states side by side."""
        return 2 * self.hidden_size

    @property
    def num_distances(self) -> int:
        """Distances of two positions that a relative position table tells apart."""
        return 2 * self.max_position_embeddings - 1

    @property
    def classifier_dropout(self) -> float:
        """The dropout that stands before a classifier."""
        given = self.classifier_dropout_prob
        return self.hidden_dropout_prob if given is None else given

    @property
    def use_return_dict(self) -> bool:
        """Hugging Face's name for `return_dict`."""
        return self.return_dict

    @property
    def is_relative(self) -> bool:
        """Whether attention adds a relative position score."""
        return self.position_embedding_type != "absolute"

    @property
    def has_own_decoder(self) -> bool:
        """Whether the masked language model has a decoder table of its own."""
        return not self.tie_word_embeddings

    def group_of(self, layer: int) -> int:
        """The group whose weights a layer uses."""
        return layer * self.num_hidden_groups // self.num_hidden_layers

    def layers_of(self, group: int) -> range:
        """The layers, which follow each other, that use a group's weights."""
        using = [i for i in range(self.num_hidden_layers) if self.group_of(i) == group]
        return range(using[0], using[-1] + 1)

    def kept_heads(self, group: int, inner: int) -> tuple[int, ...]:
        """The numbers of the heads that a block still has after pruning."""
        cut = self.pruned_heads.get(group * self.inner_group_num + inner, [])
        heads = range(self.num_attention_heads)
        return tuple(head for head in heads if head not in cut)

    def disagreements(self) -> Iterator[str]:
        """Yield what is wrong between fields that are each right by themselves."""
        heads, blocks = self.num_attention_heads, self.num_blocks
        if self.hidden_size % heads:
            yield (
                f"AlbertConfig.num_attention_heads is {heads}, which does not divide "
                f"hidden_size {self.hidden_size}. Change one of the two."
            )
        if self.num_hidden_groups > self.num_hidden_layers:
            yield (
                f"AlbertConfig.num_hidden_groups is {self.num_hidden_groups}, more "
                f"than num_hidden_layers {self.num_hidden_layers}; a group without a "
                f"layer has no use. Change one of the two."
            )
        depth = self.num_hidden_layers * self.inner_group_num
        if depth > LARGEST_DEPTH:
            yield (
                f"AlbertConfig.num_hidden_layers is {self.num_hidden_layers} and "
                f"inner_group_num {self.inner_group_num}, which makes {depth} blocks "
                f"in a row; at most {LARGEST_DEPTH} can be. Change one of the two."
            )
        if self.pad_token_id is not None and self.pad_token_id >= self.vocab_size:
            yield (
                f"AlbertConfig.pad_token_id is {self.pad_token_id}, outside the "
                f"vocabulary of vocab_size {self.vocab_size}. Change one of the two."
            )
        for block, gone in self.pruned_heads.items():
            if block >= blocks or any(head >= heads for head in gone):
                yield (
                    f"AlbertConfig.pruned_heads names heads {gone} of block {block}, "
                    f"but there are {blocks} blocks of {heads} heads, both counted "
                    f"from 0. Correct it."
                )
            elif len(gone) == heads:
                yield (
                    f"AlbertConfig.pruned_heads cuts all {heads} heads of block "
                    f"{block}. Leave at least one."
                )
