"""Entities are those that transformers makes of the same labels."""

import numpy as np
import pytest
import transformers

from albert_core import AlbertConfig
from albert_zoo.pipelines import entities
from tests.pipelines.models import assert_same, their_tokenizer

NAMES = dict(enumerate(["O", "B-A", "I-A", "B-B", "I-B", "C"]))
PIECES = ["▁the", "▁old", "s", "▁river", "of", "<unk>"]


@pytest.fixture(scope="module")
def theirs():
    """Their pipeline, of which only what comes after the model is used."""
    config = transformers.AlbertConfig(
        vocab_size=1000,
        embedding_size=4,
        hidden_size=4,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=4,
        id2label=NAMES,
    )
    assert config.id2label == AlbertConfig(id2label=NAMES).id2label
    model = transformers.AlbertForTokenClassification(config)
    return transformers.TokenClassificationPipeline(
        model=model, tokenizer=their_tokenizer(), device=-1
    )


def draw(seed):
    """Tokens with labels at random, every other one sure of a neighbour's."""
    stream = np.random.default_rng(seed)
    tokens = []
    for place in range(14):
        scores = stream.dirichlet(np.full(len(NAMES), 0.3)).astype(np.float32)
        word, continues = PIECES[stream.integers(6)], bool(stream.integers(2))
        token = entities.Token(word, scores, 3 * place, 3 * place + 3, place, continues)
        tokens.append(token)
    return tokens


@pytest.mark.parametrize("strategy", entities.STRATEGIES)
def test_labels_become_the_same_entities(theirs, strategy):
    join = theirs.tokenizer.convert_tokens_to_string
    for seed in range(40):
        tokens = draw(seed)
        before = [{**vars(token), "is_subword": token.continues} for token in tokens]
        strategies = transformers.pipelines.token_classification.AggregationStrategy
        expected = theirs.aggregate(before, strategies(strategy))
        if strategy in ("none", "simple"):
            found = entities.label_tokens(tokens, NAMES)
        else:
            found = entities.label_words(tokens, NAMES, strategy, join)
        if strategy != "none":
            found = entities.group(found, join)
        for each in found:
            each["score"] = float(each["score"])
        assert_same(found, expected, f"seed {seed}")


def test_of_two_that_overlap_the_same_is_kept(theirs):
    for seed in range(40):
        stream = np.random.default_rng(seed)
        starts, lengths = stream.integers(0, 30, 8), stream.integers(1, 9, 8)
        found = [
            {"start": int(a), "end": int(a + n), "score": float(stream.integers(3))}
            for a, n in zip(starts, lengths, strict=True)
        ]
        expected = theirs.aggregate_overlapping_entities(found)
        assert entities.without_overlaps(found) == expected
