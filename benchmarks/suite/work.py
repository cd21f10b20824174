"""What besides prediction is compared: pipelines, tokenizers, and `steps`.

A function takes the folder of a checkpoint and a number type, and gives one that takes
NumPy arrays and returns one; see `sides`, whose rules hold here too.
"""

from benchmarks.suite.sides import SIDES
from benchmarks.suite.steps import FINETUNING, PRETRAINING, STEPS


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
    PRETRAINING: STEPS[PRETRAINING],
    FINETUNING: STEPS[FINETUNING],
    "pipeline": PIPELINES,
    "tokenize": TOKENIZERS,
}
