"""The three frameworks as one: NumPy arrays in, NumPy arrays out."""

from contextlib import nullcontext
from typing import Any

import numpy as np

from albert_zoo.backends import BACKENDS, flatten, quiet_start

PREFIXES = {"torch": "", "tf": "TF", "flax": "Flax"}
ALL = {"output_hidden_states": True, "output_attentions": True}


class Model:
    """A model of a checkpoint, in float64 unless told otherwise.

    Calling it gives all outputs by name, those of layers as "attentions.3".
    """

    def __init__(
        self, framework, path, head: Any = "Model", dtype: Any = "float64", **options
    ):
        self.framework = framework
        if framework == "torch":
            options.setdefault("attn_implementation", "eager")
        with self.precision(dtype):
            model_class = class_of(framework, head)
            self.model = model_class.from_pretrained(path, dtype=dtype, **options)
        self.dtype = dtype

    def precision(self, dtype):
        """Where this number type is what the framework computes in."""
        if self.framework != "flax":
            return nullcontext()
        import jax

        return jax.enable_x64(dtype == "float64")

    def raw(self, training: Any = False, seed: Any = 0, **inputs):
        """What the model itself returns."""
        with self.precision(self.dtype):
            if self.framework == "tf":
                return self._tf(training, seed, inputs)
            if self.framework == "flax":
                return self._flax(training, seed, inputs)
            return self._torch(training, seed, inputs)

    def _torch(self, training, seed, inputs):
        import torch

        given = {
            k: torch.from_numpy(x) if isinstance(x, np.ndarray) else x
            for k, x in inputs.items()
        }
        self.model.train(training)
        torch.manual_seed(seed)
        with torch.no_grad():
            return self.model(**given)

    def _tf(self, training, seed, inputs):
        import keras

        keras.utils.set_random_seed(seed)
        return self.model(**inputs, training=training)

    def _flax(self, training, seed, inputs):
        import jax

        given = {"train": True, "dropout_rng": jax.random.key(seed)} if training else {}
        return self.model(**inputs, **given)

    def __call__(self, **inputs):
        output = self.raw(**{**ALL, "return_dict": True, **inputs})
        return flatten(output, np.asarray)


def class_of(framework, head="Model"):
    """The class of a head in a framework."""
    with quiet_start():
        module = __import__(f"albert_{framework}")
    return getattr(module, f"{PREFIXES[framework]}Albert{head}")


assert PREFIXES.keys() == BACKENDS.keys()
