"""Texts teach the same without their padding.

Odd layers are compared in PyTorch, which has code for it; what others pack their rows
with is what they predict with, and tests/backends/test_fast_paths.py has it.
"""

from importlib import import_module
from math import prod

import numpy as np
import pytest
import torch

from albert_core.fast import fast_paths
from albert_core.losses import IGNORED
from albert_core.optimization import OPTIMIZERS
from albert_core.packing import pack
from albert_core.training import parts
from albert_torch.layers import AlbertLayer
from albert_zoo import predictors
from albert_zoo.parity.budgets import GOLDEN, STRUCTURE
from tests.backends.adapters import class_of
from tests.backends.test_fast_paths import ODD, cases, ragged
from tests.conftest import FRAMEWORKS, tiny, write
from tests.training.frameworks import ready
from tests.training.trainer import CASES, LENGTH, SAME_NUMBERS, batch_of, config_of

NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def counting(monkeypatch, layer):
    """How many tokens each call of a layer has, where gradients are asked for."""
    seen, own = [], layer.feed_forward

    def feed_forward(self, attended):
        seen.append(prod(attended.shape[:2]))
        return own(self, attended)

    monkeypatch.setattr(layer, "feed_forward", feed_forward)
    return seen


@pytest.fixture
def counted(monkeypatch):
    """Of PyTorch's layers."""
    return counting(monkeypatch, AlbertLayer)


def gradients(model, ids, mask, inside, **options):
    """Of a loss that looks at every token, and the tokens' numbers."""
    model.zero_grad()
    found = model(ids, attention_mask=mask, output_hidden_states=True, **options)
    states = torch.stack([x * inside for x in found.hidden_states])
    slopes = torch.linspace(-1, 1, states.numel(), dtype=torch.float64)
    pooled = (found.pooler_output * inside[:, 0]).square().sum()
    ((states.flatten() * slopes).sum() + pooled).backward()
    slopes = [x.grad.clone() for x in model.parameters() if x.grad is not None]
    return [*slopes, states.detach(), pooled.detach()]


@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("odd", ODD)
def test_gradients_are_those_of_padded_texts(odd, recompute, tmp_path, counted):
    path = write(tmp_path / "made", tiny(**NO_DROPOUT, **ODD[odd]))
    model = class_of("torch", "Model").from_pretrained(path, dtype="float64").train()
    if recompute:
        model.gradient_checkpointing_enable()
    given, mask = ragged()
    ids, inside = torch.from_numpy(given).long(), torch.from_numpy(mask)[..., None]
    heads = torch.ones(model.config.num_attention_heads, dtype=torch.float64)
    heads[-1] = 0.5
    for options in ({}, {"head_mask": heads}):
        wanted = gradients(model, ids, inside[..., 0], inside, **options)
        counted.clear()
        found = gradients(model, ids, pack(mask), inside, **options)
        for one, other in zip(found, wanted, strict=True):
            # A key's bias has no gradient in theory.
            assert (one - other).norm() <= STRUCTURE * max(1, other.norm())
        assert set(counted) == {mask.size if odd == "relative" else mask.sum()}


def test_what_looks_at_layers_sees_texts_as_they_were(tmp_path, counted):
    path = write(tmp_path / "made", tiny(**NO_DROPOUT))
    model = class_of("torch", "Model").from_pretrained(path).train()
    given, mask = ragged()
    ids, shapes = torch.from_numpy(given).long(), []
    hooks = [
        group.register_forward_hook(lambda *x: shapes.append(x[2][0].shape[:2]))
        for group in model.encoder.albert_layer_groups
    ]
    model(ids, attention_mask=pack(mask))
    assert set(shapes) == {mask.shape}
    for hook in hooks:
        hook.remove()
    with fast_paths(False):
        model(ids, attention_mask=pack(mask))
    model(ids, attention_mask=pack(mask), output_attentions=True)
    assert set(counted) == {mask.size}
    counted.clear()
    model(ids, attention_mask=pack(mask))
    assert set(counted) == {mask.sum()}


def test_texts_may_all_be_empty(tmp_path):
    path = write(tmp_path / "made", tiny(**NO_DROPOUT))
    model = class_of("torch", "Model").from_pretrained(path).train()
    ids, mask = torch.ones(2, 3, dtype=torch.long), np.zeros((2, 3))
    found = model(ids, attention_mask=pack(mask)).last_hidden_state
    wanted = model(ids, attention_mask=torch.from_numpy(mask)).last_hidden_state
    assert torch.equal(found, wanted)


@pytest.mark.parametrize("which", NO_DROPOUT)
def test_dropout_stays_on(which, tmp_path):
    changes = {**NO_DROPOUT, which: 0.5}
    path = write(tmp_path / "made", tiny(**changes))
    model = class_of("torch", "Model").from_pretrained(path).train()
    given, mask = ragged()

    def run(seed):
        torch.manual_seed(seed)
        found = model(torch.from_numpy(given).long(), attention_mask=pack(mask))
        return found.last_hidden_state

    assert torch.equal(run(1), run(1))
    assert not torch.allclose(run(1), run(2), atol=1e-3)


# The others differ only in what heads do with the same hidden states.
QUICK = ("pretraining",)


@pytest.mark.parametrize(("framework", "case"), list(cases(CASES, QUICK)))
def test_steps_leave_padding_out_where_no_loss_looks_at_it(
    framework, case, tmp_path, monkeypatch
):
    head = CASES[case][0]
    path = write(tmp_path / "made", config_of(case), head)
    layers = import_module(f"albert_{framework}.layers")
    training = import_module(f"albert_{framework}.training")
    counted = counting(monkeypatch, layers.AlbertLayer)
    batch = widened(batch_of(case))
    late = {**batch, "attention_mask": np.flip(batch["attention_mask"], -1).copy()}
    figures, slopes = [], []
    ways = [(True, batch), (False, batch), (True, late)]
    for fast, given in ways[: 3 if framework == "torch" else 2]:
        with ready(framework), fast_paths(fast):
            model = class_of(framework, head).from_pretrained(path, dtype="float64")
            learner = training.Training(model, OPTIMIZERS["adamw"])
            counted.clear()
            taken = learner.step(parts(given), 1e-3, 0)
            tokens = set(counted)
            judged = learner.evaluate(parts(given)[0])
        inside = given["attention_mask"]
        whole = not fast or given is late or case == "span"
        rows = pack(inside.reshape(-1, WIDTH), few_shapes=True).take
        packed = inside.sum() if framework == "torch" else rows.size
        assert packed < 0.8 * inside.size
        assert tokens == {inside.size if whole else packed}
        figures.append({**taken, **{f"judged_{k}": x for k, x in judged.items()}})
        moments = learner.moments()  # gradients, and their squares
        slopes.append(np.concatenate([moments[name].ravel() for name in moments]))
    assert figures[0] == pytest.approx(figures[1], rel=SAME_NUMBERS)
    apart = np.linalg.norm(slopes[0] - slopes[1])
    assert apart <= SAME_NUMBERS * np.linalg.norm(slopes[1])


WIDTH = 12


def widened(batch):
    """The same with more padding."""
    found = {}
    for name, array in batch.items():
        more = WIDTH - array.shape[-1] if array.shape[-1] == LENGTH else 0
        widths = [(0, 0)] * (array.ndim - 1) + [(0, more)]
        fill = IGNORED if name == "labels" else 0
        found[name] = np.pad(array, widths, constant_values=fill) if more else array
    return found


def with_own_call(framework, head, seen):
    """A class whose call is its own, and tells what kind of mask it was given."""
    kind, name = class_of(framework, head), "__call__"
    own = kind.module_class if framework == "flax" else kind
    if framework != "flax":
        name = "forward" if framework == "torch" else "call"

    def call(self, input_ids, attention_mask=None, **given):
        seen.append(type(attention_mask).__name__)
        return getattr(own, name)(self, input_ids, attention_mask, **given)

    def keras_call(
        self,
        input_ids,
        attention_mask=None,
        labels=None,
        return_dict=None,
        training=False,
    ):
        given = {"labels": labels, "return_dict": return_dict, "training": training}
        return call(self, input_ids, attention_mask, **given)

    changed = type("Mine", (own,), {name: keras_call if framework == "tf" else call})
    if framework != "flax":
        return changed
    return type("Whole", (kind,), {"module_class": changed})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_training_gives_calls_of_others_the_mask_as_it_was(framework, tmp_path):
    """A subclass may do anything with a mask, and with what stands at padding."""
    head, seen = "ForTokenClassification", []
    path = write(tmp_path / "made", tiny(**NO_DROPOUT), head)
    ids, mask = ragged()
    labels = np.where(mask, 1, IGNORED)
    batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
    model = with_own_call(framework, head, seen).from_pretrained(path)
    training = import_module(f"albert_{framework}.training")
    training.Training(model, OPTIMIZERS["adamw"]).step(parts(batch), 1e-3, 0)
    assert seen
    assert "Packed" not in seen


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_predictors_do_not_go_round_calls_of_others(framework, tmp_path):
    head, seen = "ForMaskedLM", []
    path = write(tmp_path / "made", tiny(), head)
    ids, mask = ragged()
    places = np.zeros((len(ids), 1), np.int32)
    given = {"input_ids": ids, "attention_mask": mask, "positions": places}
    predictor = getattr(predictors, f"{framework}_predictor")
    plain = class_of(framework, head).from_pretrained(path)
    model = with_own_call(framework, head, seen).from_pretrained(path)
    found, wanted = (
        predictor(x).run(given, ["logits"])["logits"] for x in (model, plain)
    )
    assert seen
    assert "Packed" not in seen
    assert found.shape == wanted.shape
    assert np.abs(found - wanted)[mask[:, 0] != 0].max() < GOLDEN
