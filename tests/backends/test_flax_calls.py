"""How Flax models are called: arguments, the cached jit, outputs, refusals."""

import inspect
import pickle
import threading
from collections import OrderedDict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from flax.core import freeze

import albert_flax
from albert_core import schema
from albert_core.errors import CheckpointError, ConfigError, InputError
from albert_core.packing import Packed
from albert_flax import FlaxAlbertForPreTraining, FlaxAlbertModel, FlaxMaskedLMOutput
from tests.backends.flax_models import (
    batch,
    build,
    class_of,
    close,
    expected,
    ids_of,
    quick_compiles,
)
from tests.conftest import tiny


@pytest.fixture(autouse=True)
def quick():
    """Nothing here looks at speed or at the last digits."""
    with quick_compiles():
        yield


compiled = []
jax.monitoring.register_event_duration_secs_listener(
    lambda name, *_, **__: compiled.append(name) if "backend_compile" in name else None
)


def cost(call):
    """How often a call traces the model and how often it compiles anything."""
    before = len(compiled)
    traced = []
    wrapped = albert_flax.program.trees.check
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            albert_flax.program.trees,
            "check",
            lambda *args: traced.append(1) or wrapped(*args),
        )
        jax.block_until_ready(call())
    return len(traced), len(compiled) - before


def with_(model, params):
    """The same model with other parameters."""
    other = type(model)(model.config, dtype=model.dtype, _do_init=False)
    other.params = params
    return other


def test_the_arguments_are_in_hugging_face_s_order():
    names = list(inspect.signature(FlaxAlbertModel.__call__).parameters)
    assert names[1:11] == [
        "input_ids",
        "attention_mask",
        "token_type_ids",
        "position_ids",
        "params",
        "dropout_rng",
        "train",
        "output_attentions",
        "output_hidden_states",
        "return_dict",
    ]
    names = list(inspect.signature(FlaxAlbertModel.__init__).parameters)
    assert names[1:6] == ["config", "input_shape", "seed", "dtype", "_do_init"]
    names = list(inspect.signature(FlaxAlbertModel.from_pretrained).parameters)
    assert names[:2] == ["pretrained_model_name_or_path", "dtype"]


def test_all_arguments_in_order_do_what_they_say():
    model = build(hidden_dropout_prob=0.5)
    inputs = batch(model)
    ids, mask, segments = inputs.values()
    positions = np.arange(23)[None, ::-1]
    other = jax.tree.map(lambda x: 2 * x, model.params)
    key = jax.random.key(0)
    call = (ids, mask, segments, positions, other, key, False, True, True, False)
    last, pooled, states, attentions = model(*call)
    named = expected(with_(model, other), **inputs, position_ids=positions)
    assert close(last, named.last_hidden_state, 1e-5)
    assert close(pooled, named.pooler_output, 1e-5)
    assert close(states, named.hidden_states, 1e-5)
    assert close(attentions, named.attentions, 1e-5)
    trained = model(*call[:6], True, False, False, False)
    assert len(trained) == 2
    assert not close(trained[0], last, 0.1)


def test_a_call_traces_and_compiles_once_for_a_shape():
    model = build("ForMaskedLM")
    ids, key = ids_of(model), jax.random.key(1)
    first = model(ids)
    assert cost(lambda: model(ids)) == (0, 0)
    assert cost(lambda: model(ids, params=freeze(model.params))) == (0, 0)
    assert cost(lambda: model(ids, params=nnx.state(model.module))) == (0, 0)
    assert cost(lambda: model(ids.astype(np.int64), return_dict=False)) == (0, 0)
    assert cost(lambda: model(ids, dropout_rng=key)) == (0, 0)
    assert cost(lambda: model(ids_of(model, 3))) == (1, 1)
    assert cost(lambda: model(ids_of(model, 3))) == (0, 0)
    for wish in ("output_attentions", "output_hidden_states"):
        assert cost(lambda wish=wish: model(ids, **{wish: True})) == (1, 1)
        assert cost(lambda wish=wish: model(ids, **{wish: True})) == (0, 0)
    assert cost(lambda: model(ids, labels=ids)) == (1, 1)
    model.params = jax.tree.map(lambda x: 2 * x, model.params)
    assert cost(lambda: model(ids)) == (0, 0)
    assert not close(model(ids).logits, first.logits, 0.1)


def test_flags_come_from_the_configuration_unless_the_call_says():
    model = build()
    ids = ids_of(model)
    assert list(model(ids)) == ["last_hidden_state", "pooler_output"]
    model.config.output_attentions = model.config.output_hidden_states = True
    assert list(model(ids))[2:] == ["hidden_states", "attentions"]
    asked = model(ids, output_attentions=False, output_hidden_states=False)
    assert list(asked) == ["last_hidden_state", "pooler_output"]
    model.config.return_dict = False
    assert type(model(ids)) is tuple
    assert len(model(ids)) == 4
    assert (
        type(model(ids, return_dict=True)) is albert_flax.FlaxBaseModelOutputWithPooling
    )


CHANGES = {
    "hidden_act": "relu",
    "layer_norm_eps": 0.5,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
}


def test_a_change_of_the_configuration_takes_effect():
    model = build()
    inputs = batch(model)
    before = model(**inputs).last_hidden_state
    for field, value in CHANGES.items():
        setattr(model.config, field, value)
        after = model(**inputs).last_hidden_state
        assert not close(after, before, 1e-3), field
        assert close(after, expected(model, **inputs).last_hidden_state, 1e-5), field
        before = after


REFUSED = {
    "num_labels": (5, "classifier.kernel: (12, 4) given, (12, 5) in the model"),
    "vocab_size": (40, "word_embeddings.embedding: (31, 5) given, (40, 5) in the mode"),
    "position_embedding_type": ("relative_key", "distance_embedding.embedding"),
    "pruned_heads": ({0: [1]}, "query.kernel: (12, 12) given, (12, 8) in the model"),
}


def test_a_change_that_the_parameters_do_not_fit_is_refused():
    model = build("ForTokenClassification")
    ids = ids_of(model)
    before = model(ids).logits
    for field, (value, message) in REFUSED.items():
        old = getattr(model.config, field)
        setattr(model.config, field, value)
        with pytest.raises(CheckpointError) as caught:
            model(ids)
        assert message in str(caught.value)
        setattr(model.config, field, old)
    assert np.array_equal(model(ids).logits, before)
    model.config.pruned_heads[0] = [1]  # not set, but changed inside
    with pytest.raises(CheckpointError, match=r"query\.kernel"):
        model(ids)


def test_a_change_that_contradicts_itself_is_refused():
    model = build()
    model.config.num_attention_heads = 5
    with pytest.raises(ConfigError, match="does not divide hidden_size"):
        model(ids_of(model))


def test_the_problem_type_can_change_and_is_kept():
    model = build("ForSequenceClassification")
    ids, flags = ids_of(model), np.array([[0, 1, 1, 0], [1, 0, 0, 1]], np.float32)
    assert model.config.problem_type is None
    many = model(ids, labels=flags).loss
    assert model.config.problem_type == "multi_label_classification"
    model.config.problem_type = "regression"
    squares = model(ids, labels=flags).loss
    assert close(squares, expected(model, input_ids=ids, labels=flags).loss, 1e-5)
    assert not close(squares, many, 1e-2)


def test_changes_that_compute_nothing_else_cost_nothing():
    model = build()
    ids = ids_of(model)
    before = model(ids).last_hidden_state
    assert model.config.attn_implementation is None
    model.config.id2label = {i: str(i) for i in range(4)}
    model.config.architectures = ["AlbertModel"]
    assert cost(lambda: model(ids)) == (0, 0)
    model.config.attn_implementation = "eager"  # JAX has one implementation only
    assert np.array_equal(model(ids).last_hidden_state, before)


def test_what_it_computes_in_is_fixed():
    model = build()
    with pytest.raises(AttributeError):
        model.dtype = jnp.bfloat16
    assert model.dtype == np.dtype("float32")


def test_outputs_pass_through_jax():
    model = build("ForMaskedLM")
    ids = ids_of(model)
    plain = model(ids, labels=ids, output_hidden_states=True)
    jitted = jax.jit(lambda i: model(i, labels=i, output_hidden_states=True))(ids)
    assert type(jitted) is FlaxMaskedLMOutput
    assert list(jitted) == list(plain) == ["loss", "logits", "hidden_states"]
    assert close(jitted, plain, 1e-5)
    doubled = jax.tree.map(lambda x: 2 * x, plain)
    assert type(doubled) is FlaxMaskedLMOutput
    assert np.array_equal(doubled.hidden_states[2], 2 * plain.hidden_states[2])
    assert doubled[0] == 2 * plain.loss
    paths = [jax.tree_util.keystr(p) for p, _ in jax.tree.leaves_with_path(plain)]
    assert paths[:3] == ["['loss']", "['logits']", "['hidden_states'][0]"]
    # A field may become None on the way, and stays a field.
    emptied = jax.tree.map(lambda _: None, plain)
    assert list(emptied) == list(plain)
    leaves, tree = jax.tree.flatten(plain)
    assert jax.tree.unflatten(tree, [None] * len(leaves)) == emptied
    assert isinstance(plain, OrderedDict)
    again = pickle.loads(pickle.dumps(plain))
    assert type(again) is FlaxMaskedLMOutput
    assert close(again, plain, 0)


def test_tuples_leave_out_what_is_not_there():
    model = build(pools=False)
    outputs = model(ids_of(model), output_attentions=True, return_dict=False)
    assert [type(x) for x in outputs[1:]] == [tuple]
    assert outputs[0].shape == (2, 7, 12)


SEGMENTS = np.array([[0, 2]])
BAD_INPUTS = {
    "too large": (
        {"input_ids": [[5, 31]]},
        "input_ids holds 31, but vocab_size is 31, so ids go from 0 to 30",
    ),
    "below 0": ({"input_ids": [[-1, 5]]}, "input_ids holds -1, but vocab_size is 31"),
    # As 32-bit numbers these would be 5 and 6.
    "64 bits": (
        {"input_ids": np.array([[2**32 + 5, 2**32 + 6]])},
        f"input_ids holds {2**32 + 6}",
    ),
    "segments": (
        {"input_ids": [[5, 6]], "token_type_ids": SEGMENTS},
        "token_type_ids holds 2, but type_vocab_size is 2",
    ),
    "positions": (
        {"input_ids": [[5, 6]], "position_ids": jnp.array([[0, 23]])},
        "position_ids holds 23, but max_position_embeddings is 23",
    ),
    "too long": (
        {"input_ids": np.full((1, 24), 5)},
        "has 24 tokens, but max_position_embeddings is 23. Truncate or split",
    ),
    "neither": ({}, "Give one of input_ids and inputs_embeds; this call gives neither"),
    "both": (
        {"input_ids": [[5]], "inputs_embeds": np.ones((1, 1, 5), np.float32)},
        "Give one of input_ids and inputs_embeds; this call gives both",
    ),
    "width": (
        {"inputs_embeds": np.ones((1, 2, 12), np.float32)},
        "inputs_embeds is 12 wide, but embedding_size is 5",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_inputs_that_do_not_fit_are_refused(case):
    inputs, message = BAD_INPUTS[case]
    with pytest.raises(InputError) as caught:
        build("ForTokenClassification")(**inputs)
    assert message in str(caught.value)


def test_multiple_choice_needs_one_of_both_kinds_of_input():
    with pytest.raises(InputError, match="this call gives neither"):
        build("ForMultipleChoice")()


def test_unknown_arguments_are_refused():
    with pytest.raises(
        TypeError, match=r"FlaxAlbertModel does not take labels\. Besides"
    ):
        build()(np.ones((1, 2), int), labels=np.ones(1))
    with pytest.raises(TypeError, match=r"takes end_positions, start_positions\."):
        build("ForQuestionAnswering")([[5]], labels=[1])
    with pytest.raises(TypeError, match="unexpected keyword argument 'pooling'"):
        FlaxAlbertModel(tiny(), pooling=True)


def test_lists_and_64_bits_are_taken():
    model = build()
    ids = ids_of(model)
    wanted = model(ids).last_hidden_state
    assert np.array_equal(model(ids.tolist()).last_hidden_state, wanted)
    with jax.enable_x64(True):
        assert close(model(ids.astype(np.int64)).last_hidden_state, wanted, 1e-6)


def test_embeddings_in_place_of_ids():
    model = build("ForMultipleChoice")
    inputs = batch(model)
    ids = inputs.pop("input_ids")
    table = np.asarray(model.get_input_embeddings(), np.float64)
    with jax.enable_x64(True):
        # They are computed with in the model's type, whatever theirs is.
        found = model(**inputs, inputs_embeds=table[ids])
        assert found.logits.dtype == jnp.float32
    assert close(found, model(ids, **inputs), 1e-5)


@pytest.mark.parametrize("head", ["Model", "ForMultipleChoice"])
def test_head_masks_silence_the_right_heads_of_the_right_layer(head):
    with jax.enable_x64(True):
        model = build(head, "float64", num_hidden_layers=3, num_hidden_groups=2)
        inputs = batch(model)
        rows = np.array([[1, 0, 1], [0, 1, 1], [1, 1, 0.5]])
        found = model(**inputs, head_mask=rows)
        wanted = expected(model, **inputs, head_mask=rows)
        assert all(close(found[name], wanted[name]) for name in found)
        row = model(**inputs, head_mask=rows[0])
        assert close(row, model(**inputs, head_mask=rows[[0, 0, 0]]))
        assert not close(row, found, 1e-3)


def test_training_with_dropout_needs_a_key():
    model = build("ForSequenceClassification")
    with pytest.raises(InputError, match=r"dropout_rng=jax\.random\.key\(seed\)"):
        model(ids_of(model), train=True)


@pytest.mark.parametrize("head", ["ForMaskedLM", "ForQuestionAnswering"])
def test_training_without_dropout_needs_none(head):
    model = build(head)  # its configuration has dropout before a classifier only
    ids = ids_of(model)
    wanted = model(ids)
    key = jax.random.key(0)
    assert cost(lambda: model(ids, train=True)) == (0, 0)
    assert cost(lambda: model(ids, train=True, dropout_rng=key)) == (0, 0)
    assert close(model(ids, train=True, dropout_rng=key), wanted, 0)


def test_models_can_be_called_from_several_threads():
    model = build("ForTokenClassification")
    ids = [ids_of(model, length=length) for length in (3, 4, 5)]
    found = [None] * 3

    def call(i):
        found[i] = model(ids[i]).logits

    threads = [threading.Thread(target=call, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(close(found[i], model(ids[i]).logits, 0) for i in range(3))


def test_hugging_face_s_names_are_exported():
    for head in schema.HEADS:
        name = "" if head == "Model" else head
        module = getattr(albert_flax, f"FlaxAlbert{name}Module")
        assert class_of(head).module_class is module
        assert {f"FlaxAlbert{head}", f"FlaxAlbert{name}Module"} <= {
            *albert_flax.__all__
        }
    assert FlaxAlbertForPreTraining.base_model_prefix == "albert"
    assert FlaxAlbertForPreTraining.main_input_name == "input_ids"
    assert all(hasattr(albert_flax, name) for name in albert_flax.__all__)


def test_a_batch_of_nothing_has_outputs_of_nothing():
    model = build()
    found = model(np.zeros((0, 5), int), output_hidden_states=True)
    assert found.last_hidden_state.shape == (0, 5, model.config.hidden_size)
    assert found.pooler_output.shape == (0, model.config.hidden_size)


def test_a_packed_mask_needs_rows():
    model = build()
    with pytest.raises(InputError, match=r"no rows. Make it by pack\(mask\)"):
        model(np.ones((2, 3), int), Packed(np.ones((2, 3), int)))
