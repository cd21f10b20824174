"""Pretraining: masked words and sentence order, from a folder of instances."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from albert_core.config import AlbertConfig
from albert_core.data.pretraining.batches import PretrainingData
from albert_core.data.pretraining.masking import Masking
from albert_core.data.pretraining.vocabulary import vocabulary
from albert_core.errors import InputError
from albert_core.optimization import Optimizer
from albert_core.training import NO_TOKENS, Batch, parts
from albert_zoo.training.folder import State
from albert_zoo.training.learners import Setup, learner
from albert_zoo.training.loop import Figures
from albert_zoo.training.option_fields import Options
from albert_zoo.training.running import Work, carry_out, files_of
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
    epoch = max(1, round(len(data) / options.batch_size))
    steps = options.steps or max(1, round(options.epochs * epoch))
    config, start = _beginning(job)
    check(config, [data] if held is None else [data, held], job.tokenizer)
    masking = job.masking if options.masking == "dynamic" else None
    rows = min(EVAL_BATCH, max(1, options.batch_size // options.parts))

    def stream(used: int) -> Iterator[Batch]:
        return data.batches(options.batch_size, options.seed, used, masking)

    def judge(one: Any) -> Figures:
        assert held is not None
        return judged(one, held, options.eval_rows, rows)

    tokenizer = None if job.tokenizer is None else vocabulary(job.tokenizer).tokenizer
    work = Work(
        output=job.output,
        head=HEAD,
        config=config,
        start=start,
        files={} if tokenizer is None else files_of(tokenizer),
        settings={
            "command": "pretrain",
            "data": [data.manifest.origin, data.manifest.vocabulary],
            "start": job.model,
            "masking": None if masking is None else asdict(masking),
        },
        options=options,
        schedule=options.schedule(steps),
        epoch=epoch,
        stream=stream,
        metric="masked_lm_accuracy",
        judge=judge if held else None,
    )
    state, _ = carry_out(work, setup, resume, quiet)
    return state


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


def evaluate(model: str, data: Path, setup: Setup) -> tuple[int, dict[str, float]]:
    """Judge a pretrained model on a folder of instances.

    Args:
        model: A checkpoint with its tokenizer, or a hub name.
        data: The folder.
        setup: Where to compute.

    Returns:
        How many instances there are, and the figures.

    Raises:
        InputError: Model and data do not belong together.
    """
    held, place = PretrainingData(data), resolved(model)
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
