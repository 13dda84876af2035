"""``docs/extending.rst``: its examples touch the files that it lists and no others, and turn up everywhere."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from unidiff.patch import PatchSet

from sim.explore.patches.hunks import apply

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples" / "extending"
PAGE = (ROOT / "docs" / "extending.rst").read_text("utf-8")
SECTIONS = dict(re.findall(r"^(\w.*)\n-+\n\n((?:.*\n)*?)(?=\w.*\n---|\Z)", PAGE, re.MULTILINE))
MADE = {"docs/verdicts.csv", "docs/_static/gallery/NAME.png"}  # by tools
NAMES = {
    "design": "svs-flush-context",
    "chart": "targets",
    "cause": "svs_lwp_switch INVPCID",
    "invariant": "locks-free",
}


def listed(section: str) -> set[str]:
    """The files in the first column of a section's table."""
    rows = re.findall(r"^   \* - (``.*)$", SECTIONS[section], re.MULTILINE)
    return {name for row in rows for name in re.findall(r"``([^`]+)``", row)}


def diff(name: str) -> PatchSet:
    return PatchSet((EXAMPLES / f"{name}.diff").read_text("utf-8"))


@pytest.fixture
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the tree with the example applied."""
    for folder in ("analysis", "docs", "scenarios", "sim", "tests", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "_build"))
    for file in ("README.rst", "setup.cfg"):
        shutil.copy(ROOT / file, tmp_path)
    for file in diff(request.param):
        target = tmp_path / file.path
        lines = [] if file.is_added_file else target.read_text("utf-8").splitlines()
        target.write_text("\n".join(apply(file, lines)) + "\n", "utf-8")
    return tmp_path


def run(tree: Path, *words: str, status: int = 0) -> str:
    """Run Python in the copy; return its standard output."""
    env = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([sys.executable, *words], cwd=tree, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def passes(tree: Path, *tests: str) -> None:
    """Run tests of the copy."""
    run(tree, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *tests)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_touches_the_files_listed_and_no_others(name: str) -> None:
    section = next(title for title in SECTIONS if title.endswith(f" {name}"))
    touched = {
        str(Path(file.path).with_stem("NAME")) if file.is_added_file else file.path for file in diff(name)
    }  # fmt: skip
    assert touched == listed(section) - MADE


@pytest.mark.parametrize("section", ["A design", "A chart", "A cause", "An invariant", "A step", "A flush"])
def test_the_files_listed_are_there(section: str) -> None:
    files = {name for name in listed(section) if "NAME" not in name}
    assert files
    assert [name for name in files if not list(ROOT.glob(name))] == []


@pytest.mark.parametrize("tree", ["design"], indirect=True)
def test_a_design_is_in_every_list(tree: Path) -> None:
    words = ("check", "two-installs", "--profile", "all", "--memory", "sc", "--budget", "1", "--json", "--quiet")
    (tree / "checked.json").write_text(run(tree, "-m", "sim", *words, status=3), "utf-8")
    profiles = [result["profile"] for result in json.loads((tree / "checked.json").read_text("utf-8"))["results"]]
    assert profiles[-1] == NAMES["design"]
    run(tree, "tools/verdicts.py", "checked.json")
    assert NAMES["design"] in (tree / "docs" / "verdicts.csv").read_text("utf-8").splitlines()[0]
    passes(tree, "tests/design/test_profiles.py", "tests/kernel/test_sites.py", "-k", "pages or site or name")


def test_the_table_of_verdicts_fits_any_number_of_designs() -> None:
    table = (ROOT / "docs" / "verdicts.rst").read_text("utf-8").partition(".. csv-table::")[2].partition("\n\n")[0]
    assert "verdicts.csv" in table
    assert ":widths:" not in table


@pytest.mark.parametrize("tree", ["chart"], indirect=True)
def test_a_chart_is_listed_drawn_and_in_the_gallery(tree: Path) -> None:
    run(tree, "-c", "from pathlib import Path; from tests.charts.folders import make_run; make_run(Path('storm'))")
    assert NAMES["chart"] in run(tree, "-m", "sim", "chart", "storm", "--list")
    run(tree, "-m", "sim", "chart", "storm", "--kind", NAMES["chart"], "--quiet")
    picture = tree / "storm" / "charts" / f"{NAMES['chart']}.png"
    shutil.copy(picture, tree / "docs" / "_static" / "gallery")
    passes(tree, "tests/charts/test_gallery.py", "-k", f"every_image or small and {NAMES['chart']}")


@pytest.mark.parametrize("tree", ["cause"], indirect=True)
def test_a_cause_is_charged_and_documented(tree: Path) -> None:
    summary = json.loads(run(tree, "-m", "sim", "run", "context-switch", "--out", "switch", "--json", "--quiet"))
    (row,) = (row for row in summary["ledger"] if row["cause"] == NAMES["cause"])
    assert row["profile_cycles"] > row["baseline_cycles"] == 0
    assert summary["conserved"]
    passes(tree, "tests/results/test_results.py", "tests/kernel/test_sites.py", "-k", "documented or causes_known")


@pytest.mark.parametrize("tree", ["invariant"], indirect=True)
def test_an_invariant_is_judged(tree: Path) -> None:
    words = ("check", "two-installs", "--memory", "sc", "--budget", "20", "--json", "--quiet")
    (result,) = json.loads(run(tree, "-m", "sim", *words, status=3))["results"]
    assert result["premises"][NAMES["invariant"]] == result["executions"] > 0
