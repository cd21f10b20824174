"""`albert-zoo data`: pretraining instances from text, and Google's records of them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from albert_zoo.console import Progress, print_result, printable

FILES = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path, allow_dash=True),
    help="Write the result to this file; - prints it in place of the line.",
)


@click.group()
def data() -> None:
    """Make what a model is pretrained on.

    \b
    Examples:
      albert-zoo data create books.txt --tokenizer my-vocabulary --output my-data
      albert-zoo data show my-data --tokenizer my-vocabulary
      albert-zoo data from-records old.tfrecord --tokenizer DIR --output my-data
    """  # noqa: D301  (click reads the backspace)


@data.command()
@click.argument("files", nargs=-1, required=True, type=FILES)
@click.option("--tokenizer", required=True, help="A directory or a hub name.")
@click.option("--output", required=True, type=FOLDER, help="The folder to fill.")
@click.option(
    "--recipe",
    default="pretrain",
    show_default=True,
    help="A recipe by its name, or a TOML file; options below change its values.",
)
@click.option("--max-seq-length", type=int, help="Tokens of an instance.")
@click.option("--max-predictions-per-seq", type=int, help="Hidden ones, at most.")
@click.option("--masked-lm-prob", type=float, help="The share that is hidden.")
@click.option("--ngram", type=int, help="The most words that are hidden in a run.")
@click.option("--favor-shorter-ngram/--favor-longer-ngram", default=None)
@click.option("--do-whole-word-mask/--no-whole-word-mask", default=None)
@click.option("--short-seq-prob", type=float, help="Of documents cut into short ones.")
@click.option("--dupe-factor", type=int, help="How often each document is used.")
@click.option(
    "--random-next-sentence/--sentence-order",
    default=None,
    help="BERT's task in place of ALBERT's.",
)
@click.option("--seed", type=int, help="Of all that is drawn.")
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=lambda: os.cpu_count() or 1,
    help="Processes that work at once; by default as many as there are cores.",
)
@JSON
def create(
    files: tuple[Path, ...],
    tokenizer: str,
    output: Path,
    recipe: str,
    workers: int,
    json_file: Path | None,
    **changes: Any,
) -> None:
    """Make pretraining instances of FILES, a sentence a line, UTF-8.

    An empty line is between documents. The result depends on the files, the recipe and
    the seed, and not on the number of workers. Stopped, the same command goes on.

    \b
    Example:
      albert-zoo data create books.txt --tokenizer my-vocabulary --output my-data \\
        --recipe albert-nano
    """  # noqa: D301  (click reads the backspace)
    from albert_core.data.pretraining.creation import create as make
    from albert_zoo.training import recipes

    wanted = recipes.read(recipe).data_recipe(changes)
    bars: list[Progress] = []

    def begin(total: int) -> Any:
        bars.append(Progress(total))
        return bars[0].__enter__()

    try:
        manifest = make(files, tokenizer, output, wanted, workers, begin)
    finally:
        for bar in bars:
            bar.__exit__()
    _say(output, manifest, json_file)


@data.command("from-records")
@click.argument("files", nargs=-1, required=True, type=FILES)
@click.option("--tokenizer", required=True, help="That the records were made with.")
@click.option("--output", required=True, type=FOLDER, help="The folder to fill.")
@JSON
def from_records(
    files: tuple[Path, ...], tokenizer: str, output: Path, json_file: Path | None
) -> None:
    """Take over the TFRecord FILES of google-research/albert.

    \b
    Example:
      albert-zoo data from-records old.tfrecord --tokenizer DIR --output my-data
    """  # noqa: D301  (click reads the backspace)
    from albert_core.data.pretraining.records import from_records as take

    with Progress(None) as step:
        manifest = take(files, tokenizer, output, step)
    _say(output, manifest, json_file)


@data.command("to-records")
@click.argument("folder", type=FOLDER)
@click.argument("output", type=FOLDER)
def to_records(folder: Path, output: Path) -> None:
    """Write the instances of FOLDER as TFRecord files for google-research/albert.

    \b
    Example:
      albert-zoo data to-records my-data my-records
    """  # noqa: D301  (click reads the backspace)
    from albert_core.data.pretraining.records import to_records as give

    with Progress(None) as step:
        count = give(folder, output, step)
    click.echo(f"{output} holds {count} files", err=True)


@data.command()
@click.argument("folder", type=FOLDER)
@click.option("--tokenizer", required=True, help="That of the data.")
@click.option("--count", type=click.IntRange(1), default=3, show_default=True)
def show(folder: Path, tokenizer: str, count: int) -> None:
    """Print some instances of FOLDER, hidden words in brackets.

    \b
    Example:
      albert-zoo data show my-data --tokenizer my-vocabulary --count 1
    """  # noqa: D301  (click reads the backspace)
    from albert_core.data.pretraining.batches import PretrainingData
    from albert_core.data.pretraining.vocabulary import vocabulary
    from albert_core.errors import InputError

    made, words = PretrainingData(folder), vocabulary(tokenizer)
    if words.fingerprint != made.manifest.vocabulary:
        raise InputError(
            f"{folder} was made with another vocabulary than that of {tokenizer}. Give "
            f"the tokenizer that it was made with."
        )
    for batch in made.in_order(1, count):
        row = {name: array[0] for name, array in batch.items()}
        click.echo(printable("\n".join(_readable(row, words.tokenizer))))


def _readable(row: Any, words: Any) -> Iterator[str]:
    end = int(row["attention_mask"].sum())
    pieces: list[str] = words.convert_ids_to_tokens(row["input_ids"][:end].tolist())
    for place, label in zip(
        row["masked_lm_positions"].tolist(),
        row["masked_lm_labels"].tolist(),
        strict=True,
    ):
        if label >= 0:
            pieces[place] = f"{pieces[place]}({words.convert_ids_to_tokens(label)})"
    order = "swapped" if row["sentence_order_label"] else "in order"
    yield f"{end} tokens, segments {order}"
    yield " ".join(pieces)
    yield ""


def _say(output: Path, manifest: Any, json_file: Path | None) -> None:
    count = sum(rows for _, rows in manifest.shards)
    result = {
        "folder": str(output),
        "instances": count,
        "shards": len(manifest.shards),
        "max_seq_length": manifest.max_seq_length,
    }
    line = (
        f"{printable(str(output))} holds {count} instances of up to "
        f"{manifest.max_seq_length} tokens in {len(manifest.shards)} shards"
    )
    print_result(
        result, json_file, lambda to: to.print(line, markup=False, soft_wrap=True)
    )
