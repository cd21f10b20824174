"""The commands of the training guides do what the pages say, on small files."""

import json
import random
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from albert_core.data.tasks import find, names
from albert_zoo.cli import cli
from benchmarks import finetuning

GUIDES = Path(__file__).parents[2] / "docs" / "training"
BASH = re.compile(r"^```bash\n(.*?)^```", re.DOTALL | re.MULTILINE)
TOML = re.compile(r"^```toml\n(.*?)^```", re.DOTALL | re.MULTILINE)

SYLLABLES = ["ba", "den", "gor", "li", "mar", "nol", "pe", "ri", "sun", "tak", "wen"]
WORDS = [a + b + c for a in SYLLABLES for b in SYLLABLES for c in ("", "ly", "er")]


def sentence(rng):
    return " ".join(["The", *rng.choices(WORDS, k=rng.randint(4, 9))]) + "."


def write_text(path, documents, seed):
    rng = random.Random(seed)
    chapters = [[sentence(rng) for _ in range(12)] for _ in range(documents)]
    path.write_text("\n\n".join("\n".join(chapter) for chapter in chapters) + "\n")


def write_reviews(path, rows, seed):
    rng = random.Random(seed)
    lines = ["review,stars"]
    lines += [f'"{sentence(rng)}",{rng.choice(["good", "bad"])}' for _ in range(rows)]
    path.write_text("\n".join(lines) + "\n")


def commands(page):
    """The commands of a page with what is piped into them, in order."""
    for block in BASH.findall((GUIDES / page).read_text()):
        for line in block.splitlines():
            words = shlex.split(line)
            piped = None
            if "|" in words:
                place = words.index("|")
                assert words[0] == "echo"
                piped, words = " ".join(words[1:place]) + "\n", words[place + 1 :]
            assert words[0] == "albert-zoo", line
            yield words[1:], piped


def test_the_table_of_tasks_is_whole():
    page = (GUIDES / "finetune.md").read_text("utf-8")
    table = [row.split("|") for row in re.findall(r"^\| `\w.*", page, re.MULTILINE)]
    metrics = {}
    for _, tasks, _, _, measures, _ in table:
        first = re.search(r"`(.+?)`", measures)
        assert first
        metric = metrics.get(first[1], first[1])  # "as `ner`" takes that of ner
        metrics |= dict.fromkeys(re.findall(r"`(.+?)`", tasks), metric)
    assert metrics == {name: find(name).metric for name in names()}


def test_the_table_of_fine_tuning_is_what_was_measured():
    results = Path(__file__).parents[2] / "benchmarks/measured/finetuning.jsonl"
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    assert finetuning.table(rows) in (GUIDES / "nano.md").read_text("utf-8")


@pytest.mark.slow
def test_the_commands_of_the_guides_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_text(Path("books.txt"), 40, 1)
    write_text(Path("held-out.txt"), 8, 2)
    write_reviews(Path("train.csv"), 40, 3)
    write_reviews(Path("dev.csv"), 12, 4)
    (recipe,) = TOML.findall((GUIDES / "pretrain.md").read_text())
    Path("my.toml").write_text(recipe)
    for page in ("pretrain.md", "finetune.md"):
        for words, piped in commands(page):
            shown = CliRunner().invoke(cli, words, input=piped)
            assert shown.exit_code == 0, (words, shown.output, shown.exception)
    files = {path.name for path in Path("my-run").iterdir()}
    assert {"run.json", "log.jsonl", "model.safetensors", "spiece.model"} <= files
    assert {"checkpoint-10", "checkpoint-20"} <= files
    assert Path("curves.png").read_bytes()[:4] == b"\x89PNG"
    assert len(Path("said.jsonl").read_text().splitlines()) == 12
