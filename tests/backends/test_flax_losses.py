"""The losses of Flax models, against those of the reference in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from albert_core import AlbertConfig, losses
from albert_core.errors import InputError
from albert_flax import heads, scoring
from tests.backends.flax_models import build, close, expected, ids_of, quick_compiles

STREAM = np.random.default_rng(7)
LOGITS = STREAM.normal(0, 3, (5, 4))


@pytest.fixture(autouse=True)
def quick():
    """Compile fast, and compute in float64."""
    with quick_compiles(), jax.enable_x64(True):
        yield


NUMBERS = STREAM.normal(size=(5, 4))
FLAGS = STREAM.integers(0, 2, (5, 4))
# problem_type, or None to be found; labels; what it is then.
PROBLEMS = {
    "classes": (None, [3, 0, 1, 2, 3], "single_label_classification"),
    "column": (None, [[3], [0], [1], [2], [3]], "single_label_classification"),
    "one ignored": (None, [3, -100, 1, 2, 3], "single_label_classification"),
    "flags": (None, FLAGS.astype(np.float32), "multi_label_classification"),
    "whole flags": ("multi_label_classification", FLAGS, "multi_label_classification"),
    "numbers": ("regression", NUMBERS, "regression"),
    "whole numbers": ("regression", FLAGS + 5, "regression"),
}


@pytest.mark.parametrize("case", PROBLEMS)
def test_every_kind_of_problem(case):
    given, labels, kind = PROBLEMS[case]
    config, labels = AlbertConfig(num_labels=4, problem_type=given), np.array(labels)
    found = heads.sequence_loss(config, jnp.asarray(LOGITS), jnp.asarray(labels))
    assert config.problem_type == kind
    assert close(found, np.float64(losses.sequence(LOGITS, labels, kind)))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_one_number_is_a_regression(shape):
    config, logits = AlbertConfig(num_labels=1), LOGITS[:, :1]
    labels = STREAM.integers(0, 3, shape)
    found = heads.sequence_loss(config, jnp.asarray(logits), jnp.asarray(labels))
    assert config.problem_type == "regression"
    assert close(found, np.mean((logits.ravel() - labels.ravel()) ** 2))


@pytest.mark.parametrize("shape", [(5,), (5, 1)])
def test_spans_are_clamped_and_ignored(shape):
    end = STREAM.normal(0, 3, (5, 4))
    # As they are, below 0, at the end, past it, far past it.
    starts, ends = np.array([[1, -7, 3, 4, 99], [2, 0, -1, 3, 4]])
    given = [jnp.asarray(x.reshape(shape)) for x in (starts, ends)]
    found = heads.span_loss(jnp.asarray(LOGITS), jnp.asarray(end), *given)

    def one(logits, positions):
        rows = [
            np.log(np.exp(row).sum()) - row[max(0, p)]
            for row, p in zip(logits, positions, strict=True)
            if p < 4
        ]
        return np.mean(rows)

    assert close(found, (one(LOGITS, starts) + one(end, ends)) / 2)


def test_nothing_to_learn_from_is_nan_as_in_pytorch():
    none = jnp.full((5,), -100)
    loss, slope = jax.value_and_grad(scoring.cross_entropy)(jnp.asarray(LOGITS), none)
    assert np.isnan(loss)
    assert np.array_equal(slope, np.zeros((5, 4)))


def test_what_is_ignored_does_not_count_however_it_looks():
    logits = jnp.asarray(LOGITS).at[1].set(jnp.nan)
    labels = np.array([3, -100, 1, 2, 3])
    kept = [0, 2, 3, 4]
    found = scoring.cross_entropy(logits, jnp.asarray(labels))
    assert close(found, np.float64(losses.cross_entropy(LOGITS[kept], labels[kept])))


@pytest.mark.parametrize("wrong", [4, -1, -99, 2**20])
def test_a_label_that_is_no_class_gives_nan_where_it_cannot_be_refused(wrong):
    labels = jnp.array([3, 0, wrong, 2, 3])
    assert np.isnan(jax.jit(scoring.cross_entropy)(jnp.asarray(LOGITS), labels))


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_is_summed_in_single(dtype):
    stream = np.random.default_rng(0)
    rows = jnp.asarray(stream.normal(0, 1, (4096, 30)), dtype)
    labels = stream.integers(0, 30, 4096)
    targets = jnp.asarray(stream.integers(0, 2, (4096, 30)) * 100.3)
    exact = np.asarray(rows, np.float64)
    pairs = {
        "single": (scoring.cross_entropy(rows, jnp.asarray(labels)), exact, labels),
        "regression": (
            scoring.mean_squared_error(rows, scoring.like(targets, rows)),
            exact,
            targets,
        ),
        "multi": (
            scoring.binary_cross_entropy(rows, scoring.like(targets, rows)),
            exact,
            targets,
        ),
    }
    for kind, (found, logits, wanted) in pairs.items():
        assert found.dtype == jnp.float32
        kind = "single_label_classification" if kind == "single" else kind
        loss = losses.sequence(logits, np.asarray(wanted), kind)
        assert close(found, np.float64(loss), 1e-5), kind


LABELLED = {
    "ForSequenceClassification": {"labels": [3, 0, 1]},
    "ForMultipleChoice": {"labels": [[2], [0], [1]]},
    "ForQuestionAnswering": {"start_positions": [1, 9, 0], "end_positions": [6, 7, -3]},
    "ForQuestionAnsweringBeam": {
        "start_positions": [[1], [9], [0]],
        "end_positions": [6, 5, -3],
        "is_impossible": [0.0, 0.0, 1.0],
    },
    "ForTokenClassification": {"labels": [[0, 1, 2, 3, -100, -100, 1]] * 3},
}


@pytest.mark.parametrize("head", LABELLED)
def test_labels_reach_the_loss(head):
    model = build(head, "float64")
    ids = ids_of(model, 3)
    labels = {k: np.array(v) for k, v in LABELLED[head].items()}
    found = model(ids, **labels)
    assert close(found.loss, expected(model, input_ids=ids, **labels).loss)
    assert next(iter(found)) == "loss"


def test_both_kinds_of_label_make_the_loss_of_pretraining():
    model = build("ForPreTraining", "float64")
    ids, order = ids_of(model), np.array([[1], [0]])
    words = np.where(ids % 2, ids, -100)
    wanted = expected(
        model, input_ids=ids, labels=words, sentence_order_label=order[:, 0]
    )
    assert close(model(ids, labels=words, sentence_order_label=order).loss, wanted.loss)
    assert model(ids, labels=words).loss is None


BAD = {
    "ForPreTraining": [
        ({"labels": [[5, 31]], "sentence_order_label": [0]}, "labels holds [31]", 30),
        ({"labels": [[5, 6]], "sentence_order_label": [-1]}, "label holds [-1]", 1),
    ],
    "ForTokenClassification": [({"labels": [[4, -7]]}, "labels holds [-7, 4]", 3)],
}


@pytest.mark.parametrize("head", BAD)
def test_labels_that_are_no_class_are_refused(head):
    model = build(head)
    for labels, message, last in BAD[head]:
        with pytest.raises(InputError) as caught:
            model([[5, 6]], **labels)
        wanted = f"but the classes go from 0 to {last}. Use -100 for what is to be left"
        assert message in str(caught.value)
        assert wanted in str(caught.value)


def test_numbers_are_no_classes():
    model = build("ForSequenceClassification", problem_type="regression")
    labels = np.array([[7, -9, 8, 100]])
    found = model([[5, 6]], labels=labels)
    wanted = expected(model, input_ids=np.array([[5, 6]]), labels=labels)
    assert close(found.loss, wanted.loss, 1e-5)
