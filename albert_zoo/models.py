"""The right model class for a checkpoint, whatever the framework."""

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from albert_core import loading, schema
from albert_core.errors import CheckpointError, InputError, MissingPackageError, shown
from albert_core.hub import OPTIONS
from albert_zoo import backends
from conversion.checkpoint import resolved
from conversion.pretrained import open_pretrained

# Task -> the model class that does it, a key of `schema.HEADS`.
TASKS: Mapping[str, str] = {
    "fill-mask": "ForMaskedLM",
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "question-answering": "ForQuestionAnswering",
    "multiple-choice": "ForMultipleChoice",
    "zero-shot-classification": "ForSequenceClassification",
    "feature-extraction": schema.BASE,
    "sentence-embedding": schema.BASE,
}
# Heads that do a task as well, each in its own way.
OTHERS: Mapping[str, str] = {"ForQuestionAnsweringBeam": "question-answering"}
ALIASES = {"sentiment-analysis": "text-classification", "ner": "token-classification"}
PREFIXES = {"torch": "", "tf": "TF", "flax": "Flax"}


def task_named(name: str) -> str:
    """The task that a name, perhaps an older one, stands for.

    Raises:
        InputError: There is no such task.
    """
    task = ALIASES.get(name, name)
    if task not in TASKS:
        raise InputError(
            f"There is no task {shown(name)}. Give one of "
            f"{', '.join([*TASKS, *ALIASES])}."
        )
    return task


def default_framework() -> str:
    """The first framework that is installed: torch, tf or flax.

    Raises:
        MissingPackageError: None is.
    """
    for backend in backends.BACKENDS.values():
        if backends.is_installed(backend):
            return backend.name
    raise MissingPackageError(
        "There is no framework to run a model in. Install one: "
        "pip install 'albert-zoo[torch]', or [tf], [flax]."
    )


def framework_named(name: str | None) -> str:
    """A framework that can be used here; None is the default one.

    Raises:
        InputError: There is no such framework.
        MissingPackageError: It is not installed.
    """
    name = default_framework() if name is None else name
    if name not in backends.BACKENDS:
        raise InputError(
            f"There is no framework {shown(name)}. Give one of "
            f"{', '.join(backends.BACKENDS)}."
        )
    backends.require(backends.BACKENDS[name])
    return name


def class_of(framework: str, head: str) -> Any:
    """The model class of a head in a framework."""
    with backends.quiet_start():
        module = import_module(f"albert_{framework}")
    return getattr(module, f"{PREFIXES[framework]}Albert{head}")


def head_of(directory: Path) -> str:
    """The head that a checkpoint was saved with, by its config or its weights."""
    config, names = open_pretrained(directory, None, {})
    return schema.guess_head(list(names), config.architectures)


def task_of(directory: Path) -> str:
    """The task that a checkpoint was made for.

    A checkpoint of sentence-transformers makes embeddings of sentences; one with
    both heads of pretraining fills masks.
    """
    if (directory / "modules.json").exists():
        return "sentence-embedding"
    return tasks_of(head_of(directory))[0]


def tasks_of(head: str) -> list[str]:
    """The tasks that a head does; both heads of pretraining fill masks."""
    if head in OTHERS:
        return [OTHERS[head]]
    head = head.replace("ForPreTraining", "ForMaskedLM")
    return [task for task, wanted in TASKS.items() if wanted == head]


def head_for(directory: Path, task: str | None) -> str:
    """The head that does a task: the checkpoint's own, if it is one of `OTHERS`.

    Without a task it is the checkpoint's own in any case.
    """
    if task is None:
        return head_of(directory)
    try:
        own = head_of(directory)
    except CheckpointError:  # of no single head; what is wrong will show
        return TASKS[task]
    return own if OTHERS.get(own) == task else TASKS[task]


def load_model(
    path_or_name: str | Path,
    task: str | None = None,
    framework: str | None = None,
    dtype: Any = None,
    attn_implementation: str | None = None,
    device_map: Any = "auto",
    **options: Any,
) -> Any:
    """Load a checkpoint into the class that suits it.

    Args:
        path_or_name: A directory or a hub name.
        task: What the model is to do, such as "fill-mask"; by default the class is
            the one that the checkpoint was saved with.
        framework: "torch", "tf" or "flax"; by default the first that is installed.
        dtype: As the framework's `from_pretrained` has it.
        attn_implementation: "eager" or "sdpa", for PyTorch.
        device_map: The same; "auto" for an accelerator where there is one.
        **options: Further keywords of `from_pretrained`.

    Raises:
        CheckpointError: The checkpoint is damaged, or of no single head.
        InputError: There is no such task or framework, or int8 is wanted elsewhere
            than on a CPU.
        MissingPackageError: The framework is not installed.

    Examples:
        >>> model = load_model("my-albert", framework="flax")  # doctest: +SKIP
    """
    framework = framework_named(framework)
    hub = {name: options.pop(name) for name in OPTIONS if name in options}
    directory = resolved(path_or_name, **hub)
    head = head_for(directory, None if task is None else task_named(task))
    if attn_implementation is not None:
        options["attn_implementation"] = attn_implementation
    return class_of(framework, head).from_pretrained(
        directory, dtype=dtype, device_map=device_map, **options
    )


def check_complete(directory: Path, task: str) -> None:
    """Refuse a checkpoint that lacks weights, or names other labels than it has.

    No framework is needed to tell.

    Raises:
        CheckpointError: As said; the message names all of it.
    """
    check_head(directory, head_for(directory, task), task)


def check_head(directory: Path, head: str, task: str | None = None) -> None:
    """Refuse a checkpoint that lacks weights of a head, or names other labels.

    Raises:
        CheckpointError: As said; the message names all of it.
    """
    task = task or tasks_of(head)[0]
    config, stored = open_pretrained(directory, None, {})
    rows = {name: stored.shape(name) for name in stored if name == "classifier.weight"}
    for name, shape in rows.items():
        labelled = head in ("ForSequenceClassification", "ForTokenClassification")
        if labelled and sorted(config.id2label) != list(range(shape[0])):
            raise CheckpointError(
                f"{directory}: id2label names {config.num_labels} labels, "
                f"{shown(sorted(config.id2label))}, but {name} has {shape[0]} rows, 0 "
                f"to {shape[0] - 1}. Correct id2label in config.json."
            )
    pools = schema.HEADS[head].pools and head != schema.BASE
    wanted = {p.name: p.shape for p in schema.parameters(config, head, pools)}
    missing = loading.match(wanted, stored, f"Albert{head}").missing
    if missing:
        raise CheckpointError(
            f"{directory} lacks weights that {task} needs: {', '.join(missing)}. Give "
            f"a checkpoint that was trained for it; this one does {task_of(directory)}."
        )


def framework_of(model: Any) -> str:
    """The framework that a model object belongs to.

    Raises:
        InputError: It is none of the classes of this library.
    """
    for parent in type(model).__mro__:
        package = parent.__module__.split(".")[0]
        if package.removeprefix("albert_") in backends.BACKENDS:
            return package.removeprefix("albert_")
    raise InputError(
        f"A model must be a directory, a hub name or an ALBERT model of this library, "
        f"not {shown(model)}. Load it with albert_zoo.load_model."
    )


def place(framework: str, device: Any) -> Any:
    """A device as users name it ("cpu", "cuda:1", 0, -1) as a `device_map`.

    Raises:
        InputError: The name means no device, or the framework has no such one.
    """
    if device is None or device == "auto":
        return "auto"
    if not isinstance(device, int | str) or str(device).startswith("/"):
        return device  # the framework's own
    kind, _, number = str(device).partition(":")
    if isinstance(device, int):
        kind, number = ("cpu", "") if device < 0 else ("gpu", str(device))
    kind = {"cuda": "gpu"}.get(kind.lower(), kind.lower())
    if kind not in ("cpu", "gpu", "tpu", "mps") or not (number or "0").isdecimal():
        raise InputError(
            f"There is no device {device!r}. Give 'cpu', 'cuda', 'cuda:1', 'tpu' or a "
            f"number, -1 for the processor."
        )
    backends.require(backends.BACKENDS[framework])
    with backends.quiet_start():
        found, index = _devices_of(framework), int(number or 0)
    if index >= len(found.get(kind, ())):
        names = ", ".join(str(name) for some in found.values() for name in some)
        title = backends.BACKENDS[framework].title
        raise InputError(
            f"There is no device {device!r}; {title} has {names}. Give another, such "
            f"as 'cpu'."
        )
    # PyTorch's "cuda" is the one that the process has chosen.
    return "cuda" if found[kind][0] == "cuda:0" and not number else found[kind][index]


def _devices_of(framework: str) -> dict[str, list[Any]]:
    """What a framework's `device_map` can be, by the kinds of devices."""
    found: dict[str, list[Any]] = {}
    if framework == "torch":
        import torch

        gpus = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
        mps = ["mps"] if torch.backends.mps.is_available() else []
        return {"cpu": ["cpu"], "gpu": gpus, "mps": mps}
    if framework == "tf":
        import tensorflow as tf

        for device in tf.config.list_logical_devices():
            kind = device.device_type
            names = found.setdefault(kind.lower(), [])
            names.append(f"/{kind}:{len(names)}")
        return found
    import jax

    for kind in ("cpu", "gpu", "tpu"):
        with suppress(RuntimeError):  # JAX's for a kind that it has none of
            found[kind] = jax.devices(kind)
    return found
