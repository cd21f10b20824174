"""The three frameworks as the parity tests need them: stages, gradients, float64."""

from contextlib import nullcontext

import numpy as np

from albert_core import schema
from albert_core.spelling import KERAS

F64 = "float64"


def relative(found, expected):
    """Frobenius norm of the difference over that of what is expected."""
    norm = np.linalg.norm(expected)
    return np.linalg.norm(np.asarray(found, np.float64) - expected) / (norm or 1.0)


def find(root, path):
    """The module at a path of the schema."""
    for part in path.split(".") if path else ():
        if part.isdecimal():
            root = root[part] if hasattr(root, "values") else root[int(part)]
        else:
            root = getattr(root, part)
    return root


class Torch:
    """PyTorch."""

    def __init__(self, path, head, **options):
        import torch

        import albert_torch

        self.torch = torch
        options = {"attn_implementation": "eager", "dtype": F64, **options}
        model_class = getattr(albert_torch, f"Albert{head}")
        self.model = self.root = model_class.from_pretrained(path, **options)

    def precise(self):
        return nullcontext()

    def tensor(self, x):
        x = self.torch.from_numpy(np.ascontiguousarray(x))
        return x if x.is_floating_point() else x.long()

    def array(self, x):
        return x.detach().numpy()

    def outputs(self, inputs):
        return self.model(**{k: self.tensor(v) for k, v in inputs.items()})

    def gradients(self, inputs):
        loss = self.outputs(inputs).loss
        self.model.zero_grad()
        loss.backward()
        found = dict(self.model.named_parameters())
        zero = {k: np.zeros(p.shape) for k, p in found.items()}
        return float(loss.detach()), zero | {
            k: p.grad.numpy() for k, p in found.items() if p.grad is not None
        }


class TF:
    """TensorFlow."""

    def __init__(self, path, head, **options):
        import tensorflow as tf

        import albert_tf

        self.tf = tf
        model_class = getattr(albert_tf, f"TFAlbert{head}")
        options = {"dtype": F64, **options}
        self.model = self.root = model_class.from_pretrained(path, **options)

    def precise(self):
        return nullcontext()

    def tensor(self, x):
        return self.tf.constant(x)

    def array(self, x):
        return np.asarray(x)

    def outputs(self, inputs):
        return self.model(dict(inputs))

    def gradients(self, inputs):
        schema_of = {p.name: p for p in self.model._parameters_of_schema()}
        variables = {k: self.model._variable(p).value for k, p in schema_of.items()}
        with self.tf.GradientTape() as tape:
            loss = self.outputs(inputs).loss
        zero = self.tf.UnconnectedGradients.ZERO
        found = tape.gradient(loss, variables, unconnected_gradients=zero)
        return float(loss), {
            k: KERAS.turn(schema_of[k], np.asarray(self.tf.convert_to_tensor(g)))
            for k, g in found.items()
        }


class Flax:
    """JAX; stages run the module eagerly, everything else goes through the jit."""

    def __init__(self, path, head, **options):
        import jax

        import albert_flax

        self.jax = jax
        model_class = getattr(albert_flax, f"FlaxAlbert{head}")
        with self.precise():
            options = {"dtype": F64, **options}
            self.model = model_class.from_pretrained(path, **options)
            params = self.model.params
            self.model.params = jax.tree.map(lambda x: x.astype(F64), params)
            self.root = self.model.module

    def precise(self):
        return self.jax.enable_x64(True)

    def tensor(self, x):
        return self.jax.numpy.asarray(x)

    def array(self, x):
        return np.asarray(x)

    def outputs(self, inputs):
        return self.model(**inputs)

    def gradients(self, inputs):
        def loss(params):
            return self.model(**inputs, params=params).loss

        with self.precise():
            value, found = self.jax.value_and_grad(loss)(self.model.params)
            return float(value), self.model.canonical_arrays(found)


KINDS = {"torch": Torch, "tf": TF, "flax": Flax}


def run_stage(framework, stage):
    """Run one call of a model on the reference's input, and return its output."""
    base = framework.root.base_model

    def tensor(x):
        return None if x is None else framework.tensor(x)

    with framework.precise():
        inputs = [tensor(x) for x in stage.inputs]
        if stage.path == "pooler":
            out = base.pool(*inputs)
        elif stage.path.endswith("feed_forward"):
            out = find(base, stage.module).feed_forward(*inputs)
        elif stage.path.endswith("attention"):
            out = find(base, stage.module)(*inputs, True)[0]
        else:
            root = base if schema.is_encoder(f"{stage.module}.") else framework.root
            out = find(root, stage.module)(*inputs)
        return framework.array(out)


def first_failure(framework, stages, bound):
    """The path of the first stage that is off by more than a bound, or None.

    Every stage is fed the reference's input, so that errors do not travel: the first
    that fails is the one that is wrong.
    """
    for stage in stages:
        # `not <=`, so that a NaN fails too
        if not relative(run_stage(framework, stage), stage.output) <= bound:
            return stage.path
    return None
