"""Pretraining: masked words and sentence order, from a folder of instances."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from albert_core.config import AlbertConfig
from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.creation import vocabulary
from albert_core.data.pretraining.masking import Masking
from albert_core.errors import InputError
from albert_core.optimization import Optimizer, moment_names
from albert_core.training import NO_TOKENS, parts
from albert_zoo import models
from albert_zoo.training.folder import RunFolder, State
from albert_zoo.training.learners import Setup, join, learner, rank_and_size, wait
from albert_zoo.training.logs import Log
from albert_zoo.training.loop import Figures, Loop, Plan
from albert_zoo.training.option_fields import FREE, Options
from albert_zoo.training.start import fresh, pretrained
from conversion.checkpoint import resolved

HEAD = "ForPreTraining"
EVAL_BATCH = 64  # at most; a run of smaller batches has no memory for more


@dataclass(frozen=True)
class Job:
    """What to pretrain.

    Attributes:
        data: The folder of instances.
        output: The folder of the run.
        options: How to train.
        fields: Of the configuration, for a new model.
        model: A checkpoint to begin with in place of a new model.
        tokenizer: Saved with every checkpoint; it must be that of the data.
        held_out: A folder of instances to judge the model on.
        masking: How tokens are hidden where that is done anew.
    """

    data: Path
    output: Path
    options: Options
    fields: Mapping[str, Any]
    model: str | None = None
    tokenizer: str | None = None
    held_out: Path | None = None
    masking: Masking = field(default_factory=Masking)


def pretrain(
    job: Job, setup: Setup, resume: bool = False, quiet: bool = False
) -> State:
    """Pretrain a model, from its first step or from where it was.

    Raises:
        InputError: Data, model and tokenizer do not belong together.
        TrainingError: The folder is that of another run, or the loss is no number.
    """
    data = PretrainingData(job.data)
    held = None if job.held_out is None else PretrainingData(job.held_out)
    options = job.options
    steps = options.steps or round(options.epochs * len(data) / options.batch_size)
    schedule = options.schedule(max(1, steps))
    config, make = _beginning(job)
    check(config, [data] if held is None else [data, held], job.tokenizer)
    files = _tokenizer_files(job)
    settings = {
        "command": "pretrain",
        "data": [data.manifest.origin, data.manifest.vocabulary],
        "model": config.to_dict(),
        "start": job.model,
        "training": {k: v for k, v in asdict(options).items() if k not in FREE},
        "masking": asdict(job.masking) if options.masking == "dynamic" else None,
    }
    folder, step = begin(job.output, settings, resume, setup, config, make, files)
    first = rank_and_size()[0] == 0
    trained = learner(setup, folder.checkpoint(step), HEAD, options.arithmetic())
    arrays, moments, state = folder.load(step)
    trained.restore(arrays, moments, state.count)
    masking = job.masking if options.masking == "dynamic" else None
    batches = data.batches(options.batch_size, options.seed, state.used, masking)
    plan = Plan(
        schedule,
        options.seed,
        options.parts,
        options.log_every,
        options.save_every,
        options.keep,
        "eval_masked_lm_accuracy",
        True,
        options.patience,
    )
    log = Log(job.output, step, schedule.total_steps, quiet=quiet) if first else None
    rows = min(EVAL_BATCH, max(1, options.batch_size // options.parts))

    def judge(one: Any) -> Figures:
        assert held is not None
        return judged(one, held, options.eval_rows, rows)

    loop = Loop(trained, folder, plan, state, log, judge if held else None)
    if log is None:
        return loop.run(batches)
    with log:
        state = loop.run(batches)
    folder.finish(state.best_step or state.step, config)
    return state


def begin(
    path: Path,
    settings: Mapping[str, Any],
    resume: bool,
    setup: Setup,
    config: AlbertConfig,
    make: Callable[[], dict[str, Any]],
    files: Mapping[str, bytes],
) -> tuple[RunFolder, int]:
    """The folder of a run and the step to go on from.

    Where there is none yet, the first of all processes writes the first checkpoint.
    """
    join(setup)
    if first := rank_and_size()[0] == 0:
        folder = RunFolder(path, settings, resume, files)
        if not folder.steps():
            arrays = make()
            zeros = {n: np.zeros_like(a) for n, a in arrays.items()}
            moments = {
                moment: zero for n, zero in zeros.items() for moment in moment_names(n)
            }
            folder.save(config, arrays, moments, State())
    wait()
    if not first:
        folder = RunFolder(path, settings, True, files)
    return folder, folder.steps()[-1]


def _beginning(job: Job) -> tuple[AlbertConfig, Callable[[], dict[str, Any]]]:
    """The configuration, and what makes the weights that a run begins with."""
    seed = job.options.seed
    if job.model is None:
        config = AlbertConfig(**job.fields)
        config.architectures = [f"Albert{HEAD}"]
        config.validate()
        positions = job.options.positions
        return config, lambda: fresh(config, HEAD, seed, positions)
    config, arrays = pretrained(job.model, HEAD, seed, **job.fields)
    config.architectures = [f"Albert{HEAD}"]
    return config, lambda: arrays


def check(
    config: AlbertConfig, places: Sequence[PretrainingData], tokenizer: str | None
) -> None:
    """Refuse data and a model that do not belong together.

    Args:
        config: Of the model.
        places: Folders of instances.
        tokenizer: What is to be saved with the model, if anything is.

    Raises:
        InputError: As said; all that is wrong is named.
    """
    wrong: list[str] = []
    first = places[0]
    for place in places:
        found = place.manifest
        if found.pieces.size > config.vocab_size:
            wrong.append(
                f"{place.folder} has a vocabulary of {found.pieces.size}, the model "
                f"one of {config.vocab_size}"
            )
        if found.max_seq_length > config.max_position_embeddings:
            wrong.append(
                f"{place.folder} has instances of {found.max_seq_length} tokens, the "
                f"model {config.max_position_embeddings} positions"
            )
        if found.vocabulary != first.manifest.vocabulary:
            wrong.append(f"{place.folder} has another vocabulary than {first.folder}")
    own = None if tokenizer is None else vocabulary(tokenizer).fingerprint
    if own not in (None, first.manifest.vocabulary):
        wrong.append(f"the tokenizer {tokenizer} is not that of {first.folder}")
    if wrong:
        raise InputError(
            f"Data and model do not belong together: {'; '.join(wrong)}. Make the data "
            f"with the model's tokenizer and length, or change the model."
        )


def _tokenizer_files(job: Job) -> dict[str, bytes]:
    if job.tokenizer is None:
        return {}
    return files_of(vocabulary(job.tokenizer).tokenizer)


def files_of(tokenizer: Any) -> dict[str, bytes]:
    """The files that a tokenizer is saved as: name and content."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as place:
        tokenizer.save_pretrained(place)
        return {file.name: file.read_bytes() for file in Path(place).iterdir()}


def evaluate(
    model: str, data: Path, framework: str | None = None
) -> tuple[int, dict[str, float]]:
    """Judge a pretrained model on a folder of instances.

    Returns:
        How many there are, and the figures.

    Raises:
        InputError: Model and data do not belong together.
    """
    held, place = PretrainingData(data), resolved(model)
    setup = Setup(models.framework_named(framework))
    trained = learner(setup, place, HEAD, Optimizer())
    check(trained.model.config, [held], str(place))
    figures = judged(trained, held, len(held))
    return len(held), {k.removeprefix("eval_"): v for k, v in figures.items()}


def judged(
    learner: Any, held: PretrainingData, rows: int, batch: int = EVAL_BATCH
) -> Figures:
    """The figures of a model on held-out instances, each instance counting alike.

    Accuracy and loss of masked tokens are over all of these, as if in one batch.
    """
    total: dict[str, float] = {}
    weights: dict[str, float] = {}
    for some in held.in_order(batch, rows):
        (part,) = parts(some)
        for name, value in learner.evaluate(part).items():
            kind = "order" if "order" in name else "masked"
            share, extra = 1 / part.weights[kind], NO_TOKENS if kind == "masked" else 0
            total[name] = total.get(name, 0.0) + value * share
            # One batch would have what is added to the number of tokens only once.
            weights[name] = weights.get(name, extra) + share - extra
    figures = {f"eval_{name}": total[name] / weights[name] for name in total}
    losses = [figures[f"eval_{kind}_loss"] for kind in ("masked_lm", "sentence_order")]
    return {**figures, "eval_loss": sum(losses)}
