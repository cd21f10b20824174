"""The options of `albert-zoo run` that only some tasks have."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click


def _count(_: Any, __: Any, value: str | None) -> int | str | None:
    """A whole number, or "all"."""
    if value is None or value == "all":
        return value
    if not value.isdecimal() or int(value) < 1:
        raise click.BadParameter(f"{value} is neither a number from 1 nor all")
    return int(value)


# By the name that the pipelines have for it.
OPTIONS: dict[str, Callable[[Any], Any]] = {
    "top_k": click.option(
        "--top-k", metavar="N", callback=_count, help="Best results; all for all."
    ),
    "targets": click.option(
        "--targets", multiple=True, help="fill-mask: only these words; repeat it."
    ),
    "function_to_apply": click.option(
        "--function-to-apply", type=click.Choice(["softmax", "sigmoid", "none"])
    ),
    "candidate_labels": click.option(
        "--candidate-labels", metavar="A,B,...", help="zero-shot: the labels."
    ),
    "hypothesis_template": click.option(
        "--hypothesis-template", help="zero-shot: a sentence with {} for the label."
    ),
    "multi_label": click.option(
        "--multi-label", is_flag=True, default=None, help="zero-shot: several may hold."
    ),
    "aggregation_strategy": click.option(
        "--aggregation",
        "aggregation_strategy",
        type=click.Choice(["none", "simple", "first", "average", "max"]),
        help="token-classification: how tokens become entities.",
    ),
    "ignore_labels": click.option(
        "--ignore-labels", multiple=True, help="Labels to leave out; repeat it."
    ),
    "stride": click.option(
        "--stride", type=int, help="token-classification: overlap of windows."
    ),
    "doc_stride": click.option(
        "--doc-stride", type=int, help="question-answering: overlap of windows."
    ),
    "max_answer_len": click.option("--max-answer-len", type=int),
    "max_seq_len": click.option("--max-seq-len", type=int),
    "handle_impossible_answer": click.option(
        "--handle-impossible-answer", is_flag=True, default=None, help="As in SQuAD 2."
    ),
    "align_to_words": click.option(
        "--align-to-words/--no-align-to-words", default=None
    ),
    "pooling": click.option("--pooling", type=click.Choice(["mean", "cls"])),
    "normalize": click.option("--normalize/--no-normalize", default=None),
    "truncation": click.option(
        "--truncation/--no-truncation",
        default=None,
        help="Cut texts that are too long (the default), or make them errors.",
    ),
    "max_length": click.option("--max-length", type=int, help="Cut there."),
}


def add(command: Any) -> Any:
    """Give a command the options of all tasks."""
    for option in reversed(OPTIONS.values()):
        command = option(command)
    return command


def chosen(task: str, known: Any, given: dict[str, Any]) -> dict[str, Any]:
    """The options that were given, for the pipeline of a task.

    A command runs over many texts, so it cuts those that are too long unless told not
    to.

    Raises:
        click.UsageError: One is of other tasks.
    """
    from albert_zoo.pipelines import PIPELINES

    names = {field.name: field.default for field in fields(known)}
    found: dict[str, Any] = {}
    for name, value in given.items():
        if value is None or value == ():
            continue
        if name not in names:
            tasks = [
                each.task
                for each in PIPELINES.values()
                if name in {field.name for field in fields(each.Options)}
            ]
            option = name.removesuffix("_strategy").replace("_", "-")
            raise click.UsageError(
                f"--{option} is for {', '.join(tasks)}, not for {task}."
            )
        found[name] = list(value) if isinstance(value, tuple) else value
    if found.get("top_k") == "all":
        found["top_k"] = None
    if names.get("truncation", True) is None:
        found.setdefault("truncation", True)
    return found
