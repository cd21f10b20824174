"""The same text, recipe and seed make the same bytes, however the work was done."""

import errno
import json
import time
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace

import numpy as np
import pytest

from albert_core import InputError, safetensors_file
from albert_core.data.pretraining import creation, dataset
from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.creation import create
from albert_core.data.pretraining.dataset import Recipe, read_manifest, read_shard
from albert_core.data.pretraining.instances import restored, to_batch
from albert_core.data.pretraining.masking import Masking, starts_word
from albert_core.data.pretraining.vocabulary import vocabulary
from albert_core.errors import AlbertError
from albert_core.tokenization import load_tokenizer
from tests.conftest import GOLDEN
from tests.core.pretraining.helpers import contents
from tests.golden.tokenizer_texts import training_sentences

SPIECE, WORDPIECE = str(GOLDEN / "tokenizer"), str(GOLDEN / "wordpiece")
RECIPE = Recipe(32, dupe_factor=2, seed=5, masking=Masking(max_predictions_per_seq=4))
BLOCK = 2000


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
    """Two files of documents of seven sentences."""
    place, lines = tmp_path_factory.mktemp("texts"), training_sentences(160)
    lines = [f"{line}\n{chr(10) * (n % 7 == 6)}" for n, line in enumerate(lines)]
    lines = [
        line.replace("\n", "\n\n", 1) if "\n" in line[:-1] else line for line in lines
    ]
    paths = [place / "a.txt", place / "b.txt"]
    paths[0].write_text("".join(lines[:100]), "utf-8")
    paths[1].write_text("".join(lines[100:]), "utf-8")
    return paths


@pytest.fixture(scope="module")
def made(texts, tmp_path_factory):
    """A folder of instances, which no test changes."""
    path = tmp_path_factory.mktemp("made") / "data"
    create(texts, SPIECE, path, RECIPE, block=BLOCK)
    return path


@pytest.fixture
def again(texts, tmp_path):
    """Make the same once more: (folder, **changes) -> manifest."""

    def run(path=tmp_path / "again", recipe=RECIPE, **changes):
        given = {"paths": texts, "tokenizer": SPIECE, "block": BLOCK} | changes
        return create(output=path, recipe=recipe, **given)

    return run


def refused(call):
    with pytest.raises(AlbertError) as problem:
        call()
    return str(problem.value)


def failing(monkeypatch, after, problem):
    """Let the disk take some shards, and then a part of another."""
    write, written = safetensors_file.write, []

    def fail(path, *arguments, **options):
        if len(written) < after:
            written.append(path)
            return write(path, *arguments, **options)
        path.write_bytes(b"half")
        raise problem

    monkeypatch.setattr(dataset.safetensors_file, "write", fail)


def test_what_an_instance_is(made):
    manifest, words = read_manifest(made), vocabulary(SPIECE)
    assert len(manifest.shards) > 3
    assert manifest.pieces.size == 1000
    assert manifest.max_seq_length == 32
    for name, count in manifest.shards:
        table = read_shard(made / name, count)
        batch, plain = to_batch(table), restored(table)["input_ids"]
        assert {column.dtype for column in batch.values()} == {np.dtype(np.int32)}
        for row in range(count):
            end, second = table["lengths"][row], table["first_lengths"][row]
            ids = plain[row, :end].tolist()
            assert ids[0] == words.cls_id
            assert ids.count(words.cls_id) == 1
            assert [n for n, x in enumerate(ids) if x == words.sep_id] == [
                second - 1,
                end - 1,
            ]
            assert 2 < second < end - 1 <= 31
            assert not plain[row, end:].any()
            assert not batch["input_ids"][row, end:].any()
            mask = batch["attention_mask"][row].tolist()
            assert mask == [1] * end + [0] * (32 - end)
            types = batch["token_type_ids"][row].tolist()
            assert types == [0] * second + [1] * (end - second) + [0] * (32 - end)
            begins = words.starts[ids] | np.isin(ids, [words.cls_id, words.sep_id])
            assert table["starts"][row].tolist() == [*begins, *[0] * (32 - end)]
            hidden = table["masked_counts"][row]
            assert hidden <= min(4, max(1, round(int(end) * 0.15)))
            labels = batch["masked_lm_labels"][row]
            places = batch["masked_lm_positions"][row]
            assert labels[:hidden].tolist() == plain[row, places[:hidden]].tolist()
            assert labels[hidden:].tolist() == [-100] * (4 - hidden)
            assert not places[hidden:].any()


def test_both_labels_and_all_blocks_are_there(made):
    manifest = read_manifest(made)
    labels = [read_shard(made / n)["sentence_order"] for n, _ in manifest.shards]
    assert 0.3 < np.concatenate(labels).mean() < 0.7
    assert [name for name, _ in manifest.shards] == sorted(
        name for name in contents(made) if name != dataset.MANIFEST
    )
    assert len(PretrainingData(made)) == sum(count for _, count in manifest.shards)


def test_the_vocabulary_says_where_words_begin():
    spiece, wordpiece = vocabulary(SPIECE), vocabulary(WORDPIECE)
    for words, kind in ((spiece, True), (wordpiece, False)):
        pieces = words.tokenizer.convert_ids_to_tokens(range(words.pieces.size))
        assert words.starts.tolist() == [starts_word(piece, kind) for piece in pieces]
        assert words.pieces.special_ids == {words.cls_id, words.sep_id}
    assert spiece.fingerprint != wordpiece.fingerprint
    assert not spiece.starts.all()
    assert not wordpiece.starts.all()


def test_what_looks_like_a_special_token_is_text():
    for name in (SPIECE, WORDPIECE):
        words = vocabulary(name)
        (ids,) = words.encode(["a [SEP] b [MASK] c [CLS] d"])
        assert not {words.cls_id, words.sep_id, words.pieces.mask_id} & {*ids}


def test_wordpiece_makes_instances_too(texts, tmp_path):
    manifest = create(texts, WORDPIECE, tmp_path / "data", RECIPE, block=BLOCK)
    assert manifest.pieces.size == 166
    table = read_shard(tmp_path / "data" / manifest.shards[0][0])
    assert 0 < table["starts"].sum() < table["lengths"].sum()


def test_processes_make_the_same_bytes(made, again, tmp_path):
    steps = []
    manifest = again(workers=2, step=lambda n: steps.append(n) or steps.append)
    assert contents(tmp_path / "again") == contents(made)
    assert steps[0] == len(manifest.shards) == len(steps) - 1
    assert {*steps[1:]} == {name for name, _ in manifest.shards}


def test_the_order_of_blocks_is_no_matter(made, again, tmp_path, monkeypatch):
    work, done = creation._work, []

    def late(job):
        end = time.monotonic() + 10
        while job[3] == 0 and len(done) < 2 and time.monotonic() < end:
            time.sleep(0.001)
        return work(job)

    monkeypatch.setattr(creation, "_work", late)
    monkeypatch.setattr(
        creation, "ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count)
    )
    again(workers=3, step=lambda _: done.append)
    assert contents(tmp_path / "again") == contents(made)
    assert min(done) not in done[:2]


def test_another_seed_makes_others(made, again, tmp_path):
    again(recipe=replace(RECIPE, seed=6))
    mine, theirs = contents(made), contents(tmp_path / "again")
    assert mine.keys() == theirs.keys()
    assert not [name for name in mine if mine[name] == theirs[name]]


def test_a_document_is_used_as_often_as_asked_for(texts, tmp_path):
    """Each document is one long instance, cut and masked anew each time."""
    recipe = Recipe(1024, 0.0, 3, masking=Masking(max_predictions_per_seq=2), seed=1)
    manifest = create(texts[1:], SPIECE, tmp_path / "data", recipe)
    count = texts[1].read_text("utf-8").count("\n\n") + 1
    assert [rows for _, rows in manifest.shards] == [3 * count]
    table = restored(read_shard(tmp_path / "data" / manifest.shards[0][0]))
    bags = [tuple(sorted(row)) for row in table["input_ids"]]
    assert {bags.count(bag) for bag in bags} == {3}
    assert len({row.tobytes() for row in table["input_ids"]}) > count
    assert bags[:count] != bags[count : 2 * count]  # shuffled


def test_blocks_of_one_text_are_drawn_by_themselves(texts, tmp_path):
    text = texts[1].read_text("utf-8")
    (tmp_path / "text.txt").write_text(f"{text}\n\n" * 2, "utf-8")
    paths = [tmp_path / "text.txt"]
    block = len(text.encode()) - 5
    manifest = create(paths, SPIECE, tmp_path / "x", RECIPE, block=block)
    tables = [read_shard(tmp_path / "x" / name) for name, _ in manifest.shards]
    assert len(tables) == 2
    one, other = ({*map(bytes, restored(t)["input_ids"])} for t in tables)
    assert len(one & other) < len(one) / 2


# Stopped, and gone on


@pytest.mark.parametrize("lost", [slice(1), slice(None), slice(1, None, 2)])
def test_only_what_is_missing_is_made(made, again, tmp_path, lost):
    manifest = again()
    names = [name for name, _ in manifest.shards]
    for name in names[lost]:
        (tmp_path / "again" / name).unlink()
    steps = []
    again(step=lambda n: steps.append(n) or steps.append)
    assert steps == [len(names[lost]), *names[lost]]
    assert contents(tmp_path / "again") == contents(made)
    again(step=lambda n: steps.append(n) or steps.append)
    assert steps[-1] == 0
    assert contents(tmp_path / "again") == contents(made)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_leaves_nothing_half_written(
    made, again, tmp_path, monkeypatch, workers
):
    monkeypatch.setattr(
        creation, "ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count)
    )
    full = OSError(errno.ENOSPC, "No space left on device")
    with monkeypatch.context() as patch:
        failing(patch, 2, full)
        with pytest.raises(OSError, match="No space left"):
            again(workers=workers)
    found, wanted = contents(tmp_path / "again"), contents(made)
    assert json.loads(found.pop(dataset.MANIFEST))["shards"] is None
    assert len(found) == 2
    assert all(wanted[name] == data for name, data in found.items())
    message = refused(lambda: PretrainingData(tmp_path / "again"))
    assert message == (
        f"{tmp_path / 'again'} is not complete: making its instances was stopped. Run "
        f"the same command again, and it goes on."
    )
    again(workers=workers)
    assert contents(tmp_path / "again") == wanted


def test_a_full_disk_at_the_end_leaves_the_old_manifest(
    made, again, tmp_path, monkeypatch
):
    write, left = dataset.write_text, [1]

    def fail(path, text):
        if not left:
            raise OSError(errno.ENOSPC, "No space left on device")
        left.pop()
        write(path, text)

    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_text", fail)
        with pytest.raises(OSError, match="No space left"):
            again()
    assert read_manifest(tmp_path / "again").shards is None
    again()
    assert contents(tmp_path / "again") == contents(made)


def test_what_a_killed_process_left_is_replaced(made, again, tmp_path):
    again()
    name = read_manifest(made).shards[0][0]
    (tmp_path / "again" / name).unlink()
    (tmp_path / "again" / f".{name}").write_bytes(b"half")
    again()
    assert contents(tmp_path / "again") == contents(made)


def test_a_process_that_was_killed_is_named(again, monkeypatch):
    def killed(job):
        raise BrokenProcessPool("gone")

    monkeypatch.setattr(creation, "_work", killed)
    monkeypatch.setattr(
        creation, "ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count)
    )
    with pytest.raises(OSError, match=r"was killed.*memory.*fewer workers: it goes on"):
        again(workers=2)


# Refused


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"recipe": replace(RECIPE, seed=6)}, ["seed: 5 there, 6 here"]),
        ({"block": 3000}, ["block: 2000 there, 3000 here"]),
        ({"tokenizer": WORDPIECE}, ["vocabulary: '", "' there, '"]),
        ({"paths": 1}, ["sources 2: ['b.txt', ", "] there, None here"]),
    ],
)
def test_a_folder_of_other_settings_is_refused(texts, made, again, changes, parts):
    before = contents(made)
    if "paths" in changes:
        changes = {"paths": texts[:1]}
    message = refused(lambda: again(made, **changes))
    assert message.startswith(
        f"{made} holds pretraining data that was made otherwise: {parts[0]}"
    )
    assert all(part in message for part in parts)
    assert message.count(" there, ") == 1
    assert message.endswith("Choose another folder, or remove this one.")
    assert contents(made) == before


def test_all_differences_are_named_and_each_can_be_read(texts, made, again):
    recipe = replace(RECIPE, masking=replace(RECIPE.masking, ngram=1))
    message = refused(lambda: again(made, recipe, block=1, tokenizer=WORDPIECE))
    for part in ("ngram: 3 there, 1 here", "block: 2000 there", "vocabulary: "):
        assert part in message
    assert message.count(" there, ") == 3


def test_a_change_is_seen_behind_a_long_name(tmp_path):
    path = tmp_path / ("a" * 120)
    path.write_text("The first year.\n", "utf-8")
    create([path], SPIECE, tmp_path / "x", RECIPE)
    path.write_text("The first years.\n", "utf-8")
    message = refused(lambda: create([path], SPIECE, tmp_path / "x", RECIPE))
    assert "made otherwise: sources 1: " in message


def test_shards_of_unknown_origin_are_refused(made, again, tmp_path):
    again()
    (tmp_path / "again" / dataset.MANIFEST).unlink()
    message = refused(lambda: again(recipe=replace(RECIPE, seed=6)))
    assert message == (
        f"{tmp_path / 'again'} holds shards, but no pretraining.json that says how "
        f"they were made. Choose another folder, or remove them."
    )


def test_a_shard_that_is_damaged_is_named(again, tmp_path):
    manifest = again()
    path = tmp_path / "again" / manifest.shards[1][0]
    path.write_bytes(path.read_bytes()[:-5])
    assert f"TRUNCATED {path}" in refused(again)


def test_a_folder_that_is_a_file_is_refused(again, tmp_path):
    (tmp_path / "again").write_text("x")
    assert "because" in refused(again)
    assert (tmp_path / "again").read_text() == "x"


def test_text_without_a_token_is_refused(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("\u200b\n\u0301\n", "utf-8")
    message = refused(lambda: create([path], SPIECE, tmp_path / "data", RECIPE))
    assert message.startswith("The text makes no instances")
    assert str(path) in message


def test_text_that_is_not_utf_8_is_refused_by_a_process_too(tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_bytes(b"one\n\n" * 20 + b"caf\xe9\n")
    monkeypatch.setattr(
        creation, "ProcessPoolExecutor", lambda count, _: ThreadPoolExecutor(count)
    )
    for workers in (1, 2):
        with pytest.raises(InputError, match="line 41 is not UTF-8: byte 0xe9 at 103"):
            create([path], SPIECE, tmp_path / "x", RECIPE, workers, block=20)


def test_all_numbers_that_make_no_instances_are_named(texts, tmp_path):
    wrong = Recipe(4, -0.1, 0, masking=Masking(1.5, max_predictions_per_seq=0, ngram=0))
    message = refused(lambda: create(texts, SPIECE, tmp_path / "x", wrong))
    assert message == (
        "max_seq_length must be 5 or more, not 4; dupe_factor must be 1 or more, not "
        "0; max_predictions_per_seq must be 1 or more, not 0; ngram must be 1 or more, "
        "not 0; short_seq_prob must be from 0 to 1, not -0.1; masked_lm_prob must be "
        "from 0 to 1, not 1.5. Change them."
    )
    assert not (tmp_path / "x").exists()
    one = refused(Recipe(masking=Masking(float("nan"))).validate)
    assert one == "masked_lm_prob must be from 0 to 1, not nan. Change it."
    Recipe(5, 0, 1, masking=Masking(0, 1, 1)).validate()


def test_a_tokenizer_without_what_is_needed_is_refused(texts, tmp_path, monkeypatch):
    lacking = load_tokenizer(SPIECE)
    lacking.mask_token_id = lacking.cls_token_id = None
    with monkeypatch.context() as patch:
        patch.setattr(f"{vocabulary.__module__}.load_tokenizer", lambda name: lacking)
        message = refused(lambda: create(texts, "mine", tmp_path / "x", RECIPE))
    assert message == (
        "The tokenizer 'mine' has no cls, mask token. Pretraining needs all of cls, "
        "sep and mask."
    )
    message = refused(lambda: create(texts, str(tmp_path / "none"), tmp_path, RECIPE))
    assert message.startswith(f"{tmp_path / 'none'} does not exist")
    assert not (tmp_path / "x").exists()
