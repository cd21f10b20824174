r"""Write what transformers 4.57.6 answers, and how it judges answers: `pipelines.json`.

That release is the last whose pipelines answer questions, and the last with the
measures of SQuAD. Run this in an environment
of its own, Python 3.11, after make_tokenizer.py:

    pip install transformers==4.57.6 torch==2.13.0 numpy==2.1.3 safetensors==0.8.0 \
        tokenizers==0.22.2
    python tests/golden/make_pipelines.py

The model is `plain-ForQuestionAnswering` with a table of word embeddings for the
tokenizer of `tokenizer/`, drawn from a seed as the test draws it. Both give the same
ids on these texts, which the file keeps.
"""

import datetime
import json
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
import transformers
from transformers.data.metrics.squad_metrics import squad_evaluate
from transformers.data.processors.squad import SquadExample

HERE = Path(__file__).parent
PACKAGES = ("transformers", "torch", "numpy", "tokenizers")
VOCABULARY, LONGEST = 1000, 23  # of plain-ForQuestionAnswering
LINE = "it was the story of an old river, and of the people who lived there"
CONTEXTS = {
    "short": "the people of the river read a book",
    "long": f"{LINE}. The first people read a book. {LINE} for many years.",
    "odd": "The  River\twas very OLD, and the bóok!",
}
QUESTION = "who lived there?"
CASES = {
    "plain": {},
    "top": {"top_k": 4},
    "one_token": {"max_answer_len": 1, "top_k": 3},
    "impossible": {"handle_impossible_answer": True, "top_k": 5},
    "impossible_alone": {"handle_impossible_answer": True},
    "tokens": {"align_to_words": False, "top_k": 4},
    "stride": {"doc_stride": 2, "top_k": 3},
    "narrow": {"max_seq_len": 17, "doc_stride": 5, "top_k": 20},
}
# Of each question: the answer, the right ones, how sure it is that there is none.
JUDGED = {
    "exact": ("the Old River!", ["old river"], 0.1),
    "best of two": ("old stone bridge", ["river", "the stone bridge, old"], 0.2),
    "twice": ("very very old", ["very old old"], 0.35),
    "nothing shared": ("a book", ["the people"], 0.4),
    "only an article": ("the", ["a", "an old one"], 0.45),
    "missed": ("", ["many years"], 0.9),
    "held back": ("many years", ["many years"], 0.95),
    "rightly none": ("", [], 0.8),
    "wrongly some": ("a story", [], 0.3),
    "wrongly late": ("the people", [], 0.85),
}


def table(width: int) -> np.ndarray:
    """The word embeddings: the test draws the same."""
    return np.random.default_rng(7).normal(0, 0.3, (VOCABULARY, width)).astype("f4")


def judged(threshold: float) -> dict:
    """What the measures of SQuAD 2.0 say."""
    examples = [
        SquadExample(name, "", "", None, None, "", [{"text": a} for a in right])
        for name, (_, right, _) in JUDGED.items()
    ]
    predictions = {name: found for name, (found, _, _) in JUDGED.items()}
    unsure = {name: value for name, (_, _, value) in JUDGED.items()}
    return squad_evaluate(examples, predictions, unsure, threshold)


def main() -> int:
    """Write pipelines.json beside this file."""
    transformers.logging.set_verbosity_error()
    path = HERE / "plain-ForQuestionAnswering"
    config = transformers.AlbertConfig.from_pretrained(path)
    model = transformers.AlbertForQuestionAnswering.from_pretrained(path).eval()
    with torch.no_grad():
        words = model.albert.embeddings.word_embeddings
        words.weight = torch.nn.Parameter(torch.tensor(table(config.embedding_size)))
        model.config.vocab_size = VOCABULARY
    tokenizer = transformers.AlbertTokenizerFast.from_pretrained(HERE / "tokenizer")
    tokenizer.model_max_length = LONGEST
    ask = transformers.pipeline("question-answering", model=model, tokenizer=tokenizer)
    answers = [
        {
            "context": context,
            "question": QUESTION,
            "options": options,
            "answer": ask(question=QUESTION, context=context, **options),
        }
        for context in CONTEXTS.values()
        for options in CASES.values()
    ]
    many = {"handle_impossible_answer": True, "top_k": 500}
    nothing = [
        next(
            each["score"] for each in ask(QUESTION, context, **many) if not each["end"]
        )
        for context in CONTEXTS.values()
    ]
    several = ask(question=[QUESTION, "what?"], context=list(CONTEXTS.values())[:2])
    record = {
        "command": "python tests/golden/make_pipelines.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "ids": {
            name: tokenizer(QUESTION, context)["input_ids"]
            for name, context in CONTEXTS.items()
        },
        "answers": answers,
        "nothing": nothing,
        "several": several,
        "judged": JUDGED,
        "squad": {threshold: judged(threshold) for threshold in (1.0, 0.82)},
    }
    text = json.dumps(record, ensure_ascii=False) + "\n"
    (HERE / "pipelines.json").write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
