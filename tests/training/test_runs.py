"""`albert-zoo pretrain` itself, in this process: what it writes, and how it ends."""

import errno
import json
import shutil

import numpy as np
import pytest

from albert_core import AlbertConfig, checkpoint
from albert_core.checkpoint import Checkpoint
from albert_core.data.pretraining.batches import PretrainingData
from albert_zoo.training import folder as folders
from albert_zoo.training.logs import records
from albert_zoo.training.pretrain import judged
from tests.training.conftest import VOCABULARY

SHORT = ["--steps", 6, "--save-every", 2, "--log-every", 2, "--framework", "torch"]


def steps_in(run):
    return sorted(int(x.name.split("-")[1]) for x in run.glob("checkpoint-*"))


@pytest.fixture
def pretrain(call, data, recipe, tmp_path):
    """Run the command: (*options) -> code, output, errors."""
    given = ["pretrain", data, "--output", tmp_path / "run", "--recipe", recipe]

    def run(*options):
        return call(*given, *SHORT, "--device", "cpu", "--quiet", *options)

    return run


def test_a_whole_run(pretrain, data, tmp_path):
    held = ["--held-out", data, "--plot", tmp_path / "curves.png"]
    code, _, said = pretrain(*held, "--tokenizer", VOCABULARY)
    assert code == 0, said
    run = tmp_path / "run"
    assert "holds the model after 6 steps" in said
    assert (tmp_path / "curves.png").exists()
    rows = records(run)
    trained = [row for row in rows if "loss" in row]
    judged = [row for row in rows if "eval_loss" in row]
    assert [r["step"] for r in trained] == [r["step"] for r in judged] == [2, 4, 6]
    assert {
        "masked_lm_loss",
        "masked_lm_accuracy",
        "sentence_order_loss",
        "sentence_order_accuracy",
        "gradient_norm",
        "learning_rate",
        "tokens_per_second",
        "seconds",
    } < trained[0].keys()
    for row in rows:
        parts = {name.removeprefix("eval_"): value for name, value in row.items()}
        total = parts["masked_lm_loss"] + parts["sentence_order_loss"]
        assert parts["loss"] == pytest.approx(total)
    best = max(judged, key=lambda row: row["eval_masked_lm_accuracy"])["step"]
    model, chosen = Checkpoint.open(run), Checkpoint.open(run / f"checkpoint-{best}")
    assert all(np.array_equal(model[name], chosen[name]) for name in chosen)
    assert (run / "tokenizer.json").exists()


def test_a_run_is_alike_in_all_frameworks_and_goes_on_in_another(
    call, data, recipe, tmp_path
):
    """Without dropout, whose draws are the framework's own."""
    quiet = tmp_path / "quiet.toml"
    text = recipe.read_text().replace("dropout_prob = 0.1", "dropout_prob = 0.0")
    quiet.write_text(text)

    def run(framework, folder, *more):
        given = ["pretrain", data, "--output", folder, "--recipe", quiet, *SHORT[:-2]]
        given += ["--framework", framework, "--device", "cpu", "--quiet", *more]
        code, _, said = call(*given)
        assert code == 0, said
        return [row["loss"] for row in records(folder)]

    losses = run("torch", tmp_path / "torch")
    assert run("tf", tmp_path / "tf") == pytest.approx(losses, rel=1e-5)
    moved = tmp_path / "moved"
    shutil.copytree(tmp_path / "torch", moved)
    shutil.rmtree(moved / "checkpoint-6")
    assert steps_in(moved) == [4]
    assert run("flax", moved, "--resume") == pytest.approx(losses, rel=1e-5)
    wanted = Checkpoint.open(tmp_path / "torch")
    for other in (tmp_path / "tf", moved):
        found = Checkpoint.open(other)
        assert max(np.abs(found[n] - wanted[n]).max() for n in wanted) < 1e-3


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_figures_on_held_out_data_do_not_know_batches(data, rows):
    """A learner whose figures are sums over tokens and rows, as a model's are."""

    class Learner:
        def evaluate(self, part):
            labels = part.inputs["masked_lm_labels"]
            order = part.inputs["sentence_order_label"]
            tokens = float((labels * (labels > 0)).sum()) * part.weights["masked"]
            orders = float((order + 1).sum()) * part.weights["order"]
            return {
                "loss": tokens + orders,
                "masked_lm_loss": tokens,
                "sentence_order_loss": orders,
            }

    held = PretrainingData(data)
    whole = judged(Learner(), held, 10**6, 10**6)
    assert whole == pytest.approx(judged(Learner(), held, 10**6, rows), rel=1e-12)
    assert whole["eval_loss"] == pytest.approx(
        whole["eval_masked_lm_loss"] + whole["eval_sentence_order_loss"]
    )


def test_the_first_weights_are_drawn_from_the_seed(pretrain, tmp_path):
    assert pretrain("--keep", 0)[0] == 0
    (tmp_path / "run").rename(tmp_path / "first")
    assert pretrain("--keep", 0, "--seed", 1)[0] == 0
    one = Checkpoint.open(tmp_path / "first" / "checkpoint-0")
    other = Checkpoint.open(tmp_path / "run" / "checkpoint-0")
    name = "albert.embeddings.word_embeddings.weight"
    assert not np.array_equal(one[name], other[name])


def test_float64_goes_on_in_float64(pretrain, tmp_path):
    assert pretrain("--precision", "float64")[0] == 0
    found = Checkpoint.open(tmp_path / "run" / "checkpoint-6")
    assert {found.dtype(name) for name in found} == {"float64"}
    assert pretrain("--precision", "float64", "--resume")[0] == 0


def test_another_run_is_refused(pretrain):
    assert pretrain()[0] == 0
    code, _, said = pretrain("--seed", 5, "--optimizer", "lamb", "--resume")
    assert code == 3
    assert "is the folder of another run: training: " in said
    code, _, said = pretrain()
    assert code == 3
    assert "Give --resume to go on with it" in said
    assert pretrain("--resume", "--parts", 2, "--keep", 5)[0] == 0


@pytest.mark.parametrize("file", ["state.json", "optimizer.safetensors"])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_damage_is_bad_input(pretrain, tmp_path, file, damage):
    assert pretrain()[0] == 0
    path = tmp_path / "run" / "checkpoint-6" / file
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:40])
    else:
        path.unlink()
    code, _, said = pretrain("--resume")
    assert code == 3
    assert "checkpoint-6 is damaged" in said
    assert file in said


def test_a_rate_that_is_too_high(pretrain, tmp_path):
    changes = ["--learning-rate", 1e30, "--warmup-steps", 0, "--optimizer", "adamw"]
    code, _, said = pretrain(*changes)
    assert code == 3
    assert said.startswith("albert-zoo: Step 2 has a loss of ")
    assert "Lower the learning rate (8.33e+29 here)" in said
    state = json.loads((tmp_path / "run/checkpoint-1/state.json").read_text())
    assert (state["step"], state["used"], state["count"]) == (1, 4, 1)
    assert pretrain(*changes, "--resume")[0] == 3  # the same again


def test_the_very_first_step_is_bad(pretrain, tmp_path):
    assert pretrain()[0] == 0
    run = tmp_path / "run"
    arrays = dict(Checkpoint.open(run))
    name = "predictions.bias"
    arrays[name] = np.full_like(arrays[name], np.nan)
    checkpoint.save(tmp_path / "bad", AlbertConfig.from_pretrained(run), arrays)
    run.rename(tmp_path / "first")
    code, _, said = pretrain("--model", tmp_path / "bad")
    assert code == 3
    assert "Step 1 has a loss of nan" in said
    assert steps_in(run) == [0]
    assert np.isnan(Checkpoint.open(run / "checkpoint-0")[name]).all()


def test_a_full_disk(pretrain, tmp_path, monkeypatch):
    wrote = folders.safetensors_file.write

    def write(path, arrays, *more, **options):
        if "unfinished-4" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device")
        wrote(path, arrays, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(folders.safetensors_file, "write", write)
        code, _, said = pretrain()
    assert code == 5
    assert "No space left on device" in said
    assert steps_in(tmp_path / "run") == [0, 2]
    assert pretrain("--resume")[0] == 0


def test_a_batch_that_does_not_fit(pretrain, monkeypatch):
    import torch

    from albert_torch.training import Training

    def step(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")

    monkeypatch.setattr(Training, "step", step)
    code, _, said = pretrain()
    assert code == 5
    assert "A batch of 4 rows of 16 tokens, in 1 part, does not fit" in said
    assert "--parts" in said


def test_a_model_of_another_vocabulary(pretrain, tmp_path, recipe):
    small = tmp_path / "small.toml"
    text = recipe.read_text().replace("max_position_embeddings = 16", "")
    lines = [
        "vocab_size = 9\nmax_position_embeddings = 8"
        if line.startswith("vocab_size")
        else line
        for line in text.splitlines()
    ]
    small.write_text("\n".join(lines))
    code, _, said = pretrain("--recipe", small)
    assert code == 3
    assert "the model one of 9" in said
    assert "has instances of 16 tokens, the model 8 positions" in said
