"""The tables of names: complete, one to one, all used, and as others have them."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from albert_core import AlbertConfig, schema
from conversion.dialects.dialect import places, rows
from conversion.dialects.flax import OWN_FLAX
from conversion.dialects.google import GOOGLE
from conversion.dialects.hugging_face import FLAX, TENSORFLOW, TORCH
from conversion.dialects.keras import KERAS, from_file, to_file
from conversion.dialects.keras_hub import KERAS_HUB
from tests.conftest import GOLDEN, tiny

DIALECTS = {
    "google": GOOGLE,
    "tf": TENSORFLOW,
    "flax": FLAX,
    "torch": TORCH,
    "keras": KERAS,
    "keras-hub": KERAS_HUB,
    "orbax": OWN_FLAX,
}
HELD = {"google-tf1": GOOGLE, "tensorflow-h5": TENSORFLOW}
HELD |= {"flax-msgpack": FLAX, "pytorch-bin": TORCH}
NAMES = json.loads((GOLDEN / "foreign_names.json").read_text())


def spelled(dialect, config, head):
    """Their name of every parameter of a model that they have -> its canonical name."""
    found = {}
    for parameter in schema.parameters(config, head):
        place = TORCH.find(parameter.name)
        assert place.name == schema.base_name(parameter.name)
        if place.path not in dialect.lacks:
            name = dialect.spell(place, head != schema.BASE)
            assert name not in found
            found[name] = place
    return found


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@settings(max_examples=60, deadline=None)
@given(
    groups=st.integers(1, 12),
    inner=st.integers(1, 3),
    head=st.sampled_from(list(schema.HEADS)),
    relative=st.booleans(),
    tied=st.booleans(),
)
def test_names_lead_there_and_back(dialect, groups, inner, head, relative, tied):
    config = tiny(
        num_hidden_layers=groups,
        num_hidden_groups=groups,
        inner_group_num=inner,
        position_embedding_type="relative_key" if relative else "absolute",
        tie_word_embeddings=tied,
    )
    for name, place in spelled(dialect, config, head).items():
        assert dialect.find(name) == place
        assert dialect.alias(name) is None
        assert dialect.why_left(name) is None
    if dialect is KERAS:
        files = [to_file(name) for name in spelled(dialect, config, head)]
        assert list(from_file(files).values()) == list(spelled(dialect, config, head))


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.bad_input(65)
def test_no_rule_is_for_nothing(dialect):
    known = rows()
    kinds = {layer.kind for layer in known.values()}
    assert dialect.layers.keys() | dialect.lacks <= known.keys()
    assert dialect.turned <= known.keys() | kinds
    assert dialect.unturned <= known.keys()
    used = set()
    for place in places():
        for key in ((place.path, place.leaf), (place.kind, place.leaf)):
            if key in dialect.leaves and place.path not in dialect.lacks:
                used.add(key)
                break
    assert used == dialect.leaves.keys()
    held = [place for place in places() if place.path not in dialect.lacks]
    turned = [place for place in held if dialect.turns(place)]
    assert {p.path for p in turned} | {p.kind for p in turned} >= dialect.turned
    assert dialect.split.keys() <= {(place.path, place.leaf) for place in held}
    names = {place.name for place in places()}
    assert dialect.aliases.keys() <= names
    assert dialect.dead <= dialect.aliases.keys()


@pytest.mark.parametrize("case", NAMES, ids=lambda case: case["head"])
def test_names_and_shapes_are_those_of_the_originals(case):
    config = AlbertConfig(**case["config"])
    for store, shapes in case.items():
        if store not in HELD:
            continue
        dialect = HELD[store]
        expected = {}
        for parameter in schema.parameters(config, case["head"]):
            place = TORCH.find(parameter.name)
            turned = dialect.turns(place)
            shape = parameter.shape[::-1] if turned else parameter.shape
            expected[dialect.spell(place, case["head"] != schema.BASE)] = list(shape)
        found = {}
        for name, shape in shapes.items():
            place = dialect.find(name)
            if place is None:
                assert dialect.alias(name) or dialect.why_left(name), name
            elif place.path != "predictions.decoder":  # a second name when tied
                found[dialect.spell(place, case["head"] != schema.BASE)] = shape
        same = config.embedding_size == config.hidden_size
        if dialect.no_projection and same:
            projection = "bert/encoder/embedding_hidden_mapping_in/"
            del expected[f"{projection}kernel"], expected[f"{projection}bias"]
        assert found == expected


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("module/bert/pooler/dense/kernel", "pooler.weight"),
        ("bert/embeddings/LayerNorm/beta", "embeddings.LayerNorm.bias"),
        ("output_weights", "classifier.weight"),
        ("cls/squad/output_bias", "qa_outputs.bias"),
        ("answer_class/dense_1/kernel", "answer_class.dense_1.weight"),
        ("bert/pooler/dense/kernel/adam_m", None),
        ("bert/encoder/transformer/group_00/inner_group_0/LayerNorm/beta", None),
        ("bert/encoder/transformer/group_x/inner_group_0/LayerNorm/beta", None),
        ("bert/pooler/dense/kernel\n", None),
    ],
)
@pytest.mark.bad_input(59)
def test_names_of_google_s(name, place):
    found = GOOGLE.find(name)
    assert (found and found.name) == place


def test_what_is_known_to_be_no_weight():
    for name in ("global_step", "x/adam_v", "x/lamb_m", "x/AdamWeightDecayOptimizer_1"):
        assert GOOGLE.why_left(name)
    assert TORCH.why_left("albert.embeddings.position_ids")
    assert not GOOGLE.why_left("bert/pooler/dense/kernel")
