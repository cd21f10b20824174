"""Every row of the list of bad inputs has a test, and every test's row is in it."""

import ast
from pathlib import Path

from tests.conversion.hostile.rows import ROWS

TESTS = Path(__file__).parents[2]
MARKER = "bad_input"


def marked(file):
    """The numbers that the markers of a file name."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Attribute(attr=attr), args=[*numbers]):
                if attr == MARKER:
                    yield from map(ast.literal_eval, numbers)


def test_every_row_has_a_test():
    assert list(ROWS) == list(range(1, len(ROWS) + 1))
    found = {n for file in TESTS.rglob("test_*.py") for n in marked(file)}
    assert found - ROWS.keys() == set()
    assert ROWS.keys() - found == set()
