"""How a TensorFlow model may be called, and in which number types."""

import logging
from collections import UserDict

import jaxtyping
import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.backends.tf_models import (
    TRAINED,
    batch,
    build,
    class_of,
    expected,
    flat,
    gradients,
    labels,
    off,
)
from tests.conftest import tiny

NAMES = ("input_ids", "attention_mask", "token_type_ids")
WAYS = {
    "keywords": lambda model, x: model(**x),
    "in_order": lambda model, x: model(*x.values()),
    "dict": lambda model, x: model(x),
    "mapping": lambda model, x: model(UserDict(x)),
    "dict_and_keywords": lambda model, x: model(
        {"input_ids": x["input_ids"]}, **{name: x[name] for name in NAMES[1:]}
    ),
    "list": lambda model, x: model(list(x.values())),
    "tuple": lambda model, x: model(tuple(x.values())),
    "lists_of_numbers": lambda model, x: model(*(v.tolist() for v in x.values())),
    "dict_of_lists": lambda model, x: model({k: v.tolist() for k, v in x.items()}),
    "tensors": lambda model, x: model({k: tf.constant(v) for k, v in x.items()}),
    "int64": lambda model, x: model({k: v.astype("int64") for k, v in x.items()}),
}


@pytest.fixture(scope="module")
def base():
    return build()


@pytest.mark.parametrize("way", WAYS)
def test_ways_to_give_inputs(way, base):
    assert off(WAYS[way](base, batch()), base(**batch())) == 0
    assert off(base(**batch()), expected(base, **batch())) < 1e-12


def test_a_list_of_lists_is_one_tensor(base):
    ids = batch()["input_ids"]
    assert off(base(ids.tolist()), base(ids)) == 0
    assert off(base([ids[0].tolist()]), base(ids[:1])) == 0


def test_options_may_stand_in_order(base):
    ids = batch()["input_ids"]
    output = base(ids, None, None, None, None, None, True, True)
    assert len(output.attentions) == 2
    assert len(output.hidden_states) == 3


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embeddings_in_place_of_ids(dtype, base):
    inputs = batch()
    ids = inputs.pop("input_ids")
    embeds = base.get_input_embeddings()(ids).numpy().astype(dtype)
    for output in (
        base(inputs_embeds=embeds, **inputs),
        base(None, inputs_embeds=embeds, **inputs),
        base({"inputs_embeds": embeds, **inputs}),
    ):
        assert off(output, base(ids, **inputs)) < 1e-12


@pytest.mark.parametrize("head", TRAINED)
def test_labels_in_a_dict(head):
    model = build(head)
    inputs = {**batch(head), **labels(head)}
    assert off(model(inputs).loss, expected(model, **inputs).loss) < 1e-12


def test_other_names_in_a_dict_are_left_out_and_told_once(base, caplog):
    inputs = {**batch(), "offset_mapping": np.zeros((2, 7, 2)), "labels": np.zeros(2)}
    with caplog.at_level(logging.WARNING, "albert_zoo"):
        assert off(base(inputs), base(batch())) == 0
        base(inputs)
    (record,) = caplog.records
    assert (
        record.getMessage()
        == "TFAlbertModel does not take labels, offset_mapping; left out."
    )


def test_other_keywords_are_refused(base):
    with pytest.raises(TypeError, match="unexpected keyword argument 'mask'"):
        base(**batch(), mask=1)


def test_no_row_at_all(base):
    assert base(np.zeros((0, 7), np.int32)).last_hidden_state.shape == (0, 7, 12)


def test_shapes_are_checked_in_these_tests(base):
    with pytest.raises(jaxtyping.TypeCheckError, match="attention_mask"):
        base(batch()["input_ids"], np.ones((2, 6), np.int32))
    with pytest.raises(jaxtyping.TypeCheckError, match="head_mask"):
        base(**batch(), head_mask=np.ones((2, 3, 3)))


HALVES = ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16")


@pytest.mark.parametrize("dtype", HALVES)
def test_half_precision(dtype):
    model, exact = build("ForMaskedLM", dtype), build("ForMaskedLM")
    inputs = {**batch(), **labels("ForMaskedLM")}
    inputs["attention_mask"][0] = 0
    options = {"output_attentions": True, "output_hidden_states": True}
    found, wanted = model(**inputs, **options), exact(**inputs, **options)
    computed = dtype.removeprefix("mixed_")
    assert found.logits.dtype == found.hidden_states[1].dtype == computed
    assert {v.dtype for v in model.weights} == {
        "float32" if dtype.startswith("mixed") else computed
    }
    # Eight and eleven bits; two layers and a head lose a few.
    bound = 0.05 if computed == "bfloat16" else 0.005
    for a, b in zip(flat(found), flat(wanted), strict=True):
        assert np.abs(a - b).max() <= bound * np.abs(b).max()
    np.testing.assert_allclose(flat(found.attentions[0])[0][0], 1 / 7, bound)
    for gradient in gradients(model, inputs, training=True)[1]:
        assert np.isfinite(flat(gradient)[0]).all()


def test_losses_of_half_precision_are_summed_in_float32():
    model = build("ForMaskedLM", "float16")
    inputs = batch(length=20)
    inputs = {k: np.tile(x, (1000, 1)) for k, x in inputs.items()}
    inputs["labels"] = inputs["input_ids"]
    loss = model(**inputs).loss  # its sum is beyond the largest float16
    assert loss.dtype == tf.float32
    exact = build("ForMaskedLM")
    few = {k: x[:2] for k, x in inputs.items()}
    assert off(loss, exact(**few).loss) < 0.005
    regression = build("ForSequenceClassification", "float16", num_labels=1)
    loss = regression(**batch(), labels=np.array([300.0, -300.0], np.float32)).loss
    assert np.isfinite(loss)  # 300 squared, as well


def test_a_summary(base):
    lines = []
    base.summary(print_fn=lambda line, **_: lines.append(line))
    assert "embeddings (AlbertEmbeddings)" in "\n".join(lines)
    assert f"{base.num_parameters():,}" in "\n".join(lines)
    build("ForPreTraining").summary(print_fn=lambda *_, **__: None, expand_nested=True)


def test_models_do_not_get_in_each_other_s_way():
    models = [class_of(head)(tiny()) for head in ("Model", "ForMaskedLM", "Model")]
    first, masked, second = ([v.path for v in model.weights] for model in models)
    assert first == second
    assert first[0] == masked[0] == "albert/embeddings/word_embeddings/embeddings"
    before = flat(models[0](batch()))
    models[2].get_input_embeddings().embeddings.assign(np.zeros((31, 5)))
    assert off(models[0](batch()), before) == 0


def test_one_seed_gives_one_model():
    made = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        made.append(class_of("ForMaskedLM")(tiny())(batch()).logits)
    assert off(made[0], made[1]) == 0
    assert off(made[0], made[2]) > 0.01
