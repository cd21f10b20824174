"""How far two computations of the same numbers may be apart: the only place for it.

A computation in a number type with unit round-off u makes a relative error of about u
at every rounded operation. Errors of independent operations add like the root of their
number, so that after D blocks of about `OPERATIONS` rounded steps each, an error of
u * sqrt(OPERATIONS * D) is what a faithful implementation has when no step amplifies.
Attention and the norms do amplify; `AMPLIFICATION` is the room for it. It was set from
healthy models: see `docs/parity.md` for the largest errors that were measured.
"""

from math import sqrt

UNIT = {
    "float64": 2.0**-53,
    "float32": 2.0**-24,
    "float16": 2.0**-11,
    "bfloat16": 2.0**-8,
}

# Rounded steps of a block: four projections, two products with the softmax between
# them, two feed-forward products with the activation, two norms, two additions.
OPERATIONS = 12
AMPLIFICATION = 8

# Structure is judged in float64. Any modelling difference that a test plants shows up
# above 1e-7, and round-off stays below 1e-13, so that the place of this line between
# the two does not matter.
STRUCTURE = 1e-12

# Two float32 implementations of one model against each other, on the small models of
# the golden files (outputs of order 1): each is within 2.7e-6 of the exact value.
GOLDEN = 5e-6
# Gradients relative to the largest entry of a parameter's gradient, in float32. The
# floor stands in for that entry where a gradient is zero in theory (that of a key's
# bias shifts all scores of a row alike) and holds nothing but rounding: up to 3.1e-8 in
# the golden files, so that 1e-5 of the floor is three times as much.
GOLDEN_GRADIENT = 1e-5
GRADIENT_FLOOR = 1e-2


def relative_error(dtype: str, blocks: int) -> float:
    """The largest relative Frobenius error of an output that passes.

    Args:
        dtype: What the candidate computes in.
        blocks: Attention and feed-forward blocks that run one after another.
    """
    if dtype == "float64":
        return STRUCTURE
    # The embeddings, the projection and the head count as two blocks more.
    return AMPLIFICATION * UNIT[dtype] * sqrt(OPERATIONS * (blocks + 2))
