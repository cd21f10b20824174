"""What the parity tests ask a framework's model."""

import numpy as np


def relative(found, expected):
    """Frobenius norm of the difference over that of what is expected."""
    norm = np.linalg.norm(expected)
    return np.linalg.norm(np.asarray(found, np.float64) - expected) / (norm or 1.0)


def first_failure(probe, stages, bound):
    """The path of the first stage that is off by more than a bound, or None.

    Every stage is fed the reference's input, so that errors do not travel: the first
    that fails is the one that is wrong.
    """
    for stage in stages:
        # `not <=`, so that a NaN fails too
        if not relative(probe.stage(stage), stage.output) <= bound:
            return stage.path
    return None
