"""The page on detection is what the catalogue and the budgets make of it."""

import sys

from tests.architecture import detection_page


def test_the_page_is_that_of_the_catalogue():
    made = f"{sys.executable} -m tests.architecture.detection_page"
    assert detection_page.PAGE.read_text("utf-8") == detection_page.page(), (
        f"run {made}"
    )
