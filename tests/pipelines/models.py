"""Small models with a tokenizer for the tests of pipelines."""

import shutil

import numpy as np
import transformers

from tests.conftest import GOLDEN, tiny, write

TOKENIZER = GOLDEN / "tokenizer"
LONGEST = 40
LABELS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC"}
TEXTS = [
    "the first people of the world read a book",
    "a story",
    "it was the story of an old river, and of the people who lived there",
]


def write_model(directory, head, **changes):
    """Write a checkpoint with the tokenizer of the golden files beside it."""
    sizes = {
        "vocab_size": 1000,
        "hidden_size": 24,
        "num_hidden_layers": 2,
        "num_hidden_groups": 1,
        "inner_group_num": 1,
        "max_position_embeddings": LONGEST,
    }
    write(directory, tiny(**{**sizes, **changes}), head)
    for file in ("tokenizer.json", "tokenizer_config.json", "spiece.model"):
        shutil.copy(TOKENIZER / file, directory)
    return directory


def their_tokenizer(**options):
    """The same tokenizer of Hugging Face's, in a class that keeps its segments."""
    return transformers.PreTrainedTokenizerFast(
        tokenizer_file=str(TOKENIZER / "tokenizer.json"),
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token=transformers.AddedToken("[MASK]", lstrip=True, special=True),
        model_max_length=LONGEST,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **options,
    )


def assert_same(ours, theirs, where="result"):
    """Both have the same form, the same words, and the same numbers to rounding."""
    if isinstance(theirs, float | np.floating):
        assert isinstance(ours, float), where
        assert abs(ours - theirs) <= 2e-5 * max(1, abs(theirs)), where
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs), where
        for name in theirs:
            assert_same(ours[name], theirs[name], f"{where}[{name!r}]")
    elif isinstance(theirs, list):
        assert isinstance(ours, list), where
        assert len(ours) == len(theirs), where
        for place, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            assert_same(one, other, f"{where}[{place}]")
    else:
        assert ours == theirs, where
