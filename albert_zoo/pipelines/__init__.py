"""From texts to answers: Hugging Face's pipelines, the same in three frameworks."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from albert_core.errors import InputError
from albert_core.hub import OPTIONS
from albert_zoo import backends, models
from albert_zoo.pipelines.base import LOOKAHEAD, Pipeline
from albert_zoo.pipelines.features import (
    FeatureExtractionPipeline,
    SentenceEmbeddingPipeline,
)
from albert_zoo.pipelines.fill_mask import FillMaskPipeline
from albert_zoo.pipelines.multiple_choice import MultipleChoicePipeline
from albert_zoo.pipelines.question_answering import QuestionAnsweringPipeline
from albert_zoo.pipelines.question_answering_beam import QuestionAnsweringBeamPipeline
from albert_zoo.pipelines.text_classification import TextClassificationPipeline
from albert_zoo.pipelines.token_classification import TokenClassificationPipeline
from albert_zoo.pipelines.zero_shot import ZeroShotClassificationPipeline
from conversion.checkpoint import resolved

__all__ = [
    "PIPELINES",
    "FeatureExtractionPipeline",
    "FillMaskPipeline",
    "MultipleChoicePipeline",
    "Pipeline",
    "QuestionAnsweringBeamPipeline",
    "QuestionAnsweringPipeline",
    "SentenceEmbeddingPipeline",
    "TextClassificationPipeline",
    "TokenClassificationPipeline",
    "ZeroShotClassificationPipeline",
    "pipeline",
]

_ALL: tuple[type[Pipeline], ...] = (
    FillMaskPipeline,
    TextClassificationPipeline,
    TokenClassificationPipeline,
    QuestionAnsweringPipeline,
    MultipleChoicePipeline,
    ZeroShotClassificationPipeline,
    FeatureExtractionPipeline,
    SentenceEmbeddingPipeline,
)
PIPELINES: Mapping[str, type[Pipeline]] = {each.task: each for each in _ALL}
# Of heads that do one of these tasks in their own way.
OTHERS: Mapping[str, type[Pipeline]] = {
    "ForQuestionAnsweringBeam": QuestionAnsweringBeamPipeline
}


def pipeline(
    task: str | None = None,
    model: Any = None,
    tokenizer: Any = None,
    framework: str | None = None,
    dtype: Any = None,
    device: Any = None,
    batch_tokens: int | None = None,
    lookahead: int = LOOKAHEAD,
    **options: Any,
) -> Pipeline:
    """Make a pipeline for a task.

    Args:
        task: "fill-mask", "text-classification" (or "sentiment-analysis"),
            "token-classification" (or "ner"), "question-answering",
            "multiple-choice", "zero-shot-classification", "feature-extraction" or
            "sentence-embedding"; by default what the checkpoint was made for.
        model: The directory of a checkpoint, a hub name, or a loaded model.
        tokenizer: Likewise; by default the one beside the checkpoint.
        framework: "torch", "tf" or "flax"; by default the first that is installed.
        dtype: What to compute in: "float32" (the default), "bfloat16" or "float16";
            on a CPU also "int8".
        device: "cpu", "cuda", "cuda:1", "tpu", or a number as Hugging Face has it, -1
            for the processor; by default an accelerator if there is one.
        batch_tokens: About the most tokens that run at once; by default as many as are
            fastest: on a CPU few, whose numbers stay near it.
        lookahead: The most inputs that are read ahead of the results.
        **options: Defaults for the options of every call, and options of the hub
            (`revision`, `cache_dir`, `token`, `local_files_only`, ...).

    Raises:
        CheckpointError: The checkpoint is damaged, or lacks weights that the task
            needs: a pipeline never runs on random ones.
        InputError: There is no such task, framework, device or option.
        MissingPackageError: The framework is not installed.
    """
    if model is None:
        raise InputError("Give model=, the directory of a checkpoint or a hub name.")
    hub = {name: options.pop(name) for name in OPTIONS if name in options}
    if isinstance(model, str | Path):
        directory = resolved(model, **hub)
        task = models.task_of(directory) if task is None else models.task_named(task)
        models.check_complete(directory, task)
        if task == "sentence-embedding":
            options = {**_of_sentence_transformers(directory), **options}
        tokenizer = _tokenizer(directory if tokenizer is None else tokenizer)
        framework = models.framework_named(framework)
        model = _load(directory, task, framework, dtype, device)
    else:
        framework = models.framework_of(model)
        task = _task_for(model, task)
        if tokenizer is None:
            raise InputError("A loaded model needs a tokenizer too. Give tokenizer=.")
        tokenizer = _tokenizer(tokenizer)
    predictor = backends.BACKENDS[framework].predictor(model)
    kind = OTHERS.get(model.head, PIPELINES[task])
    return kind(predictor, tokenizer, batch_tokens, lookahead, options)


def _load(directory: Path, task: str, framework: str, dtype: Any, device: Any) -> Any:
    # What no output comes from need not be there.
    base = models.TASKS[task] == "Model"
    more: dict[str, Any] = {"add_pooling_layer": False} if base else {}
    place = models.place(framework, device)
    return models.load_model(
        directory, task, framework, dtype=dtype, device_map=place, **more
    )


def _task_for(model: Any, task: str | None) -> str:
    fitting = models.tasks_of(model.head)
    if task is None:
        return fitting[0]
    if (task := models.task_named(task)) not in fitting:
        raise InputError(
            f"{type(model).__name__} does {' or '.join(fitting)}, not {task}. Load the "
            f"checkpoint with load_model(path, task={task!r})."
        )
    return task


def _tokenizer(tokenizer: Any) -> Any:
    if not isinstance(tokenizer, str | Path):
        return tokenizer
    from albert_core.tokenization import load_tokenizer

    return load_tokenizer(tokenizer)


def _of_sentence_transformers(directory: Path) -> dict[str, Any]:
    """What a checkpoint of sentence-transformers says about its embeddings."""
    found: dict[str, Any] = {}
    if length := _read(directory / "sentence_bert_config.json").get("max_seq_length"):
        found["max_length"] = length
    pooling = _read(directory / "1_Pooling" / "config.json")
    if pooling.get("pooling_mode_cls_token"):
        found["pooling"] = "cls"
    modules = _read(directory / "modules.json")
    names = [str(module.get("type")) for module in modules]
    found["normalize"] = any(name.endswith("Normalize") for name in names)
    return found


def _read(path: Path) -> Any:
    return json.loads(path.read_text("utf-8")) if path.exists() else {}
