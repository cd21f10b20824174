"""The texts that the golden tokenizer files are made of: to train on and to encode."""

import json
import random
import unicodedata
from pathlib import Path

TEXTS = json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))
WORDS, ACCENTED, FOREIGN = TEXTS["words"], TEXTS["accented"], TEXTS["foreign"]
STRESS = [text for texts in TEXTS["stress"].values() for text in texts]
ENDINGS = ("s", "ed", "ing", "er", "ly", "ness", "ment", "able")
SYLLABLES = (
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ka",
    "le",
    "mi",
    "no",
    "pu",
    "ra",
    "se",
    "ti",
)
SYLLABLES += ("vo", "xy", "ch", "st", "tr", "pre", "con", "ex", "re", "un")
RUNS = ("...", ".....", "!!!!!", "??", "?!", "!!", "----", "--", "~~~~", "====", "***")
SYMBOLS = ("(", ")", '"', "-", ".", "\u2013", "£", "€")
SPECIALS = ("[CLS]", "[SEP]", "[MASK]", "<pad>", "<unk>")


def number(rng: random.Random) -> str:
    """Draw a number as people write it: 7, 1,234,567, 9,9, 3.50, £5, 1999,."""
    value = rng.choice((9, 99, 999, 2030, 10**6, 10**9))
    plain = str(rng.randrange(value))
    return rng.choice(
        (
            plain,
            plain + ",",
            f"{int(plain):,}",
            f"{int(plain):,},",
            f"{rng.randrange(9)},{rng.randrange(9)}",
            f"{rng.randrange(99)}.{rng.randrange(10, 99)}",
            f"{rng.choice('£€$')}{int(plain):,}",
        )
    )


def training_sentences(count: int = 6000, seed: int = 7) -> list[str]:
    """Write sentences of words, numbers, accents, scripts and repeated signs."""
    rng = random.Random(seed)
    weights = [1 / (rank + 4) for rank in range(len(WORDS))]
    sentences = []
    for _ in range(count):
        words = rng.choices(WORDS, weights, k=rng.randrange(4, 18))
        words[1] += rng.choice(ENDINGS)
        words[2] = "".join(rng.choices(SYLLABLES, k=rng.randrange(1, 4)))
        for extra, chance in ((ACCENTED, 0.1), (FOREIGN, 0.15), (RUNS, 0.2)):
            if rng.random() < chance:
                words.insert(rng.randrange(len(words)), rng.choice(extra))
        for _ in range(rng.choice((0, 0, 0, 1))):
            words.insert(rng.randrange(len(words)), number(rng))
        if rng.random() < 0.5:
            words[0] = words[0].capitalize()
        if rng.random() < 0.2:
            place = rng.randrange(len(words))
            words[place] = rng.choice(('"{}"', "({})", "{},")).format(words[place])
        sentences.append(" ".join(words) + rng.choice((".", ".", "!", "?", ";", "")))
    return sentences


# Planes that hold letters, marks, signs and rubbish; drawn evenly.
RANGES = (
    *((0x20, 0x7F), (0xA0, 0x250), (0x2B0, 0x370), (0x370, 0x530), (0x590, 0x700)),
    *((0x900, 0xA00), (0xE00, 0xE80), (0x1100, 0x1200), (0x1E00, 0x2000)),
    *((0x2000, 0x2100), (0x2100, 0x2200), (0x2460, 0x2500), (0x3000, 0x3100)),
    *((0x4E00, 0x5000), (0xAC00, 0xAD00), (0xFB00, 0xFB50), (0xFF00, 0xFFEF)),
    *((0x1D400, 0x1D500), (0x1F300, 0x1F650), (0x0, 0x20), (0x7F, 0xA0)),
)


def random_texts(count: int = 150, seed: int = 11) -> list[str]:
    """Draw texts of words, signs, numbers, special tokens and any characters."""
    rng = random.Random(seed)

    def characters() -> str:
        low, high = rng.choice(RANGES)
        drawn = (chr(rng.randrange(low, high)) for _ in range(rng.randrange(1, 6)))
        return "".join(c for c in drawn if unicodedata.category(c) not in ("Cn", "Cs"))

    parts = (
        *[lambda: rng.choice(WORDS), lambda: number(rng), characters, characters],
        *[lambda: rng.choice(SYMBOLS), lambda: rng.choice(RUNS), lambda: " " * 2],
        *[lambda: rng.choice(FOREIGN + ACCENTED), lambda: rng.choice(SPECIALS)],
        *[lambda: rng.choice(WORDS).upper(), lambda: rng.choice(("\n", "\t", ","))],
    )
    texts = []
    for _ in range(count):
        drawn = [rng.choice(parts)() for _ in range(rng.randrange(1, 9))]
        texts.append(rng.choice(("", " ", " ")).join(drawn))
    return texts
