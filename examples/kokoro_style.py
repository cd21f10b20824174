"""Use ALBERT as the text encoder of a larger model, as Kokoro and StyleTTS 2 do.

    python examples/kokoro_style.py

The subclass returns hidden states alone; the configuration holds a key of its own
("dropout"), which is kept; a state dict from Hugging Face's class loads strictly.
"""

from typing import Any

import torch

from albert_torch import AlbertConfig, AlbertModel


class CustomAlbert(AlbertModel):
    """An encoder of phonemes."""

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        """Return the hidden states of every phoneme, [batch, seq, hidden]."""
        outputs: Any = super().forward(*args, **kwargs)
        return outputs.last_hidden_state


plbert = {
    "hidden_size": 48,
    "num_attention_heads": 4,
    "intermediate_size": 96,
    "max_position_embeddings": 512,
    "num_hidden_layers": 12,
    "dropout": 0.1,
}
config = AlbertConfig(vocab_size=178, **plbert)
model = CustomAlbert(config).eval()
model.load_state_dict(AlbertModel(config).state_dict())

phonemes = torch.tensor([[0, 50, 83, 54, 156, 57, 135, 0]])
hidden = model(phonemes, attention_mask=torch.ones_like(phonemes))
print(f"{tuple(hidden.shape)} from a model whose configuration says {config.dropout=}")
