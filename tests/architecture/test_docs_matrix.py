"""The pages on conversion: as the tables are, and as the commands print."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from albert_core import schema
from albert_core.errors import FormatError
from conversion.convert import prepare
from conversion.stores import STORES
from tests.architecture import errors_page, formats_page
from tests.conftest import tiny, write

ROOT = Path(__file__).parents[2]
BLOCKS = re.compile(r"^```(python|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r'(?<!: )"([A-Z]{5,}|[A-Z]+(?:_[A-Z]+)+)"(?=,| if | else |\))')
# Other words in capitals that stand where codes do.
OTHERS = {"ELECTRA", "PYTHON", "SIGXCPU"}


def test_the_page_of_formats_is_that_of_the_tables():
    made = f"{sys.executable} -m tests.architecture.formats_page"
    assert formats_page.PAGE.read_text("utf-8") == formats_page.page(), f"run {made}"


def test_the_table_of_bad_inputs_is_that_of_the_tests():
    made = f"{sys.executable} -m tests.architecture.errors_page"
    text = errors_page.PAGE.read_text("utf-8")
    assert len(re.findall(f"{errors_page.BEGIN}|{errors_page.END}", text)) == 2
    assert errors_page.page(text) == text, f"run {made}"


MODELS = {head: (head, {}) for head in schema.HEADS} | {
    "relative positions": ("Model", {"position_embedding_type": "relative_key"}),
    "an output table of its own": ("ForMaskedLM", {"tie_word_embeddings": False}),
}


@pytest.mark.parametrize("subject", formats_page.subjects())
def test_a_conversion_is_possible_where_the_page_says_so(subject, tmp_path):
    head, changes = MODELS[subject]
    source = write(tmp_path / "source", tiny(hidden_act="gelu_new", **changes), head)
    for name, store in STORES.items():
        if formats_page.holds(store, subject):
            assert prepare(source, tmp_path / "target", name).items
        else:
            with pytest.raises(FormatError) as refused:
                prepare(source, tmp_path / "target", name)
            assert refused.value.code == "CANNOT_HOLD"


def test_every_code_of_an_error_is_explained():
    rows = (ROOT / "docs/conversion/errors.md").read_text()
    explained = re.findall(r"^\| `([A-Z_]+)` \|", rows, re.MULTILINE)
    assert explained == sorted(explained)
    used = set()
    for package in ("albert_core", "conversion"):
        for file in (ROOT / package).rglob("*.py"):
            text = file.read_text()
            if "FormatError" in text:
                used |= set(CODE.findall(text))
    assert set(explained) == used - OTHERS


def test_the_commands_print_what_the_page_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "conversion.md").read_text("utf-8")
    blocks = BLOCKS.findall(page)
    exec(compile(blocks[0][1], "conversion.md", "exec"), {})
    shown = [text for kind, text in blocks if kind == "console"]
    for command, expected in (part for text in shown for part in commands(text)):
        found = output(command)
        pattern = "".join(
            r"(?s:.*?)" if line == "...\n" else re.escape(line)
            for line in expected.splitlines(keepends=True)
        )
        assert re.fullmatch(pattern, found), f"{command}\n{found}"


def commands(block):
    """The commands of a block, each with what it prints."""
    parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
    return zip(parts[1::2], parts[2::2], strict=True)


def output(command):
    """What a command prints, on both streams."""
    folder = Path(sys.executable).parent
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PATH": path, "PYTHONUTF8": "1"},
    )
    return done.stdout
