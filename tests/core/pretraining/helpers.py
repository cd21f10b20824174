"""What several of these tests ask."""

from random import Random

import numpy as np

from albert_core.data.pretraining.dataset import Manifest, write_shard
from albert_core.data.pretraining.instances import columns, instance, restored
from albert_core.data.pretraining.masking import Masking, Pieces, mask
from albert_core.data.pretraining.segments import Pair

CLS, SEP, MASK = 2, 3, 4
PIECES = Pieces(900, MASK, frozenset((CLS, SEP)))
MASKING = Masking(max_predictions_per_seq=3)


def counted(first, *lengths):
    """A document whose tokens count up, so that a text is contiguous where they do."""
    sentences = []
    for length in lengths:
        sentences.append(list(range(first, first + length)))
        first += length
    return sentences


def book(rng, documents=5, sentences=12, longest=9):
    """Several of them, a thousand apart."""
    return [
        counted(
            1000 * number, *(rng.randint(1, longest) for _ in range(1, sentences + 1))
        )
        for number in range(1, documents + 1)
    ]


def is_about(count, share, draws):
    """Whether a count is within four standard deviations of its expectation."""
    return abs(count - share * draws) < 4 * (draws * share * (1 - share)) ** 0.5


def table(rows, rng, length=16):
    """Columns of instances, each with a number of its own as its first token."""
    starts = np.ones(PIECES.size, np.bool_)
    made = []
    for number in rows:
        body = [rng.randrange(5, 100) for _ in range(rng.randint(1, length - 5))]
        pair = Pair([100 + number], body, rng.randint(0, 1))
        one = instance(pair, starts, CLS, SEP)
        made.append((one, mask(one.ids, one.starts, PIECES, MASKING, rng)))
    return columns(made, length, MASKING.max_predictions_per_seq)


def folder(path, counts, seed=0, length=16):
    """A folder of such instances, in shards of as many as said."""
    rng, done, shards = Random(seed), 0, []
    path.mkdir(exist_ok=True)
    for number, count in enumerate(counts):
        name = f"shard-{number}.safetensors"
        write_shard(path / name, table(range(done, done + count), rng, length))
        shards.append((name, count))
        done += count
    Manifest({}, PIECES, "x", length, shards).write(path)
    return path


def plain(batch):
    """The ids of a batch with no token hidden, by its labels."""
    kept = batch["masked_lm_labels"] >= 0
    return restored(
        {
            "input_ids": batch["input_ids"],
            "masked_positions": batch["masked_lm_positions"],
            "masked_ids": batch["masked_lm_labels"],
            "masked_counts": kept.sum(1),
        }
    )["input_ids"]


def numbers(batch):
    """Which instances a batch holds."""
    return (plain(batch)[:, 1] - 100).tolist()


def same(one, other):
    """Whether two tables hold the same arrays."""
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def contents(path):
    """The bytes of all files of a folder."""
    return {file.name: file.read_bytes() for file in path.iterdir()}
