"""Loading and saving PyTorch models: Hugging Face's keywords, subclasses and habits."""

import copy
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import nn

import albert_torch
from albert_core import schema
from albert_core.errors import CheckpointError, ConfigError
from albert_torch import (
    AlbertConfig,
    AlbertForMaskedLM,
    AlbertForPreTraining,
    AlbertForSequenceClassification,
    AlbertModel,
    AlbertPreTrainedModel,
)
from albert_torch.heads import AlbertMLMHead
from albert_torch.pretrained import default_dtype
from tests.backends.torch_models import batch, build, same, shaken
from tests.conftest import tiny

ROOT = Path(__file__).parents[2]
POOLER = {"pooler.weight", "pooler.bias"}
HEADS = [getattr(albert_torch, f"Albert{head}") for head in schema.HEADS]


def saved(tmp_path, model_class, **changes):
    """A model and the folder that it was saved into."""
    model = build(model_class, **changes)
    model.save_pretrained(tmp_path / "saved")
    return model, tmp_path / "saved"


class CustomAlbert(AlbertModel):
    """The encoder as Kokoro and StyleTTS2 use it."""

    def forward(self, *args, **kwargs):
        outputs: Any = super().forward(*args, **kwargs)
        return outputs.last_hidden_state


# The `plbert` section of Kokoro's config.json, smaller; `dropout` is no field of ours.
PLBERT = {
    "hidden_size": 48,
    "num_attention_heads": 12,
    "intermediate_size": 96,
    "max_position_embeddings": 64,
    "num_hidden_layers": 3,
    "dropout": 0.1,
}


class Tagger(AlbertPreTrainedModel):
    """A user's model: the encoder, a head of ours, and modules of all kinds."""

    def __init__(self, config, width=3):
        super().__init__(config)
        self.albert = AlbertModel(config, add_pooling_layer=False)
        self.predictions = AlbertMLMHead(config)
        self.recurrent = nn.LSTM(config.hidden_size, width, batch_first=True)
        self.norm = nn.BatchNorm1d(width)
        self.scale = nn.Parameter(torch.full((), 2.0))
        self.out = nn.Linear(width, config.num_labels)
        self.post_init()

    def forward(self, **inputs):
        states = self.recurrent(self.albert(**inputs).last_hidden_state)[0]
        return self.scale * self.out(self.norm(states[:, 0]))


def test_kokoro_s_pattern_computes_what_the_base_model_computes():
    config = AlbertConfig(vocab_size=178, **PLBERT)
    assert config.dropout == 0.1
    torch.manual_seed(0)
    base = shaken(AlbertModel(config))
    custom = CustomAlbert(config).eval()
    custom.load_state_dict(base.state_dict(), strict=True)
    ids = torch.randint(1, 178, (2, 20))
    mask = (torch.arange(20) < torch.tensor([[20], [13]])).int()
    found = custom(ids, attention_mask=mask)
    assert isinstance(found, torch.Tensor)
    assert same(found, base(ids, attention_mask=mask).last_hidden_state)


def test_a_state_dict_of_data_parallel_training_loads_without_its_prefix():
    base = build(AlbertModel)
    stored = {f"module.{k}": v for k, v in base.state_dict().items()}
    stored["module.embeddings.position_ids"] = torch.arange(23)[None]
    custom = CustomAlbert(tiny()).eval()
    found = custom.load_state_dict({k[7:]: v for k, v in stored.items()}, strict=False)
    assert not found.missing_keys
    assert not found.unexpected_keys
    assert same(custom(**batch()), base(**batch()).last_hidden_state)


@pytest.mark.parametrize("model_class", HEADS)
def test_state_dicts_with_old_buffers_load_strictly(model_class):
    model, other = build(model_class), build(model_class, seed=1)
    stored = model.state_dict()
    prefix = "" if model_class is AlbertModel else "albert."
    stored[f"{prefix}embeddings.position_ids"] = torch.arange(23)[None]
    stored[f"{prefix}embeddings.token_type_ids"] = torch.zeros(1, 23).long()
    other.load_state_dict(stored, strict=True)
    for name, tensor in other.state_dict().items():
        assert same(tensor, model.state_dict()[name])
    outer = nn.ModuleDict({"encoder": copy.deepcopy(model)})
    outer.load_state_dict({f"encoder.{k}": v for k, v in stored.items()}, strict=True)
    with pytest.raises(RuntimeError, match="position_idx"):
        other.load_state_dict({**stored, "embeddings.position_idx": torch.ones(1)})


def test_assigning_a_state_dict_keeps_the_ties():
    model = build(AlbertForPreTraining)
    with torch.device("meta"):
        other = AlbertForPreTraining(tiny())
    assert all(p.is_meta for p in other.parameters())
    other.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    other.eval()
    table = other.get_input_embeddings().weight
    assert other.get_output_embeddings().weight is table
    assert other.get_output_embeddings().bias is other.predictions.bias
    assert other.num_parameters() == model.num_parameters()
    assert same(other(**batch())[0], model(**batch())[0])
    table.data.zero_()
    assert not same(other(**batch())[0], model(**batch())[0])


def test_ties_come_back_after_someone_cut_them():
    model = build(AlbertForMaskedLM)
    model.predictions.decoder.weight = nn.Parameter(torch.zeros(31, 5))
    model.predictions.decoder.bias = nn.Parameter(torch.zeros(31))
    model.tie_weights()
    assert model.predictions.decoder.weight is model.get_input_embeddings().weight
    assert model.predictions.decoder.bias is model.predictions.bias


def test_a_user_s_class_loads_a_base_checkpoint(tmp_path, caplog):
    base, folder = saved(tmp_path, AlbertModel)
    torch.manual_seed(0)
    with caplog.at_level(logging.WARNING, "albert_zoo"):
        model, info = Tagger.from_pretrained(folder, output_loading_info=True)
    assert not model.training
    assert set(info["unexpected_keys"]) == POOLER
    own = [n for n, _ in model.named_parameters() if not n.startswith("albert.")]
    own += [n for n, _ in model.named_buffers()]
    assert set(info["missing_keys"]) == set(own)
    assert all(name in caplog.text for name in own)
    for name, tensor in base.state_dict().items():
        if not name.startswith("pooler."):
            assert same(model.state_dict()[f"albert.{name}"], tensor)
    # What the library made has ALBERT's initial values, all else its own.
    assert 0 < model.predictions.dense.weight.abs().max() <= 0.04
    assert 0 < model.out.weight.abs().max() <= 0.04
    assert not model.out.bias.any()
    assert model.recurrent.weight_ih_l0.abs().max() > 0.1
    assert model.scale == 2


def test_a_user_s_class_saves_and_loads_itself(tmp_path):
    model = shaken(Tagger(tiny(), width=7))
    model.norm.train()(torch.rand(5, 7))
    model.eval().save_pretrained(tmp_path)
    found, info = Tagger.from_pretrained(tmp_path, width=7, output_loading_info=True)
    assert not any(info.values())
    for name, tensor in model.state_dict().items():
        assert same(found.state_dict()[name], tensor), name
    assert found.norm.num_batches_tracked == 1
    assert same(found(**batch()), model(**batch()))
    assert json.loads((tmp_path / "config.json").read_text())["architectures"] == [
        "Tagger"
    ]


@pytest.mark.parametrize("source", [AlbertForMaskedLM, AlbertForPreTraining])
def test_a_user_s_class_with_a_pooler_draws_one_that_is_missing(source, tmp_path):
    class Pooled(AlbertPreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.albert = AlbertModel(config)
            self.post_init()

    model, folder = saved(tmp_path, source)
    found = Pooled.from_pretrained(folder)
    if source is AlbertForPreTraining:
        assert same(found.albert.pooler.weight, model.albert.pooler.weight)
    else:
        assert 0 < found.albert.pooler.weight.abs().max() <= 0.04
        assert not found.albert.pooler.bias.any()


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, torch.float32),
        (torch.float64, torch.float64),
        ("float64", torch.float64),
        ("torch.float16", torch.float16),
        ("auto", torch.bfloat16),
        (torch.bfloat16, torch.bfloat16),
    ],
)
@pytest.mark.parametrize("keyword", ["dtype", "torch_dtype"])
def test_number_types(asked, expected, keyword, tmp_path):
    model = build(AlbertModel).bfloat16()
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    found = AlbertModel.from_pretrained(tmp_path, **{keyword: asked})
    assert found.dtype == expected
    for name, parameter in found.named_parameters():
        assert same(parameter, model.get_parameter(name).to(expected))
    assert torch.get_default_dtype() == torch.float32


def test_threads_do_not_build_in_each_other_s_number_type():
    built: list[torch.dtype] = []

    def build_wide():
        with default_dtype("float32"):
            built.append(torch.get_default_dtype())

    other = threading.Thread(target=build_wide)
    with default_dtype("bfloat16"):
        other.start()
        other.join(0.2)
        assert not built
    other.join()
    assert built == [torch.get_default_dtype()] == [torch.float32]


FORK = """
import os, threading
from albert_torch.pretrained import default_dtype

def build():
    with default_dtype("float32"):
        inside.set()
        leave.wait()

inside, leave = threading.Event(), threading.Event()
threading.Thread(target=build).start()
inside.wait()
child = os.fork()
if child == 0:
    with default_dtype("float32"):
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
leave.set()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_builds_whatever_others_did_before():
    command = [sys.executable, "-W", "ignore", "-c", FORK]
    shown = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert shown.stdout == "7\n", shown.stderr


def test_a_number_type_that_is_none(tmp_path):
    _, folder = saved(tmp_path, AlbertModel)
    with pytest.raises(ConfigError, match=r"one of float64, .*, not 'int4'"):
        AlbertModel.from_pretrained(folder, dtype="int4")
    assert torch.get_default_dtype() == torch.float32


@pytest.mark.parametrize(
    "device_map", ["cpu", "auto", {"": "cpu"}, {"albert": "cpu", "out": "cpu"}]
)
def test_device_maps(device_map, tmp_path):
    model, folder = saved(tmp_path, AlbertForMaskedLM)
    found = AlbertForMaskedLM.from_pretrained(folder, device_map=device_map)
    assert found.device == torch.device("cpu")
    assert found.get_output_embeddings().weight is found.get_input_embeddings().weight
    assert same(found(**batch())[0], model(**batch())[0])


def test_a_device_map_moves_all_of_the_model(tmp_path):
    _, folder = saved(tmp_path, AlbertForMaskedLM)
    found = AlbertForMaskedLM.from_pretrained(folder, device_map={"": "meta"})
    assert {p.device.type for p in found.state_dict().values()} == {"meta"}
    with pytest.raises(ConfigError, match="device_map names 2 devices"):
        AlbertModel.from_pretrained(folder, device_map={"a": "cpu", "b": "meta"})


def test_attention_implementations(tmp_path, monkeypatch):
    _, folder = saved(tmp_path, AlbertModel)
    calls = []
    fused = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(
        torch.nn.functional,
        "scaled_dot_product_attention",
        lambda *a, **k: calls.append(1) or fused(*a, **k),
    )
    for implementation, count in {None: 12, "sdpa": 12, "eager": 0}.items():
        model = AlbertModel.from_pretrained(folder, attn_implementation=implementation)
        calls.clear()
        model(**batch())
        assert len(calls) == count
        model(**batch(), output_attentions=True)
        model(**batch(), head_mask=torch.ones(3))
        assert len(calls) == count  # neither of which the fused kernel can serve
    model.set_attn_implementation("sdpa")
    model(**batch())
    assert len(calls) == 12
    with pytest.raises(ConfigError, match=r"attn_implementation must be .*'flash'"):
        AlbertModel.from_pretrained(folder, attn_implementation="flash")


def test_another_number_of_labels(tmp_path, caplog):
    model, folder = saved(tmp_path, AlbertForSequenceClassification)
    with pytest.raises(CheckpointError) as problem:
        AlbertForSequenceClassification.from_pretrained(folder, num_labels=7)
    assert "classifier.bias: (4,) in the checkpoint, (7,)" in str(problem.value)
    assert "classifier.weight: (4, 12) in the checkpoint" in str(problem.value)
    assert "ignore_mismatched_sizes=True" in str(problem.value)
    found, info = AlbertForSequenceClassification.from_pretrained(
        folder, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info["mismatched_keys"] == [
        ("classifier.weight", (4, 12), (7, 12)),
        ("classifier.bias", (4,), (7,)),
    ]
    assert info["missing_keys"] == []
    assert "classifier.weight, classifier.bias" in caplog.text
    assert found(**batch()).logits.shape == (3, 7)
    assert found.config.id2label[6] == "LABEL_6"
    assert same(found.albert(**batch())[1], model.albert(**batch())[1])


def test_a_configuration_of_the_caller_s(tmp_path):
    model, folder = saved(tmp_path, AlbertModel)
    config = tiny(hidden_act="relu", num_hidden_layers=2)
    found = AlbertModel.from_pretrained(folder, config=config, output_attentions=True)
    assert not config.output_attentions
    other = AlbertModel(config).eval()
    other.load_state_dict(model.state_dict())
    output = found(**batch())
    assert len(output.attentions) == 4
    assert same(output[0], other(**batch(), output_attentions=True)[0])


def test_a_base_model_without_pooler(tmp_path):
    model, folder = saved(tmp_path, AlbertModel)
    found, info = AlbertModel.from_pretrained(
        folder, add_pooling_layer=False, output_loading_info=True
    )
    assert found.pooler is None
    assert set(info["unexpected_keys"]) == POOLER
    output = found(**batch())
    assert output.pooler_output is None
    assert len(output.to_tuple()) == 1
    assert same(output[0], model(**batch())[0])
    found.save_pretrained(tmp_path / "again")
    again = AlbertModel.from_pretrained(tmp_path / "again", output_loading_info=True)
    assert set(again[1]["missing_keys"]) == POOLER


def test_keywords_that_nothing_takes(tmp_path):
    _, folder = saved(tmp_path, AlbertModel)
    with pytest.raises(TypeError, match="add_poling_layer"):
        AlbertModel.from_pretrained(folder, add_poling_layer=False)


@pytest.mark.parametrize("model_class", HEADS)
@pytest.mark.parametrize("tied", [True, False])
def test_saving_and_loading_changes_nothing(model_class, tied, tmp_path):
    model, folder = saved(tmp_path, model_class, tie_word_embeddings=tied)
    found, info = model_class.from_pretrained(folder, output_loading_info=True)
    assert not any(info.values())
    assert found.config.to_dict() == model.config.to_dict()
    for name, tensor in model.state_dict().items():
        assert same(found.state_dict()[name], tensor), name
    assert found.num_parameters() == model.num_parameters()


def test_files_are_plain_safetensors(tmp_path):
    model, folder = saved(tmp_path, AlbertForPreTraining)
    stored = safetensors.torch.load_file(folder / "model.safetensors")
    wanted = {p.name for p in schema.parameters(model.config, "ForPreTraining")}
    assert stored.keys() == wanted
    for name, tensor in stored.items():
        assert same(tensor, model.state_dict()[name])
    with safetensors.safe_open(folder / "model.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt"}


def test_sharded_files(tmp_path):
    model = build(AlbertForMaskedLM)
    model.save_pretrained(tmp_path, max_shard_size="3KB")
    index = json.loads((tmp_path / "model.safetensors.index.json").read_text())
    shards = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert len(shards) > 2
    assert sorted(set(index["weight_map"].values())) == shards
    for shard in shards:
        for name, tensor in safetensors.torch.load_file(tmp_path / shard).items():
            assert index["weight_map"][name] == shard
            assert same(tensor, model.state_dict()[name])
    found = AlbertForMaskedLM.from_pretrained(tmp_path)
    assert same(found(**batch())[0], model(**batch())[0])
    model.save_pretrained(tmp_path)  # the shards go when they are out of date
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == [
        "model.safetensors"
    ]


def test_saving_other_tensors_or_nothing(tmp_path):
    model = build(AlbertModel)
    model.save_pretrained(tmp_path / "none", is_main_process=False)
    assert not (tmp_path / "none").exists()
    other = {name: tensor + 1 for name, tensor in model.state_dict().items()}
    model.save_pretrained(tmp_path, state_dict=other)
    found = AlbertModel.from_pretrained(tmp_path)
    assert same(found.pooler.bias, model.pooler.bias + 1)
    with pytest.raises(ConfigError, match="would write a pickle"):
        model.save_pretrained(tmp_path, safe_serialization=False)


MEASURE = """
import sys

import torch

import albert_torch
from albert_core import schema


def resident(key):
    for line in open("/proc/self/status"):
        if line.startswith(key):
            return int(line.split()[1]) * 1024


small, large = sys.argv[1:]
albert_torch.AlbertForMaskedLM.from_pretrained(small)  # what is loaded once for all
before = resident("VmRSS:")
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak starts anew
model = albert_torch.AlbertForMaskedLM.from_pretrained(large)
print(resident("VmHWM:") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_loading_holds_one_copy_and_the_largest_tensor(tmp_path):
    sizes = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    config = AlbertConfig(**sizes, num_hidden_layers=2, num_hidden_groups=2)
    model = AlbertForMaskedLM(config)
    model.save_pretrained(tmp_path / "large")
    weights = [p.numel() * p.element_size() for p in model.parameters()]
    build(AlbertForMaskedLM).save_pretrained(tmp_path / "small")
    command = [sys.executable, "-c", MEASURE, tmp_path / "small", tmp_path / "large"]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    spare = 4 * 2**20  # what the allocator does not give back
    peak = int(run.stdout)
    assert sum(weights) <= peak <= sum(weights) + max(weights) + spare
