"""Steps of training: the same batch, the same loss, AdamW, gradients clipped.

A function takes the folder of a checkpoint and a number type, and gives one that takes
a batch and returns the loss; see `sides`, whose rules hold here too.
"""

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
RATE, DECAY, NORM = 1e-5, 0.01, 1.0
PRETRAINING = "ForPreTraining"
FINETUNING = "ForSequenceClassification"


def _zoo(framework, head):
    def load(folder, dtype):
        from importlib import import_module

        import numpy as np

        from albert_core.optimization import OPTIMIZERS
        from albert_core.training import parts
        from albert_zoo.models import class_of

        model = class_of(framework, head).from_pretrained(folder, **NO_DROPOUT)
        module = import_module(f"albert_{framework}.training")
        training = module.Training(model, OPTIMIZERS["adamw"])
        return lambda inputs: np.array(training.step(parts(inputs), RATE, 0)["loss"])

    return load


def _transformers(head):
    def load(folder, dtype):
        import numpy as np
        import torch
        import transformers

        kind = getattr(transformers, f"Albert{head}")
        model = kind.from_pretrained(folder, **NO_DROPOUT).train()
        optimizer = torch.optim.AdamW(model.parameters(), RATE, weight_decay=DECAY)

        def run(inputs):
            given = {name: torch.from_numpy(x).long() for name, x in inputs.items()}
            if "masked_lm_positions" in given:
                places = given.pop("masked_lm_positions")
                labels = torch.full_like(given["input_ids"], -100)
                labels.scatter_(1, places, given.pop("masked_lm_labels"))
                given["labels"] = labels
            optimizer.zero_grad()
            loss = model(**given).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
            optimizer.step()
            return np.array(loss.item())

        return run

    return load


def _transformers_tf(folder, dtype):
    import tensorflow as tf
    import tf_keras
    import transformers

    kind = transformers.TFAlbertForSequenceClassification
    model = kind.from_pretrained(folder, from_pt=True, **NO_DROPOUT)
    optimizer = tf_keras.optimizers.AdamW(RATE, DECAY, global_clipnorm=NORM)

    @tf.function(reduce_retracing=True)
    def step(inputs):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(model(inputs, training=True).loss)
        weights = model.trainable_variables
        slopes = tape.gradient(loss, weights)
        optimizer.apply_gradients(zip(slopes, weights, strict=True))
        return loss

    return lambda inputs: step({n: tf.constant(x) for n, x in inputs.items()}).numpy()


def _transformers_flax(folder, dtype):
    import jax
    import numpy as np
    import optax
    import transformers

    kind = transformers.FlaxAlbertForSequenceClassification
    model = kind.from_pretrained(folder, from_pt=True, **NO_DROPOUT)
    optimizer = optax.chain(
        optax.clip_by_global_norm(NORM), optax.adamw(RATE, weight_decay=DECAY)
    )
    params, state = model.params, optimizer.init(model.params)

    @jax.jit
    def step(params, state, inputs):
        def mean_of(params):
            given = {name: x for name, x in inputs.items() if name != "labels"}
            logits = model(**given, params=params, train=False).logits
            loss_of = optax.softmax_cross_entropy_with_integer_labels
            return loss_of(logits, inputs["labels"]).mean()

        loss, slopes = jax.value_and_grad(mean_of)(params)
        moves, state = optimizer.update(slopes, state, params)
        return optax.apply_updates(params, moves), state, loss

    def run(inputs):
        nonlocal params, state
        params, state, loss = step(params, state, dict(inputs))
        return np.asarray(loss)

    return run


# Work -> side -> environment and loader.
STEPS = {
    head: {
        "torch: albert-zoo": ("zoo", _zoo("torch", head)),
        "torch: transformers 5": ("transformers5", _transformers(head)),
    }
    for head in (PRETRAINING, FINETUNING)
}
STEPS[FINETUNING] |= {
    "tf: albert-zoo": ("zoo", _zoo("tf", FINETUNING)),
    "tf: transformers 4, graph": ("transformers4", _transformers_tf),
    "flax: albert-zoo": ("zoo", _zoo("flax", FINETUNING)),
    "flax: transformers 4, jit": ("transformers4", _transformers_flax),
}
