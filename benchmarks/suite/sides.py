"""Each side of a comparison: how it loads a checkpoint, and runs it.

A function takes the folder of a checkpoint and a number type, and gives one that takes
NumPy arrays and returns one: for `SIDES` "input_ids" and "attention_mask", and the last
hidden states of an `AlbertModel`. Each is as fast as users of its library can have it
without changing its code. This runs in the environment of each peer, so that it imports
nothing first.
"""

import json
from pathlib import Path

OURS = "albert-zoo"  # in the names of our sides


def _zoo(framework):
    def load(folder, dtype):
        from albert_zoo.benchmark import tasks  # what `albert-zoo bench` times

        subject = tasks.load(framework, folder, "Model", dtype, None)

        def run(inputs):
            found = subject.predictor.run(inputs, ("last_hidden_state",))
            return found["last_hidden_state"]

        return run

    return load


def _transformers(folder, dtype):
    import torch
    from transformers import AlbertModel

    kind = getattr(torch, dtype)
    options = {"attn_implementation": "sdpa", "dtype": kind}
    model = AlbertModel.from_pretrained(folder, **options).eval()

    def run(inputs):
        given = {name: torch.from_numpy(x).long() for name, x in inputs.items()}
        with torch.inference_mode():
            return model(**given).last_hidden_state.float().numpy()

    return run


def _onnxruntime(folder, dtype):
    import onnxruntime
    import torch
    from transformers import AlbertModel

    place = Path(folder) / "model.onnx"
    if not place.exists():
        options = {"attn_implementation": "eager"}
        model = AlbertModel.from_pretrained(folder, **options).eval()
        ids = torch.ones(2, 8, dtype=torch.long)
        torch.onnx.export(
            model,
            (ids, ids),
            str(place),
            input_names=["input_ids", "attention_mask"],
            output_names=["last_hidden_state"],
            dynamic_axes={n: {0: "b", 1: "s"} for n in ("input_ids", "attention_mask")},
            dynamo=False,
        )
    if dtype == "int8":
        from onnxruntime.quantization import quantize_dynamic

        whole, place = place, Path(folder) / "model-int8.onnx"
        quantize_dynamic(whole, place)
    session = onnxruntime.InferenceSession(place, providers=["CPUExecutionProvider"])

    def run(inputs):
        given = {name: x.astype("int64") for name, x in inputs.items()}
        return session.run(["last_hidden_state"], given)[0]

    return run


def _transformers_tf(jit):
    def load(folder, dtype):
        import numpy as np
        import tensorflow as tf
        import tf_keras
        from transformers import TFAlbertModel

        tf_keras.mixed_precision.set_global_policy(dtype)
        model = TFAlbertModel.from_pretrained(folder, from_pt=True)

        @tf.function(jit_compile=jit, reduce_retracing=not jit)
        def forward(input_ids, attention_mask):
            given = {"input_ids": input_ids, "attention_mask": attention_mask}
            return model(given, training=False).last_hidden_state

        def run(inputs):
            given = {name: tf.constant(x) for name, x in inputs.items()}
            return np.asarray(forward(**given), "f4")

        return run

    return load


def _transformers_flax(folder, dtype):
    import jax
    import jax.numpy as jnp
    import numpy as np
    from transformers import FlaxAlbertModel

    kind = jnp.dtype(dtype)
    model = FlaxAlbertModel.from_pretrained(folder, from_pt=True, dtype=kind)
    model.params = jax.tree.map(lambda x: x.astype(kind), model.params)

    @jax.jit
    def forward(params, inputs):
        return model(**inputs, params=params, train=False).last_hidden_state

    return lambda inputs: np.asarray(forward(model.params, dict(inputs)), "f4")


def _keras_hub(backend):
    def load(folder, dtype):
        import os

        os.environ["KERAS_BACKEND"] = backend
        import keras_hub
        import numpy as np

        config = json.loads((Path(folder) / "config.json").read_text())
        whole = dtype == "int8"  # whose products are replaced later
        model = keras_hub.models.AlbertBackbone(
            dtype="float32" if whole else dtype,
            vocabulary_size=config["vocab_size"],
            num_layers=config["num_hidden_layers"],
            num_heads=config["num_attention_heads"],
            embedding_dim=config["embedding_size"],
            hidden_dim=config["hidden_size"],
            intermediate_dim=config["intermediate_size"],
            max_sequence_length=config["max_position_embeddings"],
        )
        if whole:
            model.quantize("int8")
        if backend == "jax":
            import jax

            forward = jax.jit(lambda state, x: model.stateless_call(*state, x)[0])
            state = (
                [v.value for v in model.trainable_variables],
                [v.value for v in model.non_trainable_variables],
            )
        else:
            import tensorflow as tf

            forward = tf.function(lambda _, x: model(x), reduce_retracing=True)
            state = None

        def run(inputs):
            given = {
                "token_ids": inputs["input_ids"],
                "padding_mask": inputs["attention_mask"],
                "segment_ids": np.zeros_like(inputs["input_ids"]),
            }
            if backend != "jax":
                given = {name: tf.constant(x) for name, x in given.items()}
            return np.asarray(forward(state, given)["sequence_output"], "f4")

        return run

    return load


# Side -> environment and loader. keras-hub has other weights, which are as fast.
SIDES = {
    "torch: albert-zoo": ("zoo", _zoo("torch")),
    "torch: transformers 5": ("transformers5", _transformers),
    "ONNX Runtime": ("transformers5", _onnxruntime),
    "tf: albert-zoo": ("zoo", _zoo("tf")),
    "tf: transformers 4, graph": ("transformers4", _transformers_tf(False)),
    "tf: transformers 4, XLA": ("transformers4", _transformers_tf(True)),
    "tf: keras-hub": ("keras-hub", _keras_hub("tensorflow")),
    "flax: albert-zoo": ("zoo", _zoo("flax")),
    "flax: transformers 4, jit": ("transformers4", _transformers_flax),
    "flax: keras-hub": ("keras-hub", _keras_hub("jax")),
}
