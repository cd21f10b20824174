"""The output classes: Hugging Face's ModelOutput, in what users do with it."""

import copy
import pickle

import numpy as np
import pytest

from albert_core import AlbertConfig
from albert_core.outputs import (
    OUTPUTS,
    AlbertForPreTrainingOutput,
    MaskedLMOutput,
    ModelOutput,
    finish,
)

FIELDS = {
    "BaseModelOutputWithPooling": ["last_hidden_state", "pooler_output"],
    "AlbertForPreTrainingOutput": ["loss", "prediction_logits", "sop_logits"],
    "MaskedLMOutput": ["loss", "logits"],
    "SequenceClassifierOutput": ["loss", "logits"],
    "MultipleChoiceModelOutput": ["loss", "logits"],
    "TokenClassifierOutput": ["loss", "logits"],
    "QuestionAnsweringModelOutput": ["loss", "start_logits", "end_logits"],
    "AlbertForQuestionAnsweringBeamOutput": [
        *("loss", "start_top_log_probs", "start_top_index"),
        *("end_top_log_probs", "end_top_index", "cls_logits"),
    ],
}


def test_the_classes():
    assert [kind.__name__ for kind in OUTPUTS] == list(FIELDS)


@pytest.mark.parametrize("kind", OUTPUTS, ids=lambda kind: kind.__name__)
def test_all_fields_in_hugging_face_s_order(kind):
    names = [*FIELDS[kind.__name__], "hidden_states", "attentions"]
    given = {name: f"<{name}>" for name in names}
    output = kind(**dict(reversed(given.items())))  # the order of the call is nothing
    assert list(output) == names
    assert output.to_tuple() == tuple(given.values())
    for i, name in enumerate(names):
        assert output[i] == output[name] == getattr(output, name) == given[name]
        assert output[i - len(names)] == given[name]
        assert kind(**{name: 3}).to_tuple() == (3,)
    assert output[1:] == tuple(given.values())[1:]
    assert output[::-1] == tuple(given.values())[::-1]
    assert kind().to_tuple() == ()


@pytest.fixture
def output():
    return AlbertForPreTrainingOutput(prediction_logits=1, attentions=(2, 3))


def test_none_is_left_out(output):
    assert output.to_tuple() == (1, (2, 3))
    assert output[1] == (2, 3)
    assert list(output.items()) == [("prediction_logits", 1), ("attentions", (2, 3))]
    assert output.loss is None
    assert output.hidden_states is None
    assert "loss" not in output
    assert output.get("loss", 5) == 5
    with pytest.raises(KeyError):
        _ = output["loss"]
    with pytest.raises(IndexError):
        _ = output[2]
    assert MaskedLMOutput(loss=None, logits=0) == {"logits": 0}


def test_zero_and_empty_are_not_none():
    output = MaskedLMOutput(loss=0.0, logits=np.zeros(3), attentions=())
    assert len(output.to_tuple()) == 3
    assert output.attentions == ()


def test_a_field_is_set_by_attribute_and_by_key(output):
    output.loss = 7
    assert (output["loss"], output[0], output.to_tuple()[:2]) == (7, 7, (7, 1))
    output["sop_logits"] = 8
    assert output.sop_logits == 8
    assert output[2] == 8
    output.loss = None
    assert "loss" not in output
    assert output[0] == 1
    output["loss"] = None
    assert output.to_tuple() == (1, 8, (2, 3))


def test_an_unknown_field(output):
    for make in (
        lambda: MaskedLMOutput(logit=1, scores=2),
        lambda: MaskedLMOutput({"scores": 2, "logit": 1}),
    ):
        with pytest.raises(
            TypeError, match="MaskedLMOutput has no field logit, scores"
        ):
            make()
    with pytest.raises(TypeError, match="AlbertForPreTrainingOutput has no field 'x'"):
        output["x"] = 1
    with pytest.raises(AttributeError, match="has no field 'logits'"):
        _ = output.logits
    assert not hasattr(output, "logits")
    output.note = "of the user"
    assert output.note == "of the user"
    assert "note" not in output


def test_made_from_a_mapping_and_from_pairs():
    expected = MaskedLMOutput(loss=1, logits=2)
    assert MaskedLMOutput({"logits": 2, "loss": 1}) == expected
    assert MaskedLMOutput([("logits", 2)], loss=1) == expected
    assert list(MaskedLMOutput({"logits": 2, "loss": 1})) == ["loss", "logits"]


@pytest.mark.parametrize(
    "copied",
    [
        lambda x: pickle.loads(pickle.dumps(x)),
        *(copy.copy, copy.deepcopy, lambda x: x.copy()),
    ],
    ids=["pickle", "copy", "deepcopy", "method"],
)
def test_copies(copied, output):
    again = copied(output)
    assert type(again) is AlbertForPreTrainingOutput
    assert again == output
    assert again.to_tuple() == output.to_tuple()
    again.loss = 1
    assert output.loss is None


def test_a_deep_copy_has_arrays_of_its_own():
    output = MaskedLMOutput(logits=np.zeros(2))
    again = copy.deepcopy(output)
    again.logits[0] = 1
    assert output.logits[0] == 0


def test_a_subclass_adds_to_the_fields():
    class Mine(MaskedLMOutput):
        score: int

    class Same(MaskedLMOutput):
        pass

    assert Mine(score=3, logits=1).to_tuple() == (1, 3)
    assert Same(logits=1).logits == 1


def test_it_is_a_mapping_to_unpack(output):
    assert {**output} == {"prediction_logits": 1, "attentions": (2, 3)}
    assert isinstance(output, ModelOutput | dict)
    assert list(output.keys()) == ["prediction_logits", "attentions"]
    assert list(output.values()) == [1, (2, 3)]


@pytest.mark.parametrize(
    ("asked", "configured", "named"),
    [
        (None, True, True),
        (None, False, False),
        (True, False, True),
        (False, True, False),
    ],
)
def test_the_call_decides_over_the_configuration(asked, configured, named, output):
    found = finish(output, asked, AlbertConfig(return_dict=configured))
    assert found is output if named else found == (1, (2, 3))
