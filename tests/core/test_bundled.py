"""The model in the box: it is there, it is small, it knows some English."""

import re
from pathlib import Path

import numpy as np

from albert_core import AlbertConfig
from albert_core.checkpoint import Checkpoint
from albert_core.hub import ASSETS, BUNDLED, resolve
from albert_core.reference import Reference
from albert_core.schema import parameters
from albert_core.tokenization import load_tokenizer

PLACE = ASSETS / BUNDLED
CARD = (
    "licence",
    "held out",
    "recipe",
    "seeds",
    "CC0",
    "Standard Ebooks",
    "Lan et al.",
)
# Not of the books that it learnt from, nor of those that were held out.
SENTENCES = [
    "He had no sooner said this than the door was opened by an old man.",
    "I do not know what you mean, but I am sure that you are wrong.",
    "She looked at him for a moment, and then she began to laugh.",
    "It was one of the most beautiful things that he had ever seen in his life.",
    "They went out of the house together and walked down the road to the river.",
    "There was nothing to be done but to wait until the next morning.",
    "If you had told me the truth, I should have been able to help you.",
    "The two men sat by the fire and talked of the days when they were young.",
]


def test_its_name_leads_to_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(BUNDLED) == PLACE
    (tmp_path / BUNDLED).mkdir()  # a folder of the user's own wins
    assert resolve(BUNDLED) == Path(BUNDLED)


def test_it_is_small_and_whole():
    sizes = {path.name: path.stat().st_size for path in PLACE.iterdir()}
    assert sum(sizes.values()) < 10 * 2**20
    config, stored = AlbertConfig.from_pretrained(PLACE), Checkpoint.open(PLACE)
    wanted = {p.name: p.shape for p in parameters(config, "ForPreTraining")}
    assert {name: stored.shape(name) for name in stored} == wanted
    assert len(load_tokenizer(PLACE)) == config.vocab_size


def test_its_card_says_what_it_must():
    card = (PLACE / "README.md").read_text("utf-8")
    for word in CARD:
        assert word.lower() in card.lower(), word
    config = AlbertConfig.from_pretrained(PLACE)
    count = sum(p.size for p in parameters(config, "ForPreTraining"))
    stated = re.search(r"([\d,]+) in float32", card)
    assert stated
    assert int(stated[1].replace(",", "")) == count


def test_it_knows_some_english():
    """Each token hidden by itself; the most frequent piece would give about 5 %."""
    config, stored = AlbertConfig.from_pretrained(PLACE), Checkpoint.open(PLACE)
    weights = {name: stored[name] for name in stored}
    model, tokenizer = (
        Reference(config, weights, "ForPreTraining"),
        load_tokenizer(PLACE),
    )
    right = total = 0
    for ids in tokenizer(SENTENCES)["input_ids"]:
        rows = np.tile(ids, (len(ids) - 2, 1))
        places = np.arange(len(rows))
        rows[places, places + 1] = tokenizer.mask_token_id
        scores = model(input_ids=rows).prediction_logits[places, places + 1]
        right += int((scores.argmax(-1) == np.array(ids[1:-1])).sum())
        total += len(rows)
    assert right / total > 0.25
