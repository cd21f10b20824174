"""Loading, saving and changing TensorFlow models."""

import re
import subprocess
import sys
import textwrap
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from albert_core import AlbertConfig, checkpoint
from albert_core.errors import CheckpointError, ConfigError
from albert_core.schema import parameters
from albert_core.spelling import KERAS
from tests.backends.tf_models import (
    ALL,
    ONE_LAYER,
    SHALLOW,
    batch,
    build,
    class_of,
    expected,
    labels,
    off,
)
from tests.conftest import tiny, write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def stored(tmp_path):
    """A function that writes a small checkpoint and returns its path."""
    return lambda head="Model", **changes: write(
        tmp_path / "stored", tiny(**{**SHALLOW, **changes}), head
    )


def path_of(parameter):
    """Where Hugging Face's TensorFlow classes keep a parameter, in the Keras 3 form."""
    layer = re.sub(r"/(\d+)", r"_._\1", parameter.layer.replace(".", "/"))
    return f"{layer}/{KERAS.leaf(parameter)}"


def assert_whole(model):
    """A model's weights are those of a new one of its configuration, and no others."""
    own = parameters(model.config, model.head, model.base_model.pooler is not None)
    assert sum(p.size for p in own) == model.num_parameters()
    found = {v.path: tuple(v.shape) for v in model.weights}
    fresh = type(model)(AlbertConfig.from_dict(model.config.to_dict()))
    assert list(found.items()) == [(v.path, tuple(v.shape)) for v in fresh.weights]
    assert len(model.weights) == len(found)
    assert {v.dtype for v in model.weights} == {model.variable_dtype}


@pytest.mark.parametrize("head", ALL)
def test_paths_are_hugging_face_s_names(head):
    config = tiny(tie_word_embeddings=False, position_embedding_type="relative_key")
    model = class_of(head)(config)
    prefix = "albert/" if head == "Model" else ""
    wanted = {prefix + path_of(p) for p in parameters(config, head)}
    assert (
        "albert/encoder/albert_layer_groups_._1/albert_layers_._0/ffn/kernel" in wanted
    )
    assert {v.path for v in model.weights} == wanted
    assert len(model.weights) == len(wanted)


# Loading

DTYPES = [
    ("float64", "float64"),
    ("float16", "float16"),
    ("bfloat16", "bfloat16"),
    ("mixed_bfloat16", "mixed_bfloat16"),
    ("auto", "float32"),
    ("torch.bfloat16", "bfloat16"),
    (tf.float64, "float64"),
    (np.float16, "float16"),
    (np.dtype("float64"), "float64"),
    (keras.DTypePolicy("mixed_float16"), "mixed_float16"),
]


@pytest.mark.parametrize(("dtype", "policy"), DTYPES, ids=str)
def test_number_types(dtype, policy, stored):
    path = stored("ForMaskedLM")
    before = keras.config.dtype_policy()
    model = class_of("ForMaskedLM").from_pretrained(path, dtype=dtype)
    assert model.dtype_policy.name == policy
    assert {v.dtype for v in model.weights} == {model.variable_dtype}
    assert keras.config.dtype_policy() == before
    exact = build("ForMaskedLM").canonical_arrays()
    bound = 2e-2 if "bf" in policy else 2e-3 if "16" in policy else 0
    for name, array in model.canonical_arrays().items():
        assert off(array, exact[name]) <= (0 if "mixed" in policy else bound)
    old = class_of("ForMaskedLM").from_pretrained(path, torch_dtype=dtype)
    assert old.dtype_policy == model.dtype_policy


def test_auto_is_the_number_type_of_the_checkpoint(tmp_path):
    build(dtype="float16").save_pretrained(tmp_path)
    assert AlbertConfig.from_pretrained(tmp_path).dtype == "float16"
    assert class_of("Model").from_pretrained(tmp_path, dtype="auto").dtype == "float16"
    assert class_of("Model").from_pretrained(tmp_path).dtype == "float32"


@pytest.mark.parametrize("dtype", ["float8", "int32", 7])
def test_other_number_types_are_refused(dtype, stored):
    before = keras.config.dtype_policy()
    with pytest.raises(ConfigError, match=r"dtype must be one of float64, .*mixed_bfl"):
        class_of("Model").from_pretrained(stored(), dtype=dtype)
    assert keras.config.dtype_policy() == before


@pytest.mark.parametrize("device", ["auto", "/CPU:0", "cpu", None])
def test_devices(device, stored):
    model = class_of("Model").from_pretrained(stored(), device_map=device)
    assert "CPU:0" in model.weights[0].value.device
    assert off(model(batch()), expected(model, **batch())) < 1e-5


def test_what_from_pretrained_tells(stored):
    load = class_of("ForSequenceClassification").from_pretrained
    path = stored("ForSequenceClassification")
    with pytest.raises(
        CheckpointError, match=r"(?s)classifier.bias.*num_labels of the"
    ):
        load(path, num_labels=7)
    model, info = load(
        path, num_labels=7, ignore_mismatched_sizes=True, output_loading_info=True
    )
    assert info["mismatched_keys"] == [
        ("classifier.weight", (4, 12), (7, 12)),
        ("classifier.bias", (4,), (7,)),
    ]
    assert model(batch()).logits.shape == (2, 7)
    assert np.abs(model.classifier.kernel).max() > 0
    changed = load(path, output_attentions=True, hidden_dropout_prob=0.5)
    assert len(changed(batch()).attentions) == 2
    given = tiny(**SHALLOW, output_hidden_states=True)
    assert len(load(path, config=given)(batch()).hidden_states) == 3
    with pytest.raises(TypeError, match="unexpected keyword argument 'nothing'"):
        load(path, nothing=1)


@pytest.mark.parametrize("head", ALL)
def test_shards_come_back_the_same(head, tmp_path):
    model = build(head, tie_word_embeddings=False)
    model.save_pretrained(tmp_path, max_shard_size=1500)
    assert len(list(tmp_path.glob("model-*.safetensors"))) > 3
    again = type(model).from_pretrained(tmp_path, dtype="auto")
    assert again.config.architectures == [f"Albert{head}"]
    assert off(again(batch(head)), model(batch(head))) == 0


def test_large_weights_are_filled_by_rows(stored, monkeypatch):
    monkeypatch.setattr("albert_tf.pretrained.LARGEST_COPY", 64)
    path = stored("ForMaskedLM")
    for dtype in ("float64", "bfloat16"):
        model = class_of("ForMaskedLM").from_pretrained(path, dtype=dtype)
        exact = build("ForMaskedLM", dtype).canonical_arrays()
        for name, array in model.canonical_arrays().items():
            assert off(array, exact[name]) == 0
        # And are read where they stand, not copied for every product.
        for variable in model.weights:
            reads = [variable.value.read_value()._numpy() for _ in range(2)]
            assert np.shares_memory(*reads), variable.path


def test_save_pretrained_also_exports(tmp_path):
    model = build("ForMaskedLM", **ONE_LAYER)
    model.save_pretrained(tmp_path, saved_model=True)
    assert (
        checkpoint.Checkpoint.open(tmp_path).keys() == model.canonical_arrays().keys()
    )
    served = tf.saved_model.load(tmp_path / "saved_model" / "1")
    found = served.serve({name: tf.constant(x) for name, x in batch().items()})
    assert off(found, dict(model(batch()))) < 1e-12


def test_weights_that_are_not_albert_s_are_not_lost_silently(tmp_path):
    class Mine(class_of("Model")):
        def __init__(self, config):
            super().__init__(config)
            self.extra = keras.layers.Dense(2)

        def call(self, input_ids):
            return self.extra(super().call(input_ids).pooler_output)

    path = write(tmp_path / "stored", tiny(**SHALLOW))
    model = Mine.from_pretrained(path)
    assert model(batch()["input_ids"]).shape == (2, 2)
    with pytest.raises(
        ConfigError, match=r"albert/extra/kernel, albert/extra/bias. Keep"
    ):
        model.save_pretrained(tmp_path / "new")
    assert not (tmp_path / "new").exists()


# Changing


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("size", "multiple", "wanted"),
    [(40, None, 40), (20, None, 20), (33, 8, 40), (None, 16, 32), (31, None, 31)],
)
def test_resizing(size, multiple, wanted, tied, tmp_path):
    model = build("ForPreTraining", tie_word_embeddings=tied)
    before = model.canonical_arrays()
    table = model.resize_token_embeddings(size, pad_to_multiple_of=multiple)
    assert table is model.get_input_embeddings()
    assert (model.get_output_embeddings() is table) == tied
    assert model.config.vocab_size == wanted
    assert_whole(model)
    kept = min(wanted, 31)
    for name, array in model.canonical_arrays().items():
        if before[name].shape == array.shape:
            assert off(array, before[name]) == 0
        else:
            assert array.shape == (wanted, *before[name].shape[1:])
            assert off(array[:kept], before[name][:kept]) == 0
    ids = batch()["input_ids"] % kept
    assert off(model(ids), expected(model, input_ids=ids)) < 1e-12
    if wanted > 31:  # a new row is close to the mean of the old ones
        old = before["albert.embeddings.word_embeddings.weight"]
        assert np.abs(table.embeddings[-1] - old.mean(0)).max() < 1e-3
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype="float64")
    assert off(again(ids), model(ids)) == 0


def test_a_vocabulary_without_padding_is_refused():
    model = build(pad_token_id=30)
    with pytest.raises(ConfigError, match="has no entry 30, which is pad_token_id"):
        model.resize_token_embeddings(20)
    assert_whole(model)


HEADS_TO_PRUNE = {0: [1], 3: [0, 2]}


@pytest.mark.parametrize("dtype", ["float64", "mixed_bfloat16"])
def test_pruning(dtype, tmp_path):
    size = {"num_hidden_layers": 4, "inner_group_num": 2}
    model = build("ForMaskedLM", dtype, **size)
    before = build("ForMaskedLM", dtype, **size)
    model.prune_heads(HEADS_TO_PRUNE)
    assert model.config.pruned_heads == HEADS_TO_PRUNE
    assert_whole(model)
    assert model.num_parameters() < before.num_parameters()
    found = model(batch(), output_attentions=True)
    assert [x.shape[1] for x in found.attentions] == [2, 3, 2, 3, 3, 1, 3, 1]
    if dtype == "float64":
        assert off(model(batch()), expected(model, **batch())) < 1e-12
        # What is left of a pruned head is the bias of its values.
        assert off(model(batch()), before(batch())) > 1e-3
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype=dtype)
    assert off(again(batch()), model(batch())) == 0
    again.prune_heads({0: [1, 2]})
    assert again.config.pruned_heads == {0: [1, 2], 3: [0, 2]}
    assert_whole(again)


def test_a_head_without_value_may_be_cut():
    model = build("ForMaskedLM")
    for group in model.albert.encoder.albert_layer_groups:
        value = group.albert_layers[0].attention.value
        keep = np.repeat([1.0, 0.0, 1.0], 4)
        value.kernel.assign(value.kernel * keep)
        value.bias.assign(value.bias * keep)
    exact = model(batch())
    model.prune_heads({0: [1], 1: [1]})
    assert off(model(batch()), exact) < 1e-12


def test_a_changed_model_learns():
    model = build("ForPreTraining", "float32")
    model.resize_token_embeddings(40)
    model.prune_heads({0: [1]})
    model.gradient_checkpointing_enable()
    model.compile("sgd", run_eagerly=True)
    before = [v.numpy() for v in model.weights]
    data = {**batch(), **labels("ForPreTraining")}
    assert np.isfinite(model.fit(data, verbose=0).history["loss"]).all()
    for variable, value in zip(model.weights, before, strict=True):
        if "key/bias" not in variable.path:  # softmax does not see it
            assert off(variable.numpy(), value) > 1e-6, variable.path


def test_what_is_frozen_stays_frozen():
    model = build("ForMaskedLM", "float32")
    model.albert.trainable = False
    model.predictions.dense.trainable = True
    frozen = {v.path for v in model.non_trainable_weights}
    assert any("attention/query" in path for path in frozen)
    model.resize_token_embeddings(40)
    model.prune_heads({1: [0]})
    assert {v.path for v in model.non_trainable_weights} == frozen
    model.albert.trainable = True
    block = model.albert.encoder.albert_layer_groups[0].albert_layers[0]
    block.attention.query.trainable = False
    model.prune_heads({0: [2]})
    frozen = [v.path for v in model.non_trainable_weights]
    assert [path.split("/")[-2:] for path in frozen] == [
        ["query", "kernel"],
        ["query", "bias"],
    ]


def test_other_embeddings():
    model = build("ForMaskedLM")
    count, place = len(model.weights), model.weights[0].path
    table = keras.layers.Embedding(31, 5, dtype="float64")
    model.set_input_embeddings(table)
    assert model.get_input_embeddings() is model.get_output_embeddings() is table
    assert len(model.weights) == count
    assert model.weights[0].path == place
    assert off(model(batch()), expected(model, **batch())) < 1e-12
    assert build("ForQuestionAnswering").get_output_embeddings() is None
    model.tie_weights()


def test_numbers_of_parameters():
    model = build("ForMaskedLM")
    sizes = {p.name: p.size for p in parameters(model.config, "ForMaskedLM")}
    assert model.num_parameters() == sum(sizes.values())
    assert model.num_parameters() == sum(int(np.prod(v.shape)) for v in model.weights)
    tables = sum(n for name, n in sizes.items() if "_embeddings." in name)
    assert tables == (31 + 23 + 2) * 5
    found = model.num_parameters(exclude_embeddings=True)
    assert found == sum(sizes.values()) - tables
    model.albert.embeddings.trainable = False
    found = model.num_parameters(only_trainable=True)
    assert found == sum(sizes.values()) - tables - 2 * 5


# Memory

LOADING = """
    import sys, threading, time
    from albert_tf import TFAlbertModel

    def anonymous():
        with open("/proc/self/status") as file:
            (line,) = [line for line in file if line.startswith("RssAnon")]
        return int(line.split()[1]) / 1024

    def watch():
        global most
        while not done:
            most = max(most, anonymous())
            time.sleep(0.0005)

    TFAlbertModel.from_pretrained(sys.argv[1])  # starts TensorFlow
    before = most = anonymous()
    done = False
    thread = threading.Thread(target=watch)
    thread.start()
    TFAlbertModel.from_pretrained(sys.argv[2])
    done = True
    thread.join()
    print("MiB", most - before)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs Linux's /proc"
)
def test_loading_holds_one_copy_and_the_largest_tensor(tmp_path, monkeypatch):
    # Freed memory goes back to the system, so that what is held can be seen.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")  # oneDNN keeps what is freed
    small = write(tmp_path / "small", tiny(**SHALLOW))
    large = {"hidden_size": 768, "num_attention_heads": 12, "intermediate_size": 3072}
    config = AlbertConfig(**large, embedding_size=256, vocab_size=30000)
    arrays = {p.name: np.ones(p.shape, np.float32) for p in parameters(config)}
    checkpoint.save(tmp_path / "large", config, arrays)
    sizes = [array.nbytes / 2**20 for array in arrays.values()]
    script = [sys.executable, "-c", textwrap.dedent(LOADING)]
    done = subprocess.run(
        [*script, small, tmp_path / "large"],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    found = float(done.stdout.split()[-1]) if done.stdout else done.stderr[-3000:]
    # Rows are copied some MiB at a time, and loading has code of its own.
    assert sum(sizes) < found < sum(sizes) + max(sizes) + 6
