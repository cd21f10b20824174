"""Recipes and options: what is read, refused, shown in --help, and overridden."""

from dataclasses import asdict, fields

import pytest

from albert_core import AlbertConfig
from albert_core.errors import InputError
from albert_core.optimization import OPTIMIZERS
from albert_zoo.training import recipes
from albert_zoo.training.option_fields import FREE, HELP, Options
from tests.cli.conftest import call

__all__ = ["call"]


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_can_be_used(name):
    found = recipes.read(name)
    options = found.options({})
    options.schedule(options.steps or 10**6)
    assert options.arithmetic().weight_decay == options.weight_decay
    AlbertConfig(**found.model).validate()
    found.data_recipe({}).validate()


def test_the_published_numbers():
    found = recipes.read("pretrain")
    options = found.options({})
    assert options.optimizer == "lamb"
    assert (options.learning_rate, options.batch_size) == (0.00176, 4096)
    assert (options.warmup_steps, options.steps) == (3125, 125_000)
    assert (options.weight_decay, options.clip_norm) == (0.01, 1.0)
    data = found.data_recipe({})
    assert (data.max_seq_length, data.dupe_factor) == (512, 40)
    assert (data.masking.ngram, data.masking.max_predictions_per_seq) == (3, 20)


# Lan et al. 2020, table 14: rate, batch, dropout, steps, warm-up, length.
TABLE_14 = {
    "cola": (1e-5, 16, 0, 5336, 320, 512),
    "sts-b": (2e-5, 16, 0, 3598, 214, 512),
    "sst-2": (1e-5, 32, 0, 20935, 1256, 512),
    "mnli": (3e-5, 128, 0, 10000, 1000, 512),
    "qnli": (1e-5, 32, 0, 33112, 1986, 512),
    "qqp": (5e-5, 128, 0.1, 14000, 1000, 512),
    "rte": (3e-5, 32, 0.1, 800, 200, 512),
    "mrpc": (2e-5, 32, 0, 800, 200, 512),
    "wnli": (2e-5, 16, 0.1, 2000, 250, 512),
    "squad": (5e-5, 48, 0, 3649, 365, 384),
    "squad2": (3e-5, 48, 0, 8144, 814, 512),
    "race": (2e-5, 32, 0.1, 12000, 1000, 512),
}


@pytest.mark.parametrize("task", TABLE_14)
def test_the_numbers_of_table_14(task):
    found = recipes.read(task)
    options, model = found.options({}), found.model
    rate, batch, dropout, steps, warmup, length = TABLE_14[task]
    assert (options.learning_rate, options.batch_size) == (rate, batch)
    assert (options.steps, options.warmup_steps) == (steps, warmup)
    assert (options.max_length, options.optimizer) == (length, "google-adamw")
    assert model["hidden_dropout_prob"] == dropout
    assert model["attention_probs_dropout_prob"] == dropout
    assert model["classifier_dropout_prob"] == 0.1


def write(path, text):
    file = path / "mine.toml"
    file.write_text(text)
    return str(file)


def test_all_that_nobody_reads_is_named(tmp_path):
    text = """
    size = 3
    task = 5
    [training]
    steps = 1.5
    learning_rate = "high"
    power = 2
    seed = true
    colour = "red"
    [model]
    hiden_size = 8
    [data]
    max_seq_length = "long"
    masking = {}
    ngram = 3
    [other]
    """
    with pytest.raises(InputError) as problem:
        recipes.read(write(tmp_path, text))
    said = str(problem.value)
    for wrong in (
        "'size'",
        "'task'",
        "training.steps = 1.5",
        "training.learning_rate = 'high'",
        "training.seed = True",
        "training.colour = 'red'",
        "model.hiden_size",
        "data.max_seq_length = 'long'",
        "data.masking = {}",
        "'other'",
    ):
        assert wrong in said, wrong
    assert "power" not in said
    assert "ngram" not in said


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("training = 3", "holds what no recipe has: 'training'"),
        ("[training", "is not TOML"),
        ("a = 1\na = 2", "is not TOML"),
    ],
)
def test_a_file_that_is_no_recipe(tmp_path, text, wanted):
    with pytest.raises(InputError, match=wanted):
        recipes.read(write(tmp_path, text))


def test_a_file_that_is_no_text(tmp_path):
    (tmp_path / "mine.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="is not UTF-8"):
        recipes.read(str(tmp_path / "mine.toml"))
    with pytest.raises(InputError, match="There is no recipe 'pretrian'"):
        recipes.read("pretrian")


def test_options_change_a_recipe():
    found = recipes.read("albert-nano")
    options = found.options({"batch_size": 8, "seed": 0, "steps": None})
    assert (options.batch_size, options.steps) == (8, found.training["steps"])
    # Steps and epochs are two ways to say one thing.
    options = found.options({"epochs": 2.0})
    assert (options.steps, options.epochs) == (0, 2.0)
    assert found.data_recipe({"ngram": 1, "seed": None}).masking.ngram == 1
    assert found.data_recipe({"ngram": 1}).dupe_factor == 2


def test_all_options_that_cannot_be_are_named():
    wrong = {
        "batch_size": 0,
        "steps": -1,
        "epochs": float("nan"),
        "warmup_steps": -1,
        "parts": 0,
        "log_every": 0,
        "save_every": -1,
        "keep": -1,
        "weight_decay": -0.1,
        "clip_norm": float("inf"),
        "patience": -1,
        "max_length": 4,
        "max_tokens": -1,
        "eval_rows": 0,
        "seed": -1,
        "power": -1.0,
        "learning_rate": 0.0,
        "precision": "float16",
        "masking": "none",
        "positions": "none",
    }
    with pytest.raises(InputError) as problem:
        Options(**wrong).validate()
    for name in wrong:
        assert name in str(problem.value), name
    assert wrong.keys() == {row.name for row in fields(Options)} - {"optimizer"}
    with pytest.raises(InputError, match="There is no optimizer 'sgd'"):
        Options(optimizer="sgd", steps=1).validate()
    for steps, epochs in ((0, 0.0), (1, 1.0)):
        with pytest.raises(InputError, match=r"give steps \(. or|give steps \("):
            Options(steps=steps, epochs=epochs).validate()
    with pytest.raises(InputError, match="warm-up no longer than these"):
        Options(steps=5, warmup_steps=6).schedule(5)


def test_what_an_optimizer_is_told():
    found = Options("lamb", weight_decay=0.5, clip_norm=0.0).arithmetic()
    assert (found.weight_decay, found.clip_norm) == (0.5, None)
    assert found.layer_adaptation
    assert not found.bias_correction
    for name in OPTIMIZERS:
        assert Options(name).arithmetic() == OPTIMIZERS[name]


def test_every_option_has_a_text_and_is_in_help(call):
    names = [row.name for row in fields(Options)]
    assert list(HELP) == names
    assert set(names) >= FREE
    code, said, _ = call("pretrain", "--help")
    assert code == 0
    of_tasks = {"max_length", "max_tokens"}
    for name in set(names) - of_tasks:
        assert f"--{name.replace('_', '-')}" in said


@pytest.fixture
def jobs(monkeypatch):
    """What the command would do."""
    found = []

    def pretrain(job, setup, resume, quiet):
        from albert_zoo.training.folder import State

        found.append((job, setup, resume, quiet))
        return State(step=job.options.steps)

    monkeypatch.setattr("albert_zoo.training.pretrain.pretrain", pretrain)
    return found


def test_the_command_line_counts_more_than_the_recipe(call, jobs, tmp_path):
    text = "[model]\nvocab_size = 31\n[training]\nsteps = 9\nseed = 4\n"
    text += "[data]\nngram = 2\n"
    recipe = write(tmp_path, text)
    given = ["pretrain", tmp_path, "--output", tmp_path / "run", "--recipe", recipe]
    values = {"--learning-rate": 0.5, "--steps": 7, "--precision": "float64"}
    more = [word for pair in values.items() for word in pair]
    devices = ["--framework", "tf", "--devices", 2, "--recompute", "--resume"]
    code, _, said = call(*given, *more, *devices)
    assert code == 0
    assert "holds the model after 7 steps" in said
    ((job, setup, resume, quiet),) = jobs
    options = asdict(job.options)
    assert (options["learning_rate"], options["steps"], options["seed"]) == (0.5, 7, 4)
    assert (setup.framework, setup.precision, setup.devices) == ("tf", "float64", 2)
    assert setup.recompute
    assert resume
    assert not quiet
    assert job.fields == {"vocab_size": 31}
    assert job.masking.ngram == 2


def test_one_model_is_given(call, jobs, tmp_path):
    given = ["pretrain", tmp_path, "--output", tmp_path / "run"]
    code, _, said = call(*given)
    assert code == 2
    assert "for a model of any size. Say which with --config" in said
    code, _, said = call(*given, "--preset", "albert-base-v2", "--model", "x")
    assert (code, jobs) == (2, [])
    assert "Give one of --config, --preset and --model." in said
    assert call(*given, "--preset", "albert-base-v2")[0] == 0
    assert jobs[0][0].fields["hidden_size"] == 768
    assert call(*given, "--preset", "albert-base-v2", "--precision", "half")[0] == 3
