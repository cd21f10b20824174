"""Every elementary backward alone, entry by entry, against central differences."""

import numpy as np
import pytest

from albert_core import losses
from albert_core.gradients_encoder import Backward
from albert_core.numerics import (
    ACTIVATIONS,
    DERIVATIVES,
    log_softmax,
    log_softmax_gradient,
    softmax,
    softmax_gradient,
)
from albert_core.reference import Reference
from albert_core.rules import PROBLEM_TYPES
from tests.conftest import tiny, weights
from tests.core.slopes import agree, numeric, slope

CONFIG = tiny(layer_norm_eps=0.1)


class TestSteps:
    """Layers, softmax and activations."""

    MODEL = Reference(CONFIG, weights(CONFIG))
    X = np.random.default_rng(2).normal(size=(2, 3, 5))
    UP = np.random.default_rng(3).normal(size=(2, 3, 5))

    def of_layer(self, forward, backward, x, layer, out):
        """Of a layer of the model: its input and both parameters."""
        back = Backward(self.MODEL)
        up = np.random.default_rng(4).normal(size=(*x.shape[:-1], out))
        first, second = backward(back, up, x, layer), backward(back, up, x, layer)
        assert (first == second).all()
        agree(first, numeric(lambda x: (forward(x, layer) * up).sum(), x))
        for leaf in ("weight", "bias"):
            name = f"{layer}.{leaf}"
            kept = self.MODEL.weights[name]

            def loss(value, name=name):
                self.MODEL.weights[name] = value
                return (forward(x, layer) * up).sum()

            expected = numeric(loss, kept)
            self.MODEL.weights[name] = kept
            # Two calls, which add up.
            agree(back.parameters[name] / 2, expected)

    def test_dense(self):
        layer = "encoder.embedding_hidden_mapping_in"
        self.of_layer(self.MODEL.dense, Backward.dense, self.X, layer, 12)

    def test_norm(self):
        layer = "embeddings.LayerNorm"
        self.of_layer(self.MODEL.norm, Backward.norm, self.X, layer, 5)

    def test_look_up(self):
        back = Backward(self.MODEL)
        ids = np.array([[1, 0, 1], [1, 1, 0]])
        back.look_up(self.UP, ids, "embeddings.token_type_embeddings")
        found = back.parameters["embeddings.token_type_embeddings.weight"]
        agree(found, np.stack([self.UP[ids == i].sum(0) for i in (0, 1)]))

    def test_softmax(self):
        for forward, backward in (
            (softmax, softmax_gradient),
            (log_softmax, log_softmax_gradient),
        ):
            found = backward(self.UP, forward(self.X))
            expected = numeric(lambda x, f=forward: (f(x) * self.UP).sum(), self.X)
            agree(found, expected)

    @pytest.mark.parametrize("name", ACTIVATIONS)
    def test_activation(self, name):
        x = np.array([-40.0, -5.5, -1.0, -1e-3, 1e-3, 0.7, 3.0])
        agree(DERIVATIVES[name](x), slope(lambda step: ACTIVATIONS[name](x + step)))
        ends = DERIVATIVES[name](np.array([-1e4, 0.0, 1e4]))
        assert np.isfinite(ends).all()
        assert ends[2] == (name != "tanh")
        assert name != "relu" or ends[1] == 0

    def test_every_activation_has_a_derivative(self):
        assert DERIVATIVES.keys() == ACTIVATIONS.keys()


class TestLosses:
    """The gradient of each loss."""

    ROWS = np.random.default_rng(6).normal(0, 2, (2, 3, 4))
    ENDS = np.random.default_rng(7).normal(0, 2, (3, 4))

    @pytest.mark.parametrize("ignored", [losses.IGNORED, 2])
    def test_cross_entropy(self, ignored):
        labels = np.array([[3, ignored, 0], [1, 1, ignored]])
        found = losses.cross_entropy_gradient(self.ROWS, labels, ignored)
        agree(
            found,
            numeric(lambda x: losses.cross_entropy(x, labels, ignored), self.ROWS),
        )
        assert not found[labels == ignored].any()

    def test_cross_entropy_of_nothing_is_zero_as_in_pytorch(self):
        nothing = np.full((2, 3), losses.IGNORED)
        assert not losses.cross_entropy_gradient(self.ROWS, nothing).any()

    @pytest.mark.parametrize("problem", [*PROBLEM_TYPES, None])
    @pytest.mark.parametrize("dtype", [np.int64, np.float32])
    def test_sequence(self, problem, dtype):
        rows = self.ROWS[0]
        single = problem == "single_label_classification"
        if single or (problem is None and dtype == np.int64):
            labels = np.array([3, 0, 2], dtype)
        else:
            labels = np.array([[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1]], dtype)
        found = losses.sequence_gradient(rows, labels, problem)
        agree(found, numeric(lambda x: losses.sequence(x, labels, problem), rows))

    def test_span(self):
        start, end = self.ROWS[:, 0], self.ROWS[:, 1]
        places = np.array([[1], [9]]), np.array([-3, 2])
        found = losses.span_gradient(start, end, *places)
        agree(found[0], numeric(lambda x: losses.span(x, end, *places), start))
        agree(found[1], numeric(lambda x: losses.span(start, x, *places), end))

    @pytest.mark.parametrize("impossible", [None, np.array([[1], [0], [1]])])
    def test_joint_span(self, impossible):
        given = [self.ROWS[0], self.ENDS, self.ROWS[1, :, 0]]
        rest = np.array([1, 4, 0]), np.array([[-1], [3], [2]]), impossible
        found = losses.joint_span_gradient(*given, *rest)
        for place, gradient in enumerate(found):

            def loss(x, place=place):
                moved = [*given[:place], x, *given[place + 1 :]]
                return losses.joint_span(*moved, *rest)

            agree(gradient, numeric(loss, given[place]))
