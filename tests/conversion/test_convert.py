"""From every format to every other one: the same bits, and what others make of them."""

import hashlib
import json

import numpy as np
import pytest

import conversion
from albert_core import AlbertConfig, CheckpointError, ConfigError, checkpoint, schema
from conversion import hashing, open_checkpoint
from conversion.dtypes import Loss
from conversion.stores import STORES
from tests.conftest import tiny, weights, write

BITS = 0x9E3779B1  # odd: multiples of it are different 32-bit numbers
SHARDED = [name for name, store in STORES.items() if store.shards]


def patterns(config, head):
    """Weights of which no two are the same bits; infinities and NaNs among them."""
    arrays, start = {}, 1
    for parameter in schema.parameters(config, head):
        count = int(np.prod(parameter.shape))
        bits = (np.arange(start, start + count, dtype=np.uint64) * BITS) % 2**32
        arrays[parameter.name] = (
            bits.astype(np.uint32).view(np.float32).reshape(parameter.shape)
        )
        start += count
    return arrays


def holds(store, head):
    if store.heads and head not in store.heads:
        return False
    paths = {layer.path for layer in schema.HEADS[head].layers}
    return store.dialect.lacks.isdisjoint(paths - {"predictions.decoder"})


def digest(path):
    return hashing.whole(hashing.digests(open_checkpoint(path)))


@pytest.mark.parametrize("head", schema.HEADS)
def test_every_format_becomes_every_other_one(head, tmp_path):
    config = tiny(hidden_act="gelu_new", architectures=[f"Albert{head}"])
    arrays = patterns(config, head)
    checkpoint.save(tmp_path / "first", config, arrays)
    expected = digest(tmp_path / "first")
    names = [name for name, store in STORES.items() if holds(store, head)]
    for name in names:
        conversion.convert(tmp_path / "first", tmp_path / name, name, verify=False)
    for one in names:
        for other in names:
            place = tmp_path / f"{one}-{other}"
            done = conversion.convert(tmp_path / one, place, other, verify=False)
            assert done.sha256 == expected
    for one in names:
        place = tmp_path / f"{one}-{names[0]}"
        found = open_checkpoint(place)
        assert found.head == head
        assert {n: a.tobytes() for n, a in found.items()} == {
            n: a.tobytes() for n, a in arrays.items()
        }
        assert AlbertConfig.from_pretrained(place).to_dict() == config.to_dict()
        assert digest(tmp_path / f"safetensors-{one}") == expected


@pytest.mark.parametrize("name", SHARDED)
def test_several_files_are_as_good_as_one(name, tmp_path, caplog):
    write(tmp_path / "first", tiny(hidden_act="gelu_new"), "ForPreTraining")
    target = tmp_path / "target"
    done = conversion.convert(tmp_path / "first", target, name, max_shard_size="6KB")
    store = STORES[name]
    assert len(done.plan.files) > 2
    assert not (target / store.file).exists()
    index = json.loads((target / store.index).read_text())
    assert set(index["weight_map"].values()) == set(done.plan.files)
    found = open_checkpoint(target)
    assert found.store is store
    assert digest(target) == digest(target / store.index) == done.sha256
    conversion.convert(target, tmp_path / "back", "safetensors")
    assert digest(tmp_path / "back") == digest(tmp_path / "first")
    assert not caplog.records


@pytest.mark.parametrize("name", [n for n, s in STORES.items() if not s.head_file])
def test_files_of_weights_are_found_alone(name, tmp_path):
    write(tmp_path / "first", tiny(hidden_act="gelu_new"), "ForMaskedLM")
    done = conversion.convert(tmp_path / "first", tmp_path / "target", name)
    store = STORES[name]
    assert digest(tmp_path / "target" / store.file) == done.sha256
    renamed = tmp_path / "renamed"
    renamed.mkdir()
    for file in store.files(store.file):
        new = file.replace("model.", "mine.")
        (tmp_path / "target" / file).rename(renamed / new)
    path = renamed / store.file.replace("model.", "mine.")
    found = open_checkpoint(path)
    assert found.config is None
    assert hashing.whole(hashing.digests(found)) == done.sha256
    with pytest.raises(ConfigError, match=r"holds no config\.json.*give --config"):
        conversion.convert(path, tmp_path / "x", "safetensors")


def test_a_prefix_is_a_checkpoint(tmp_path):
    write(tmp_path / "first", tiny(hidden_act="gelu_new"), "ForPreTraining")
    conversion.convert(tmp_path / "first", tmp_path / "tf", "google-tf1")
    expected = digest(tmp_path / "first")
    assert digest(tmp_path / "tf" / "model.ckpt-best") == expected
    data = tmp_path / "tf" / "model.ckpt-best.data-00000-of-00001"
    assert digest(data) == expected
    theirs = json.loads((tmp_path / "tf" / "albert_config.json").read_text())
    assert theirs["hidden_act"] == "gelu"
    hub = tmp_path / "hub"
    (hub / "variables").mkdir(parents=True)
    (hub / "assets").mkdir()
    for ending in ("index", "data-00000-of-00001"):
        file = tmp_path / "tf" / f"model.ckpt-best.{ending}"
        file.rename(hub / "variables" / f"variables.{ending}")
    (hub / "assets" / "albert_config.json").write_text(json.dumps(theirs))
    (hub / "assets" / "30k-clean.model").write_text("pieces")
    conversion.convert(hub, tmp_path / "back", "safetensors")
    assert digest(tmp_path / "back") == expected
    assert (tmp_path / "back" / "30k-clean.model").read_text() == "pieces"


def test_google_s_model_has_no_projection_where_sizes_are_the_same(tmp_path):
    config = tiny(embedding_size=12, hidden_act="gelu_new")
    config.architectures = ["AlbertModel"]
    arrays = weights(config)
    projection = "encoder.embedding_hidden_mapping_in"
    checkpoint.save(tmp_path / "other", config, arrays)
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*mapping_in\.bias"):
        conversion.convert(tmp_path / "other", tmp_path / "x", "google-tf1")
    arrays[f"{projection}.bias"] = np.zeros(12, np.float32)
    checkpoint.save(tmp_path / "other", config, arrays)
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*mapping_in\.weight"):
        conversion.convert(tmp_path / "other", tmp_path / "x", "google-tf1")
    arrays[f"{projection}.weight"] = np.eye(12, dtype=np.float32)
    checkpoint.save(tmp_path / "other", config, arrays)
    done = conversion.convert(tmp_path / "other", tmp_path / "tf", "google-tf1")
    assert done.sha256 == digest(tmp_path / "tf") == digest(tmp_path / "other")
    stored = STORES["google-tf1"].read(tmp_path / "tf" / "model.ckpt-best.index")
    assert not any("mapping_in" in name for name in stored)


@pytest.mark.parametrize(("dtype", "size"), [("bfloat16", 2), ("float16", 2)])
@pytest.mark.bad_input(68)
def test_number_types_change_with_an_account(dtype, size, tmp_path):
    config = tiny()
    config.architectures = ["AlbertModel"]
    arrays = weights(config)
    arrays["pooler.bias"][:3] = 1e-8, -70000.0 if dtype == "float16" else 3.4e38, 0.1
    arrays["pooler.bias"][3] = 0  # which is no underflow
    checkpoint.save(tmp_path / "first", config, arrays)
    with pytest.raises(CheckpointError, match=r"OVERFLOW .*1 numbers of pooler\.bias"):
        conversion.convert(
            tmp_path / "first", tmp_path / "x", "safetensors", dtype=dtype
        )
    assert not (tmp_path / "x").exists()
    done = conversion.convert(
        tmp_path / "first", tmp_path / "x", "safetensors", dtype=dtype, saturate=True
    )
    assert done.loss.overflowed == 1
    assert done.loss.underflowed == (1 if dtype == "float16" else 0)
    if dtype == "bfloat16":  # the small numbers of float16 have fewer digits
        assert 2**-9 < done.loss.relative_error <= 2**-8
    found = open_checkpoint(tmp_path / "x")
    assert {found.dtype(name) for name in found} == {dtype}
    assert found.config.dtype == dtype
    largest = {"float16": 65504.0, "bfloat16": 3.3895314e38}[dtype]
    assert abs(float(found["pooler.bias"][1])) == pytest.approx(largest)
    back = conversion.convert(
        tmp_path / "x", tmp_path / "y", "pytorch-bin", dtype="float32"
    )
    assert back.loss == Loss()


def test_the_hash_is_what_is_written_of_it(tmp_path):
    """Computed a second time, from the sentences of the documentation."""
    config = tiny(architectures=["AlbertForMaskedLM"])
    arrays = weights(config, "ForMaskedLM")
    checkpoint.save(tmp_path / "x", config, arrays)
    lines = []
    for name, array in arrays.items():
        own = hashlib.sha256(array.astype("<f4").tobytes()).hexdigest()
        shape = ",".join(map(str, array.shape))
        name = name.removeprefix("albert.")
        lines.append(f"{name}\tfloat32\t{shape}\t{own}\n")
    expected = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    assert digest(tmp_path / "x") == expected


def test_a_format_without_a_number_type(tmp_path):
    write(tmp_path / "first", tiny())
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*number type bfloat16"):
        conversion.convert(
            tmp_path / "first", tmp_path / "x", "tensorflow-h5", dtype="bfloat16"
        )
    with pytest.raises(ConfigError, match="no conversion to 'int8'"):
        conversion.convert(
            tmp_path / "first", tmp_path / "x", "safetensors", dtype="int8"
        )
    with pytest.raises(ConfigError, match="There is no format 'onnx'"):
        conversion.convert(tmp_path / "first", tmp_path / "x", "onnx")


@pytest.mark.parametrize("name", ["tensorflow-h5", "flax-msgpack", "google-tf1"])
def test_what_a_format_lacks_is_named(name, tmp_path):
    config = tiny(position_embedding_type="relative_key", hidden_act="gelu_new")
    write(tmp_path / "first", config)
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*distance_embedding"):
        conversion.convert(tmp_path / "first", tmp_path / "x", name)
    assert not (tmp_path / "x").exists()


def test_a_part_of_a_checkpoint(tmp_path):
    write(tmp_path / "first", tiny(), "ForPreTraining")
    done = conversion.convert(
        tmp_path / "first", tmp_path / "base", "safetensors", drop_head=True
    )
    assert open_checkpoint(tmp_path / "base").head == "Model"
    assert {name.split(".")[0] for name in done.plan.dropped} == {
        "predictions",
        "sop_classifier",
    }
    conversion.convert(
        tmp_path / "first", tmp_path / "part", "pytorch-bin", include=["embeddings.*"]
    )
    found = open_checkpoint(tmp_path / "part")
    assert {schema.base_name(name).split(".")[0] for name in found} == {"embeddings"}
    with pytest.raises(ConfigError, match=r"No array .* matches 'nothing'"):
        conversion.convert(
            tmp_path / "first", tmp_path / "x", "safetensors", include=["nothing"]
        )


@pytest.mark.bad_input(63, 64, 65)
def test_what_is_missing_left_over_or_of_another_model(tmp_path):
    config = tiny(architectures=["AlbertForMaskedLM"])
    arrays = weights(config, "ForMaskedLM")
    word = arrays.pop("albert.embeddings.word_embeddings.weight")
    checkpoint.save(tmp_path / "a", config, arrays)
    with pytest.raises(CheckpointError, match=r"missing .*word_embeddings"):
        conversion.convert(tmp_path / "a", tmp_path / "x", "safetensors")
    arrays["albert.embeddings.word_embeddings.weight"] = word[:-1]
    checkpoint.save(tmp_path / "a", config, arrays)
    with pytest.raises(CheckpointError, match=r"shape .*word_embeddings.*\(30, 5\)"):
        conversion.convert(tmp_path / "a", tmp_path / "x", "safetensors")
    arrays["albert.embeddings.word_embeddings.weight"] = word
    arrays["extra.weight"] = word
    checkpoint.save(tmp_path / "a", config, arrays)
    with pytest.raises(CheckpointError, match=r"UNEXPECTED .*'extra\.weight'"):
        conversion.convert(tmp_path / "a", tmp_path / "x", "safetensors")
    done = conversion.convert(
        tmp_path / "a", tmp_path / "x", "safetensors", allow_unused=True
    )
    assert done.plan.dropped == {"extra.weight": "not known"}
    bert = {f"bert.encoder.layer.{i}.output.dense.weight": word for i in range(5)}
    checkpoint.save(tmp_path / "b", config, bert)
    with pytest.raises(CheckpointError, match=r"WRONG_MODEL .*0 of its 5 .*BERT"):
        conversion.convert(tmp_path / "b", tmp_path / "y", "safetensors")
    del arrays["predictions.dense.weight"], arrays["extra.weight"]
    checkpoint.save(tmp_path / "c", config, arrays)
    with pytest.raises(CheckpointError, match=r"MISSING .*predictions\.dense\.weight"):
        conversion.convert(tmp_path / "c", tmp_path / "y", "safetensors")


@pytest.mark.bad_input(65)
def test_two_arrays_for_one_parameter(tmp_path):
    config = tiny(architectures=["AlbertForMaskedLM"])
    arrays = weights(config, "ForMaskedLM")
    arrays["predictions.decoder.bias"] = arrays["predictions.bias"].copy()
    table = arrays["albert.embeddings.word_embeddings.weight"]
    arrays["predictions.decoder.weight"] = table.copy()
    checkpoint.save(tmp_path / "a", config, arrays)
    found = open_checkpoint(tmp_path / "a")
    assert "predictions.decoder.weight" not in found
    assert len(found.sources["predictions.bias"]) == 2
    arrays["predictions.decoder.bias"] += 1
    checkpoint.save(tmp_path / "a", config, arrays)
    with pytest.raises(CheckpointError, match=r"DUPLICATE .*decoder\.bias"):
        open_checkpoint(tmp_path / "a")
    arrays["predictions.decoder.bias"] -= 1
    del arrays["predictions.decoder.bias"]
    arrays["predictions.decoder.weight"] += 1
    checkpoint.save(tmp_path / "a", config, arrays)
    with pytest.raises(CheckpointError, match=r"DUPLICATE .*decoder\.weight"):
        open_checkpoint(tmp_path / "a")
    config.tie_word_embeddings = False
    checkpoint.save(tmp_path / "a", config, arrays)
    done = conversion.convert(tmp_path / "a", tmp_path / "b", "flax-msgpack")
    assert done.sha256 == digest(tmp_path / "a")
    with pytest.raises(CheckpointError, match=r"CANNOT_HOLD .*predictions\.decoder"):
        conversion.convert(tmp_path / "a", tmp_path / "x", "tensorflow-h5")


def test_the_bias_that_counts_is_that_of_the_decoder(tmp_path):
    """Hugging Face's TensorFlow files hold another one, of zeros, that nothing uses."""
    config = tiny(architectures=["AlbertForMaskedLM"])
    write(tmp_path / "first", config, "ForMaskedLM")
    conversion.convert(tmp_path / "first", tmp_path / "tf", "tensorflow-safetensors")
    path = tmp_path / "tf" / "model.safetensors"
    stored = {
        name: lazy.read() for name, lazy in STORES["safetensors"].read(path).items()
    }
    live, dead = "predictions/decoder/bias:0", "predictions/bias:0"
    assert (stored[live] == stored[dead]).all()
    stored[dead] = stored[dead] * 0
    path.unlink()
    STORES["tensorflow-safetensors"].write(path, stored)
    assert digest(tmp_path / "tf") == digest(tmp_path / "first")
    assert open_checkpoint(tmp_path / "tf").left == {
        dead: "an array that is never used"
    }


@pytest.mark.bad_input(59)
def test_an_optimizer_s_slots_are_left_and_named(tmp_path):
    write(tmp_path / "first", tiny(hidden_act="gelu_new"), "ForPreTraining")
    done = conversion.convert(tmp_path / "first", tmp_path / "tf", "google-tf1")
    store = STORES["google-tf1"]
    stored = {
        f"module/{name}": lazy.read()
        for name, lazy in store.read(tmp_path / "tf" / store.file).items()
    }
    slots = {f"{name}/adam_m": array for name, array in stored.items()}
    for file in store.files(store.file):
        (tmp_path / "tf" / file).unlink()
    step = {"global_step": np.array(7, np.int64)}
    store.write(tmp_path / "tf" / store.file, stored | slots | step)
    again = conversion.convert(tmp_path / "tf", tmp_path / "back", "safetensors")
    assert again.sha256 == done.sha256
    assert again.plan.dropped.keys() == slots.keys() | step.keys()


def test_the_manifest_says_what_is_there(tmp_path):
    write(tmp_path / "first", tiny())
    (tmp_path / "first" / "spiece.model").write_text("pieces")
    done = conversion.convert(tmp_path / "first", tmp_path / "x", "flax-msgpack")
    facts = json.loads((tmp_path / "x" / "conversion.json").read_text())
    assert facts["sha256"] == done.sha256
    assert set(facts["files"]) == {"config.json", "spiece.model"}
    assert len(facts["arrays"]) == len(done.plan.items)
    again = conversion.convert(tmp_path / "first", tmp_path / "y", "flax-msgpack")
    assert again.sha256 == done.sha256
    for file in (tmp_path / "x").iterdir():
        assert file.read_bytes() == (tmp_path / "y" / file.name).read_bytes()
