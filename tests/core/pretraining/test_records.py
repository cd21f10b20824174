"""Instances go into Google's records and come back as they were."""

import json

import numpy as np
import pytest

from albert_core import InputError
from albert_core.data.google_records import read_pretraining, write_pretraining
from albert_core.data.pretraining import records
from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.dataset import MANIFEST, Manifest, read_shard
from albert_core.data.pretraining.instances import from_google, to_google
from albert_core.data.pretraining.records import from_records, to_records
from tests.conftest import GOLDEN
from tests.core.pretraining.helpers import PIECES, contents, folder, same

SPIECE = str(GOLDEN / "tokenizer")


@pytest.fixture
def made(tmp_path):
    return folder(tmp_path / "data", [4, 3])


@pytest.fixture
def files(made, tmp_path):
    assert to_records(made, tmp_path / "records") == 2
    return sorted((tmp_path / "records").iterdir())


def all_of(path):
    return next(PretrainingData(path).in_order(1000))


def test_there_and_back_the_batches_are_the_same(made, files, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "ROWS", 5)
    steps = []
    manifest = from_records(files, SPIECE, tmp_path / "back", steps.append)
    assert manifest.shards == [
        ("shard-00000.safetensors", 5),
        ("shard-00001.safetensors", 2),
    ]
    assert steps == [name for name, _ in manifest.shards]
    assert (manifest.max_seq_length, manifest.pieces.size) == (16, 1000)
    assert manifest.origin == {
        "records": [[file.name, file.stat().st_size] for file in files]
    }
    assert same(all_of(made), all_of(tmp_path / "back"))
    to_records(tmp_path / "back", tmp_path / "twice")
    again = sorted((tmp_path / "twice").iterdir())
    rows = [list(read_pretraining(paths)) for paths in (files, again)]
    assert len(rows[0]) == len(rows[1]) == 7
    assert all(same(a, b) for a, b in zip(*rows, strict=True))


def test_a_record_is_as_googles_script_has_it(made, files):
    (first, *_) = read_pretraining(files)
    batch = {name: column[0] for name, column in all_of(made).items()}
    kept = batch["masked_lm_labels"] >= 0
    expected = {
        "input_ids": batch["input_ids"],
        "input_mask": batch["attention_mask"],
        "segment_ids": batch["token_type_ids"],
        "token_boundary": batch["attention_mask"],  # all of them begin a word
        "masked_lm_positions": batch["masked_lm_positions"],
        "masked_lm_ids": np.where(kept, batch["masked_lm_labels"], 0),
        "masked_lm_weights": kept,
        "next_sentence_labels": batch["sentence_order_label"][None],
    }
    assert first.keys() == expected.keys()
    for name, array in first.items():
        weights = name == "masked_lm_weights"
        assert array.dtype == (np.float32 if weights else np.int64)
        assert array.tolist() == expected[name].tolist()


def test_columns_come_back_as_they_were(made):
    table = read_shard(made / "shard-0.safetensors")
    assert same(from_google(to_google(table)), table)


def test_in_records_of_bert_every_token_begins_a_word(made):
    table = read_shard(made / "shard-0.safetensors")
    rows = to_google({**table, "starts": np.zeros_like(table["starts"])})
    assert not from_google(rows)["starts"].any()
    for row in rows:
        del row["token_boundary"]
    assert same(from_google(rows), table)


def test_what_counts_may_stand_behind_what_does_not(made):
    table = read_shard(made / "shard-0.safetensors")
    rows = to_google(table)
    turned = [
        {n: a[::-1] if n.startswith("masked") else a for n, a in row.items()}
        for row in rows
    ]
    found = from_google(turned)
    assert found["masked_counts"].tolist() == table["masked_counts"].tolist()
    for row, count in enumerate(table["masked_counts"]):
        for name in ("masked_positions", "masked_ids"):
            mine = table[name][row, :count].tolist()
            assert found[name][row, :count].tolist() == mine[::-1]


@pytest.mark.parametrize("name", ["input_ids", "masked_lm_ids"])
def test_ids_over_the_vocabulary_are_refused(made, tmp_path, name):
    rows = to_google(read_shard(made / "shard-0.safetensors"))
    rows[2][name][1] = 999
    write_pretraining(tmp_path / "good", rows)
    from_records([tmp_path / "good"], SPIECE, tmp_path / "x")
    rows[2][name][1] = 1000
    write_pretraining(tmp_path / "bad", rows)
    with pytest.raises(InputError) as problem:
        from_records([tmp_path / "bad"], SPIECE, tmp_path / "y")
    assert str(problem.value) == (
        "The records hold the id 1000, but the tokenizer has 1000 pieces. Give the "
        "tokenizer that they were made with."
    )
    with pytest.raises(InputError, match=r"holds no pretraining data"):
        PretrainingData(tmp_path / "y")


def test_a_folder_that_is_taken_is_left_alone(made, files):
    before = contents(made)
    with pytest.raises(InputError, match=r"holds pretraining data already. Choose an"):
        from_records(files, SPIECE, made)
    assert contents(made) == before


def test_damaged_records_are_refused(files, tmp_path):
    files[1].write_bytes(files[1].read_bytes()[:-3])
    with pytest.raises(InputError, match=r"shard-1.tfrecord"):
        from_records(files, SPIECE, tmp_path / "x")
    assert not (tmp_path / "x" / MANIFEST).exists()


def test_what_is_not_complete_is_refused(tmp_path):
    Manifest({}, PIECES, "x", 16, None).write(tmp_path)
    with pytest.raises(InputError, match=r"is not complete. Make its instances first"):
        to_records(tmp_path, tmp_path / "records")
    assert json.loads((tmp_path / MANIFEST).read_text())["shards"] is None
    assert not (tmp_path / "records").exists()
