"""Slopes of functions by central differences, and how far off they may be.

(f(x + h) - f(x - h)) / 2h is off the slope by h² / 6 times the third derivative, and by
the rounding of f over h. Along moves of length 1 the third derivatives of the functions
here stay below 4, and f, of order 1, is off by some units of its last place: `THIRD`
and `UNITS` leave room.
"""

import numpy as np

STEP = 1e-5  # where both terms are about as large
THIRD = 20.0
UNITS = 20
BOUND = STEP**2 / 6 * THIRD + UNITS * 2.0**-53 / STEP


def slope(function):
    return (function(STEP) - function(-STEP)) / (2 * STEP)


def numeric(function, x):
    """The gradient of a function of an array, one entry after the other."""
    found = np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        one = np.zeros(x.shape)
        one[place] = 1
        found[place] = slope(lambda step, one=one: function(x + step * one))
    return found


def agree(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= BOUND
