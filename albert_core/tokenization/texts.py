"""What a user may give a tokenizer: a text, texts, pairs, words, arrays."""

from typing import Any

from albert_core.errors import TokenizerError, shown

# A text, or the words that somebody has already split it into.
Source = str | list[str]


def sort_out(
    text: Any, pair: Any, words: bool
) -> tuple[list[Source], list[Source] | None, bool]:
    """Tell the texts, their second texts, and whether there is a batch of them.

    Args:
        text: What the user gave as text: one, a list, or a list of pairs.
        pair: What the user gave as second text.
        words: Whether each text is a list of words.

    Raises:
        TokenizerError: It is something else.
    """
    batched = is_list(text) and not (words and _all_text(text))
    if not batched:
        second = None if pair is None else [_source(pair, words)]
        return [_source(text, words)], second, False
    texts, pairs = list(text), pair
    if pair is None and texts and not words and all(map(_is_pair, texts)):
        texts, pairs = zip(*texts, strict=True)
    firsts = [_source(item, words) for item in texts]
    if pairs is None:
        return firsts, None, True
    pairs = list(pairs) if is_list(pairs) else [pairs] * len(firsts)
    if len(pairs) != len(firsts):
        raise TokenizerError(
            f"There are {len(firsts)} texts and {len(pairs)} second texts. Give as "
            f"many of both."
        )
    return firsts, [_source(item, words) for item in pairs], True


def as_lists(values: Any) -> Any:
    """Rows as lists, whatever array they are in."""
    if hasattr(values, "tolist"):
        return values.tolist()
    if is_list(values):
        return [v.tolist() if hasattr(v, "tolist") else v for v in values]
    return values


def is_list(value: Any) -> bool:
    """Whether something is a list or a tuple."""
    return isinstance(value, (list, tuple))


def _is_pair(item: Any) -> bool:
    return is_list(item) and len(item) == 2


def _all_text(items: Any) -> bool:
    return all(isinstance(item, str) for item in items)


def _source(item: Any, words: bool) -> Source:
    if not words and isinstance(item, str):
        return item
    if words and is_list(item) and _all_text(item):
        return list(item)
    wanted = "a list of words" if words else "a text (str)"
    raise TokenizerError(
        f"{shown(item)} is not {wanted}. Give text, a list of texts, or, with "
        f"is_split_into_words=True, lists of words."
    )
