"""What besides prediction is compared: steps, pipelines, tokenizers.

A function takes the folder of a checkpoint and a number type, and gives one that takes
NumPy arrays and returns one; see `sides`, whose rules hold here too.
"""

from benchmarks.suite.sides import SIDES


def _zoo_step(head):
    def load(folder, dtype):
        import numpy as np

        import albert_torch
        from albert_core.optimization import OPTIMIZERS
        from albert_core.training import parts
        from albert_torch.training import Training

        kind = getattr(albert_torch, f"Albert{head}")
        training = Training(
            kind.from_pretrained(folder, **NO_DROPOUT), OPTIMIZERS["adamw"]
        )
        return lambda inputs: np.array(training.step(parts(inputs), 1e-5, 0)["loss"])

    return load


def _transformers_step(head):
    def load(folder, dtype):
        import numpy as np
        import torch
        import transformers

        kind = getattr(transformers, f"Albert{head}")
        model = kind.from_pretrained(folder, **NO_DROPOUT).train()
        optimizer = torch.optim.AdamW(model.parameters(), 1e-5, weight_decay=0.01)

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
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            return np.array(loss.item())

        return run

    return load


def _zoo_pipeline(framework):
    def load(folder, dtype):
        from albert_zoo import pipeline

        classify = pipeline("text-classification", folder, framework=framework)
        return lambda inputs: _scores(classify(inputs["texts"].tolist()))

    return load


def _transformers_pipeline(batch_size):
    def load(folder, dtype):
        from transformers import pipeline

        classify = pipeline("text-classification", folder, device="cpu")

        def run(inputs):
            return _scores(classify(inputs["texts"].tolist(), batch_size=batch_size))

        return run

    return load


def _scores(found):
    import numpy as np

    return np.array([row["score"] for row in found])


def _tokenizer(package, name):
    def load(folder, dtype):
        import importlib

        import numpy as np

        kind = getattr(importlib.import_module(package), name)
        tokenizer = kind.from_pretrained(folder)

        def run(inputs):
            rows = tokenizer(inputs["texts"].tolist(), verbose=False)["input_ids"]
            return np.array(sum(map(len, rows)))

        return run

    return load


NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def _steps(head):
    """A step takes a batch and returns the loss."""
    return {
        "torch: albert-zoo": ("zoo", _zoo_step(head)),
        "torch: transformers 5": ("transformers5", _transformers_step(head)),
    }


PRETRAINING = "ForPreTraining"
FINETUNING = "ForSequenceClassification"
# A pipeline takes "texts", and returns the score of each.
PIPELINES = {
    "torch: albert-zoo": ("zoo", _zoo_pipeline("torch")),
    "tf: albert-zoo": ("zoo", _zoo_pipeline("tf")),
    "flax: albert-zoo": ("zoo", _zoo_pipeline("flax")),
    "transformers 5, one by one": ("transformers5", _transformers_pipeline(1)),
    "transformers 5, batches of 8": ("transformers5", _transformers_pipeline(8)),
    "transformers 5, batches of 32": ("transformers5", _transformers_pipeline(32)),
}
_ZOO = "albert_core.tokenization"
# A tokenizer takes "texts", and returns how many tokens they are.
TOKENIZERS = {
    "albert-zoo, fast": ("zoo", _tokenizer(_ZOO, "AlbertTokenizerFast")),
    "albert-zoo": ("zoo", _tokenizer(_ZOO, "AlbertTokenizer")),
    "transformers 5": ("transformers5", _tokenizer("transformers", "AlbertTokenizer")),
    "transformers 4": ("transformers4", _tokenizer("transformers", "AlbertTokenizer")),
    "transformers 4, fast": (
        "transformers4",
        _tokenizer("transformers", "AlbertTokenizerFast"),
    ),
}
WORK = {
    "forward": SIDES,
    PRETRAINING: _steps(PRETRAINING),
    FINETUNING: _steps(FINETUNING),
    "pipeline": PIPELINES,
    "tokenize": TOKENIZERS,
}
