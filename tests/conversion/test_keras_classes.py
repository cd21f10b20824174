"""What Keras saves of our classes is read, and what is written Keras loads."""

import numpy as np
import pytest

import albert_tf
import conversion
from conversion import hashing, open_checkpoint
from tests.conftest import tiny, write

HEADS = ("Model", "ForPreTraining", "ForQuestionAnswering", "ForQuestionAnsweringBeam")


def digest(path):
    return hashing.whole(hashing.digests(open_checkpoint(path)))


# Keras 3.15 asks TensorFlow 2.21 in a way that NumPy 2 will not have for ever.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("tied", [True, False])
def test_keras_and_we_read_each_other(head, tied, tmp_path):
    config = tiny(tie_word_embeddings=tied, position_embedding_type="relative_key")
    source = write(tmp_path / "source", config, head)
    expected = digest(source)
    made = getattr(albert_tf, f"TFAlbert{head}")
    model = made.from_pretrained(source)
    model.save_weights(tmp_path / "x.weights.h5")
    model.save(tmp_path / "x.keras")
    assert digest(tmp_path / "x.weights.h5") == digest(tmp_path / "x.keras") == expected
    conversion.convert(source, tmp_path / "keras", "keras")
    again = made(model.config)
    again.load_weights(tmp_path / "keras" / "model.weights.h5")
    for one, other in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    same = made.from_pretrained(tmp_path / "keras")
    for one, other in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
