"""The documentation's sources: tables that cannot garble, and every page reachable from the front page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.rst"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_no_simple_tables(page: Path) -> None:
    """In a simple table a first cell that goes on in a second line silently begins a row of its own."""
    borders = re.findall(r"^ *=+(?: +=+)+$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert borders == [], f"{page.name}: use a list-table"


def test_every_page_is_in_one_toctree() -> None:
    front = (DOCS / "index.rst").read_text(encoding="utf-8")
    listed = [line.strip() for line in front.splitlines() if re.fullmatch(r"   [a-z-]+", line)]
    assert sorted(listed) == sorted(page.stem for page in PAGES if page.stem != "index")


def test_rows_of_tables(tmp_path: Path) -> None:
    """Each row of each list-table's source is one row of HTML."""
    pytest.importorskip("sphinx", reason="the extra 'docs' is not installed")
    table = re.compile(r"^\.\. list-table::.*\n(?:   .*\n|\n)+", re.MULTILINE)
    tables = [found for page in PAGES for found in table.findall(page.read_text(encoding="utf-8") + "\n")]
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.rst").write_text("Tables\n======\n\n" + "\n".join(tables), encoding="utf-8")
    build = [sys.executable, "-m", "sphinx", "-Q", "-C", "-b", "html", str(source), str(tmp_path / "html")]
    subprocess.run(build, check=True)
    rows = sum(len(re.findall(r"^   \* - ", text, re.MULTILINE)) for text in tables)
    assert rows > 100
    assert (tmp_path / "html" / "index.html").read_text(encoding="utf-8").count("<tr") == rows
