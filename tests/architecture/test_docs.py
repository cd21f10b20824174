"""The pages say what is so: their examples run, their commands are the real ones."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from albert_core import PRESETS, AlbertConfig, fields

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCKS = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
WITH_CODE = [page for page in PAGES if BLOCKS.search(page.read_text())]
COMMANDS = (
    'pip install -c constraints.txt ".[all]" && albert-zoo parity',
    'pip install -c constraints.txt -e ".[all,dev]" && pytest',
)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda p: str(p.relative_to(ROOT)))
def test_the_examples_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__"}
    for block in BLOCKS.findall(page.read_text()):
        exec(compile(block, str(page), "exec"), names)


@pytest.mark.parametrize(
    "example", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.stem
)
def test_the_example_scripts_run(example):
    shown = subprocess.run(
        [sys.executable, example], capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout


def test_the_readme_has_both_commands():
    text = (ROOT / "README.md").read_text()
    for command in COMMANDS:
        assert f"```bash\n{command}\n```" in text


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
        if not target.startswith(("http", "mailto")):
            assert (page.parent / target).exists(), target


def test_doctests_of_the_packages_pass():
    """Every example in a docstring runs; one process, for the frameworks' start."""
    files = [str(f) for p in ("core", "torch", "tf", "flax") for f in files_of(p)]
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--doctest-modules", "-q", "-p",
         "no:cacheprovider", "-W", "ignore", *files],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stdout
    assert " passed" in shown.stdout


def files_of(package):
    """The files of a package that hold examples."""
    found = sorted((ROOT / f"albert_{package}").rglob("*.py"))
    return [file for file in found if ">>> " in file.read_text()]


def rows_of(page, heading):
    """The rows of the table below a heading, as lists of cells without markup."""
    text = (ROOT / "docs" / page).read_text().split(f"## {heading}\n")[1]
    lines = [line for line in text.split("\n## ")[0].splitlines() if line[:1] == "|"]
    return [
        [re.sub(r"[`\"]", "", cell).strip() for cell in line.strip("|").split("|")]
        for line in lines[2:]
    ]


def test_the_table_of_fields_is_that_of_the_configuration():
    config = AlbertConfig()
    found = {}
    for names, default, _ in rows_of("config.md", "Fields"):
        values = default.split(", ")
        for number, name in enumerate(names.split(", ")):
            found[name] = values[number] if len(values) > 1 else default
    assert found.keys() == {*fields.RULES, "num_labels"}
    for name, default in found.items():
        if name not in ("id2label", "label2id", "num_labels", "pruned_heads"):
            value = getattr(config, name)
            stated = type(value)(default) if value is not None else default
            assert stated == value or default == str(value), name


def test_the_table_of_models_is_that_of_the_presets():
    for size, *numbers in rows_of("config.md", "The released models"):
        preset = PRESETS[f"albert-{size}-v2"]
        config = preset.config
        assert [int(number.replace(",", "")) for number in numbers] == [
            config.hidden_size,
            config.num_hidden_layers,
            config.num_attention_heads,
            config.intermediate_size,
            preset.parameters,
        ]
