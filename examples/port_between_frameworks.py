"""Train a little in PyTorch, go on in TensorFlow, and serve from JAX.

    python examples/port_between_frameworks.py

One directory carries the weights; nothing is converted, because the three backends read
and write the same checkpoint.
"""

import tempfile

import keras
import numpy as np
import torch

from albert_core import AlbertConfig
from albert_flax import FlaxAlbertForSequenceClassification
from albert_tf import TFAlbertForSequenceClassification
from albert_torch import AlbertForSequenceClassification

config = AlbertConfig(
    vocab_size=100,
    embedding_size=16,
    hidden_size=32,
    num_hidden_layers=3,
    num_attention_heads=4,
    intermediate_size=64,
)
stream = np.random.default_rng(0)
ids = stream.integers(5, 100, (64, 12))
labels = (ids[:, 1] > 50).astype(np.int64)  # what there is to learn

torch.manual_seed(0)
model = AlbertForSequenceClassification(config).train()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
inputs = {"input_ids": torch.from_numpy(ids), "labels": torch.from_numpy(labels)}
for _ in range(20):
    optimizer.zero_grad()
    loss = model(**inputs).loss
    loss.backward()
    optimizer.step()
print(f"PyTorch      loss {loss.item():.3f}")

with tempfile.TemporaryDirectory() as folder:
    model.save_pretrained(folder)

    twin = TFAlbertForSequenceClassification.from_pretrained(folder)
    twin.compile(optimizer=keras.optimizers.AdamW(1e-3))
    batch = {"input_ids": ids.astype(np.int32), "labels": labels.astype(np.int32)}
    history = twin.fit(batch, epochs=5, batch_size=16, verbose=0)
    print(f"TensorFlow   loss {history.history['loss'][-1]:.3f}")
    twin.save_pretrained(folder)

    served = FlaxAlbertForSequenceClassification.from_pretrained(folder)
    guesses = np.asarray(served(ids).logits).argmax(-1)
    print(f"JAX          {np.mean(guesses == labels):.0%} right")
