"""What the pages in docs/ show runs as it stands."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize(
    "page", [path.name for path in sorted(DOCS.glob("*.md")) if "```python" in path.read_text("utf-8")]
)
def test_the_blocks_of_a_page_run_one_after_the_other(page):
    names = {"__name__": page}
    for code in re.findall(r"```python\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL):
        exec(code, names)
    assert "assert " in (DOCS / page).read_text("utf-8")


@pytest.mark.parametrize("page", sorted(path.name for path in DOCS.glob("*.md")))
def test_links_lead_to_files_that_are_there(page):
    for link in re.findall(r"\]\(([^)#]+)", (DOCS / page).read_text("utf-8")):
        assert link.startswith("https://") or (DOCS / link).exists(), link
