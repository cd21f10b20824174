"""The backward of the reference against the slope of its forward.

Every parameter and stage is moved along a random direction of length 1. The smallest
gradient that is not zero in theory is ten thousand times `BOUND`.
"""

import numpy as np
import pytest

from albert_core import ConfigError, InputError, losses, schema
from albert_core.gradients import gradients
from albert_core.reference import Reference
from tests.conftest import tiny, weights
from tests.core.slopes import BOUND, agree, slope

# The second layer shares the first one's group. Padding stands among real tokens too.
IDS = np.array([[2, 5, 0, 14, 3, 7, 0], [2, 30, 7, 7, 21, 8, 3], [4, 9, 9, 1, 6, 3, 0]])
MASK = np.array([[1, 1, 1, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 1], [0] * 7])
SEGMENTS = np.array([[0, 0, 0, 1, 1, 1, 1], [0, 0, 1, 1, 1, 1, 1], [0, 1] * 3 + [1]])
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "token_type_ids": SEGMENTS}
WORDS = np.where(IDS % 3, IDS, losses.IGNORED)
CHOICES = {k: np.stack([v, v[::-1, ::-1]], 1) for k, v in INPUTS.items()}
SPAN = {"start_positions": np.array([4, 1, 99]), "end_positions": np.array([6, -2, 1])}
BEAM = {
    "start_positions": np.array([[4], [1], [7]]),
    "end_positions": np.array([[6], [-1], [5]]),
    "p_mask": np.array([[0, 1, 0, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0, 1], [0] * 7]),
    "cls_index": np.array([2, 7, 0]),
    "is_impossible": np.array([0, 1, 1]),
}
EMBEDS = np.random.default_rng(5).normal(size=(3, 7, 5))
HEAD_MASK = np.array([[1, 0.5, 0], [0.2, 1, 1], [1, 1, 0.7]])


def without(given, *names):
    return {name: value for name, value in given.items() if name not in names}


WORD, CLASS, JOINT = "ForMaskedLM", "ForSequenceClassification", "Beam"
LABELS = {WORD: {"labels": WORDS}, CLASS: {"labels": np.array([3, 0, 1])}}
WORD_TABLE = "embeddings.word_embeddings.weight"
FLAGS = np.array([[1, 0, 0, 1], [0, 0, 1, 1], [1, 1, 0, 1]])
# case -> head, what the configuration has otherwise, inputs otherwise
UNMASKED = {
    "start_positions": np.array([3, 2, 0]),
    "end_positions": np.array([0, 5, 0]),
    "is_impossible": np.array([[1], [0], [0]]),
}
CASES = {
    "pretraining": (
        "ForPreTraining",
        {},
        {"labels": WORDS, "sentence_order_label": np.array([0, 1, 1])},
    ),
    "words": (WORD, {}, {}),
    "class": (CLASS, {}, {}),
    "tokens": ("ForTokenClassification", {}, {"labels": WORDS % 4}),
    "choices": (
        "ForMultipleChoice",
        {},
        {**CHOICES, "labels": np.array([1, 0, 1])},
    ),
    "span": ("ForQuestionAnswering", {}, SPAN),
    "beam": (JOINT, {}, BEAM),
    "beam, no answerability": (JOINT, {}, without(BEAM, "is_impossible")),
    "beam, default mask": (JOINT, {}, UNMASKED),
    "regression": (
        CLASS,
        {"problem_type": "regression"},
        {"labels": FLAGS.astype(np.float32)},
    ),
    "regression by labels": (CLASS, {"num_labels": 1}, {"labels": np.array([1, 0, 3])}),
    "several labels": (
        CLASS,
        {"problem_type": "multi_label_classification"},
        {"labels": FLAGS},
    ),
    "relative_key": (WORD, {"position_embedding_type": "relative_key"}, {}),
    "relative_key_query": (WORD, {"position_embedding_type": "relative_key_query"}, {}),
    "untied": (WORD, {"tie_word_embeddings": False}, {}),
    "same sizes": (WORD, {"embedding_size": 12}, {}),
    "no padding id": (WORD, {"pad_token_id": None}, {}),
    "large epsilon": (WORD, {"layer_norm_eps": 0.1}, {}),
    "pruned": (CLASS, {"pruned_heads": {0: [1], 3: [0, 2]}}, {"head_mask": HEAD_MASK}),
    "head mask": (CLASS, {}, {"head_mask": HEAD_MASK}),
    "embeddings": (CLASS, {}, {"input_ids": None, "inputs_embeds": EMBEDS}),
    "positions": (CLASS, {}, {"position_ids": np.arange(9, 2, -1)[None]}),
    "no mask": (CLASS, {}, {"attention_mask": None, "token_type_ids": None}),
    **{act: (WORD, {"hidden_act": act}, {}) for act in ("gelu", "relu")},
}
NEEDED = ("labels", "sentence_order_label", "start_positions", "end_positions")


class Nudged(Reference):
    """A reference that adds something to the output of one of its stages."""

    nudge = None, 0.0

    def record(self, path, module, inputs, out):
        if path == self.nudge[0]:
            out += self.nudge[1]  # in place: what follows reads the same array
        return super().record(path, module, inputs, out)


def build(case):
    """The model and the inputs of a case."""
    name, changes, inputs = CASES[case]
    head = "ForQuestionAnsweringBeam" if name == JOINT else name
    config = tiny(num_hidden_layers=3, **changes)
    pools = True if case == "words" else None  # though its head does not look
    given = {**INPUTS, **LABELS.get(name, {}), **inputs}
    return Nudged(config, weights(config, head, pools=pools), head, pools), given


def directions(seed=1):
    """Random moves of length 1: shape -> array."""
    stream = np.random.default_rng(seed)

    def draw(shape):
        made = stream.standard_normal(shape)
        return made / np.linalg.norm(made)

    return draw


@pytest.mark.parametrize("case", CASES)
def test_the_gradient_of_a_parameter_is_the_slope_of_the_loss(case):
    model, inputs = build(case)
    found = gradients(model, **inputs)
    assert found.loss == model(**inputs).loss
    rows = schema.parameters(model.config, model.head, model.pools)
    shapes = {name: gradient.shape for name, gradient in found.parameters.items()}
    assert shapes == {p.name: p.shape for p in rows}
    draw = directions()
    for name, gradient in found.parameters.items():
        base = schema.base_name(name)
        kept, move = model.weights[base], draw(gradient.shape)
        if base == WORD_TABLE and model.config.pad_token_id is not None:
            move[model.config.pad_token_id] = 0  # which has a slope, but learns nothing

        def loss(step, base=base, kept=kept, move=move):
            model.weights[base] = kept + step * move
            return model(**inputs).loss

        error = abs(slope(loss) - (gradient * move).sum())
        assert error <= BOUND, name
        model.weights[base] = kept


@pytest.mark.parametrize("case", list(CASES)[:8])
def test_the_gradient_of_a_stage_is_the_slope_of_the_loss(case):
    model, inputs = build(case)
    found = gradients(model, **inputs).stages
    assert list(found) == [stage.path for stage in model.stages]
    draw = directions()
    for path, gradient in found.items():
        move = draw(gradient.shape)

        def loss(step, path=path, move=move):
            model.nudge = path, step * move
            return model(**inputs).loss

        assert abs(slope(loss) - (gradient * move).sum()) <= BOUND, path


def test_what_the_loss_does_not_reach_has_zeros():
    for case, names in {
        "words": ("pooler.weight", "pooler.bias"),
        "embeddings": (WORD_TABLE,),
        "relative_key": ("embeddings.position_embeddings.weight",),
    }.items():
        model, inputs = build(case)
        found = gradients(model, **inputs)
        zero = {k for k, v in found.parameters.items() if not v.any()}
        assert zero == {f"albert.{name}" for name in names}
    assert (
        not gradients(*build("words")[:1], **build("words")[1]).stages["pooler"].any()
    )


def test_padding_learns_as_a_row_of_the_decoder_and_not_from_being_looked_up():
    """The tied table's gradient is the sum of both tables' where they are two."""
    tied, inputs = build("words")
    untied = build("untied")[0]
    untied.weights |= {k: v for k, v in tied.weights.items() if k in untied.weights}
    untied.weights["predictions.decoder.weight"] = tied.weights[WORD_TABLE]
    table = f"albert.{WORD_TABLE}"
    together = gradients(tied, **inputs).parameters[table]
    apart = gradients(untied, **inputs).parameters
    assert not apart[table][0].any()
    assert apart["predictions.decoder.weight"][0].any()
    agree(together, apart[table] + apart["predictions.decoder.weight"])


def test_a_row_of_padding_has_no_gradient_for_its_scores():
    """The lowest number swallowed them, so that they change nothing."""
    model, inputs = build("class")
    row = {name: value[2:] for name, value in inputs.items()}
    found = gradients(model, **row).parameters
    scored = {k for k in found if ".query." in k or ".key." in k}
    assert len(scored) == 16
    assert not any(found[name].any() for name in scored)
    assert all(value.any() for name, value in found.items() if name not in scored)


class TestRefusals:
    def test_a_head_without_a_loss(self):
        config = tiny()
        with pytest.raises(InputError) as caught:
            gradients(Reference(config, weights(config)), input_ids=IDS)
        assert str(caught.value) == (
            "The head Model has no loss, and so no gradients. Build the reference with "
            "one of ForPreTraining, ForMaskedLM, ForSequenceClassification, "
            "ForMultipleChoice, ForTokenClassification, ForQuestionAnswering, "
            "ForQuestionAnsweringBeam."
        )

    @pytest.mark.parametrize("case", list(CASES)[:7])
    def test_labels_that_are_not_given(self, case):
        model, inputs = build(case)
        names = [x for x in inputs if x in NEEDED]
        for gone in (names, names[-1:]):
            with pytest.raises(InputError) as caught:
                gradients(model, **without(inputs, *gone))
            assert str(caught.value) == (
                f"The loss of the head {model.head} needs {' and '.join(names)}; this "
                f"call lacks {' and '.join(gone)}. Give all of them."
            )

    def test_an_activation_whose_derivative_is_not_known(self):
        config = tiny(hidden_act=np.sin)
        model = Reference(config, weights(config, WORD), WORD)
        with pytest.raises(ConfigError) as caught:
            gradients(model, **INPUTS, labels=WORDS)
        assert str(caught.value) == (
            "AlbertConfig.hidden_act is the function <ufunc 'sin'>, whose derivative "
            "is not known. Use one of gelu, gelu_new, gelu_pytorch_tanh, quick_gelu, "
            "relu, silu, swish, tanh, linear."
        )
