r"""Write the golden tokenizers: small vocabularies and what transformers 4.57.6 does.

That release is the last with a slow (sentencepiece) ALBERT tokenizer. Its conversion to
the fast one needs the protobuf that sentencepiece was made with, so run this in an
environment of its own, Python 3.11:

    pip install transformers==4.57.6 sentencepiece==0.2.3 tokenizers==0.22.2 \
        protobuf==7.36.2
    python tests/golden/make_tokenizer.py

`tokenizer/` has spiece.model (trained here, with the flags of google-research/albert,
on sentences that tokenizer_texts.py writes), what `save_pretrained` of the fast
tokenizer writes, hub_tokenizer.json (built as the file of albert-base-v2 on the hub is:
five added tokens, words split before the pieces) and ids.json. `wordpiece/` has as much
for BERT's tokenizer, which the Chinese models use.

ids.json records the slow tokenizer, loaded from its vocabulary alone; "directory" holds
what it gives when it is loaded with the other files, which list the symbols of the
vocabulary as added tokens. Where the fast one differs, `fast_ids` and
`fast_tokens` or `fast_result` hold what it gives; where it does not, `offsets` are its.
"""

import datetime
import hashlib
import io
import json
import platform
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import sentencepiece
import transformers
from tokenizer_texts import STRESS, TEXTS, random_texts, training_sentences
from transformers import (
    AddedToken,
    AlbertTokenizer,
    AlbertTokenizerFast,
    BertTokenizer,
    BertTokenizerFast,
)

PACKAGES = ("transformers", "sentencepiece", "tokenizers", "protobuf")
HERE = Path(__file__).parent
SPIECE, WORDPIECE = HERE / "tokenizer", HERE / "wordpiece"
VOCABULARY = 1000
OPTIONS = (
    {"do_lower_case": False},
    {"keep_accents": True},
    {"remove_space": False},
    {"do_lower_case": False, "keep_accents": True, "remove_space": False},
)
WORDPIECE_OPTIONS = (
    {"do_lower_case": False},
    {"strip_accents": False},
    {"do_lower_case": False, "strip_accents": True},
    {"tokenize_chinese_chars": False},
)
WORDPIECE_TEXTS = ("我们是中国人", "un café", "über Hello", "语言 model")
PAIR = ("the first people of the world read a book.", "a story, of the ancient river")
TRUNCATIONS = ("longest_first", "only_first", "only_second", "do_not_truncate")


def train_spiece(target: Path) -> None:
    """Train the vocabulary as google-research/albert trained its own."""
    trained = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(training_sentences()),
        model_writer=trained,
        vocab_size=VOCABULARY,
        model_type="unigram",
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        control_symbols=["[CLS]", "[SEP]", "[MASK]"],
        user_defined_symbols=["(", ")", '"', "-", ".", "\u2013", "£", "€"],
        character_coverage=0.99995,
        shuffle_input_sentence=True,
        input_sentence_size=10_000_000,
        num_threads=1,
        minloglevel=2,
    )
    target.write_bytes(trained.getvalue())
    model = sentencepiece.SentencePieceProcessor(model_file=str(target))
    pieces = [model.id_to_piece(i) for i in range(len(model))]
    commas = [p for p in pieces if len(p) > 1 and p[-1] == "," and p[-2].isdigit()]
    print(len(pieces), "pieces; digit and comma:", *commas)
    assert len(commas) >= 2


def hub_tokenizer(converted: str) -> dict[str, Any]:
    """Turn a tokenizer.json of 4.57.6 into one such as the hub's albert-base-v2."""
    form = json.loads(converted)
    form["added_tokens"] = [t for t in form["added_tokens"] if t["id"] < 5]
    form["normalizer"]["normalizers"].pop()  # the run of spaces, added later
    spaces = {"replacement": "\u2581", "add_prefix_space": True}
    spaces = {"type": "Metaspace", "str_rep": "\u2581", **spaces}
    split = [{"type": "WhitespaceSplit"}, spaces]
    form["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": split}
    form["decoder"] = spaces
    return form


def encoded(slow: Any, fast: Any, text: str) -> dict[str, Any]:
    """Encode a text: ids and tokens of the slow tokenizer, offsets of the fast one."""
    ids = slow.encode(text)
    quick = fast(text, return_offsets_mapping=True)
    return {
        "text": text,
        "ids": ids,
        "tokens": slow.tokenize(text),
        "decoded": slow.decode(ids),
        "decoded_plain": slow.decode(ids, skip_special_tokens=True),
        "offsets": quick["offset_mapping"] if quick["input_ids"] == ids else None,
        "fast_ids": None if quick["input_ids"] == ids else quick["input_ids"],
        "fast_tokens": None if quick["input_ids"] == ids else quick.tokens(),
    }


def calls(slow_class: Any, fast_class: Any, folder: Path) -> list[dict[str, Any]]:
    """Truncate and pad in every way; `result` is what the slow tokenizer gives."""
    first, second = PAIR
    cases: list[tuple[dict, list, dict]] = []
    for side in ("right", "left"):
        for strategy in TRUNCATIONS:
            full = len(fast_class.from_pretrained(folder)(first, second)["input_ids"])
            long = strategy == "longest_first"
            for length in (8, 13) if long else (full - 5, full - 2):
                arguments = {"truncation": strategy, "max_length": length}
                arguments |= {"return_special_tokens_mask": True}
                cases.append(({"truncation_side": side}, [first, second], arguments))
        sides = {"padding_side": side}
        batch = [[first, second, "the", ""]]
        for padding in (True, "longest", False):
            cases.append((sides, batch, {"padding": padding}))
        cases.append((sides, batch, {"padding": True, "pad_to_multiple_of": 8}))
        fixed = {"padding": "max_length", "max_length": 6, "truncation": True}
        cases.append((sides, batch, fixed))
        cases.append((sides, [[first, "of"], [second, "the"]], {"padding": True}))
        window = {"return_overflowing_tokens": True, "return_offsets_mapping": True}
        window |= {"max_length": 12, "truncation": "only_second", "stride": 2}
        window |= {"padding": "max_length", "fast_only": True}
        sides = {"truncation_side": side}
        cases.append((sides, [[first[:9], "of"], [second, second]], window))
    for arguments in ({"add_special_tokens": False}, {"return_length": True}):
        cases.append(({}, [first, second], arguments))
        cases.append(({}, [first], arguments))
    words = [PAIR[0].split(), ["1,234", "[MASK]", "caf\u00e9."]]
    cases.append(({}, [words], {"is_split_into_words": True, "padding": True}))
    records = []
    for init, texts, arguments in cases:
        fast_only = arguments.pop("fast_only", False)
        fast = dict(fast_class.from_pretrained(folder, **init)(*texts, **arguments))
        record = {"init": init, "texts": texts, "arguments": arguments, "result": fast}
        if not fast_only:
            tokenizer = slow_class.from_pretrained(folder, **init)
            record["result"] = dict(tokenizer(*texts, **arguments))
        if record["result"] != fast:
            record["fast_result"] = fast
            print("slow and fast differ:", arguments)
        records.append(record)
    return records


def added(slow_class: Any, folder: Path) -> dict[str, Any]:
    """Add tokens to the slow tokenizer and encode texts that hold them."""
    tokenizer = slow_class.from_pretrained(folder)
    plain, special = ["newword", "co2"], ["<ent>"]
    left = AddedToken("<left>", lstrip=True, rstrip=True)
    counts = [tokenizer.add_tokens(plain), tokenizer.add_tokens([left])]
    extra = {"additional_special_tokens": special}
    counts.append(tokenizer.add_special_tokens(extra))
    texts = ["a newword here", "newwords", "x co2.", "the <ent> the", "the <left> of"]
    texts += ["a<ent>b", "NEWWORD CO2", "<ent><left>newword", "newword newword"]
    rows = [
        {
            "text": text,
            "ids": (ids := tokenizer.encode(text)),
            "tokens": tokenizer.tokenize(text),
            "decoded": tokenizer.decode(ids),
            "decoded_plain": tokenizer.decode(ids, skip_special_tokens=True),
        }
        for text in texts
    ]
    return {
        "plain": plain,
        "stripping": "<left>",
        "special": special,
        "counts": counts,
        "length": len(tokenizer),
        "texts": rows,
    }


def write_lines(path: Path, sections: dict[str, Any]) -> None:
    """Write JSON with a record on each line, so that changes can be read."""
    blocks = []
    for name, content in sections.items():
        rows = content if isinstance(content, list) else [content]
        lines = ",\n".join(json.dumps(row, ensure_ascii=True) for row in rows)
        blocks.append(f'"{name}": [\n{lines}\n]')
    path.write_text("{\n" + ",\n".join(blocks) + "\n}\n")


def write_spiece() -> None:
    """Write the files of the sentencepiece tokenizer."""
    model = SPIECE / "spiece.model"
    train_spiece(model)
    slow = AlbertTokenizer(str(model))
    fast = AlbertTokenizerFast(str(model))
    fast.save_pretrained(SPIECE)
    converted = (SPIECE / "tokenizer.json").read_text(encoding="utf-8")
    hub = json.dumps(hub_tokenizer(converted), ensure_ascii=False)
    (SPIECE / "hub_tokenizer.json").write_text(hub, encoding="utf-8")
    options = []
    for chosen in OPTIONS:
        other = AlbertTokenizer(str(model), **chosen)
        for text in TEXTS["options"]:
            record = {"options": chosen, "text": text, "ids": other.encode(text)}
            options.append(record | {"tokens": other.tokenize(text)})
    texts = [encoded(slow, fast, text) for text in STRESS + random_texts()]
    with tempfile.TemporaryDirectory() as alone:  # where no other file says anything
        shutil.copyfile(model, Path(alone) / model.name)
        called = calls(AlbertTokenizer, AlbertTokenizerFast, Path(alone))
        more = added(AlbertTokenizer, Path(alone))
    saved = [AlbertTokenizer.from_pretrained(SPIECE), fast]
    sections = {"texts": texts, "options": options, "calls": called, "added": more}
    sections["directory"] = [encoded(*saved, text) for text in STRESS]
    write_lines(SPIECE / "ids.json", sections)
    print(len(texts), "texts; fast is slow on", sum(1 for t in texts if t["offsets"]))


def wordpiece_vocabulary() -> list[str]:
    """List about 200 entries: signs, letters, words, endings, characters."""
    entries = ["[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = "0123456789abcdefghijklmnopqrstuvwxyz"
    entries += [*letters, *(f"##{letter}" for letter in letters)]
    entries += [entry for part in TEXTS["wordpiece"].values() for entry in part]
    twice = {entry for entry in entries if entries.count(entry) > 1}
    assert not twice, twice
    return entries


def write_wordpiece() -> None:
    """Write the files of BERT's tokenizer, as the Chinese models have it."""
    vocabulary = WORDPIECE / "vocab.txt"
    entries = wordpiece_vocabulary()
    vocabulary.write_text("\n".join(entries) + "\n", encoding="utf-8")
    slow, fast = BertTokenizer(str(vocabulary)), BertTokenizerFast(str(vocabulary))
    fast.save_pretrained(WORDPIECE)
    chosen = STRESS + random_texts(60, 12)
    texts = [encoded(slow, fast, text) for text in chosen]
    options = []
    for arguments in WORDPIECE_OPTIONS:
        other = BertTokenizer(str(vocabulary), **arguments)
        quick = BertTokenizerFast(str(vocabulary), **arguments)
        for text in (*TEXTS["options"], *WORDPIECE_TEXTS):
            record = {"options": arguments, "text": text, "ids": other.encode(text)}
            record |= {"tokens": other.tokenize(text), "fast_ids": quick.encode(text)}
            options.append(record)
    sections = {"texts": texts, "options": options}
    sections["calls"] = calls(BertTokenizer, BertTokenizerFast, WORDPIECE)
    sections["added"] = added(BertTokenizer, WORDPIECE)
    write_lines(WORDPIECE / "ids.json", sections)
    print(len(entries), "entries;", len(texts), "texts; fast is slow on", end=" ")
    print(sum(1 for row in texts if row["offsets"]))


def main() -> None:
    """Write both folders and where they come from."""
    transformers.logging.set_verbosity_error()
    for folder in (SPIECE, WORDPIECE):
        folder.mkdir(exist_ok=True)
    write_spiece()
    write_wordpiece()
    files = sorted(f for d in (SPIECE, WORDPIECE) for f in d.glob("*"))
    record = {
        "command": "python tests/golden/make_tokenizer.py",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "sha256": {
            f.relative_to(HERE).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest()
            for f in files
        },
    }
    target = HERE / "tokenizer_provenance.json"
    target.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
