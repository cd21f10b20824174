"""What every backend says of inputs that do not fit."""

import pytest

from albert_core import InputError, inputs
from tests.conftest import tiny

X = object()


def test_one_of_two():
    inputs.check_one_given(X, None)
    inputs.check_one_given(None, X)
    for given, words in (((None, None), "neither"), ((X, X), "both")):
        with pytest.raises(InputError) as caught:
            inputs.check_one_given(*given)
        assert str(caught.value) == (
            f"Give one of input_ids and inputs_embeds; this call gives {words}."
        )


@pytest.mark.parametrize(
    ("check", "fits", "wrong", "message"),
    [
        (
            inputs.check_length,
            [1, 23, None],
            24,
            "The sequence has 24 tokens, but max_position_embeddings is 23. Truncate "
            "or split the text.",
        ),
        (
            inputs.check_width,
            [5, None],
            12,
            "inputs_embeds is 12 wide, but embedding_size is 5. Give word embeddings, "
            "not hidden states.",
        ),
    ],
)
def test_sizes(check, fits, wrong, message):
    for size in fits:
        check(tiny(), size)
    with pytest.raises(InputError) as caught:
        check(tiny(), wrong)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("name", "field", "size"),
    [
        ("input_ids", "vocab_size", 31),
        ("token_type_ids", "type_vocab_size", 2),
        ("position_ids", "max_position_embeddings", 23),
    ],
)
def test_ids(name, field, size):
    inputs.check_range(tiny(), name, 0, size - 1)
    for lowest, highest, wrong in ((0, size, size), (-1, 0, -1), (-2, 99, -2)):
        with pytest.raises(InputError) as caught:
            inputs.check_range(tiny(), name, lowest, highest)
        assert str(caught.value) == (
            f"{name} holds {wrong}, but {field} is {size}, so ids go from 0 to "
            f"{size - 1}. Check that the tokenizer belongs to this model."
        )
