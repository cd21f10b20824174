"""What the commands about parity share."""

from pathlib import Path

import click

from albert_zoo.console import FRAMEWORKS, Choices
from albert_zoo.parity.budgets import MODES
from albert_zoo.parity.level_names import LEVELS

frameworks_option = click.option(
    "--frameworks",
    type=Choices(FRAMEWORKS),
    help="Those to compare; by default every one that is installed.",
)
modes_option = click.option(
    "--dtype",
    "modes",
    type=Choices(tuple(MODES)),
    default="float64,float32",
    show_default=True,
    help="Number types to compute in; tf32 and tpu-default are float32 with less exact "
    "products.",
)
levels_option = click.option(
    "--level",
    "levels",
    type=Choices(tuple(LEVELS)),
    default=",".join(LEVELS),
    show_default=True,
    help="What to compare.",
)
texts_option = click.option(
    "--texts",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of texts, one a line, to compare on besides; needs a tokenizer.",
)
scale_option = click.option(
    "--budget-scale",
    "scale",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    show_default=True,
    help="Multiply every budget; the report says so.",
)
