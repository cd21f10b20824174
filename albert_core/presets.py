"""The released ALBERT models as data: configuration, parameter count, source."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.errors import ConfigError

PAPER = "Lan et al. 2020, ALBERT, arXiv 1909.11942"


@dataclass(frozen=True)
class Preset:
    """A released model.

    Attributes:
        fields: What differs from the defaults of `AlbertConfig`.
        parameters: Weights of the encoder with its pooler.
        source: Where the weights were published, hub name or Google's archive.
    """

    fields: Mapping[str, Any]
    parameters: int
    source: str

    @property
    def config(self) -> AlbertConfig:
        """The configuration of the model."""
        return AlbertConfig(**self.fields)


def _size(hidden: int, layers: int, heads: int) -> dict[str, int]:
    # The feed-forward is four times as wide as the encoder in every released model;
    # the number of heads follows no rule.
    return {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "intermediate_size": 4 * hidden,
    }


BASE = _size(768, 12, 12)
LARGE = _size(1024, 24, 16)
XLARGE = _size(2048, 24, 16)
XXLARGE = _size(4096, 12, 64)

# Version 1 was trained with dropout, except for the largest; version 2 without.
DROPOUT = {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1}
CHINESE = {"vocab_size": 21128, "hidden_act": "relu"}

# Version 1 was trained with the tanh form of gelu, as version 2 was. The hub's
# configurations of version 1 say "gelu", which Hugging Face computes in the erf form.
PRESETS: Mapping[str, Preset] = {
    "albert-base-v1": Preset({**BASE, **DROPOUT}, 11_683_584, "albert/albert-base-v1"),
    "albert-large-v1": Preset(
        {**LARGE, **DROPOUT}, 17_683_968, "albert/albert-large-v1"
    ),
    "albert-xlarge-v1": Preset(
        {**XLARGE, **DROPOUT}, 58_724_864, "albert/albert-xlarge-v1"
    ),
    "albert-xxlarge-v1": Preset(XXLARGE, 222_595_584, "albert/albert-xxlarge-v1"),
    "albert-base-v2": Preset(BASE, 11_683_584, "albert/albert-base-v2"),
    "albert-large-v2": Preset(LARGE, 17_683_968, "albert/albert-large-v2"),
    "albert-xlarge-v2": Preset(XLARGE, 58_724_864, "albert/albert-xlarge-v2"),
    "albert-xxlarge-v2": Preset(XXLARGE, 222_595_584, "albert/albert-xxlarge-v2"),
    "albert-base-zh": Preset(
        {**BASE, **CHINESE}, 10_547_968, "google-research/albert albert_base_zh"
    ),
    "albert-large-zh": Preset(
        {**LARGE, **CHINESE}, 16_548_352, "google-research/albert albert_large_zh"
    ),
    "albert-xlarge-zh": Preset(
        {**XLARGE, **CHINESE, "initializer_range": 0.014},
        57_589_248,
        "google-research/albert albert_xlarge_zh",
    ),
    "albert-xxlarge-zh": Preset(
        {**XXLARGE, **CHINESE, "num_attention_heads": 16, "initializer_range": 0.01},
        221_459_968,
        "google-research/albert albert_xxlarge_zh",
    ),
}


def preset(name: str) -> Preset:
    """Look up a released model by name.

    Raises:
        ConfigError: There is no such model; the message lists those there are.

    Examples:
        >>> preset("albert-base-v2").parameters
        11683584
    """
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(
            f"No released model is called {name!r}; there are {', '.join(PRESETS)}."
        ) from None
