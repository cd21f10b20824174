"""Write the table of docs/conversion/errors.md from the list of bad inputs.

python -m tests.architecture.errors_page
"""

from pathlib import Path

from tests.architecture.formats_page import table
from tests.conversion.hostile.rows import ROWS

PAGE = Path(__file__).parents[2] / "docs" / "conversion" / "errors.md"
BEGIN = "<!-- made by python -m tests.architecture.errors_page -->"
END = "<!-- up to here -->"


def page(text):
    """The page with a new table, between the two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    rows = [[f"{number}", what, fate] for number, (what, fate) in ROWS.items()]
    made = table(["", "a file, a folder or a machine", "what happens"], rows)
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), "utf-8")
