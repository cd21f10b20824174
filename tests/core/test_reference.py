"""The NumPy reference: against transformers 4.57's files, and by its own laws."""

import math

import numpy as np
import pytest

from albert_core import AlbertConfig, CheckpointError, InputError, schema
from albert_core.checkpoint import Checkpoint
from albert_core.numerics import ACTIVATIONS, mask_to_bias, softmax
from albert_core.reference import Reference
from albert_core.rules import ACTIVATIONS as NAMES
from albert_zoo.parity.budgets import GOLDEN as BOUND
from tests.conftest import GOLDEN, tiny, weights

CASES = sorted(path.name for path in GOLDEN.glob("*-*") if path.is_dir())
IDS = np.array([[2, 5, 9, 14, 3, 0, 0], [2, 30, 7, 7, 21, 8, 3]])
MASK = (IDS > 0).astype(int)


def build(head="Model", pools=None, seed=0, **changes):
    config = tiny(**changes)
    return Reference(config, weights(config, head, seed, pools), head, pools)


def flat(output):
    found = {}
    for name, value in output.items():
        many = isinstance(value, tuple)
        found |= (
            {f"{name}.{i}": x for i, x in enumerate(value)} if many else {name: value}
        )
    return found


def close(one, other, bound=1e-13):
    assert one.keys() == other.keys()
    for name in one:
        assert np.shape(one[name]) == np.shape(other[name]), name
        error = np.abs(np.asarray(one[name]) - other[name]).max()
        assert error <= bound * max(1, np.abs(other[name]).max()), (name, error)


@pytest.mark.parametrize("case", CASES)
def test_the_files_of_transformers_4(case):
    """All outputs, inner states and the loss, in evaluation mode, of its PyTorch."""
    path = GOLDEN / case
    head = case.split("-")[1]
    config = AlbertConfig.from_pretrained(path)
    model = Reference(config, Checkpoint.open(path), head)
    with np.load(path / "inputs.npz") as inputs:
        found = flat(model(**inputs))
    compared = set()
    with np.load(path / "expected_torch.npz") as expected:
        for name in expected.keys() - {n for n in expected if n.startswith("grad.")}:
            assert np.shape(found[name]) == expected[name].shape, name
            assert not np.abs(found[name] - expected[name]).max() > BOUND, name
            compared.add(name)
    left = {n for n in found if n.startswith(("hidden_states.", "attentions."))}
    assert found.keys() - left <= compared
    assert head == "Model" or "loss" in compared
    assert all(np.isfinite(value).all() for value in found.values())


def test_all_configurations_and_inner_states_are_among_them():
    kinds = {case.split("-")[0] for case in CASES}
    assert kinds >= {"plain", "groups", "erf", "relu_eps", "same_size"}
    assert kinds >= {"relative_key", "relative_key_query", "regression", "regression1"}
    with np.load(GOLDEN / "groups-ForPreTraining" / "expected_torch.npz") as expected:
        assert "hidden_states.6" in expected
        assert "attentions.11" in expected


class TestCounts:
    @pytest.mark.parametrize(
        "changes",
        [
            {},
            {"embedding_size": 12},
            {"num_attention_heads": 1},
            {"num_hidden_layers": 5, "num_hidden_groups": 3, "inner_group_num": 1},
            {"num_hidden_layers": 1, "num_hidden_groups": 1, "inner_group_num": 3},
        ],
        ids=str,
    )
    @pytest.mark.parametrize("length", [1, 7])
    def test_states_attentions_and_stages(self, length, changes):
        """L + 1 hidden states, L * K attentions, two stages for each block."""
        model = build(**changes)
        config = model.config
        output = model(IDS[:, :length])
        layers = config.num_hidden_layers
        depth = layers * config.inner_group_num
        assert len(output.hidden_states) == layers + 1
        assert {x.shape for x in output.hidden_states} == {(2, length, 12)}
        assert len(output.attentions) == depth
        heads = config.num_attention_heads
        assert {x.shape for x in output.attentions} == {(2, heads, length, length)}
        assert output.hidden_states[-1] is output.last_hidden_state
        paths = [stage.path for stage in model.stages]
        assert len(paths) == len(set(paths)) == 2 * depth + 3
        assert paths[:2] == ["embeddings", "projection"]
        assert paths[-1] == "pooler"
        assert (output.hidden_states[0] == model.stages[1].output).all()
        for attention in output.attentions:
            assert np.allclose(attention.sum(-1), 1, rtol=0, atol=1e-14)

    def test_stages_follow_each_other_and_name_the_modules_that_they_use(self):
        model = build("ForPreTraining")
        model(IDS, MASK)
        calls = {stage.path: stage for stage in model.stages}
        for layer in range(6):
            for inner in range(2):
                module = schema.BLOCK.format(group=layer // 3, inner=inner)
                path = f"layer.{layer}.inner.{inner}"
                first, second = (
                    calls[f"{path}.attention"],
                    calls[f"{path}.feed_forward"],
                )
                assert (first.module, second.module) == (f"{module}.attention", module)
                assert second.inputs[0] is first.output
        stages = model.stages
        assert [s.path for s in stages[-3:]] == [
            *("pooler", "predictions", "sop_classifier.classifier")
        ]
        model(IDS[:, :3])
        assert len(model.stages) == len(stages)  # of the last call only


class TestMask:
    def test_what_stands_behind_padding_changes_nothing_right_or_left(self):
        model = build("ForMaskedLM")
        short = model(IDS[:1, :5])
        for pad in (7, 0):
            right = np.concatenate([IDS[:1, :5], np.full((1, 3), pad)], 1)
            mask = np.array([[1] * 5 + [0] * 3])
            found = model(right, mask)
            close({"x": found.logits[:, :5]}, {"x": short.logits})
            left = right[:, ::-1].copy()
            left[:, 3:] = IDS[:1, :5]
            places = np.array([[0, 0, 0, 0, 1, 2, 3, 4]])
            found = model(left, mask[:, ::-1], position_ids=places)
            close({"x": found.logits[:, 3:]}, {"x": short.logits})

    def test_padding_gets_no_weight_and_a_row_of_it_attends_uniformly(self):
        mask = np.array([[1, 1, 0, 1, 1, 0, 0], [0] * 7])
        for weights_ in build()(IDS, mask).attentions:
            assert (weights_[0][:, :, mask[0] == 0] == 0).all()
            assert (weights_[1] == 1 / 7).all()

    def test_a_mask_of_ones_is_none(self):
        model = build()
        close(flat(model(IDS, np.ones_like(IDS))), flat(model(IDS)), 0)

    def test_the_bias(self):
        lowest = np.finfo(np.float64).min
        assert mask_to_bias(np.array([[1, 0]])).tolist() == [[[[0, lowest]]]]


class TestInputs:
    def test_defaults(self):
        model = build()
        close(
            flat(
                model(
                    IDS,
                    token_type_ids=np.zeros_like(IDS),
                    position_ids=np.arange(7)[None],
                )
            ),
            flat(model(IDS)),
            0,
        )

    @pytest.mark.parametrize(
        "changes", [{"token_type_ids": MASK}, {"position_ids": np.arange(1, 8)[None]}]
    )
    def test_segments_and_positions_count(self, changes):
        model = build()
        first = model(IDS, **changes).hidden_states[0] - model(IDS).hidden_states[0]
        assert np.abs(first).max() > 1e-2

    def test_embeddings_in_place_of_ids(self):
        for head in ("Model", "ForMultipleChoice"):
            model = build(head)
            ids = np.stack([IDS, IDS[::-1]]) if head != "Model" else IDS
            table = model.weights["embeddings.word_embeddings.weight"]
            close(flat(model(inputs_embeds=table[ids])), flat(model(ids)), 0)

    def test_relative_positions_ignore_the_absolute_table(self):
        model = build(position_embedding_type="relative_key")
        moved = flat(model(IDS, position_ids=np.arange(5, 12)[None]))
        close(moved, flat(model(IDS)), 0)

    @pytest.mark.parametrize("kind", ["relative_key", "relative_key_query"])
    def test_relative_scores_one_at_a_time(self, kind):
        """q·d + k·d for every pair, unscaled, d the table's row of q - k + P - 1."""
        model = build(position_embedding_type=kind)
        output = model(IDS)
        module = f"{schema.BLOCK.format(group=0, inner=0)}.attention"
        w = {leaf: model.weights[f"{module}.{leaf}"] for leaf in _ATTENTION}
        hidden = output.hidden_states[0]
        q = hidden @ w["query.weight"].T + w["query.bias"]
        k = hidden @ w["key.weight"].T + w["key.bias"]
        scores = np.zeros((2, 3, 7, 7))
        for b, h, i, j in np.ndindex(scores.shape):
            one, other = q[b, i, 4 * h : 4 * h + 4], k[b, j, 4 * h : 4 * h + 4]
            row = w["distance_embedding.weight"][i - j + 22]
            scores[b, h, i, j] = one @ other / 2 + one @ row
            if kind == "relative_key_query":
                scores[b, h, i, j] += other @ row
        powers = np.exp(scores)
        expected = powers / powers.sum(-1, keepdims=True)
        close({"x": output.attentions[0]}, {"x": expected})

    @pytest.mark.parametrize(
        ("inputs", "words"),
        [
            ({}, "this call gives neither"),
            ({"input_ids": IDS, "inputs_embeds": np.ones((2, 7, 5))}, "gives both"),
            ({"input_ids": IDS + 20}, "input_ids holds 50, but vocab_size is 31"),
            ({"input_ids": IDS - 1}, "input_ids holds -1, but vocab_size is 31"),
            ({"input_ids": IDS, "token_type_ids": IDS}, "token_type_ids holds 30, but"),
            ({"input_ids": IDS, "position_ids": IDS - 9}, "position_ids holds -9, but"),
            (
                {"input_ids": np.ones((1, 24), int)},
                "The sequence has 24 tokens, but max",
            ),
            ({"inputs_embeds": np.ones((1, 3, 12))}, "inputs_embeds is 12 wide, but"),
        ],
    )
    def test_what_does_not_fit(self, inputs, words):
        with pytest.raises(InputError, match=words):
            build()(**inputs)

    def test_a_label_of_another_name_is_not_overlooked(self):
        with pytest.raises(TypeError, match="label"):
            build("ForMaskedLM")(IDS, label=IDS)


_ATTENTION = [
    *(
        "query.weight",
        "query.bias",
        "key.weight",
        "key.bias",
        "distance_embedding.weight",
    )
]


class TestHeadMask:
    def test_a_row_is_of_its_own_layer(self):
        """Which is where Hugging Face's takes another one, for layers share weights."""
        model = build()
        plain = model(IDS)
        mask = np.ones((6, 3))
        mask[4, 1] = 0
        output = model(IDS, head_mask=mask)
        for layer in range(6):
            for inner in range(2):
                found = output.attentions[2 * layer + inner]
                assert (found[:, 1] == 0).all() == (layer == 4)
        close(
            {f"{i}": x for i, x in enumerate(output.hidden_states[:5])},
            {f"{i}": x for i, x in enumerate(plain.hidden_states[:5])},
            0,
        )
        assert np.abs(output.hidden_states[5] - plain.hidden_states[5]).max() > 1e-3

    def test_one_row_is_for_all_layers(self):
        model = build()
        row = np.array([1, 0, 0.5])
        close(
            flat(model(IDS, head_mask=row)),
            flat(model(IDS, head_mask=np.broadcast_to(row, (6, 3)))),
            0,
        )
        close(flat(model(IDS, head_mask=[1, 1, 1])), flat(model(IDS)), 0)


class TestHeads:
    SHAPES = (
        ("Model", {"last_hidden_state": (2, 7, 12), "pooler_output": (2, 12)}),
        ("ForPreTraining", {"prediction_logits": (2, 7, 31), "sop_logits": (2, 2)}),
        ("ForMaskedLM", {"logits": (2, 7, 31)}),
        ("ForSequenceClassification", {"logits": (2, 4)}),
        ("ForTokenClassification", {"logits": (2, 7, 4)}),
        ("ForQuestionAnswering", {"start_logits": (2, 7), "end_logits": (2, 7)}),
        (
            "ForQuestionAnsweringBeam",
            {
                "start_top_log_probs": (2, 5),
                "start_top_index": (2, 5),
                "end_top_log_probs": (2, 25),
                "end_top_index": (2, 25),
                "cls_logits": (2,),
            },
        ),
    )

    @pytest.mark.parametrize(("head", "shapes"), SHAPES)
    def test_shapes(self, head, shapes):
        output = build(head)(IDS)
        found = {k: v.shape for k, v in output.items() if not isinstance(v, tuple)}
        assert found == shapes
        assert output.loss is None if head != "Model" else True

    def test_choices_are_a_batch_of_their_own(self):
        model = build("ForMultipleChoice")
        ids = np.stack([IDS, IDS[::-1], IDS])
        output = model(ids, attention_mask=(ids > 0))
        assert output.logits.shape == (3, 2)
        assert output.hidden_states[0].shape == (6, 7, 12)
        one = model(IDS[None], attention_mask=MASK[None]).logits
        close({"x": output.logits}, {"x": np.concatenate([one, one[:, ::-1], one])})

    @pytest.mark.parametrize(
        ("head", "labels"),
        [
            ("ForPreTraining", {"labels": IDS}),
            ("ForPreTraining", {"sentence_order_label": [0, 1]}),
            ("ForQuestionAnswering", {"start_positions": [0, 1]}),
            ("ForQuestionAnswering", {"end_positions": [0, 1]}),
        ],
    )
    def test_half_of_the_labels_give_no_loss(self, head, labels):
        assert build(head)(IDS, **labels).loss is None

    def test_the_pretraining_loss_is_the_sum_of_both(self):
        model = build("ForPreTraining")
        words, order = np.where(MASK, IDS, -100), np.array([0, 1])
        output = model(IDS, labels=words, sentence_order_label=order)
        logs = np.log(softmax(output.prediction_logits))
        first = np.mean(
            [logs[i][words[i]] for i in zip(*np.nonzero(MASK), strict=True)]
        )
        second = np.log(softmax(output.sop_logits))[[0, 1], order].mean()
        close({"x": output.loss}, {"x": -first - second})

    @pytest.mark.parametrize("head", ["ForPreTraining", "ForSequenceClassification"])
    def test_a_head_that_needs_what_is_not_pooled(self, head):
        with pytest.raises(
            InputError, match="reads the pooled output; build it with pool"
        ):
            build(head, pools=False)(IDS)

    def test_a_head_that_need_not_pool_may(self):
        for head in ("Model", "ForMaskedLM"):
            given = weights(tiny(), head, pools=True)
            one, other = (Reference(tiny(), given, head, p)(IDS) for p in (True, False))
            assert one[0].tobytes() == other[0].tobytes()
        assert build("Model", False)(IDS).pooler_output is None

    def test_an_untied_decoder(self):
        model = build("ForMaskedLM", tie_word_embeddings=False)
        tied = Reference(tiny(), {**model.weights}, "ForMaskedLM")
        table = model.weights["embeddings.word_embeddings.weight"]
        assert np.abs(model(IDS).logits - tied(IDS).logits).max() > 1e-2
        model.weights["predictions.decoder.weight"] = table
        close(flat(model(IDS)), flat(tied(IDS)), 0)


class TestWeights:
    def test_names_with_and_without_prefix(self):
        config = tiny()
        given = weights(config, "ForMaskedLM")
        bare = {schema.base_name(name): array for name, array in given.items()}
        close(
            flat(Reference(config, given, "ForMaskedLM")(IDS)),
            flat(Reference(config, bare, "ForMaskedLM")(IDS)),
            0,
        )

    def test_a_wrong_shape_is_not_broadcast(self):
        config = tiny()
        given = weights(config)
        given["pooler.bias"] = given["pooler.bias"][:1]
        with pytest.raises(
            CheckpointError, match=r"pooler\.bias has shape \(1,\), but the"
        ):
            Reference(config, given)

    def test_it_computes_in_float64(self):
        output = build()(IDS)
        assert {x.dtype for x in flat(output).values()} == {np.dtype(np.float64)}

    @pytest.mark.parametrize("length", [1, 2])
    def test_a_vocabulary_of_one(self, length):
        model = build("ForMaskedLM", vocab_size=1)
        output = model(np.zeros((1, length), int), labels=np.zeros((1, length), int))
        assert output.logits.shape == (1, length, 1)
        assert output.loss == 0


class TestActivations:
    POINTS = np.array([-40.0, -5.5, -1.0, -1e-3, 0.0, 1e-3, 0.7, 3.0, 40.0])
    FORMULAS = (
        ("gelu", lambda x: x * 0.5 * math.erfc(-x / math.sqrt(2))),
        (
            "gelu_new",
            lambda x: (
                0.5
                * x
                * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
            ),
        ),
        ("quick_gelu", lambda x: x / (1 + math.exp(-1.702 * x))),
        ("relu", lambda x: max(x, 0.0)),
        ("silu", lambda x: x / (1 + math.exp(-x))),
        ("tanh", math.tanh),
        ("linear", lambda x: x),
    )

    @pytest.mark.parametrize(("name", "formula"), FORMULAS)
    def test_formula(self, name, formula):
        expected = [formula(x) for x in self.POINTS]
        found = ACTIVATIONS[name](self.POINTS)
        assert np.abs(found - expected).max() <= 1e-14

    def test_all_are_there_and_two_have_two_names(self):
        assert set(ACTIVATIONS) == set(NAMES)
        assert ACTIVATIONS["gelu_pytorch_tanh"] is ACTIVATIONS["gelu_new"]
        for x in self.POINTS:
            assert ACTIVATIONS["swish"](x) == ACTIVATIONS["silu"](x)

    def test_the_two_gelus_differ_by_what_is_known(self):
        x = np.linspace(-5, 5, 10001)
        gap = np.abs(ACTIVATIONS["gelu"](x) - ACTIVATIONS["gelu_new"](x))
        assert 4.6e-4 < gap.max() < 4.8e-4

    def test_no_overflow_at_either_end(self):
        ends = np.array([-1e4, 1e4])
        for name in NAMES:
            assert np.isfinite(ACTIVATIONS[name](ends)).all(), name

    def test_the_activation_of_the_configuration_is_used_in_both_places(self):
        plain = build("ForMaskedLM")
        for act in ("relu", lambda x: np.maximum(x, 0)):
            other = build("ForMaskedLM", hidden_act=act)
            other.act, kept = plain.act, other.act
            close(flat(other(IDS)), flat(plain(IDS)), 0)
            other.act = kept
            assert np.abs(other(IDS).logits - plain(IDS).logits).max() > 1e-3


def test_softmax_of_scores_beyond_the_exponential():
    assert softmax(np.array([[1e4, 1e4, -1e4]])).tolist() == [[0.5, 0.5, 0.0]]
