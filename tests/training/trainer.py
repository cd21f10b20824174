"""Training in NumPy float64, which that of the frameworks is compared with.

The gradients are those of `albert_core.gradients`, derived by hand; the arithmetic of
a step is `albert_core.optimization.update`, which tests/core holds against the papers.

How far two runs are apart is the norm of all differences over the norm of all numbers,
of the weights, the first moments and the second ones. Single parameters are not looked
at: the gradient of a key's bias is 0 in theory, so that Adam divides rounding by
rounding there, and any direction is as right as another.
"""

import numpy as np

from albert_core import losses
from albert_core.gradients import gradients
from albert_core.optimization import (
    NUMPY,
    OPTIMIZERS,
    Schedule,
    corrections,
    is_adapted,
    moment_names,
    norm,
    update,
)
from albert_core.reference import Reference
from albert_core.schema import parameters
from albert_core.training import NO_TOKENS, is_pretraining
from albert_zoo.parity.budgets import BACKWARD, FLOOR, MODES, SAFETY, SHAKEN
from tests.conftest import tiny, weights

STEPS = 5
SCHEDULE = Schedule(1e-3, 2 * STEPS, 2)  # its first step has a rate of 0
# Rounding of five steps in float64 arrives at less than 1e-13; any fault that was
# planted showed above 1e-7.
SAME_ARITHMETIC = 1e-10
# The same numbers in another order of additions.
SAME_NUMBERS = 1e-12

SMALL = {
    "num_hidden_layers": 2,
    "num_hidden_groups": 1,
    "inner_group_num": 1,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
    "classifier_dropout_prob": 0.0,
}
ROWS, LENGTH, PREDICTIONS, CHOICES = 8, 7, 3, 2
# case -> head, changes of the configuration
CASES = {
    "pretraining": ("ForPreTraining", {}),
    "classes": ("ForSequenceClassification", {}),
    "values": ("ForSequenceClassification", {"num_labels": 1}),
    "tokens": ("ForTokenClassification", {}),
    "choices": ("ForMultipleChoice", {}),
    "span": ("ForQuestionAnswering", {}),
    "beam": ("ForQuestionAnsweringBeam", {}),
}


def config_of(case, **changes):
    """The small configuration of a case, without dropout."""
    return tiny(**{**SMALL, **CASES[case][1], **changes})


def start_of(case, **changes):
    """The weights that every run of a case starts from."""
    return weights(config_of(case, **changes), CASES[case][0])


def batch_of(case, seed=0, rows=ROWS):
    """A batch that has all that may be uneven: lengths, labels that do not count."""
    rng = np.random.default_rng([seed, rows])
    shape = (rows, CHOICES, LENGTH) if case == "choices" else (rows, LENGTH)
    ids = rng.integers(1, 31, shape, np.int32)
    lengths = rng.integers(6 if case == "beam" else 4, LENGTH + 1, shape[:-1])
    inside = np.arange(LENGTH) < lengths[..., None]
    segments = (np.arange(LENGTH) > 2) & inside
    given = {
        "input_ids": np.where(inside, ids, 0).astype(np.int32),
        "attention_mask": inside.astype(np.int32),
        "token_type_ids": segments.astype(np.int32),
    }
    return {**given, **_labels(case, rng, rows, inside)}


def _labels(case, rng, rows, inside):
    if case == "pretraining":
        places = np.stack([rng.permutation(4)[:PREDICTIONS] for _ in range(rows)])
        counts = rng.integers(0, PREDICTIONS + 1, rows)
        counts[0] = 2
        hidden = np.arange(PREDICTIONS) < counts[:, None]
        words = rng.integers(0, 31, places.shape)
        return {
            "masked_lm_positions": np.where(hidden, places, 0).astype(np.int32),
            "masked_lm_labels": np.where(hidden, words, -100).astype(np.int32),
            "sentence_order_label": rng.integers(0, 2, rows, np.int32),
        }
    if case == "values":
        return {"labels": rng.normal(size=rows)}
    if case == "tokens":
        # One row has but one label that counts, so that parts weigh unlike.
        words = np.where(inside, rng.integers(0, 4, inside.shape), -100)
        words[1, 1:] = -100
        return {"labels": words.astype(np.int32)}
    if case in ("span", "beam"):
        # Of the second segment, which an answer must be in.
        ends = np.sort(rng.integers(3, 5, (rows, 2)), 1).astype(np.int32)
        given = {"start_positions": ends[:, 0], "end_positions": ends[:, 1]}
        more = {"is_impossible": rng.integers(0, 2, rows, np.int32)}
        return {**given, **(more if case == "beam" else {})}
    return {"labels": rng.integers(0, CHOICES, rows, np.int32)}


class Trainer:
    """What a framework's `Training` is, in NumPy.

    Args:
        case: A key of `CASES`.
        optimizer: The arithmetic.
        shaken: The relative size of random amounts that are added to all weights and
            gradients, as rounding would; 0 for none.
    """

    def __init__(self, case, optimizer, shaken=0.0, seed=0):
        self.case, self.optimizer, self.shaken = case, optimizer, shaken
        self.config, self.head = config_of(case), CASES[case][0]
        self.rng = np.random.default_rng(seed)
        self.weights = {n: w.astype(float) for n, w in start_of(case).items()}
        self.first = {n: np.zeros_like(w) for n, w in self.weights.items()}
        self.second = {n: np.zeros_like(w) for n, w in self.weights.items()}
        rows = parameters(self.config, self.head)
        self.adapted = {row.name: is_adapted(row) for row in rows}
        self.count = 0

    def step(self, batch, rate):
        self.weights = {n: self._shake(w, 1) for n, w in self.weights.items()}
        loss, slopes = self._slopes(batch)
        often = FLOOR * BACKWARD
        slopes = {n: self._shake(g, often) for n, g in slopes.items()}
        self.count += 1
        size, limit = norm(slopes.values()), self.optimizer.clip_norm
        corrected = corrections(self.optimizer, self.count)
        for name, slope in slopes.items():
            found = update(
                NUMPY,
                self.optimizer,
                self.adapted[name],
                self.weights[name],
                slope * min(1.0, limit / size),
                self.first[name],
                self.second[name],
                rate,
                corrected,
            )
            self.weights[name], self.first[name], self.second[name] = found
        return {"loss": loss, "gradient_norm": size}

    def _shake(self, array, often):
        if not self.shaken:
            return array
        size = np.sqrt(np.square(array).mean())
        moves = self.shaken * often * size * self.rng.normal(size=array.shape)
        return np.where(array == 0, 0, array + moves)  # nothing is added up to a 0

    def _slopes(self, batch):
        model = Reference(self.config, self.weights, self.head)
        if not is_pretraining(batch):
            found = gradients(model, **batch)
            return found.loss, found.parameters
        labels = np.full(batch["input_ids"].shape, losses.IGNORED)
        rows, places = np.nonzero(batch["masked_lm_labels"] != losses.IGNORED)
        at = batch["masked_lm_positions"][rows, places]
        labels[rows, at] = batch["masked_lm_labels"][rows, places]
        names = ("input_ids", "attention_mask", "token_type_ids")
        given = {name: batch[name] for name in names}
        given["sentence_order_label"] = batch["sentence_order_label"]
        both = gradients(model, **given, labels=labels)
        # With no label for the words, what is left is the gradient of the order.
        none = np.full_like(labels, losses.IGNORED)
        order = gradients(model, **given, labels=none).parameters
        share = len(rows) / (len(rows) + NO_TOKENS)
        logits = model(**given).sop_logits
        of_order = losses.cross_entropy(logits, batch["sentence_order_label"])
        loss = share * (both.loss - of_order) + of_order
        return loss, {
            name: share * (slope - order[name]) + order[name]
            for name, slope in both.parameters.items()
        }

    def arrays(self):
        return self.weights

    def moments(self):
        return moments_of(self.first, self.second)


def moments_of(first, second):
    """Both moments by the names of a checkpoint."""
    found = {}
    for name in first:
        found.update(zip(moment_names(name), (first[name], second[name]), strict=True))
    return found


def zeros_of(arrays):
    """The moments of a run that has not begun."""
    zeros = {n: np.zeros_like(a) for n, a in arrays.items()}
    return moments_of(zeros, zeros)


def apart(found, wanted, left_out=()):
    """How far two runs are apart: weights, first moments, second moments."""
    theirs, ours = found.moments(), wanted.moments()
    kinds = [(found.arrays(), wanted.arrays())]
    kinds += [
        ({n: a for n, a in both.items() if n.endswith(end)} for both in (theirs, ours))
        for end in (".adam_m", ".adam_v")
    ]
    return np.array([_apart(*kind, left_out) for kind in kinds])


def _apart(found, wanted, left_out):
    assert found.keys() == wanted.keys()
    names = [n for n in wanted if not any(part in n for part in left_out)]
    differences = [found[n].astype(float) - wanted[n] for n in names]
    return norm(differences) / norm([wanted[n] for n in names])


KEY_BIAS = (".key.bias",)


def float32_budget(case, optimizer, batches, wanted, left_out=KEY_BIAS):
    """How far float32 may be from float64 after some steps: `apart`'s three numbers.

    The run is done again in NumPy, with random amounts of relative size e added to all
    weights, and to all gradients as often as `albert_zoo.parity.budgets` says that
    these are rounded. What arrives at the end is in proportion to e.
    The biases of keys are left out, for the reason that is said above.
    """
    found = []
    for seed in range(2):
        shaken = Trainer(case, OPTIMIZERS[optimizer], SHAKEN, seed)
        for step, batch in enumerate(batches):
            shaken.step(batch, SCHEDULE(step))
        found.append(apart(shaken, wanted, left_out))
    return SAFETY * MODES["float32"].unit / SHAKEN * np.max(found, 0)
