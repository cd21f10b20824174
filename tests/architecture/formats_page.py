"""Write docs/conversion/formats.md: which format holds what, from the tables of names.

python -m tests.architecture.formats_page
"""

from pathlib import Path

from albert_core import schema
from conversion.dialects.hugging_face import TORCH
from conversion.stores import STORES

PAGE = Path(__file__).parents[2] / "docs" / "conversion" / "formats.md"
# What a model can have besides its head -> the layer that it has then.
BESIDES = {
    "relative positions": f"{schema.BLOCK}.attention.distance_embedding",
    "an output table of its own": "predictions.decoder",
}
DTYPES = ("float64", "float32", "float16", "bfloat16")
TEXT = """# Formats

{count} formats, each of which becomes every other one. This page is made from the
converter's tables, by `python -m tests.architecture.formats_page`.

{formats}

A folder that holds several is read in this order, and a warning names the others. Where
an index is named, the weights may be in several files (`--max-shard-size`).

## What each can hold

{holds}

- **relative positions** are `position_embedding_type` "relative_key" and
  "relative_key_query". Apart from our classes, only those of transformers 4 for PyTorch
  have them.
- **an output table of its own** is `tie_word_embeddings=False`. Other models share the
  table of the words, which is then stored once.
- **ForQuestionAnsweringBeam** is Google's joint head of SQuAD 2, which no class of
  transformers has.
{notes}
What a format cannot hold is an error, `CANNOT_HOLD`, that names the arrays; nothing is
written. `--drop-head` and `--include` leave parts out.

## From which to which

✓ is all that the format on the left can hold. Otherwise the cell says what does not
come along: **R** relative positions, **T** an output table of its own, and heads by
the letters in the table above.

{pairs}
"""
NOTES = {
    "keras-hub": (
        "- **keras-hub** has one ALBERT: the tanh form of GELU, layer norms of 1e-12, "
        "one\n  dropout for all and as many layers in each group; other "
        "configurations are refused.\n  Its head of a masked LM has a norm of 1e-5, so "
        "logits differ a little, and its\n  tokenizer is the SentencePiece model "
        "alone, without lower case.\n"
    ),
    "google-tf1": (
        "- **google-tf1** has an `albert_config.json` besides, which cannot express "
        "every\n  configuration: the activation must be one that the original knows, "
        "and\n  `layer_norm_eps` 1e-12. Where `embedding_size` and `hidden_size` are "
        "the same, the\n  original has no projection, and ours must be an identity.\n"
    ),
}


def table(head, rows):
    """A table of Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def paths(head):
    """The layers that a head has always."""
    found = {layer.path for layer in schema.HEADS[head].layers}
    return found - set(BESIDES.values())


def subjects():
    """What may be held -> (its letters, the layers that it needs)."""
    letters = {"relative positions": "R", "an output table of its own": "T"}
    found = {name: (letters[name], {path}) for name, path in BESIDES.items()}
    for head in schema.HEADS:
        short = "".join(c for c in head.removeprefix("For") if c.isupper())
        found[head] = short, paths(head)
    return found


def holds(store, subject):
    """Whether a format has such models, and a name for every layer of theirs."""
    if store.heads and subject in schema.HEADS and subject not in store.heads:
        return False
    return store.dialect.lacks.isdisjoint(subjects()[subject][1])


def files(store):
    """What is in the folder."""
    names = [f"`{name}`" for name in store.files(store.file)]
    if store.head_file:
        names.append(f"`{store.head_file}`")
    if store.shards:
        names.append(f"or `{store.shards.format(1, 2)}` … and `{store.index}`")
    return "<br>".join(names)


def page():
    """The text of the page."""
    assert all(TORCH.find(f"{path}.weight") or "{" in path for path in BESIDES.values())
    formats = table(
        ["`--to`", "what it is", "weights", "number types"],
        [[f"`{s.name}`", s.title, files(s), types(s)] for s in STORES.values()],
    )
    rows = subjects()
    held = table(
        ["", *(f"`{name}`" for name in STORES)],
        [
            [
                name if name in BESIDES else f"{name} ({letters})",
                *("✓" if holds(s, name) else "–" for s in STORES.values()),
            ]
            for name, (letters, _) in rows.items()
        ],
    )
    pairs = table(
        ["from, to", *(f"`{name}`" for name in STORES)],
        [
            [f"`{one.name}`", *(pair(one, other) for other in STORES.values())]
            for one in STORES.values()
        ],
    )
    notes = "".join(text for name, text in NOTES.items() if name in STORES)
    count = len(STORES)
    return TEXT.format(
        count=count, formats=formats, holds=held, pairs=pairs, notes=notes
    )


def types(store):
    """The number types that weights can have."""
    return "all" if set(store.dtypes) == set(DTYPES) else ", ".join(store.dtypes)


def pair(one, other):
    """What does not come along from one format to another."""
    lost = [
        letters
        for name, (letters, _) in subjects().items()
        if holds(one, name) and not holds(other, name)
    ]
    return f"not {', '.join(lost)}" if lost else "✓"


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), "utf-8")
