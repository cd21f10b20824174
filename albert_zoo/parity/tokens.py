"""Whether both tokenizers of a checkpoint make the same ids of the same texts."""

from pathlib import Path

from albert_core import folder
from albert_core.config import AlbertConfig
from albert_core.errors import TokenizerError
from albert_core.tokenizer_names import TOKENIZER_FILES
from albert_zoo.parity.checks import FAIL, PASS, SKIPPED, Check

# What tokenizers have got wrong: case and accents, quotes, digits and commas, several
# spaces, special tokens in a text, other scripts, and nothing at all.
TEXTS = (
    "A paragraph of plain English, with a few commas; nothing else.",
    "``Quotes'' and \"others\", naïve café, STRAẞE",
    "In 1999, 3,141,592 people paid $9,999.",
    "  two  spaces\tand a tab\nand a line  ",
    "[CLS] special [MASK] tokens [SEP]",
    "漢字かな混じり文、Кириллица и ελληνικά",
    "🙂 ﬁ ① ½ ™",
    "",
)


def compare_tokenizers(directory: Path) -> list[Check]:
    """Compare the slow and the fast tokenizer of a checkpoint, text by text."""
    if not any(folder.find(directory, name).is_file() for name in TOKENIZER_FILES):
        return [Check("tokens", "", SKIPPED, "the checkpoint has no tokenizer")]
    from albert_core.tokenization import load_tokenizer

    try:
        slow, fast = (load_tokenizer(directory, use_fast=f) for f in (False, True))
    except TokenizerError as problem:
        return [Check("tokens", "", FAIL, str(problem))]
    size = AlbertConfig.from_pretrained(directory).vocab_size
    if slow.vocab_size > size:
        why = f"the tokenizer has {slow.vocab_size} ids, the model {size}"
        return [Check("tokens", "", FAIL, why)]
    if type(slow) is type(fast):
        why = f"there is only one tokenizer, {type(slow).__name__}"
        return [Check("tokens", "", SKIPPED, why)]
    found: list[Check] = []
    for text in TEXTS:
        one, other = (list(x(text)["input_ids"]) for x in (slow, fast))
        why = "" if one == other else f"slow {one}, fast {other}"
        found.append(Check("tokens", repr(text), PASS if one == other else FAIL, why))
    return found
