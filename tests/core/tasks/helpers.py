"""What several of these tests ask."""

import json
from functools import cache

import numpy as np

from albert_core.tokenization import AlbertTokenizer
from tests.conftest import GOLDEN


@cache
def tokenizer():
    return AlbertTokenizer.from_pretrained(GOLDEN / "tokenizer")


def write(path, text):
    """A file with a text, or with a JSON object on each line."""
    if not isinstance(text, str):
        text = "".join(json.dumps(record) + "\n" for record in text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def table(path, *rows):
    """A tsv file."""
    return write(path, "".join("\t".join(row) + "\n" for row in rows))


def tokens(ids):
    return tokenizer().convert_ids_to_tokens([int(i) for i in ids])


def one_hot(place, size):
    return 9.0 * (np.arange(size) == place)


def squad(*paragraphs):
    """A file of SQuAD: each paragraph is a context and (id, question, answers)."""
    parts = [
        {
            "context": context,
            "qas": [
                {
                    "id": name,
                    "question": question,
                    "answers": [{"text": t, "answer_start": s} for t, s in answers],
                    "is_impossible": not answers,
                }
                for name, question, answers in questions
            ],
        }
        for context, questions in paragraphs
    ]
    return json.dumps({"version": "x", "data": [{"title": "t", "paragraphs": parts}]})
